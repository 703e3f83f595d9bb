"""A component placed and routed alone, with the board's tools."""

import collections
import json
from pathlib import Path

from systolith_fpga.netlist import count_cells
from systolith_fpga.parts import Part
from systolith_fpga.tools import run_tool

__all__ = ["place_alone"]


def place_alone(
    verilog: str, name: str, part: Part, folder: Path, *options: str, seed: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Return what a module takes, and the clocks it reaches, in MHz; ``options`` are nextpnr's."""
    (folder / f"{name}.v").write_text(verilog)
    script = (f"read_verilog -DSYNTHESIS {name}.v; {part.synthesis.format(top=name)}; "
              f"write_json {name}.json")  # fmt: skip
    run_tool("yosys", ["-q", "-p", script], folder=folder, log="yosys.log")
    run_tool(part.tool, [
        *part.options, "--json", f"{name}.json", *options, "--out-of-context",
        "--report", "report.json", "--timing-allow-fail", "--seed", str(seed),
    ], folder=folder, log="nextpnr.log")  # fmt: skip
    cells = json.loads((folder / f"{name}.json").read_text())["modules"][name]["cells"]
    counts = count_cells(collections.Counter(cell["type"] for cell in cells.values()))
    report = json.loads((folder / "report.json").read_text())
    return counts, {clock: found["achieved"] for clock, found in report["fmax"].items()}
