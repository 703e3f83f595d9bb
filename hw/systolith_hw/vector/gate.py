"""Where the vector unit's datapath begins, and the only place where a beat of a block may wait."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .beat import MARKS, beat
from .block_gap import BlockGap
from .block_normalizer import BlockNormalizer
from .operation import Operation, takes_scale

__all__ = ["Gate"]


class Gate(wiring.Component):
    """Take a beat once nothing that it uses is in use, and choose its way.

    Nothing behind the gate ever stalls, since

    * a block's last beat waits until the normaliser has played back the block before
      (:class:`.BlockGap`);
    * a beat of WIDE, BEST, CANDIDATES or SAMPLE waits until the words of VECTOR before it are out,
      so that its semaphores are given in order;
    * a beat that goes to the sampler waits until there is room;
    * a beat that reads its scale, or its bias, in the cycle in which one of NORM or SOFTMAX before
      it reads something there waits for a cycle.

    Values that are only scaled or added may go ``direct``: past functions. They do when no other
    beat is still so near that they, or the words that they make, could pass it.

    =========== ====================================================
    Latency     none
    Throughput  1 beat per cycle
    Stall       ``beats.ready`` comes combinationally from ``beats.payload``
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes; ``vector.rows`` is not zero.
    scale : int
        Cycles from reading the constants that scale sums to reading, for a beat taken at the same
        time, those that a function uses.
    bias : int
        The same for biases.
    detour : int
        Cycles that functions take.

    Members
    -------
    beats : In(stream of beat(config))
        What to do.
    marks : In(MARKS)
        Of this beat.
    room : In(1)
        The sampler has room for another beat.
    halt : In(1)
        Take nothing, from the next cycle on.
    take : Out(1)
        A beat is taken.
    direct : Out(1)
        It goes past functions.
    """

    beats: stream.Interface
    marks: data.View
    room: Signal
    halt: Signal
    take: Signal
    direct: Signal

    def __init__(self, config: Config, *, scale: int, bias: int, detour: int) -> None:
        self.config = config
        self.scale = scale
        self.bias = bias
        self.detour = detour
        super().__init__({
            "beats": In(stream.Signature(beat(config))),
            "marks": In(MARKS),
            "room": In(1),
            "halt": In(1),
            "take": Out(1),
            "direct": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beat = self.beats.payload
        halted = Signal(attrs={"keep": 1})  # not merged with others: it is near
        m.submodules.gap = gap = BlockGap(self.config)
        may_go = (~self.marks.tells | gap.played) & (~beat.to_sampler | self.room)
        m.d.sync += halted.eq(self.halt)
        m.d.comb += [
            gap.last.eq(self.marks.ends_block),
            gap.taken.eq(self.take & self.marks.blocks),
            gap.counts.eq(~beat.row_unit),
            self.beats.ready.eq(gap.clear & may_go & ~self._collides(m) & ~halted),
            self.take.eq(self.beats.valid & self.beats.ready),
        ]
        self._elaborate_direct(m, gap)
        return m

    def _collides(self, m: Module) -> Value:
        """Return whether this beat would read scale memory together with one before it."""
        beat: Any = self.beats.payload
        takes_scale_late, takes_bias_late = takes_scale(beat.operation)
        scales = Signal(self.scale)  # bit n: of the beat taken n + 1 cycles ago
        biases = Signal(self.bias)
        m.d.sync += [
            scales.eq(Cat(self.take & takes_scale_late, scales)),
            biases.eq(Cat(self.take & takes_bias_late, biases)),
        ]
        return self.marks.scales & (scales[-1] | biases[-1])

    def _elaborate_direct(self, m: Module, gap: BlockGap) -> None:
        """Count the cycles since a beat that went all the way, or whose words are on their way.

        These are as many as its block has beats. A beat that makes no words may follow one of ROW
        that does, which has a word of them. What is left of a long block is forgotten with the next
        one's first beat, but that one's last beat waits for it, and goes the way of the first.
        """
        beat: Any = self.beats.payload
        word = self.config.array.rows // self.config.vector.lanes
        near = self.detour + BlockNormalizer.latency + word + 1
        left = Signal(range(near + gap.beats))
        clear = Signal(init=1)
        inside = Signal()  # a block that goes all the way
        m.d.comb += self.direct.eq(clear & ~inside & (beat.operation == Operation.NONE))
        with m.If(self.take & self.marks.blocks):
            m.d.sync += inside.eq(~self.direct & ~beat.block_end)
        with m.If(self.take & ~self.direct):
            m.d.sync += [left.eq(near + gap.before), clear.eq(0)]
        with m.Else():
            m.d.sync += [left.eq(left - left.any()), clear.eq(left <= 1)]
