"""What a board's memory takes of an ECP5, and how fast it is there, alone and with two clocks."""

import dataclasses

import pytest

from placed_alone import place_alone
from systolith_fpga.memory.memory_system import MemorySystem
from systolith_fpga.memory.sdram_chips import SdramTiming, sdram_chip
from systolith_fpga.parts import PARTS
from systolith_hw.presets import preset
from systolith_hw.verilog import component_verilog

SDRAM_MHZ, CORE_MHZ = 133, 90


@pytest.mark.slow
@pytest.mark.parametrize("place_seed", [1, 2, 3])
@pytest.mark.parametrize("width", [2, 4])
def test_ecp5(width, place_seed, tmp_path):
    """Close to the goals of the board: 120 MHz for the SDRAM, 80 for the core."""
    config, part = preset("ulx3s"), PARTS["ecp5-85k"]
    config = dataclasses.replace(config, bus=dataclasses.replace(config.bus, data_bytes=width))
    timing = SdramTiming(sdram_chip("IS42S16160G-7"), SDRAM_MHZ * 1e6)
    text = component_verilog(MemorySystem(config, timing), name="memory")
    (tmp_path / "clocks.lpf").write_text(
        f'FREQUENCY NET "sdram_clk" {SDRAM_MHZ} MHZ;\nFREQUENCY NET "clk" {CORE_MHZ} MHZ;\n'
    )
    counts, fastest = place_alone(
        text, "memory", part, tmp_path, "--lpf", "clocks.lpf", seed=place_seed
    )
    print(f"\n{width}-byte beats, seed {place_seed}: {counts['lut']} LUTs, {counts['ff']} "
          f"flip-flops, {counts['bram']} DP16KD; {fastest['sdram_clk']:.0f} MHz for the SDRAM, "
          f"{fastest['clk']:.0f} for the core's side")  # fmt: skip
    assert fastest["sdram_clk"] >= 120
    assert fastest["clk"] >= CORE_MHZ
