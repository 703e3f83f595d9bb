"""What the vector unit for small devices does in a cycle."""

from amaranth import *
from amaranth.lib import enum

from ..config import Config

__all__ = ["State", "Step"]


class State(enum.Enum, shape=3):
    """What is done, in a cycle or until the shift register has settled."""

    TAKE = 0
    """Wait for a beat, and take its next value."""
    FIT = 1
    """Shift the value until it is a significand; then multiply that."""
    LOAD = 2
    """What was multiplied or fetched goes into the shift register."""
    ROUND = 3
    """Shift until it is a fixed-point value, to which the bias is added, or a mantissa."""
    WRITE = 4
    """Write the value, unless it must be clipped."""
    BEGIN = 5
    """All values of an activation word are there: begin with the first."""
    FETCH = 6
    """Pass on a value that was stored, or a limit in place of what must be clipped."""
    OFFER = 7
    """Offer the activation word."""


class Step:
    """Registers and strobes that the parts of :class:`.stepper.BeatStepper` share."""

    def __init__(self, config: Config) -> None:
        self.state = Signal(State)
        self.lane = Signal(range(config.vector.lanes))
        self.in_word = Signal()  # values are fetched, for mantissas
        self.next = Signal(range(config.array.rows))  # the one to fetch next
        self.plain = Signal()  # a limit, or a lane without a channel: nothing to shift or to add
        self.rounded = Signal()
        self.clip_value = Signal()
        self.clip_mantissa = Signal()
        self.write = Signal()
        self.taken = Signal()  # the word

    def at(self, *states: State) -> Value:
        """Return whether the state is one of ``states``."""
        return Cat(self.state == state for state in states).any()
