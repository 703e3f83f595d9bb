"""What the CPU in the place of a host takes of an ECP5, and how fast it is there, alone."""

import importlib.util

import pytest

from placed_alone import place_alone
from systolith_fpga.boards import board_named
from systolith_fpga.firmware.compiler import missing
from systolith_fpga.parts import PARTS
from systolith_fpga.standalone.host import StandaloneHost
from systolith_fpga.standalone.program import standalone_program
from systolith_hw.verilog import component_verilog

PRESET = "ulx3s-resident"


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing() or "-")
@pytest.mark.skipif(importlib.util.find_spec("sentinel_cpu") is None, reason="no sentinel-cpu")
@pytest.mark.parametrize("place_seed", [1])
def test_ecp5(place_seed, tmp_path):
    """As fast as the board's core is to be."""
    board = board_named("ulx3s-85f")
    part, settings = PARTS[board.device], board.standing_alone()
    clock_hz, _ = board.clocks(PRESET)
    program = standalone_program(settings, memory_bytes=board.memory.bytes, greeting="a board")
    host = StandaloneHost(board.config(PRESET), settings, clock_hz=clock_hz, program=program)
    counts, clocks = place_alone(
        component_verilog(host, name="host"), "host", part, tmp_path,
        "--freq", f"{clock_hz / 1e6:g}", seed=place_seed,
    )  # fmt: skip
    (fastest,) = clocks.values()
    print(f"\nseed {place_seed}: {counts['lut']} LUTs, {counts['ff']} flip-flops, "
          f"{counts['bram']} DP16KD; {fastest:.0f} MHz")  # fmt: skip
    assert fastest * 1e6 >= clock_hz
