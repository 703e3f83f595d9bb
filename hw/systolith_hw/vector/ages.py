"""What is known of a beat, as the stages of a pipeline want it: later and later."""

from collections.abc import Mapping

from amaranth.hdl import Module, Signal, Value, ValueLike

from .delay import LONGEST_DELAY, Delay

__all__ = ["Ages"]

SHORT = 4
"""Cycles for which registers are no dearer than a ring."""


class Ages:
    """Values as they were some cycles ago; all begin as undefined.

    A value is kept in registers, but for so long that a ring costs less (:class:`.Delay`). What is
    asked for later is made from what was asked for before, so early ages come first.

    Parameters
    ----------
    m : Module
        Where to build.
    values : Mapping from str to ValueLike
        What enters, by name.
    """

    def __init__(self, m: Module, values: Mapping[str, ValueLike]) -> None:
        self.m = m
        self.known = {name: {0: Value.cast(value)} for name, value in values.items()}

    def at(self, name: str, age: int) -> Value:
        """Return the value called ``name`` as it was ``age`` cycles ago."""
        known = self.known[name]
        if age not in known and age < max(known):
            raise ValueError(f"age {age} of {name} is asked for behind {max(known)}")
        last = max(known_age for known_age in known if known_age <= age)
        while last < age:
            value, left = known[last], age - last
            if left > SHORT and len(value) > 1:
                step = min(left - 1, LONGEST_DELAY)
                ring = Delay(len(value), step)
                self.m.submodules[f"{name}_ring_{last}"] = ring
                self.m.d.comb += ring.i.eq(value)
                value = ring.o
            else:
                step = 0
            last += step + 1
            known[last] = Signal(len(value), name=f"{name}_{last}", reset_less=True)
            self.m.d.sync += known[last].eq(value)
        return known[age]
