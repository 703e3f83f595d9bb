"""Keep blocks so far apart that the normaliser can play them back one after the other."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .block_normalizer import BlockNormalizer
from .exact_exponent import block_beats

__all__ = ["BlockGap"]


class BlockGap(wiring.Component):
    """Hold up a block's last beat until the block before has been played back.

    That takes as many cycles as the block before has beats, from its own last beat on; so only a
    block that is shorter waits, for at most the difference.

    =========== ====================================================
    Latency     none
    Throughput  1 beat per cycle
    Stall       ``clear`` comes combinationally from ``last``
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes.
    heads : bool
        As in :class:`~systolith_hw.vector.block_normalizer.BlockNormalizer`.

    Members
    -------
    last : In(1)
        The beat that is offered goes to the normaliser and is the last of its block.
    clear : Out(1)
        It may be taken.
    taken : In(1)
        A beat for the normaliser is taken; counts with ``last``.
    counts : In(1)
        ``played`` is about this beat's block, too; counts with ``taken`` and ``last``.
    played : Out(1)
        All mantissas of the blocks of ``counts`` taken before come out earlier than a value would
        that is taken now and does without the normaliser.
    before : Out(range(beats))
        Beats of this block that were taken; 0 between blocks.
    """

    last: Signal
    clear: Signal
    taken: Signal
    counts: Signal
    played: Signal
    before: Signal

    def __init__(self, config: Config, *, heads: bool = True) -> None:
        self.beats = block_beats(config, heads=heads)
        super().__init__({
            "last": In(1), "clear": Out(1), "taken": In(1), "counts": In(1), "played": Out(1),
            "before": Out(range(self.beats)),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        before = self.before
        left = Signal(range(self.beats))
        some = Signal()  # there are some left
        playing = Signal(range(BlockNormalizer.latency + self.beats))
        plays = Signal()
        m.d.comb += [self.clear.eq(~(self.last & some)), self.played.eq(~plays)]
        m.d.sync += [
            left.eq(left - left.any()),
            some.eq(left > 1),
            playing.eq(playing - playing.any()),
            plays.eq(playing > 1),
        ]
        with m.If(self.taken):
            m.d.sync += before.eq(Mux(self.last, 0, before + 1))
            with m.If(self.last):
                m.d.sync += [left.eq(before), some.eq(before.any())]
            with m.If(self.last & self.counts):
                m.d.sync += [playing.eq(before + BlockNormalizer.latency), plays.eq(1)]
        return m
