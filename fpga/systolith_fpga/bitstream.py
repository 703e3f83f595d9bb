"""From a netlist to its bitstream."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .floorplan import PLACER
from .place_and_route import place_and_route
from .tools import run_tool

__all__ = ["FLOWS", "OUTPUTS", "Flow", "Routed", "make_bitstream"]

CONFIG = "top.config"
REPORT = "report.json"
OUTPUTS = ("--textcfg", CONFIG, "--report", REPORT)
"""What nextpnr has to be told to write."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What the tools of a family of chips are called, and what they are told.

    Parameters
    ----------
    placer : str
        The nextpnr.
    constraints : str
        Ending of the file of pins and clocks; the option that names it is called so, too.
    options : tuple of str
        What nextpnr has to be told besides, :data:`OUTPUTS` of an ECP5.
    packer : str
    pack : tuple of str
        Its arguments.
    bitstream : str
        What it writes.
    """

    placer: str
    constraints: str
    options: tuple[str, ...]
    packer: str
    pack: tuple[str, ...]
    bitstream: str


FLOWS = {
    "ecp5": Flow(
        placer="nextpnr-ecp5", constraints="lpf", options=(*OUTPUTS, "--router", "router2"),
        packer="ecppack", pack=("--compress", "--input", CONFIG, "--bit", "top.bit"),
        bitstream="top.bit",
    ),
    "ice40": Flow(
        # The usual placer fills this chip in a way that neither router finds wires for.
        placer="nextpnr-ice40", constraints="pcf",
        options=("--asc", "top.asc", "--report", REPORT, "--placer", PLACER, "--router", "router2"),
        packer="icepack", pack=("top.asc", "top.bin"), bitstream="top.bin",
    ),
}  # fmt: skip
"""By family."""

ASYNCHRONOUS = "<async>"
"""What nextpnr calls pads, and whatever else has no clock."""


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A bitstream.

    Parameters
    ----------
    clocks_mhz : dict
        Of each clock, what it ``reached`` and what it was constrained to, ``wanted``.
    crossings_ns : dict
        The longest path from a clock to another one.
    timing_met : bool
        All have what they were constrained to.
    utilization : dict
        Of each kind of cell, how many are ``used`` and how many are ``available``.
    bitstream : Path
    sha256 : str
        Of its bytes.
    commands : list of str
        What was run.
    """

    clocks_mhz: dict[str, dict[str, float]]
    crossings_ns: dict[tuple[str, str], float]
    timing_met: bool
    utilization: dict[str, dict[str, int]]
    bitstream: Path
    sha256: str
    commands: list[str]

    @property
    def fmax_mhz(self) -> float:
        """The least of what clocks reached, to two digits."""
        return round(min(clock["reached"] for clock in self.clocks_mhz.values()), 2)


def make_bitstream(
    nextpnr: Sequence[str], folder: Path, on_stage: Callable[[str], None] = lambda stage: None,
    flow: Flow = FLOWS["ecp5"],
) -> Routed:  # fmt: skip
    """Place, route and pack; timing that is not met is no error here.

    Parameters
    ----------
    nextpnr : sequence of str
        All of its arguments, with the flow's options and ``--timing-allow-fail``.
    folder : Path
        With the netlist. Logs stay there.
    on_stage : callable
        Told the name of each stage as it begins.
    flow : Flow
        Of the chip's family.
    """
    on_stage("place and route")
    place_and_route(flow.placer, [*nextpnr], folder)
    on_stage("bitstream")
    run_tool(flow.packer, [*flow.pack], folder=folder, log=f"{flow.packer}.log")
    placed = json.loads((folder / REPORT).read_text())
    clocks = {
        _net(name): {"reached": clock["achieved"], "wanted": clock["constraint"]}
        for name, clock in placed["fmax"].items()
    }
    crossings: dict[tuple[str, str], float] = {}
    for path in placed["critical_paths"]:
        ends = _net(path["from"]), _net(path["to"])
        if ends[0] != ends[1] and ASYNCHRONOUS not in ends:
            delay = sum(step["delay"] for step in path["path"])
            crossings[ends] = max(delay, crossings.get(ends, 0.0))
    bitstream = folder / flow.bitstream
    return Routed(
        clocks_mhz=clocks, crossings_ns=crossings,
        timing_met=all(it["achieved"] >= it["constraint"] for it in placed["fmax"].values()),
        utilization=placed["utilization"], bitstream=bitstream,
        sha256=hashlib.sha256(bitstream.read_bytes()).hexdigest(),
        commands=[" ".join([flow.placer, *nextpnr]), " ".join([flow.packer, *flow.pack])],
    )  # fmt: skip


def _net(name: str) -> str:
    """Return a clock's name without its edge and the mark of those on the clock network."""
    return re.sub(r"^\$glbnet\$", "", name.removeprefix("posedge ").removeprefix("negedge "))
