"""From the netlist of an ECP5 to its bitstream."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .tools import run_tool

__all__ = ["OUTPUTS", "Routed", "make_bitstream"]

CONFIG = "top.config"
REPORT = "report.json"
OUTPUTS = ("--textcfg", CONFIG, "--report", REPORT)
"""What nextpnr has to be told to write."""

BITSTREAM = "top.bit"


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A bitstream.

    Parameters
    ----------
    clocks_mhz : dict
        Of each clock, what it ``reached`` and what is ``wanted``.
    timing_met : bool
        All have it, before they were rounded.
    utilization : dict
        Of each kind of cell, how many are ``used`` and how many are ``available``.
    bitstream : Path
    sha256 : str
        Of its bytes.
    commands : list of str
        What was run.
    """

    clocks_mhz: dict[str, dict[str, float]]
    timing_met: bool
    utilization: dict[str, dict[str, int]]
    bitstream: Path
    sha256: str
    commands: list[str]

    @property
    def fmax_mhz(self) -> float:
        """The least of what clocks reached."""
        return min(clock["reached"] for clock in self.clocks_mhz.values())


def make_bitstream(
    nextpnr: Sequence[str], folder: Path, on_stage: Callable[[str], None] = lambda stage: None
) -> Routed:
    """Place, route and pack; timing that is not met is no error here.

    Parameters
    ----------
    nextpnr : sequence of str
        All of its arguments, with :data:`OUTPUTS` and ``--timing-allow-fail``.
    folder : Path
        With the netlist. Logs stay there.
    on_stage : callable
        Told the name of each stage as it begins.
    """
    on_stage("place and route")
    run_tool("nextpnr-ecp5", [*nextpnr], folder=folder, log="nextpnr.log")
    on_stage("bitstream")
    pack = ["--compress", "--input", CONFIG, "--bit", BITSTREAM]
    run_tool("ecppack", pack, folder=folder, log="ecppack.log")
    placed = json.loads((folder / REPORT).read_text())
    clocks = {
        # Without the mark of those on the clock network.
        re.sub(r"^\$glbnet\$", "", name): {
            "reached": round(clock["achieved"], 2), "wanted": round(clock["constraint"], 2),
        }
        for name, clock in placed["fmax"].items()
    }  # fmt: skip
    bitstream = folder / BITSTREAM
    return Routed(
        clocks_mhz=clocks,
        timing_met=all(it["achieved"] >= it["constraint"] for it in placed["fmax"].values()),
        utilization=placed["utilization"], bitstream=bitstream,
        sha256=hashlib.sha256(bitstream.read_bytes()).hexdigest(),
        commands=[" ".join(["nextpnr-ecp5", *nextpnr]), " ".join(["ecppack", *pack])],
    )  # fmt: skip
