"""What a board's memory takes of an ECP5, and how fast it is there, alone and with two clocks."""

import dataclasses

import pytest

from placed_alone import place_alone
from systolith_fpga.memory.memory_system import MemorySystem
from systolith_fpga.memory.sdram_chips import SdramTiming, sdram_chip
from systolith_fpga.parts import PARTS
from systolith_hw.presets import preset
from systolith_hw.verilog import component_verilog

CHIP_MHZ = 133
SDRAM_MHZ, CORE_MHZ = 160, 90
"""Aims, well above the clocks of boards: beside a core the same logic is slower."""


@pytest.mark.slow
@pytest.mark.parametrize("place_seed", [1, 2, 3])
@pytest.mark.parametrize("width", [2, 4])
def test_ecp5(width, place_seed, tmp_path):
    """Both clocks have room for what a full chip takes of them."""
    config, part = preset("ulx3s"), PARTS["ecp5-85k"]
    config = dataclasses.replace(config, bus=dataclasses.replace(config.bus, data_bytes=width))
    timing = SdramTiming(sdram_chip("IS42S16160G-7"), CHIP_MHZ * 1e6)
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
    assert fastest["sdram_clk"] >= SDRAM_MHZ
    assert fastest["clk"] >= CORE_MHZ
