"""Whether each clock of a board, as placed and routed, is fast enough for what its loop makes."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from systolith_sim.verilator import ToolError

from ..bitstream import Routed

__all__ = ["Timing", "judge"]

SAME = 1e-3
"""nextpnr has periods in whole picoseconds."""

EXACT = 2e-7
"""It computes clocks in single precision."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How fast a board's clocks are.

    Parameters
    ----------
    clocks_mhz : dict
        Of each clock, what it ``reached`` and what is ``wanted``, to two digits.
    crossings_ns : dict
        The longest path between two clocks, as ``core to memory``.
    met : bool
        All clocks have what is wanted, before they are rounded, and what crosses takes no more
        than a period of the clock that it comes from: else numbers in Gray code may be seen out of
        their order.
    """

    clocks_mhz: dict[str, dict[str, float]]
    crossings_ns: dict[str, float]
    met: bool


def judge(
    routed: Routed, netnames: Mapping[str, Any], wanted_mhz: Mapping[str, float]
) -> Timing:
    """Compare clocks with what a board makes, whatever place and route aimed at.

    Parameters
    ----------
    routed : Routed
        What was reached.
    netnames : dict
        Names of nets in yosys's netlist, each with its ``bits``: a net has several.
    wanted_mhz : dict
        By the name of a clock's net: what the board makes of it.

    Raises
    ------
    ToolError
        nextpnr had no constraint for a clock, too slow a one, or a clock that is not the board's.
    """
    names = {tuple(netnames[net]["bits"]): net for net in wanted_mhz if net in netnames}
    clocks = {*routed.clocks_mhz, *itertools.chain(*routed.crossings_ns)}
    # A clock that is made inside may be no net of the top.
    nets = {
        net: names.get(tuple(netnames[net]["bits"]), net) if net in netnames else net
        for net in clocks
    }
    found = {nets[net]: clock for net, clock in routed.clocks_mhz.items()}
    reported = {*found, *({*nets.values()} - {*wanted_mhz})}
    if reported != {*wanted_mhz}:
        raise ToolError(
            f"nextpnr reports the clocks {', '.join(sorted(reported))}, and the board has "
            f"{', '.join(sorted(wanted_mhz))}"
        )
    for name, mhz in wanted_mhz.items():
        if found[name]["wanted"] < mhz * (1 - SAME):
            raise ToolError(
                f"nextpnr was to make the clock {name} {found[name]['wanted']:g} MHz fast, and the "
                f"board makes it {mhz:g}"
            )
    crossings = {
        (nets[source], nets[sink]): delay for (source, sink), delay in routed.crossings_ns.items()
    }
    return Timing(
        clocks_mhz={
            name: {"reached": round(found[name]["reached"], 2), "wanted": round(mhz, 2)}
            for name, mhz in wanted_mhz.items()
        },
        crossings_ns={
            f"{source} to {sink}": round(delay, 2) for (source, sink), delay in crossings.items()
        },
        met=all(found[name]["reached"] * (1 + EXACT) >= mhz for name, mhz in wanted_mhz.items())
        and all(delay <= 1e3 / wanted_mhz[source] for (source, _), delay in crossings.items()),
    )  # fmt: skip
