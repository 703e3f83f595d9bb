"""Scale and destination addresses of DRAIN, one beat after another."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .order import address_bits, drain_order, fold, folded_sum

__all__ = ["AddressCounter"]

FIELD_BITS = 16


class AddressCounter(wiring.Component):
    """Go through scale words and destination words.

    A token reads the scales of its group again; the next group's follow. Destinations go on by one
    with each word written, by ``token_stride`` from a token's first word to the next token's, and
    by ``group_stride`` from a group's first word to the next group's. ::

        group ─┬─► + group_stride ─┬──► group, token, address
        token ─┴─► + token_stride ─┘

    An address has just the bits of its memory and one more, which says that it is beyond them.
    Each is used before the next is made from it, so the first one outside is seen as such.

    Parameters
    ----------
    config : Config
        Depths of the memories.

    Members
    -------
    load : In(1), first_scale, first_destination : In(16)
        Take the addresses of the first group.
    check : In(1)
        In the next cycle: make ready for its first beat.
    order : In(drain_order(config))
        Strides and kind; stay from ``check`` on.
    advance, end, token_end, last_token : In(1)
        Go on from a beat that ends a word, a token, in the group's last token.
    scale : Out(range(memory.scale_words)), address : Out(address_bits(config))
        Scale word and destination of this beat.
    outside : Out(1)
        One of them is outside its memory.
    """

    load: Signal
    first_scale: Signal
    first_destination: Signal
    check: Signal
    order: data.View
    advance: Signal
    end: Signal
    token_end: Signal
    last_token: Signal
    scale: Signal
    address: Signal
    outside: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "load": In(1),
            "first_scale": In(FIELD_BITS),
            "first_destination": In(FIELD_BITS),
            "check": In(1),
            "order": In(drain_order(config)),
            "advance": In(1),
            "end": In(1),
            "token_end": In(1),
            "last_token": In(1),
            "scale": Out(range(config.memory.scale_words)),
            "address": Out(address_bits(config)),
            "outside": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        memory = self.config.memory
        order: Any = self.order
        group_end = self.advance & self.token_end & self.last_token
        scale = self._elaborate_scale(m, group_end)
        address = self._elaborate_destination(m, group_end)
        m.d.comb += [
            self.scale.eq(scale),
            self.address.eq(address),
            self.outside.eq(
                (scale >= memory.scale_words)
                | Mux(order.wide, address >= memory.wide_words,
                      (address >= memory.activation_words) & ~order.stream)
            ),
        ]
        return m

    def _elaborate_scale(self, m: Module, group_end: Value) -> Signal:
        """Add the scale address, with its extra bit."""
        bits = len(self.scale)
        scale = Signal(bits + 1, reset_less=True)
        first = Signal(bits + 1, name="scale_first", reset_less=True)  # of the group
        following = folded_sum(scale, C(1, 1))
        with m.If(self.load | group_end):
            m.d.sync += first.eq(Mux(self.load, fold(self.first_scale, bits), following))
        with m.If(self.check | self.advance):
            again = self.check | (self.token_end & ~self.last_token)
            m.d.sync += scale.eq(Mux(again, first, following))
        return scale

    def _elaborate_destination(self, m: Module, group_end: Value) -> Signal:
        """Add the destination, with its extra bit."""
        bits = len(self.address)
        order: Any = self.order
        address, token, group = (
            Signal(bits + 1, name=name, reset_less=True) for name in ("address", "token", "group")
        )
        # To the next token, or the next group; at the start, from the group to its first token.
        of_group = self.last_token | self.check
        stride = Mux(self.last_token, order.group_stride, order.token_stride)
        total = folded_sum(Mux(of_group, group, token), stride & ~self.check.replicate(bits + 1))
        with m.If(self.load | group_end):
            m.d.sync += group.eq(Mux(self.load, fold(self.first_destination, bits), total))
        with m.If(self.check | (self.advance & self.token_end)):
            m.d.sync += [token.eq(total), address.eq(total)]
        with m.Elif(self.advance & self.end):
            m.d.sync += address.eq(folded_sum(address, C(1, 1)))
        return address
