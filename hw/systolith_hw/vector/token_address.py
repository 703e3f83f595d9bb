"""Where something of DRAIN's next token is."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .order import folded_sum

__all__ = ["TokenAddress"]


class TokenAddress(wiring.Component):
    """Go from token to token, and from a group's first token to that of the next group.

    ::

        group   ─┬─► + group_stride ─┬──► group, address
        address ─┴─► + token_stride ─┘

    All numbers are folded (:func:`~.order.fold`), and so is a sum: what is once beyond all
    addresses stays there.

    =========== ===========================
    Latency     1 cycle
    Throughput  a step per cycle
    =========== ===========================

    Parameters
    ----------
    bits : int
        Width of an address.

    Members
    -------
    load : In(1), first : In(bits + 1)
        Begin with this address.
    step : In(1), to_group : In(1)
        Go on to the next token; it is the next group's first.
    token_stride, group_stride : In(bits + 1)
        How far.
    address : Out(bits + 1)
        That of the token.
    """

    load: Signal
    first: Signal
    step: Signal
    to_group: Signal
    token_stride: Signal
    group_stride: Signal
    address: Signal

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({
            **dict.fromkeys(("load", "step", "to_group"), In(1)),
            **dict.fromkeys(("first", "token_stride", "group_stride"), In(bits + 1)),
            "address": Out(bits + 1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        address = Signal.like(self.address, reset_less=True)
        group = Signal(self.bits + 1, reset_less=True)
        m.d.comb += self.address.eq(address)
        total = folded_sum(
            Mux(self.to_group, group, address),
            Mux(self.to_group, self.group_stride, self.token_stride),
        )
        with m.If(self.load | self.step):
            m.d.sync += address.eq(Mux(self.load, self.first, total))
        with m.If(self.load | (self.step & self.to_group)):
            m.d.sync += group.eq(Mux(self.load, self.first, total))
        return m
