"""The tokens of NORM and SOFTMAX: which of them may be swept, and where its words are."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import SLOT_BITS
from .order import fold
from .row_address import RowAddress
from .row_order import row_order

__all__ = ["WAITING", "RowTokens"]

WAITING = 7
"""Rows of SOFTMAX that may wait for their factors: as many as it takes to make one every 14 cycles,
however long the way to a sum is."""


class RowTokens(wiring.Component):
    """Lead through the tokens, and follow with NORM's second sweeps.

    SOFTMAX and deferred NORM *lead* through each token once. Other NORM leads to measure a token
    and *follows* to normalise it, when its factor has been made; it leads by two tokens at most,
    since there are two records. When NORM leads, one row at most waits for its factor, whichever
    instruction that is of; when SOFTMAX does, fewer than :data:`WAITING`. Factors are made in
    order, so those that still lack are of the rows begun last. Deferred NORM is done when all its
    factors are made.

    =========== ======================================================================
    Latency     ``may_lead``, ``may_follow`` and ``refuse`` hold from 3 cycles after
                ``prepare``, ``lead`` or ``follow`` on, and are zero before
    Golden      :mod:`systolith_sim.machine.row`: which words a token reads and writes
    =========== ======================================================================

    Parameters
    ----------
    config : Config
        Shapes and depths.

    Members
    -------
    load : In(1), first : In(struct of source, destination, scale, row)
        Take the addresses of an instruction; the last ones taken count.
    order : In(row_order(config))
        The rest of it; stays from the next cycle on.
    prepare, begin : In(1)
        In the cycle after the last ``load``, and in the one after that.
    permitted : In(1)
        Semaphores of the next token are taken.
    made : In(1)
        A row's factor has been made.
    may_lead, may_follow : Out(1)
        The next token may be swept; the second sweep of a token may begin.
    lead, follow : In(1)
        It does.
    refuse, done : Out(1)
        All that can be done is done, and the next token has words outside a memory; or there is
        none.
    single : Out(1)
        The token to lead to is the instruction's last.
    last : Out(1)
        So is the one that is written next.
    pending : Out(range(WAITING + 1))
        Rows whose factors are not yet made.
    most, valid : Out(16)
        Numbers of a token's last element, and of its last one that is not masked.
    source, scale, destination, row : Out
        First words, and row, of the token to lead to; the destination is that of the token which
        is written next.
    followed : Out(range(memory.wide_words))
        First wide word of the token to follow to.
    """

    load: Signal
    first: data.View
    order: data.View
    prepare: Signal
    begin: Signal
    permitted: Signal
    made: Signal
    may_lead: Signal
    may_follow: Signal
    lead: Signal
    follow: Signal
    refuse: Signal
    done: Signal
    single: Signal
    last: Signal
    pending: Signal
    most: Signal
    valid: Signal
    source: Signal
    scale: Signal
    destination: Signal
    row: Signal
    followed: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        memory = config.memory
        self.depths = {
            "source": memory.wide_words,
            "followed": memory.wide_words,
            "scale": memory.scale_words,
            "destination": memory.activation_words,
            "row": config.vector.rows,
        }
        inputs = ("load", "prepare", "begin", "permitted", "made", "lead", "follow")
        outputs = ("may_lead", "may_follow", "refuse", "done", "single", "last")
        firsts = ("source", "destination", "scale", "row")
        super().__init__({
            **dict.fromkeys(inputs, In(1)),
            **dict.fromkeys(outputs, Out(1)),
            "first": In(data.StructLayout(dict.fromkeys(firsts, SLOT_BITS))),
            "order": In(row_order(config)),
            "pending": Out(range(WAITING + 1)),
            **dict.fromkeys(("most", "valid"), Out(SLOT_BITS)),
            **{name: Out(range(max(depth, 2))) for name, depth in self.depths.items()},
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        order: Any = self.order
        outside = self._elaborate_addresses(m)
        more = self._elaborate_counts(m)
        # Rows that are measured and not yet normalised.
        ahead = Signal(range(3))
        m.d.sync += [
            self.pending.eq(self.pending + self.lead - self.made),
            ahead.eq(ahead + (self.lead & order.twice) - self.follow),
        ]
        settling = Signal(RowAddress.latency - 1)
        with m.If(self.prepare | self.lead | self.follow):
            m.d.sync += settling.eq(~0)
        with m.Else():
            m.d.sync += settling.eq(settling >> 1)

        leads_to = (
            outside["source"] | (~order.defer & outside["scale"])
            | (~order.twice & (outside["row"] | outside["destination"]))
        )  # fmt: skip
        follows_to = outside["destination"]
        next_lead, next_follow = Signal(), Signal()
        few = ~self.pending[1:].any()
        room = Mux(order.norm, few & ~ahead[1], self.pending != WAITING)
        factor_made = (ahead[0] & ~self.pending.any()) | (ahead[1] & few)
        m.d.comb += [
            next_lead.eq(more & self.permitted & ~settling[0]),
            next_follow.eq(factor_made & ~settling[0]),
            self.may_lead.eq(next_lead & room & ~leads_to),
            self.may_follow.eq(next_follow & ~follows_to),
            self.refuse.eq((next_lead & leads_to & ~ahead.any()) | (next_follow & follows_to)),
            self.done.eq(~more & ~ahead.any() & ~(order.defer & self.pending.any())),
            self.last.eq(Mux(order.twice, ~more & ~ahead[1], self.single)),
        ]
        return m

    def _elaborate_addresses(self, m: Module) -> dict[str, Value]:
        """Step the addresses; return which of them are outside."""
        config, order = self.config, self.order
        lane_bits, row_bits = (
            (size - 1).bit_length() for size in (config.vector.lanes, config.array.rows)
        )
        wide_span, word_span = self.most[lane_bits:], self.most[row_bits:]
        follows = Mux(order.twice, self.follow, self.lead)
        parts: dict[str, tuple[Value, Value, Value]] = {
            "source": (self.lead, order.source_stride, wide_span),
            "followed": (self.follow, order.source_stride, C(0, 1)),
            "scale": (self.lead & ~order.norm, order.scale_stride, wide_span),
            "destination": (follows, order.token_stride, word_span),
            "row": (self.lead, C(1, 1), C(0, 1)),
        }
        outside: dict[str, Value] = {}
        for name, (step, stride, span) in parts.items():
            address = RowAddress(self.depths[name])
            m.submodules[name] = address
            bits = len(address.address)
            m.d.comb += [
                address.load.eq(self.load),
                address.first.eq(self.first["source" if name == "followed" else name]),
                address.step.eq(step),
                address.stride.eq(stride),
                address.span.eq(fold(span, bits) if len(span) > bits else span),
                getattr(self, name).eq(address.address),
            ]
            outside[name] = address.outside
        return outside

    def _elaborate_counts(self, m: Module) -> Signal:
        """Count tokens and elements; return whether there are tokens to lead to."""
        order: Any = self.order
        more = Signal()
        most, valid = (Signal(SLOT_BITS, name=name, reset_less=True) for name in ("most", "valid"))
        m.d.comb += [self.most.eq(most), self.valid.eq(valid)]
        left = Signal(SLOT_BITS, reset_less=True)
        limit = Signal(SLOT_BITS, reset_less=True)
        unlimited = Signal(reset_less=True)
        begun, masked, grows = Signal(), Signal(), Signal()
        # In time, as the addresses settle.
        m.d.sync += [
            self.single.eq(left == 1),
            grows.eq(valid != most),
            begun.eq(self.begin),
            masked.eq(~unlimited & (limit < most)),
        ]
        with m.If(self.prepare):
            m.d.sync += [
                more.eq(1),
                left.eq(order.tokens),
                most.eq(order.elements - 1),
                limit.eq(order.causal - 1),
                unlimited.eq(order.norm | ~order.causal.any()),
            ]
        with m.Elif(self.lead):
            m.d.sync += [more.eq(~self.single), left.eq(left - 1)]
        with m.If(begun):
            m.d.sync += [valid.eq(Mux(masked, limit, most)), grows.eq(masked)]
        with m.Elif(self.lead):
            m.d.sync += valid.eq(valid + grows)
        return more
