"""Scale and destination addresses of DRAIN, one beat after another."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config

__all__ = ["AddressCounter", "address_bits", "address_fields"]

FIELD_BITS = 16


def address_bits(config: Config) -> int:
    """Return the width of a word address that DRAIN writes."""
    return (max(config.memory.wide_words, config.memory.activation_words) - 1).bit_length()


def address_fields() -> data.StructLayout:
    """Return the shape of what addresses are made from: fields of DRAIN, and where it writes."""
    names = ("scale", "destination", "token_stride", "group_stride")
    return data.StructLayout({**dict.fromkeys(names, FIELD_BITS), "wide": 1, "stream": 1})


class AddressCounter(wiring.Component):
    """Go through scale words and destination words.

    A token reads the scales of its group again; the next group's follow. Destinations go on by one
    with each word written, by ``token_stride`` from a token's first word to the next token's, and
    by ``group_stride`` from a group's first word to the next group's.

    An address has just the bits of its memory and one more, which says that it is beyond them.
    Each is used before the next is made from it, so the first one outside is seen as such.

    Parameters
    ----------
    config : Config
        Depths of the memories.

    Members
    -------
    fields : In(address_fields()), load : In(1)
        Begin with these.
    advance, end, token_end, group_end : In(1)
        Go on from a beat that ends a word, a token, a group.
    scale : Out(range(memory.scale_words)), address : Out(address_bits(config))
        Scale word and destination of this beat.
    outside : Out(1)
        One of them is outside its memory.
    """

    fields: data.View
    load: Signal
    advance: Signal
    end: Signal
    token_end: Signal
    group_end: Signal
    scale: Signal
    address: Signal
    outside: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "fields": In(address_fields()),
            "load": In(1),
            "advance": In(1),
            "end": In(1),
            "token_end": In(1),
            "group_end": In(1),
            "scale": Out(range(config.memory.scale_words)),
            "address": Out(address_bits(config)),
            "outside": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        memory = self.config.memory

        bits = len(self.scale)
        scale = Signal(bits + 1, reset_less=True)
        scale_group = Signal(bits + 1, reset_less=True)
        scale_next = _sum(scale, C(1, 1))
        with m.If(self.advance):
            m.d.sync += scale.eq(
                Mux(self.token_end & ~self.group_end, scale_group, scale_next)
            )
            with m.If(self.group_end):
                m.d.sync += scale_group.eq(scale_next)
        with m.If(self.load):
            m.d.sync += [
                scale.eq(_fold(self.fields.scale, bits)),
                scale_group.eq(_fold(self.fields.scale, bits)),
            ]

        wide, stream = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.load):
            m.d.sync += [wide.eq(self.fields.wide), stream.eq(self.fields.stream)]
        address = self._elaborate_destination(m)
        m.d.comb += [
            self.scale.eq(scale),
            self.address.eq(address),
            self.outside.eq(
                (scale >= memory.scale_words)
                | Mux(wide, address >= memory.wide_words,
                      (address >= memory.activation_words) & ~stream)
            ),
        ]
        return m

    def _elaborate_destination(self, m: Module) -> Signal:
        """Add the destination's registers; return the address with its extra bit."""
        bits = len(self.address)
        address, token, group, token_stride, group_stride = (
            Signal(bits + 1, name=name, reset_less=True)
            for name in ("address", "token", "group", "token_stride", "group_stride")
        )
        next_token, next_group = _sum(token, token_stride), _sum(group, group_stride)
        with m.If(self.advance):
            with m.If(self.group_end):
                m.d.sync += [target.eq(next_group) for target in (address, token, group)]
            with m.Elif(self.token_end):
                m.d.sync += [target.eq(next_token) for target in (address, token)]
            with m.Elif(self.end):
                m.d.sync += address.eq(_sum(address, C(1, 1)))
        with m.If(self.load):
            first = _fold(self.fields.destination, bits)
            m.d.sync += [target.eq(first) for target in (address, token, group)]
            m.d.sync += [
                token_stride.eq(_fold(self.fields.token_stride, bits)),
                group_stride.eq(_fold(self.fields.group_stride, bits)),
            ]
        return address


def _fold(field: Value, bits: int) -> Value:
    """Return the low ``bits`` of ``field`` and, above them, whether there is more."""
    return Cat(field[:bits], field[bits:].any())


def _sum(a: Value, b: Value) -> Value:
    """Add a folded stride, or one, to a folded address that is not beyond."""
    bits = len(a) - 1
    total = (a[:bits] + b[:bits])[: bits + 1]
    return Cat(total[:bits], total[bits] | b[bits:].any())
