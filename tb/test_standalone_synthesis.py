"""What the CPU in the place of a host takes of an ECP5, and how fast it is there, alone."""

import collections
import importlib.util
import json

import pytest

from systolith_fpga.boards import board_named
from systolith_fpga.firmware.compiler import missing
from systolith_fpga.netlist import count_cells
from systolith_fpga.parts import PARTS
from systolith_fpga.standalone.host import StandaloneHost
from systolith_fpga.standalone.program import standalone_program
from systolith_fpga.tools import run_tool
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
    (tmp_path / "host.v").write_text(component_verilog(host, name="host"))
    script = (f"read_verilog -DSYNTHESIS host.v; {part.synthesis.format(top='host')}; "
              "write_json host.json")  # fmt: skip
    run_tool("yosys", ["-q", "-p", script], folder=tmp_path, log="yosys.log")
    run_tool(part.tool, [
        *part.options, "--json", "host.json", "--freq", f"{clock_hz / 1e6:g}", "--out-of-context",
        "--report", "report.json", "--timing-allow-fail", "--seed", str(place_seed),
    ], folder=tmp_path, log="nextpnr.log")  # fmt: skip
    cells = json.loads((tmp_path / "host.json").read_text())["modules"]["host"]["cells"]
    counts = count_cells(collections.Counter(cell["type"] for cell in cells.values()))
    (clock,) = json.loads((tmp_path / "report.json").read_text())["fmax"].values()
    print(f"\nseed {place_seed}: {counts['lut']} LUTs, {counts['ff']} flip-flops, "
          f"{counts['bram']} DP16KD; {clock['achieved']:.0f} MHz")  # fmt: skip
    assert clock["achieved"] * 1e6 >= clock_hz
