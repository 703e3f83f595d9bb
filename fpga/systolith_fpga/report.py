"""Synthesise and place a core, and say what it takes and how fast it is."""

import collections
import json
import shlex
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring

from systolith_hw.budget import check_budget, device
from systolith_hw.config import Config
from systolith_hw.top import Systolith
from systolith_hw.verilog import component_verilog

from .tools import run_tool
from .wrapper import RegisterWrapper

__all__ = ["PARTS", "Part", "Report", "measure", "report"]

CORE = "systolith"
WRAPPER = "wrapper"


@dataclass(frozen=True, kw_only=True)
class Part:
    """How the tools name a device, and which options suit it.

    Parameters
    ----------
    part : str
        The maker's name, with package.
    speed_grade : str
        As the maker gives it; 6 is ECP5's slowest.
    synthesis : str
        The yosys command and its options.
    tool : str
        The nextpnr that places it.
    options : tuple of str
        Its options.
    target_mhz : float
        What place and route aims at unless told otherwise.
    """

    part: str
    speed_grade: str
    synthesis: str
    tool: str
    options: tuple[str, ...]
    target_mhz: float


def _ecp5(size: str) -> Part:
    return Part(
        part=f"LFE5U-{size}F CABGA381",
        speed_grade="6",
        synthesis="synth_ecp5",
        tool="nextpnr-ecp5",
        options=(f"--{size}k", "--package", "CABGA381", "--speed", "6",
                 "--lpf-allow-unconstrained"),
        target_mhz=100,
    )  # fmt: skip


