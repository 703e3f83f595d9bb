"""How runtime values reach the sequencer."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["Settings"]


class Settings(wiring.Signature):
    """What stands in the registers that a program begins with, told over and over.

    Each comes in two halves, the low one first. After START they come from the beginning:
    POSITION, LENGTH, PROGRAM.

    Members
    -------
    position, length, program : Out(1)
        Whose half this is; none in other cycles.
    high : Out(1)
        It is the upper half.
    data : Out(16)
        The half.
    """

    def __init__(self) -> None:
        super().__init__({
            "position": Out(1), "length": Out(1), "program": Out(1), "high": Out(1),
            "data": Out(16),
        })  # fmt: skip
