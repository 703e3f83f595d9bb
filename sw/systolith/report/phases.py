"""What a program is about at each address: names for what the array does, and rounds of loops.

Nothing but the program is needed: what takes the array's results says what they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.isa import DrainFunction, DrainKind, Opcode, decode

__all__ = ["Phase", "follow"]

START = "start"

BLOCKS = {
    **dict.fromkeys(("keys", "values", "queries", "scores", "context", "output"), "attention"),
    **dict.fromkeys(("up", "down"), "feed-forward"),
}


@dataclass(frozen=True)
class Phase:
    """A stretch of a program.

    Parameters
    ----------
    part : str
        The part of the program: "start", or "round 3" of the loop around all the rest.
    name : str
        What the array is at.
    """

    part: str
    name: str

    @property
    def block(self) -> str:
        """What the name is part of: "attention", "feed-forward", or itself."""
        return BLOCKS.get(self.name, self.name)


def follow(program: bytes, addresses: Sequence[int]) -> list[Phase]:
    """Return the phase of each of the array's instructions, in the order of execution."""
    raws = [program[at : at + INSTRUCTION_BYTES]
            for at in range(0, len(program), INSTRUCTION_BYTES)]  # fmt: skip
    names = _names(raws)
    begin, children = _main_loop(raws)
    phases, number, last = [], 0, 0
    for address in addresses:
        part = START
        if begin <= address < begin + len(children):
            child = children[address - begin]
            number += number == 0 or child < last
            last = child
            part = f"round {number}"
        elif number and address > begin:
            part = "end"
        else:  # of another run, maybe
            number, last = 0, 0
        phases.append(Phase(part, names.get(address, "nothing")))
    return phases


def _names(raws: Sequence[bytes]) -> dict[int, str]:
    """Name each MATMUL after the DRAIN that follows it, or the last one."""
    names: dict[int, str] = {}
    waiting: list[tuple[int, dict[str, int]]] = []
    name = "product"
    for address, raw in enumerate(raws):
        if raw[0] == Opcode.MATMUL:
            waiting.append((address, decode(raw)[1]))
        elif raw[0] == Opcode.DRAIN:
            name = _name(decode(raw)[1], set(names.values()))
            for place, fields in waiting:
                names[place] = "meeting" if _only_waits(fields) else name
            waiting = []
    return names | {place: name for place, _ in waiting}


def _only_waits(matmul: dict[str, int]) -> bool:
    """Whether a MATMUL is there for the semaphore that it takes, and reads one word only."""
    return matmul["steps"] == 1 and not matmul["activation_stride"] and bool(matmul["wait_inner"])


def _name(drain: dict[str, int], before: set[str]) -> str:
    """Name what a DRAIN takes, given the names of what came before it."""
    if drain["kind"] == DrainKind.KEYS:
        return "keys"
    if drain["kind"] == DrainKind.VALUES:
        return "values"
    if drain["maximum"]:
        return "scores"
    if drain["factor"]:
        return "context"
    if drain["function"] != DrainFunction.NONE:
        return "up"
    if drain["accumulate"]:
        return "down" if "up" in before else "output" if "context" in before else "sum"
    return "queries" if "keys" in before else "product"


def _main_loop(raws: Sequence[bytes]) -> tuple[int, list[int]]:
    """Return where the body of the largest outermost loop begins, and its parts.

    Each instruction of the body has the number of the part that it is in: an inner loop, or the
    instruction alone. Where parts come again from the first on, a new round begins.
    """
    begin, size, address = 0, 0, 0
    while address < len(raws):
        body = decode(raws[address])[1]["body"] if raws[address][0] == Opcode.LOOP else 0
        if body > size:
            begin, size = address + 1, body
        address += 1 + body
    children: list[int] = []
    while len(children) < size:
        raw = raws[begin + len(children)]
        inner = decode(raw)[1]["body"] if raw[0] == Opcode.LOOP else 0
        children += [len(children)] * (1 + inner)
    return begin, children
