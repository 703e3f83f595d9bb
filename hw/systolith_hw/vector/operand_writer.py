"""Write what comes out of the normaliser: words, operands, and the exponents of operands."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SCALE_BITS, SHIFT_BITS, Config
from ..interfaces import activation_word, entry_write, lane_write, word_write
from .beat import beat
from .block_normalizer import mantissa_row

__all__ = ["OperandWriter", "mantissa_write"]


def mantissa_write(config: Config) -> data.StructLayout:
    """Return the shape of where a word, or a tile's row, goes: members of its last beat."""
    shape = beat(config)
    names = ("to_words", "to_keys", "to_values", "block_end", "address", "lane", "entry", "offset")
    return data.StructLayout({name: shape[name].shape for name in names})


class OperandWriter(wiring.Component):
    """Join mantissas with their place.

    Words become activation words or, as keys, columns of operand tiles; beats of values become
    parts of a tile's row. With its last mantissas a block's exponent becomes a scale entry: scale
    2**15, bias 0, and as shift the exponent of values, or ``offset`` less that of keys.

    =========== ====================================================
    Latency     0 to ``words`` and ``rows``, 1 cycle to ``exponents``: nobody who waits for a
                semaphore that is given with the mantissas reads so soon
    Throughput  1 word or beat per cycle; never stalls
    Golden      :mod:`systolith_sim.machine.vector.destinations`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Shapes, and the depths of memories.

    Members
    -------
    write : In(mantissa_write(config))
        Where that goes which comes now. A word without ``to_words`` and ``to_keys`` is not written.
    word : In(stream of activation_word(config), always ready)
        Words.
    row : In(stream of mantissa_row(config), always ready)
        Values.
    words : Out(stream of word_write(config), always ready)
        Activation words and keys.
    rows : Out(stream of lane_write(config), always ready)
        Values.
    exponents : Out(stream of entry_write(config), always ready)
        Exponents of keys and values.
    of_key : Out(1)
        The exponent is a key's.
    """

    write: data.View
    word: stream.Interface
    row: stream.Interface
    words: stream.Interface
    rows: stream.Interface
    exponents: stream.Interface
    of_key: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "write": In(mantissa_write(config)),
            "word": In(stream.Signature(activation_word(config), always_ready=True)),
            "row": In(stream.Signature(mantissa_row(config), always_ready=True)),
            "words": Out(stream.Signature(word_write(config), always_ready=True)),
            "rows": Out(stream.Signature(lane_write(config), always_ready=True)),
            "exponents": Out(stream.Signature(entry_write(config), always_ready=True)),
            "of_key": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        write, row = self.write, self.row.payload
        m.d.comb += [
            self.words.valid.eq(self.word.valid & (write.to_words | write.to_keys)),
            self.words.payload.operand.eq(write.to_keys),
            self.words.payload.address.eq(write.address),
            self.words.payload.lane.eq(write.lane),
            self.words.payload.word.eq(self.word.payload),
            self.rows.valid.eq(self.row.valid),
            self.rows.payload.tile.eq(write.address),
            self.rows.payload.row.eq(write.lane),
            self.rows.payload.part.eq(row.place),
            self.rows.payload.data.eq(row.mantissas),
        ]

        last = row.place == self.config.beats_per_result - 1
        ended = (self.word.valid & write.to_keys) | (self.row.valid & last)
        lowered = write.offset - self.word.payload.exponent
        shift = Mux(write.to_keys, lowered, row.exponent)
        m.d.sync += [
            self.exponents.valid.eq(ended & write.block_end), self.of_key.eq(write.to_keys)
        ]  # fmt: skip
        self._elaborate_entry(m, shift[:SHIFT_BITS])
        return m

    def _elaborate_entry(self, m: Module, shift: Value) -> None:
        """Offer the scale entry of an exponent."""
        to = self.exponents.payload
        channel = Signal.like(self.write.entry, reset_less=True)
        kept = Signal(SHIFT_BITS, reset_less=True)
        m.d.sync += [channel.eq(self.write.entry), kept.eq(shift)]
        bits = (self.config.vector.lanes - 1).bit_length()
        m.d.comb += [
            to.lane.eq(channel[:bits]),
            to.address.eq(channel[bits:]),
            to.entry.scale.eq(1 << SCALE_BITS - 1),
            to.entry.shift.eq(kept),
        ]