PARTS = {
    "ecp5-85k": _ecp5("85"),
    "ecp5-45k": _ecp5("45"),
    "ecp5-25k": _ecp5("25"),
    "ice40-up5k": Part(
        part="iCE40UP5K SG48",
        speed_grade="the only one",
        synthesis="synth_ice40 -device u -dsp",
        tool="nextpnr-ice40",
        options=("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
        target_mhz=25,
    ),
}
"""The tools' side of :data:`systolith_hw.budget.DEVICES`."""

CELLS = {
    # LUTs of a CCU2C are its two; a DPR16X4 takes four as memory and two to write them.
    "LUT4": ("lut", 1),
    "CCU2C": ("lut", 2),
    "TRELLIS_DPR16X4": ("lut", 6),
    "TRELLIS_FF": ("ff", 1),
    "MULT18X18D": ("dsp", 1),
    "DP16KD": ("bram", 1),
    "PDPW16KD": ("bram", 1),
    "SB_LUT4": ("lut", 1),
    "SB_MAC16": ("dsp", 1),
    "SB_RAM40_4K": ("bram", 1),
    "SB_SPRAM256KA": ("spram", 1),
}
"""What each cell of a netlist counts as, and how many of it."""

UNTIMED = (
    "some multipliers have no register and so no clock: nextpnr takes them for registers of "
    "another clock, and does not time the paths through them"
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Resources of the core alone, and its clock after place and route.

    Parameters
    ----------
    lut, ff, dsp, bram, spram : int
        Four-input look-up tables (those of carries and of memories made of logic included),
        flip-flops, multipliers, block memories, large single-port memories.
    sites : int
        Places of a LUT that are taken after packing. On iCE40 a LUT and a flip-flop share one only
        where one drives the other, so it is sites, not LUTs, that a device runs out of.
    fmax_mhz : float
        Fastest clock of register-to-register paths, those at the core's ports included.
    slowest_path : list of str
        The path that limits it: nanoseconds so far, what took them, and the cell arrived at.
    warnings : list of str
        What these numbers do not show.
    units : dict
        The same counts for each unit of the core. What synthesis shares among units is counted
        where it put the name, so take these as a guide.
    command : list of str
        What was run, for anybody who wants to run it again.
    """

    device: str
    part: str
    speed_grade: str
    seed: int
    router: str
    target_mhz: float
    lut: int
    ff: int
    dsp: int
    bram: int
    spram: int
    sites: int
    fmax_mhz: float
    slowest_path: list[str]
    warnings: list[str]
    units: dict[str, dict[str, int]]
    command: list[str]


def report(config: Config, device_name: str, folder: Path, **options: typing.Any) -> Report:
    """Emit the whole core for a device, with its vendor's cells, and :func:`measure` it."""
    check_budget(config, device_name)
    core = Systolith(config, device(device_name).family)
    text = component_verilog(core, name=CORE)
    return measure(text, core.signature, device_name, folder, **options)


def measure(
    text: str,
    ports: wiring.Signature,
    device_name: str,
    folder: Path,
    *,
    seed: int = 1,
    router: str = "router2",
    target_mhz: float | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Report:
    """Synthesise and place the Verilog module ``systolith`` inside a wrapper that is not counted.

    Parameters
    ----------
    text : str
        Verilog.
    ports : wiring.Signature
        The module's ports.
    device_name : str
        A key of :data:`PARTS`.
    folder : Path
        For all files in between; the tools' logs stay there.
    seed, router, target_mhz
        For nextpnr.
    on_stage : callable
        Told the name of each stage as it begins.
    """
    part = PARTS[device_name]
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = RegisterWrapper(ports, CORE)
    (folder / "core.v").write_text(text)
    (folder / "wrapper.v").write_text(verilog.convert(wrapper, name=WRAPPER, emit_src=False))

    on_stage("synthesis")
    script = "; ".join([
        "read_verilog core.v wrapper.v",
        # The core stays one module of its own, so that it is counted without the wrapper.
        f"setattr -mod -set keep_hierarchy 1 {CORE}",
        f"{part.synthesis} -top {WRAPPER} -json netlist.json",
        "tee -q -o stat.json stat -json",
    ])
    yosys = ["-q", "-L", "yosys.log", "-p", script]
    run_tool("yosys", yosys, folder=folder, log="yosys.out", own_log="yosys.log")

    on_stage("place and route")
    target_mhz = target_mhz or part.target_mhz
    nextpnr = [
        *part.options, "--json", "netlist.json", "--top", WRAPPER, "--report", "report.json",
        "--freq", f"{target_mhz:g}", "--timing-allow-fail", "--seed", str(seed),
        *(["--router", router] if router else []),
    ]  # fmt: skip
    run_tool(part.tool, nextpnr, folder=folder, log="nextpnr.log")

    placed = json.loads((folder / "report.json").read_text())
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    core, wrapped = (_count(modules[f"\\{name}"]["num_cells_by_type"]) for name in (CORE, WRAPPER))
    netlist = json.loads((folder / "netlist.json").read_text())["modules"][CORE]
    return Report(
        device=device_name, part=part.part, speed_grade=part.speed_grade, seed=seed,
        router=router, target_mhz=target_mhz, **core, sites=_sites(placed, wrapped),
        fmax_mhz=round(1000 / max(map(_delay, _paths(placed))), 2),
        slowest_path=_slowest_path(placed), warnings=_warnings(placed), units=_units(netlist),
        command=[shlex.join(["yosys", *yosys]), shlex.join([part.tool, *nextpnr])],
    )  # fmt: skip


def _count(cells: Mapping[str, int]) -> dict[str, int]:
    """Sum the cells of each type into what the report counts."""
    counts = {"lut": 0, "ff": 0, "dsp": 0, "bram": 0, "spram": 0}
    for cell, number in cells.items():
        kind, weight = ("ff", 1) if cell.startswith("SB_DFF") else CELLS.get(cell, ("", 0))
        if kind:
            counts[kind] += weight * number
    return counts


def _units(netlist: dict[str, typing.Any]) -> dict[str, dict[str, int]]:
    """Count the cells of each unit: of the first two folders in a flattened cell's name."""
    cells: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, cell in netlist["cells"].items():
        *path, _ = name.split(".")
        cells[".".join(path[:2])][cell["type"]] += 1
    counted = {unit or "top": _count(kinds) for unit, kinds in cells.items()}
    return dict(sorted(counted.items(), key=lambda item: -item[1]["lut"] - item[1]["ff"]))


def _sites(placed: dict[str, typing.Any], wrapped: dict[str, int]) -> int:
    """Return the occupied LUT sites, less the wrapper's: one for each of its flip-flops on iCE40,
    for each of its LUTs on ECP5, where flip-flops stand apart."""
    usage = placed["utilization"]
    if "ICESTORM_LC" in usage:
        return usage["ICESTORM_LC"]["used"] - wrapped["ff"]
    return usage["TRELLIS_COMB"]["used"] - wrapped["lut"]


def _paths(placed: dict[str, typing.Any]) -> list[list[dict[str, typing.Any]]]:
    """Return the slowest path of each pair of clocks, as its steps; pins have none."""
    return [
        path["path"]
        for path in placed["critical_paths"]
        if "<async>" not in (path["from"], path["to"])
    ]


def _delay(path: list[dict[str, typing.Any]]) -> float:
    return sum(step["delay"] for step in path)


def _slowest_path(placed: dict[str, typing.Any]) -> list[str]:
    """Return the critical path between registers: where it stands, and when, in ns."""
    lines, now = [], 0.0
    path = max(_paths(placed), key=_delay)
    for step in path:
        now += step["delay"]
        # A carry chain is dozens of tiny steps through its cells; its end is enough.
        if step["delay"] >= 0.5 or step is path[-1]:
            lines.append(f"{now:.2f} {step['type']} {step['to']['cell']}")
    return lines


def _warnings(placed: dict[str, typing.Any]) -> list[str]:
    """Say what the timing analysis could not see."""
    return [] if len(placed["fmax"]) == 1 else [UNTIMED]
