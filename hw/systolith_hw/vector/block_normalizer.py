"""Turn blocks of fixed-point values into mantissas that share an exponent."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import WEIGHT_BITS, Config
from ..interfaces import activation_word
from .beat_ring import BeatRing
from .exact_exponent import ExactExponent, block_beat, block_beats
from .mantissa import Mantissa
from .moments import mantissa_beat

__all__ = ["BlockNormalizer", "mantissa_row"]

def mantissa_row(config: Config) -> data.StructLayout:
    """Return the shape of L mantissas of a row of an operand tile, and their place in it."""
    lanes = config.vector.lanes
    return data.StructLayout({
        "mantissas": data.ArrayLayout(signed(WEIGHT_BITS), lanes),
        "exponent": config.array.exponent_bits,
        "place": range(config.array.columns // lanes),
    })


class BlockNormalizer(wiring.Component):
    """Give the values of a block one exponent and round them to mantissas.

    ``docs/numerics.md``, "Block normalise", has the exact integers. A block is an activation word,
    or all channels of a key or a value. Its beats wait in a ring until its exponent is known, and
    are then played back through one shifter per lane; words are gathered from them. ::

        i ──┬──►[ ring of beats ]──►[ >> base + exponent ]──►[ + up ]──┬──────────► rows, measured
            └──►[ ExactExponent ]── distance ──┘                       └─►[ word ]► words

    =========== ====================================================
    Latency     9 cycles (:attr:`latency`) from a block's last beat to the mantissas of its first,
                then a beat per cycle; a word comes together with its last mantissas
    Throughput  1 beat per cycle; never stalls
    Golden      :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    A word has 1 to R / L beats; the mantissas of beats that it lacks are zero. Blocks must end at
    least as many cycles apart as the first of the two has beats, which only a block that
    follows a longer one could fail to do.

    Parameters
    ----------
    config : Config
        Shapes and widths.
    heads : bool
        Blocks may be keys and values, and be measured. Otherwise all of them are words, and
        ``kind`` is to be zero.

    Members
    -------
    i : In(stream of block_beat(config), always ready)
        Values. A word ends after at most R / L beats, a tile's row of values after C / L.
    words : Out(stream of activation_word(config), always ready)
        Words: of activations, or of keys, whose mantissas have 8 bits.
    rows : Out(stream of mantissa_row(config), always ready)
        Values.
    measured : Out(stream of mantissa_beat(config), always ready)
        Of blocks that are to be measured.
    coming : Out(1)
        ``words`` or ``rows`` will be valid in the next cycle.
    ending : Out(1)
        That is a word, or the last beat of a tile's row.
    early : Out(1)
        ``ending`` will be set in :attr:`lead` cycles.
    saturated : Out(lanes)
        Mantissas that were clipped, of the beat that is played back; of no unwritten block.
    flushed : Out(1)
        A block that was not zero became zero; one cycle after its last mantissas. No unwritten
        one.
    """

    steps = 1 + Mantissa.latency
    """Cycles from a block's ``ready``, when its first beat is read, to that one's mantissas."""
    latency = ExactExponent.latency - 1 + steps + 1

    lead = Mantissa.latency

    i: stream.Interface
    words: stream.Interface
    rows: stream.Interface
    measured: stream.Interface
    coming: Signal
    ending: Signal
    early: Signal
    saturated: Signal
    flushed: Signal

    def __init__(self, config: Config, *, heads: bool = True) -> None:
        self.config = config
        self.heads = heads
        values = block_beat(config)["data"].shape
        waiting = block_beats(config, heads=heads) + ExactExponent.latency - 1
        self.ring = BeatRing(
            1 + Shape.cast(values).width, waiting, distributed=config.vector.distributed
        )
        super().__init__({
            "i": In(stream.Signature(block_beat(config), always_ready=True)),
            "words": Out(stream.Signature(activation_word(config), always_ready=True)),
            "rows": Out(stream.Signature(mantissa_row(config), always_ready=True)),
            "measured": Out(stream.Signature(mantissa_beat(config), always_ready=True)),
            "coming": Out(1),
            "ending": Out(1),
            "early": Out(1),
            "saturated": Out(config.vector.lanes),
            "flushed": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.exponent = exponent = ExactExponent(self.config, heads=self.heads)
        connect(m, flipped(self.i), exponent.i)

        soon, reading, last = self._elaborate_playback(m, exponent)
        m.submodules.beat_ring = ring = self.ring
        m.d.comb += [
            ring.write.eq(self.i.valid),
            ring.i.eq(Cat(self.i.payload.end, self.i.payload.data)),
            ring.read.eq(soon if ring.latency == 2 else reading),
        ]
        values = data.View(self.i.payload.data.shape(), ring.o[1:])

        # What is known of a beat goes with it; of its block it is known a cycle after `reading`.
        read = _later(m, "read", reading, self.steps - self.lead, reset_less=False)
        valid = _later(m, "valid", read, self.lead, reset_less=False)
        block_end = _later(m, "block_end", last, self.steps)
        end = _later(m, "end", ring.o[0], Mantissa.latency)
        about = [_later(m, "about", Value.cast(exponent.kind), self.steps - 1)]
        about.append(_later(m, "kind", about[0], 1))
        share = _later(m, "share", exponent.exponent, self.steps)
        zero = _later(m, "zero", exponent.zero, self.steps)
        kind, kind_out = (data.View(exponent.kind.shape(), bits) for bits in about)

        place = self._elaborate_place(m, valid, end)
        mantissas = self._elaborate_mantissas(m, values, exponent.distance, kind, valid)
        self._elaborate_word(m, mantissas, valid, place)
        m.d.comb += [
            self.early.eq(read & ring.o[0] & ~Value.cast(exponent.kind.unwritten)),
            self.ending.eq(valid & end & ~kind.unwritten),
            self.coming.eq(self.ending | (valid & kind.values)),
        ]
        m.d.sync += [
            self.words.valid.eq(self.ending & ~kind.values),
            self.rows.valid.eq(valid & kind.values),
            self.rows.payload.place.eq(place),
            self.measured.valid.eq(valid & kind.measure),
        ]
        ended = _later(m, "ended", valid & block_end, 1, reset_less=False)
        self._elaborate_outputs(m, share, kind_out, ended)
        self._elaborate_flushed(m, valid, ended, zero | kind_out.unwritten)
        return m

    def _elaborate_playback(
        self, m: Module, exponent: ExactExponent
    ) -> tuple[Value, Value, Value]:
        """Count a block's beats; return whether one will be read, is read, and is the last."""
        # A block's `ready` comes with its distance due in the next cycle, and so are its beats.
        soon, reading, last = Signal(), Signal(), Signal()
        left = Signal.like(exponent.more)
        more = Mux(exponent.ready, exponent.more.any(), left > 1)
        m.d.comb += [
            soon.eq(exponent.soon | more),
            reading.eq(exponent.ready | left.any()),
            last.eq(reading & ~more),
        ]
        with m.If(exponent.ready):
            m.d.sync += left.eq(exponent.more)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        return soon, reading, last

    def _elaborate_place(self, m: Module, valid: Value, end: Value) -> Value:
        """Return the place of a beat in its word, or in its tile's row."""
        longest = max(self.config.array.rows, self.config.array.columns)
        place = Signal(range(longest // self.config.vector.lanes))
        with m.If(valid):
            m.d.sync += place.eq(Mux(end, 0, place + 1))
        return place

    def _elaborate_mantissas(
        self, m: Module, values: Any, distance: Value, kind: Any, valid: Value
    ) -> list[Value]:
        """Return each lane's mantissa, and note whether it was clipped."""
        mantissas: list[Value] = []
        for lane, value in enumerate(values):
            mantissa = Mantissa(self.config.array.mantissa_bits, operands=self.heads)
            m.submodules[f"mantissa_{lane}"] = mantissa
            m.d.comb += [
                mantissa.value.eq(value),
                mantissa.distance.eq(distance),
                mantissa.operand.eq(kind.operand),
            ]
            rounded = Signal.like(mantissa.o, name=f"rounded_{lane}", reset_less=True)
            m.d.comb += self.measured.payload.mantissas[lane].eq(rounded)
            m.d.sync += [
                self.saturated[lane].eq(mantissa.clipped & valid & ~kind.unwritten),
                rounded.eq(mantissa.o),
            ]
            mantissas.append(mantissa.o)
        return mantissas

    def _elaborate_word(
        self, m: Module, mantissas: list[Value], valid: Value, place: Value
    ) -> None:
        """Gather a word from its beats; those that it lacks are zero."""
        lanes = len(mantissas)
        for row in range(self.config.array.rows):
            slot = Signal.like(mantissas[0], name=f"slot_{row}", reset_less=True)
            with m.If(valid & (place == row // lanes)):
                m.d.sync += slot.eq(mantissas[row % lanes])
            with m.Elif(valid & (place == 0)):
                m.d.sync += slot.eq(0)
            m.d.comb += self.words.payload.mantissas[row].eq(slot)

    def _elaborate_outputs(self, m: Module, share: Value, kind: Any, ended: Value) -> None:
        """Tell what is known of the block beside its mantissas."""
        first = Signal(init=1)  # in its block
        beat = self.measured.payload
        with m.If(self.measured.valid):
            m.d.sync += first.eq(ended)
        m.d.comb += [
            beat.first.eq(kind.row_begin & first),
            beat.last.eq(kind.row_end & ended),
        ]
        for output in (self.words, self.rows, self.measured):
            m.d.comb += output.payload.exponent.eq(share)
        for lane, mantissa in enumerate(beat.mantissas):
            m.d.comb += self.rows.payload.mantissas[lane].eq(mantissa)

    def _elaborate_flushed(self, m: Module, valid: Value, ended: Value, known: Value) -> None:
        """Notice a block whose mantissas are all zero, unless that is as it should be."""
        present = _later(m, "present", valid, 1, reset_less=False)
        some, begins = Signal(reset_less=True), Signal(init=1)
        now = self.measured.payload.mantissas.as_value().any() | (some & ~begins)
        with m.If(present):
            m.d.sync += [some.eq(now), begins.eq(ended)]
        m.d.sync += self.flushed.eq(ended & ~known & ~now)


def _later(m: Module, name: str, value: Value, cycles: int, *, reset_less: bool = True) -> Value:
    """Return ``value``, some cycles later."""
    for age in range(1, cycles + 1):
        register = Signal(value.shape(), name=f"{name}_later_{age}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
