"""Synthesise and place a core, and say what it takes and how fast it is."""

import dataclasses
import json
import re
import shlex
import typing
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring

from systolith_hw.budget import check_budget, device
from systolith_hw.config import Config
from systolith_hw.top import Systolith
from systolith_hw.verilog import component_verilog
from systolith_sim.verilator import ToolError

from .effort import effort
from .floorplan import floorplan
from .netlist import count_cells, count_units
from .parts import PARTS, Part
from .place_and_route import place_and_route
from .synthesis import CORE, synthesise
from .units import UNITS
from .wrapper import RegisterWrapper

__all__ = ["Report", "measure", "report"]

WRAPPER = "wrapper"


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


def report(
    config: Config, device_name: str, folder: Path, unit: str = "core", *, bus: str = "axi4",
    **options: typing.Any,
) -> Report:  # fmt: skip
    """Emit the core, or another of :data:`UNITS`, with a device's cells, and :func:`measure` it.

    ``bus`` is the core's. Its seed, clock to aim at and options are those kept for its preset
    (:mod:`.effort`), if ``options`` does not say otherwise.
    """
    if unit == "core":
        best = effort(dataclasses.replace(config, device=device_name))
        options = {**dataclasses.asdict(best), **options}
        check_budget(config, device_name)
        options["floorplan"] = floorplan(config, PARTS[device_name].grid)
    family = device(device_name).family
    core = Systolith(config, family, bus) if unit == "core" else UNITS[unit](config, family)
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
    options: Sequence[str] = (),
    floorplan: Sequence[str] = (),
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
    seed, router, target_mhz, options
        For nextpnr.
    floorplan : sequence of str
        Commands for yosys, see :func:`.floorplan.floorplan`.
    on_stage : callable
        Told the name of each stage as it begins.
    """
    part = PARTS[device_name]
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = RegisterWrapper(ports, CORE)
    (folder / "core.v").write_text(text)
    if part.clock_pin is not None:
        (folder / "pins.lpf").write_text(f'LOCATE COMP "clk" SITE "{part.clock_pin}";\n')
    (folder / "wrapper.v").write_text(verilog.convert(wrapper, name=WRAPPER, emit_src=False))

    on_stage("synthesis")
    read = ["read_verilog core.v wrapper.v"]
    commands = synthesise(part, folder, read, top=WRAPPER, floorplan=floorplan)

    on_stage("place and route")
    target_mhz = target_mhz or part.target_mhz
    nextpnr = [
        *part.options, "--json", "netlist.json", "--top", WRAPPER, "--report", "report.json",
        "--freq", f"{target_mhz:g}", "--timing-allow-fail", "--seed", str(seed),
        *(["--router", router] if router else []),
        *(["--lpf", "pins.lpf"] if part.clock_pin is not None else []), *options,
    ]  # fmt: skip
    try:
        place_and_route(part.tool, nextpnr, folder)
    except ToolError as error:
        raise ToolError(_overfull((folder / "nextpnr.log").read_text(), part) or error) from None

    placed = json.loads((folder / "report.json").read_text())
    modules = json.loads((folder / "netlist.json").read_text())["modules"]
    core, wrapped = (
        count_cells(Counter(cell["type"] for cell in modules[name]["cells"].values()))
        for name in (CORE, WRAPPER)
    )
    return Report(
        device=device_name, part=part.part, speed_grade=part.speed_grade, seed=seed,
        router=router, target_mhz=target_mhz, **core, sites=_sites(placed, wrapped),
        fmax_mhz=round(1000 / max(map(_delay, _paths(placed))), 2),
        slowest_path=_slowest_path(placed), warnings=_warnings(placed),
        units=count_units(modules[CORE]),
        command=[*commands, shlex.join([part.tool, *nextpnr])],
    )  # fmt: skip


def _sites(placed: dict[str, typing.Any], wrapped: dict[str, int]) -> int:
    """Return the occupied LUT sites, less the wrapper's: one for each of its flip-flops on iCE40,
    for each of its LUTs on ECP5, where flip-flops stand apart."""
    usage = placed["utilization"]
    if "ICESTORM_LC" in usage:
        return usage["ICESTORM_LC"]["used"] - wrapped["ff"]
    return usage["TRELLIS_COMB"]["used"] - wrapped["lut"]


def _overfull(log: str, part: Part) -> str:
    """Return a sentence about what the device has too little of, or nothing."""
    used = re.findall(r"(\w+): +(\d+)/ +(\d+) +\d+%", log)
    over = {name: f"{taken} {name} of {there}" for name, taken, there in used
            if int(taken) > int(there)}  # fmt: skip
    return f"the {part.part} is too small: it takes {', '.join(over.values())}" if over else ""


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
