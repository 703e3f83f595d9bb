#!/usr/bin/env python3
"""Emit every preset and have tools read it; a complaint is a failure.

Those of :data:`OTHER_BUSES` are emitted on every bus, the others on AXI; with ``--all`` all are on
every bus.

Verilator reads it with all warnings on, yosys looks for loops of gates, for nets with no driver or
several, and for latches. Icarus and the cells of a preset's own device are tried with AXI.
"""

import argparse
import concurrent.futures
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from systolith_fpga.tools import run_tool
from systolith_hw.budget import DEVICES
from systolith_hw.bus.kinds import BUSES
from systolith_hw.emit import NAME, emit
from systolith_hw.ports import ports_markdown
from systolith_hw.presets import PRESETS
from systolith_sim.verilator import ToolError, lint

ONLY = {"icebreaker": ("native",)}
"""Buses of presets that are another one in small, for a board."""

OTHER_BUSES = ("tiny", "small")
"""Presets that are tried on every bus: a bus knows nothing of the core but its port's width."""

LATCHES = "t:$dlatch t:$adlatch t:$dlatchsr t:$sr"
"""Cells that yosys has for what keeps a value without a clock."""

BUILD = Path(__file__).parents[1] / "build" / "check"


def main() -> None:
    """Check all presets, two at a time, the largest ones first."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="every preset on every bus")
    every = PRESETS if parser.parse_args().all else OTHER_BUSES
    buses = {
        name: ONLY.get(name, tuple(BUSES) if name in every else ("axi4",))
        for name in PRESETS
    }
    jobs = [(name, bus, target) for name in reversed(PRESETS) for bus in buses[name]
            for target in ("generic", DEVICES[PRESETS[name].device].family)
            if target == "generic" or bus == buses[name][0]]  # fmt: skip
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        failures = [line for lines in pool.map(check, *zip(*jobs, strict=True)) for line in lines]
    for complaint in failures:
        print(complaint, file=sys.stderr)
    sys.exit(bool(failures))


def check(name: str, bus: str, target: str) -> list[str]:
    """Emit one preset; return what the tools complain about."""
    config, started = PRESETS[name], time.monotonic()
    folder = BUILD / f"{name}-{bus}-{target}"
    folder.mkdir(parents=True, exist_ok=True)
    emitted = emit(config, target, bus)
    source = folder / f"{NAME}.v"
    source.write_text(emitted.verilog)
    (folder / "manifest.json").write_text(json.dumps(emitted.manifest, indent=2))
    (folder / "ports.md").write_text(ports_markdown(config, bus))
    emission = time.monotonic() - started
    said = read_yosys(source, "" if target == "generic" else target)
    readers = "yosys"
    if target == "generic":  # the other simulators do not know a vendor's cells
        said += read_verilator(source)
        readers += " and Verilator"
        if bus == "axi4" and shutil.which("iverilog"):
            said += read_icarus(source)
            readers += " and Icarus"
    verdict = "REFUSED" if said else f"read by {readers}"
    print(f"{name} for {target}, {bus}: {len(emitted.verilog) // 1024} KiB, emitted in "
          f"{emission:.1f} s, {verdict}", flush=True)  # fmt: skip
    return [f"{name} for {target}, {bus}: {line}" for line in said]


def read_verilator(source: Path) -> list[str]:
    try:
        return lint(source, NAME).splitlines()
    except ToolError as error:
        return str(error).splitlines()


def read_icarus(source: Path) -> list[str]:
    command = ["iverilog", "-g2005", "-Wall", "-t", "null", "-s", NAME, source.name]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
    # Icarus wants a time unit in every file; a synthesisable one needs none.
    said = [line for line in done.stderr.splitlines() if "timescale" not in line]
    return said or [f"iverilog ended with status {done.returncode}"] * bool(done.returncode)


def read_yosys(source: Path, family: str) -> list[str]:
    cells = {"": "", "ecp5": "read_verilog -lib +/ecp5/cells_bb.v; ",
             "ice40": "read_verilog -lib +/ice40/cells_sim.v; "}  # fmt: skip
    script = (
        f"{cells[family]}read_verilog {source.name}; hierarchy -check -top {NAME}; proc -noopt; "
        f"check -assert; select -assert-none {LATCHES}"
    )
    try:
        run_tool("yosys", ["-q", "-p", script], folder=source.parent, log="yosys.log")
    except ToolError as error:
        return [str(error)]
    return []


if __name__ == "__main__":
    main()
