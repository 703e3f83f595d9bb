"""The vector unit's arithmetic for small devices: one value at a time."""

from typing import Any

from amaranth import *
from amaranth.lib.wiring import connect, flipped

from ..config import FIXED_BITS, NORMAL_BITS
from ..memory.scale import ScaleMemory, scale_factor
from .datapath import Datapath
from .multiply_add import MultiplyAdd
from .shift_register import ShiftRegister
from .step import State, Step
from .value_store import ValueStore
from .word_builder import WordBuilder

__all__ = ["BeatStepper"]


class BeatStepper(Datapath):
    """Requantise values one by one, and then make a word of them.

    One register shifts all that is shifted. What must be clipped goes through ROUND again as a
    limit. A mantissa that is too large is shifted by one more place and raises the word's exponent,
    which begins at zero; a word whose exponent was raised by others than its first value begins
    again with that. ::

        results ──►[ ShiftRegister ]──►( + bias )──┬───────────────────► wide
                     ▲     │     └──────────────── │ ──►[ WordBuilder ]──► words, stream
                     │     ▼                       ▼
        scales ──►[ MultiplyAdd ]◄───────────[ ValueStore ]

        TAKE ──► FIT ──► LOAD ──► ROUND ──► WRITE ─┬─► TAKE
                                                   └─► BEGIN ┬─► FETCH ──► LOAD ──► ROUND ─┬─► OFFER
                                                             └─────────────────────────────┘

    A beat stands at ``beats`` until it is written, the last of an activation word until the word
    is, so that nothing has to be carried along. A lane without a channel goes from TAKE to ROUND,
    and mantissas without a value stay there.

    =========== ====================================================
    Latency     5 cycles and two shifts for each value; for each value of an activation word 3
                cycles and a shift more, and for the word 2. A shift by n takes n // 4 + n % 4
                cycles, and raising the exponent one. Clipping takes 3 or 4 more. A word that
                begins again takes as long once more, but for its 5 cycles and two shifts
    Throughput  1 value at a time
    Stall       ``results.ready`` depends combinationally on ``beats.valid``, and ``beats.ready`` on
                ``stream.ready``
    Golden      :func:`systolith_sim.vector.requantizer.requantize`,
                :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters and members are those of :class:`~systolith_hw.vector.datapath.Datapath`.
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.scales = scales = ScaleMemory(self.config)
        m.submodules.shifter = shifter = ShiftRegister(self.config)
        m.submodules.multiplier = multiplier = MultiplyAdd(self.target)
        m.submodules.store = store = ValueStore(self.config)
        m.submodules.word = word = WordBuilder(self.config)
        connect(m, flipped(self.scale_writes), scales.write)

        step = Step(self.config)
        factor: Any = Signal(scale_factor())
        bias = Signal(signed(FIXED_BITS))
        m.d.comb += [
            scales.factor_address.eq(self.beats.payload.scale),
            scales.bias_address.eq(self.beats.payload.scale),
            factor.eq(_lane(scales.factors, step.lane)),
            bias.eq(_lane(scales.biases, step.lane)),
            shifter.value.eq(_lane(self.results.payload, step.lane)),
            shifter.total.eq(multiplier.total),
            shifter.fit.eq(step.at(State.FIT)),
            shifter.round.eq(step.at(State.ROUND)),
            # After LOAD the total is zero again: the word is, and nothing is fetched.
            multiplier.enable.eq(
                step.at(State.TAKE, State.FETCH, State.LOAD) | (shifter.fit & shifter.settled)
            ),
            multiplier.significand.eq(shifter.word[:NORMAL_BITS] | shifter.rest),
            multiplier.scale.eq(factor.scale),
            multiplier.addend.eq(store.o),
        ]
        # The sum of the cycle before: of interest in WRITE.
        total = Signal(signed(FIXED_BITS + 1), reset_less=True)
        fixed = shifter.word[:FIXED_BITS].as_signed()
        m.d.sync += total.eq(Mux(step.plain, fixed, fixed + bias + shifter.up))

        self._elaborate_distance(m, step, shifter, factor.shift, word.word.exponent)
        self._elaborate_value(m, step, shifter, word, total, factor.scale[-1])
        self._elaborate_mantissa(m, step, shifter, word)
        self._elaborate_states(m, step, shifter, word.raised)
        self._elaborate_store(m, step, store, total, shifter.word[-1])
        self._elaborate_outputs(m, step, word, total)
        return m

    def _elaborate_distance(
        self, m: Module, step: Step, shifter: ShiftRegister, shift: Value, exponent: Value
    ) -> None:
        """Say how far to shift."""
        with m.If(shifter.fit):
            m.d.comb += shifter.add.eq(shift)
        with m.Elif(step.in_word & ~step.plain):
            with m.If(step.at(State.FETCH)):
                m.d.comb += shifter.add.eq(self.beats.payload.base)
            with m.If(step.at(State.LOAD)):
                m.d.comb += shifter.add.eq(exponent)

    def _elaborate_value(
        self, m: Module, step: Step, shifter: ShiftRegister, word: WordBuilder, total: Signal,
        scaled: Value,
    ) -> None:  # fmt: skip
        """Look whether a value fits; count it once, whatever was clipped of it."""
        # One more than the largest is too much.
        full = shifter.word[: FIXED_BITS - 1].all() & ~shifter.word[-1] & shifter.up
        too_large = ~shifter.fits_fixed | full | (shifter.before & scaled)
        beyond = step.at(State.WRITE) & (total[-1] != total[-2])
        saturated = Signal()
        m.d.comb += [
            step.rounded.eq(shifter.round & shifter.settled),
            step.clip_value.eq((step.rounded & ~step.in_word & too_large) | beyond),
            step.write.eq(step.at(State.WRITE) & ~beyond),
            self.saturations.eq(
                (step.write & saturated) | (step.clip_mantissa & ~word.raised)
            ),
        ]
        with m.If(step.clip_value | step.write):
            m.d.sync += saturated.eq(step.clip_value)

    def _elaborate_mantissa(
        self, m: Module, step: Step, shifter: ShiftRegister, word: WordBuilder
    ) -> None:
        """Raise the exponent until a mantissa fits, and take it."""
        rounded = step.rounded & step.in_word
        m.d.comb += [
            word.i.eq(shifter.word),
            word.fits.eq(shifter.fits_mantissa),
            word.up.eq(shifter.up),
            word.rest.eq(shifter.rest),
            word.more.eq(shifter.further),
            word.first.eq(step.next == 1),  # the next one is not the first any more
            word.begin.eq(step.at(State.BEGIN)),
            word.push.eq(rounded & ~word.too_large),
            word.clear.eq(step.taken),
            shifter.more.eq(step.in_word & word.too_large & ~word.highest),
            step.clip_mantissa.eq(rounded & word.too_large),
        ]

    def _elaborate_states(
        self, m: Module, step: Step, shifter: ShiftRegister, raised: Value
    ) -> None:
        """Go on: a value at a time, and when those of a word are there, with all of them again."""
        beat, state = self.beats.payload, step.state
        last_lane = step.lane == self.config.vector.lanes - 1
        keep = step.lane < beat.lanes
        ready = step.at(State.TAKE) & self.beats.valid & ~(self.halt & ~step.lane.any())
        m.d.comb += [
            self.results.ready.eq(ready & last_lane),
            shifter.load.eq(ready & self.results.valid & keep),
            step.taken.eq(step.at(State.OFFER) & (~beat.stream | self.stream.ready)),
            self.beats.ready.eq((step.write & last_lane & (beat.wide | ~beat.end)) | step.taken),
        ]
        with m.Switch(state):
            with m.Case(State.TAKE):
                with m.If(ready & self.results.valid):
                    m.d.sync += [state.eq(Mux(keep, State.FIT, State.ROUND)), step.plain.eq(~keep)]
            with m.Case(State.FIT):
                with m.If(shifter.settled):
                    m.d.sync += state.eq(State.LOAD)
            with m.Case(State.LOAD):
                m.d.sync += state.eq(State.ROUND)
                with m.If(step.in_word & ~step.plain):
                    m.d.sync += step.next.eq(step.next + 1)  # of a power of two
            with m.Case(State.ROUND):
                self._elaborate_rounded(m, step, raised)
            with m.Case(State.WRITE):
                m.d.sync += state.eq(State.TAKE)
                with m.If(step.clip_value):
                    m.d.sync += [state.eq(State.FETCH), step.plain.eq(1)]
                with m.Else():
                    m.d.sync += step.lane.eq(step.lane + 1)  # of a power of two
                    with m.If(last_lane & beat.end & ~beat.wide):
                        m.d.sync += [state.eq(State.BEGIN), step.in_word.eq(1)]
            with m.Case(State.BEGIN):
                m.d.sync += state.eq(State.FETCH)
            with m.Case(State.FETCH):
                m.d.sync += state.eq(State.LOAD)
            with m.Case(State.OFFER):
                with m.If(step.taken):
                    m.d.sync += [state.eq(State.TAKE), step.in_word.eq(0)]

    def _elaborate_rounded(self, m: Module, step: Step, raised: Value) -> None:
        """Go on from ROUND: write the value, or go to the next mantissa."""
        state = step.state
        with m.If(step.rounded):
            m.d.sync += step.plain.eq(step.clip_mantissa)
            with m.If(step.clip_value | step.clip_mantissa):
                m.d.sync += state.eq(State.FETCH)
            with m.Elif(~step.in_word):
                m.d.sync += state.eq(State.WRITE)
            with m.Elif(~step.next.any()):
                m.d.sync += state.eq(Mux(raised, State.BEGIN, State.OFFER))
            with m.Elif(step.next[len(step.lane) :] <= self.beats.payload.index):
                m.d.sync += state.eq(State.FETCH)
            with m.Else():
                m.d.sync += step.next.eq(step.next + 1)

    def _elaborate_store(
        self, m: Module, step: Step, store: ValueStore, total: Signal, negative: Value
    ) -> None:
        """Keep values; give them back, or limits."""
        clip = step.clip_value | step.clip_mantissa
        m.d.comb += [
            store.write.eq(step.write),
            store.place.eq(Cat(step.lane, self.beats.payload.index)),
            store.value.eq(total),
            store.read.eq(step.in_word & step.at(State.BEGIN, State.ROUND) & ~clip),
            store.next.eq(step.next),
            store.limit.eq(clip),
            store.mantissa.eq(step.in_word),
            store.negative.eq(Mux(step.at(State.WRITE), total[-1], negative)),
        ]

    def _elaborate_outputs(
        self, m: Module, step: Step, word: WordBuilder, total: Signal
    ) -> None:
        """Write, give semaphores, and count."""
        beat = self.beats.payload
        values = self.wide.payload.data.as_value()
        earlier = Signal(len(values) - FIXED_BITS, reset_less=True)  # lanes' values
        value = total[:FIXED_BITS]
        with m.If(step.write):
            m.d.sync += earlier.eq(Cat(earlier, value)[FIXED_BITS:])
        written = self.beats.ready & beat.end
        m.d.comb += [
            self.flushes.eq(step.taken & word.flushed),
            self.empty.eq(step.at(State.TAKE) & ~step.lane.any()),
            self.wide.valid.eq(self.beats.ready & beat.wide),
            self.wide.payload.address.eq(beat.address),
            values.eq(Cat(earlier, value)),
            self.words.valid.eq(step.at(State.OFFER) & ~beat.stream),
            self.words.payload.address.eq(beat.address),
            self.words.payload.word.eq(word.word),
            self.stream.valid.eq(step.at(State.OFFER) & beat.stream),
            self.stream.payload.eq(word.word),
            self.events.busy.eq(self.beats.valid & self.beats.ready),
            self.events.wait_semaphore.eq(self.waiting),
            self.events.wait_result.eq(self.results.ready & ~self.results.valid),
            self.events.wait_store.eq(self.stream.valid & ~self.stream.ready),
        ]
        for port, semaphore in (
            (self.post_inner, beat.post_inner), (self.post_outer, beat.post_outer)
        ):  # fmt: skip
            m.d.comb += [
                port.valid.eq(written & semaphore.present), port.id.eq(semaphore.id)
            ]  # fmt: skip


def _lane(values: Any, lane: Signal) -> Value:
    """Return one of an array of equal parts."""
    bits = Value.cast(values)
    return bits.word_select(lane, len(bits) >> len(lane))
