"""Addresses of the elements that LOAD writes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config

__all__ = ["Ring", "address_bits", "ring_fields"]


def address_bits(config: Config) -> int:
    """Return the width that holds the depth of every memory LOAD writes."""
    part = config.memory
    deepest = max(part.operand_tiles, part.activation_words, part.wide_words, part.scale_words)
    return deepest.bit_length()


def ring_fields(config: Config) -> data.StructLayout:
    """Return the shape of where a transfer goes: the fields of LOAD, in fewer bits."""
    bits = address_bits(config)
    return data.StructLayout({
        "local": bits, "local_stride": bits, "ring_base": bits, "ring_end": bits,
    })  # fmt: skip


class Ring(wiring.Component):
    """Count through runs of consecutive addresses, ``local_stride`` apart, in a ring.

    ::

        ring_base          local            local + stride         ring_end
            |...............|--- run 0 -->...|--- run 1 -->............|
            +--------------------------- wraps to ---------------------+

    With ``ring_base < ring_end``, ``local < ring_end`` and ``local_stride`` at most the size of
    the ring, all checked here, no address ever reaches ``ring_end``.

    =========== ==========================================================
    Latency     1 cycle from ``step`` to ``address``
    Throughput  1 element per cycle, 1 run in 2 cycles: no ``first`` right behind
                another of its transfer that may ``advance``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``memory``.

    Members
    -------
    fields : In(ring_fields)
        Where the transfer goes; they stay while it runs.
    fresh : In(1)
        This is the first cycle of a transfer.
    step : In(1)
        Move to the next element.
    first : In(1)
        It is the first of a run.
    advance : In(1)
        With ``first``: the run after this one starts ``local_stride`` further on.
    hold : In(1)
        Without ``first``: stay at the address.
    address : Out(address_bits)
        Of the element that the last ``step`` moved to.
    illegal : Out(1)
        The fields are no ring, with ``fresh``, or the stride is too long, in the cycle after.
    """

    fields: data.View
    fresh: Signal
    step: Signal
    first: Signal
    advance: Signal
    hold: Signal
    address: Signal
    illegal: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "fields": In(ring_fields(config)),
            "fresh": In(1),
            "step": In(1),
            "first": In(1),
            "advance": In(1),
            "hold": In(1),
            "address": Out(address_bits(config)),
            "illegal": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = address_bits(self.config)
        base, end = self.fields.ring_base, self.fields.ring_end

        # Needed from the second cycle of a transfer on: minus the size of the ring, and its end.
        last = Signal(bits, reset_less=True)
        difference = Signal(signed(bits + 1))
        wrap = Signal.like(difference, reset_less=True)
        excess = Signal(signed(bits + 1))  # of the stride over the size, less one
        known = Signal()
        m.d.comb += [
            difference.eq(base - end),
            excess.eq(wrap + self.fields.local_stride - 1),
        ]
        m.d.sync += [wrap.eq(difference), known.eq(self.fresh), last.eq(end - 1)]

        # The start of the next run: the stride is added with the first element of a run, the
        # size taken off in the cycle after.
        start = Signal(bits + 1, reset_less=True)
        begin = Signal(bits + 1)
        past = Signal()
        added = Signal()
        move = Signal()
        m.d.comb += [
            begin.eq(Mux(self.fresh, self.fields.local, start)),
            # Each is compared before one is chosen: ``fresh`` comes late.
            past.eq(Mux(self.fresh, self.fields.local >= end, start >= end)),
            move.eq(self.step & self.first & self.advance),
            self.illegal.eq(
                (self.fresh & (past | ~difference[-1])) | (known & ~excess[-1])
            ),
        ]
        settling = added & ~self.fresh
        change = Mux(move, self.fields.local_stride, Mux(settling, wrap, 0))
        m.d.sync += added.eq(move)
        with m.If(move | ~settling | past):
            m.d.sync += start.eq(begin + change)

        address = Signal.like(self.address, reset_less=True)
        m.d.comb += self.address.eq(address)
        with m.If(self.step):
            with m.If(self.first):
                m.d.sync += address.eq(begin)
            with m.Elif(~self.hold):
                m.d.sync += address.eq(Mux(address == last, base, address + 1))

        return m
