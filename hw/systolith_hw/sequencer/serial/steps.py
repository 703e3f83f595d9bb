"""The vocabulary of the microprogram."""

from typing import Any

from .microcode import Action, Carry, Data, Mode, Offset, Operand, Scalar, Source, Step, Word

__all__ = [
    "COUNT", "HERE", "HIGH", "LOW", "PC", "REGISTER_HIGH", "REGISTER_LOW", "Address", "act", "add",
    "add_pairs", "copy", "frame", "minus_one", "read", "scalar", "slot", "subtract", "take",
    "write",
]  # fmt: skip

Address = tuple[Mode, int]

HERE = Mode.SLOT, Offset.SLOT
REGISTER_LOW = Mode.REGISTER, 0
REGISTER_HIGH = Mode.REGISTER, 1


def scalar(name: Scalar) -> Address:
    """Return the address of a word that stands alone."""
    return Mode.SCALAR, name


def slot(number: int) -> Address:
    """Return the address of a slot of the instruction under work."""
    return Mode.SCALAR, Scalar.SLOTS + number


def frame(word: Word) -> Address:
    """Return the address of a word of the innermost loop's frame."""
    return Mode.FRAME, word


def read(place: Address, label: str = "", **rest: Any) -> Step:
    """Read a word, for the next step."""
    return Step(label=label, mode=place[0], offset=place[1], **rest)


def write(place: Address, data: Data = Data.KEPT, **rest: Any) -> Step:
    """Write the accumulator."""
    return Step(mode=place[0], offset=place[1], write=data, **rest)


def take(then: Address = HERE, **rest: Any) -> Step:
    """Accumulator := what was read (plus a carry); read another word."""
    return read(then, load=True, operand=Operand.READ, **rest)


def add(then: Address = HERE, **rest: Any) -> Step:
    """Accumulator += what was read."""
    return take(then, source=Source.KEPT, **rest)


def subtract(**rest: Any) -> Step:
    """Accumulator := what was read - accumulator; the carry says that this is not negative."""
    return take(source=Source.MINUS, carry=Carry.ONE, **rest)


def minus_one(then: Address, **rest: Any) -> Step:
    """Accumulator := -1."""
    return read(then, load=True, operand=Operand.ONES, **rest)


def act(action: Action, then: Address = HERE, **rest: Any) -> Step:
    """Do something else, and read a word."""
    return read(then, action=action, **rest)


def copy(source: Address, target: Address) -> list[Step]:
    """Copy a word."""
    return [read(source), take(), write(target)]


def add_pairs(
    low: tuple[Address, Address, Address], high: tuple[Address, Address, Address]
) -> list[Step]:
    """Add 32-bit numbers: of both halves, the first and the second go to the third."""
    return [
        read(low[0]),
        take(low[1]),
        add(),
        write(low[2]),
        read(high[0]),
        take(high[1], carry=Carry.KEPT),
        add(),
        write(high[2]),
    ]


LOW, HIGH, COUNT = (scalar(name) for name in (Scalar.LOW, Scalar.HIGH, Scalar.COUNT))
PC = scalar(Scalar.PC)
