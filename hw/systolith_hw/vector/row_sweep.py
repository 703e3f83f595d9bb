"""The beats of a token: its values once from the first to the last."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import SLOT_BITS

__all__ = ["RowSweep"]


class RowSweep(wiring.Component):
    """Count L values at a time, the words that they are read from, and those that they fill.

    =========== ==========================================================
    Latency     the cycle after ``begin`` is the first beat's, the one after
                ``advance`` the next one's
    Throughput  1 beat per cycle
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Shapes and depths.

    Members
    -------
    begin : In(1)
        Take the inputs below.
    most : In(16), valid : In(16)
        Numbers of the token's last element, and of its last one that is not zero.
    first_scale, first_wide, first_address : In
        Scale word, wide word and activation word of its first element.
    advance : In(1)
        Go on to the next beat.
    lanes : Out(range(L + 1))
        Values of this beat that are not zero.
    scale : Out(range(memory.scale_words)), wide : Out(range(memory.wide_words))
        Where they and their constants are.
    address : Out(range(memory.activation_words)), index : Out(range(R / L))
        The activation word that they belong to, and their place in it.
    end, row_begin, row_end : Out(1)
        The beat is a word's last, the token's first, the token's last.
    """

    begin: Signal
    most: Signal
    valid: Signal
    first_scale: Signal
    first_wide: Signal
    first_address: Signal
    advance: Signal
    lanes: Signal
    scale: Signal
    wide: Signal
    address: Signal
    index: Signal
    end: Signal
    row_begin: Signal
    row_end: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        memory, lanes = config.memory, config.vector.lanes
        addresses = {
            "scale": range(memory.scale_words),
            "wide": range(memory.wide_words),
            "address": range(memory.activation_words),
        }
        super().__init__({
            **dict.fromkeys(("begin", "advance"), In(1)),
            **dict.fromkeys(("most", "valid"), In(SLOT_BITS)),
            **{f"first_{name}": In(shape) for name, shape in addresses.items()},
            **{name: Out(shape) for name, shape in addresses.items()},
            "lanes": Out(range(lanes + 1)),
            "index": Out(range(config.array.rows // lanes)),
            **dict.fromkeys(("end", "row_begin", "row_end"), Out(1)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beats = self.config.array.rows // self.config.vector.lanes
        m.d.comb += self.end.eq(self.row_end | (self.index == beats - 1))
        for name in ("scale", "wide", "address"):
            counter = Signal.like(getattr(self, name), name=name, reset_less=True)
            m.d.comb += getattr(self, name).eq(counter)
            goes_on = self.end if name == "address" else Const(1)
            with m.If(self.begin):
                m.d.sync += counter.eq(getattr(self, f"first_{name}"))
            with m.Elif(self.advance & goes_on):
                m.d.sync += counter.eq(counter + 1)
        with m.If(self.begin):
            m.d.sync += [self.index.eq(0), self.row_begin.eq(1)]
        with m.Elif(self.advance):
            m.d.sync += [self.index.eq(Mux(self.end, 0, self.index + 1)), self.row_begin.eq(0)]
        self._elaborate_ends(m)
        return m

    def _elaborate_ends(self, m: Module) -> None:
        """Count beats down to the last one, and to the last one that is not all zero."""
        lanes = self.config.vector.lanes
        lane_bits = (lanes - 1).bit_length()
        most, valid = self.most[lane_bits:], self.valid[lane_bits:]
        left = Signal.like(most, reset_less=True)
        whole_left = Signal.like(most, reset_less=True)
        whole, partly = Signal(), Signal()
        rest = Signal(lane_bits, reset_less=True)
        with m.If(self.begin):
            m.d.sync += [
                left.eq(most),
                self.row_end.eq(most == 0),
                whole_left.eq(valid),
                whole.eq(valid != 0),
                partly.eq(valid == 0),
                rest.eq(self.valid[:lane_bits]),
            ]
        with m.Elif(self.advance):
            m.d.sync += [
                left.eq(left - 1),
                self.row_end.eq(left == 1),
                whole_left.eq(whole_left - 1),
                whole.eq(whole & (whole_left != 1)),
                partly.eq(whole & (whole_left == 1)),
            ]
        with m.If(whole):
            m.d.comb += self.lanes.eq(lanes)
        with m.Elif(partly):
            m.d.comb += self.lanes.eq(rest + 1)
