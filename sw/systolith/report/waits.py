"""What the array waited for, by the hardware's events, in programs of a language model."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.isa import DrainKind, Opcode, decode
from systolith_sim.device.activity import Activity

from .states import BUSY, IDLE, shares

__all__ = ["BETWEEN", "array_waits", "causes"]

BETWEEN = "between tokens"
"""From the head's last tile to the next token's first matrix."""

HEAD = "last layer"


def causes(program: bytes) -> dict[int, str]:
    """Return what each MATMUL of a program, by its address, has to wait for.

    That is told by the DRAIN that follows it: keys come of what the layer before has left, scores
    of queries, and so on.
    """
    found: dict[int, str] = {}
    waiting: list[int] = []
    attends = False
    for address in range(len(program) // INSTRUCTION_BYTES):
        raw = program[INSTRUCTION_BYTES * address :][:INSTRUCTION_BYTES]
        if raw[0] == Opcode.MATMUL:
            waiting.append(address)
        elif raw[0] == Opcode.DRAIN and waiting:
            fields = decode(raw)[1]
            attends = bool(fields["factor"]) or (attends and not fields["function"])
            found |= dict.fromkeys(waiting, _cause(fields, attends))
            waiting = []
    return found


def _cause(drain: dict[str, int], attends: bool) -> str:
    """Return what the product waits for that a DRAIN takes, the last one ``attends`` to context."""
    if drain["kind"] == DrainKind.KEYS:
        return "layer before"
    if drain["maximum"]:
        return "queries"
    if drain["factor"]:
        return "scores and softmax"
    if drain["kind"] in (DrainKind.BEST, DrainKind.CANDIDATES):
        return HEAD
    if drain["function"]:
        return "output matrix"
    if drain["accumulate"] or drain["kind"] == DrainKind.MEASURED:
        return "context" if attends else "hidden values"
    return "others"


def array_waits(program: bytes, before: Activity, after: Activity) -> dict[str, int]:
    """Return the array's cycles between two looks at a device: at work, and by what it waited for.

    A wait is in front of the MATMUL that waits: for its semaphores or for room, and before that for
    the instruction itself. The program must have been the only one that ran in between.
    """
    rows = len(before.addresses)
    first = max(rows - 1, 0)  # this one went on

    def more(now: NDArray[np.int64], then: NDArray[np.int64]) -> NDArray[np.int64]:
        return (now - np.pad(then, (0, len(now) - rows)))[first:]

    lengths = more(after.step_lengths, before.step_lengths)
    counts = {name: more(after.steps[name], before.steps[name]) for name in after.steps}
    states = shares("array", counts, lengths)
    waits = sum(count for state, count in states.items() if state not in (BUSY, IDLE))
    return _by_cause(
        causes(program), after.addresses[first:].tolist(), states[BUSY], np.asarray(waits),
        states[IDLE],
    )  # fmt: skip


def _by_cause(
    names: dict[int, str], addresses: Sequence[int], busy: NDArray[np.int64],
    waits: NDArray[np.int64], idle: NDArray[np.int64],
) -> dict[str, int]:  # fmt: skip
    """Add up what rows say, each of which waits in front of its work and is idle behind."""
    total: Counter[str] = Counter({BUSY: int(busy.sum())})
    last = HEAD
    for place, address in enumerate(addresses):
        name = names[address]
        if last == HEAD and name != HEAD:
            name = BETWEEN
        total[name] += int(waits[place]) + (int(idle[place - 1]) if place else 0)
        last = names[address]
    if len(idle):
        total[BETWEEN] += int(idle[-1])
    return dict(total)
