"""Where the fixed-point values of an activation word wait for its exponent."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config

__all__ = ["ValueStore"]

LIMIT_CODES = 8


class ValueStore(wiring.Component):
    """Keep R values, and the limits of values and of mantissas.

    =========== ====================================================
    Latency     1 cycle
    Throughput  a read and a write per cycle, not of the same value
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Rows and the width of mantissas.

    Members
    -------
    write : In(1), place : In(range(R)), value : In(signed(32))
        A value to keep.
    read : In(1), next : In(range(R))
        A value to give.
    limit, mantissa, negative : In(1)
        Give a limit: of mantissas or of values, the lower or the upper one.
    o : Out(signed(32))
        What was asked for in the cycle before, or else zero.
    """

    write: Signal
    place: Signal
    value: Signal
    read: Signal
    next: Signal
    limit: Signal
    mantissa: Signal
    negative: Signal
    o: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        places = range(config.array.rows)
        super().__init__({
            "write": In(1),
            "place": In(places),
            "value": In(signed(FIXED_BITS)),
            "read": In(1),
            "next": In(places),
            "limit": In(1),
            "mantissa": In(1),
            "negative": In(1),
            "o": Out(signed(FIXED_BITS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        first = max(self.config.array.rows, LIMIT_CODES)  # values come first
        fixed, mantissa = 1 << FIXED_BITS - 1, 1 << self.config.array.mantissa_bits - 1
        limits = [fixed - 1, -fixed, mantissa - 1, 1 - mantissa]
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: Any = memory.Memory(
            shape=signed(FIXED_BITS), depth=first + LIMIT_CODES,
            init=[0] * (first + LIMIT_CODES // 2) + limits, attrs=attrs,
        )  # fmt: skip
        m.submodules.memory = store
        write, read = store.write_port(), store.read_port()
        code = Cat(self.negative, self.mantissa, self.limit)
        low = Signal((first - 1).bit_length())
        m.d.comb += [
            low.eq(Mux(self.read, self.next, Mux(self.limit, code, 0))),
            read.addr.eq(Cat(low, ~self.read)),
            self.o.eq(read.data),
            write.en.eq(self.write),
            write.addr.eq(self.place),
            write.data.eq(self.value),
        ]
        return m
