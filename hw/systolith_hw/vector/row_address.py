"""Where a token's words are in a memory, and whether they are all inside."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..isa import SLOT_BITS
from .order import folded_sum

__all__ = ["RowAddress"]


class RowAddress(wiring.Component):
    """Go from token to token: ``first + token * stride``.

    Like fields that are folded (:func:`~systolith_hw.vector.order.fold`), a sum has one bit more
    than an address, which says that it, or a sum before it, is beyond all addresses.

    =========== =====================================================================
    Latency     1 cycle from ``load`` or ``step`` to ``address``, 3 (:attr:`latency`)
                to ``outside``, which is 2 cycles behind ``span``
    Throughput  a step per cycle
    =========== =====================================================================

    Parameters
    ----------
    depth : int
        Words of the memory.

    Members
    -------
    load : In(1), first : In(16)
        Begin with this word.
    step : In(1), stride : In(bits of an address + 1)
        Go on to the next token.
    span : In(bits of an address + 1)
        From a token's first word to its last.
    address : Out(range(depth))
        The token's first word.
    outside : Out(1)
        Its last word is outside the memory.
    """

    latency = 3

    load: Signal
    first: Signal
    step: Signal
    stride: Signal
    span: Signal
    address: Signal
    outside: Signal

    def __init__(self, depth: int) -> None:
        self.depth = depth
        bits = max((depth - 1).bit_length(), 1)
        super().__init__({
            "load": In(1),
            "first": In(SLOT_BITS),
            "step": In(1),
            "stride": In(bits + 1),
            "span": In(bits + 1),
            "address": Out(bits),
            "outside": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = len(self.address)
        address = Signal(bits + 1, reset_less=True)
        last = Signal(bits + 1, reset_less=True)
        with m.If(self.load):
            m.d.sync += address.eq(Cat(self.first[:bits], self.first[bits:].any()))
        with m.Elif(self.step):
            m.d.sync += address.eq(folded_sum(address, self.stride))
        m.d.sync += [last.eq(folded_sum(address, self.span)), self.outside.eq(last >= self.depth)]
        m.d.comb += self.address.eq(address)
        return m
