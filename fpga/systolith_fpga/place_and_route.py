"""Place and route with nextpnr, which may go on for ever where it is told to meet the timing."""

import re
from pathlib import Path

from .tools import run_tool

__all__ = ["MEET_TIMING", "ROUNDS", "place_and_route"]

MEET_TIMING = "--tmg-ripup"
"""nextpnr's option to route again what is too slow, until nothing is."""

ROUNDS = 400
"""Rounds of routing after which it is given up; what succeeds takes some dozens."""

ROUND = re.compile(r"^Info: +iter=(\d+) wires=\d+ overused=(\d+)(?:.*tmgfail=(\d+))?", re.MULTILINE)

STEPS = 500_000
"""Steps of the older router, which an iCE40 has, after which it is given up: ten minutes."""

STEP = re.compile(r"^Info: +(\d+) \|(?: +\d+){2} \|(?: +\d+){2} \| +(\d+)\|", re.MULTILINE)


def place_and_route(tool: str, arguments: list[str], folder: Path) -> None:
    """Run a nextpnr in ``folder``, where its log stays: ``nextpnr.log``.

    Raises
    ------
    ToolError
        It failed, or was still at it after :data:`ROUNDS` rounds or :data:`STEPS` steps, which says
        what is left.
    """
    run_tool(tool, arguments, folder=folder, log="nextpnr.log", watch=_endless)


def _endless(log: str) -> str:
    """Return a sentence if the router has had its rounds, or nothing."""
    steps = STEP.findall(log)
    if steps and int(steps[-1][0]) >= STEPS:
        return (f"nextpnr has not routed the design after {steps[-1][0]} steps: {steps[-1][1]} "
                "arcs are left; try another seed, or a smaller design")  # fmt: skip
    rounds = ROUND.findall(log)
    if not rounds or int(rounds[-1][0]) < ROUNDS:
        return ""
    number, shared, slow = rounds[-1]
    left = f"{shared} wires are still shared"
    if slow:
        left += f" and {slow} too slow; aim at a lower clock, or try another seed"
    return f"nextpnr has not routed the design after {number} rounds: {left}"
