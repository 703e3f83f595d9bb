"""When the array's output has room for a result, and when that may end."""

from amaranth import *

from ..config import Config

__all__ = ["count_results", "keep_apart"]


def count_results(m: Module, config: Config, begun: Value, taken: Value) -> tuple[Value, Value]:
    """Count the results that may still be begun; return whether there are none, or all.

    The count is kept one lower, so that its sign alone says that there is no room.
    """
    most = config.array.output_depth - 1
    credits = Signal(range(-1, most + 1), init=most)
    m.d.sync += credits.eq(credits - begun + taken)
    return credits[-1], credits == most


def keep_apart(m: Module, config: Config, ended: Value) -> Value:
    """Return whether the beats of the last result would collide with one that ends now."""
    beats = config.beats_per_result
    apart = Signal(range(beats))
    with m.If(ended):
        m.d.sync += apart.eq(beats - 1)
    with m.Elif(apart != 0):
        m.d.sync += apart.eq(apart - 1)
    return apart != 0
