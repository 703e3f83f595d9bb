"""The vector unit's arithmetic for small devices: one beat at a time."""


from amaranth import *
from amaranth.lib.wiring import connect, flipped

from ..memory.scale import ScaleMemory
from .datapath import Datapath
from .requantizer import Requantizer
from .serial_normalizer import SerialNormalizer

__all__ = ["BeatStepper"]


class BeatStepper(Datapath):
    """Requantise the sums of one beat and write them, then take the next beat.

    A beat stands at ``beats`` until it is written, the last of an activation word until the word
    is, so that nothing has to be carried along. ::

        beats, results ──►[ Requantizer ]──┬─────────────────────────► wide
                             ▲ scales      └──►[ SerialNormalizer ]──► words, stream

    =========== ====================================================
    Latency     from taking a beat: 4 cycles to ``wide``; from the last beat
                of an activation word: R / L + 7 to ``words`` (:class:`SerialNormalizer`
                says when it is R / L + 2 more)
    Throughput  1 beat in 5 cycles
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
        m.submodules.requantizer = requantizer = Requantizer(self.config, self.target)
        m.submodules.normalizer = normalizer = SerialNormalizer(self.config)
        connect(m, flipped(self.scale_writes), scales.write)
        beat = self.beats.payload
        lanes = self.config.vector.lanes

        busy, take, written = Signal(), Signal(), Signal()
        age = Signal(requantizer.latency)  # of the beat, one bit each; the last says "z is here"
        finished = age[-1]
        m.d.comb += [
            self.results.ready.eq(self.beats.valid & ~busy & ~self.halt),
            take.eq(self.results.valid & self.results.ready),
            written.eq((finished & beat.wide) | (normalizer.o.valid & normalizer.o.ready)),
            self.beats.ready.eq(written | (finished & ~beat.end)),
            self.empty.eq(~busy),
        ]
        m.d.sync += [age.eq(Cat(take, age)), busy.eq((busy | take) & ~self.beats.ready)]

        m.d.comb += [
            scales.factor_address.eq(beat.scale),
            scales.bias_address.eq(beat.scale),
            requantizer.x.eq(self.results.payload),
            requantizer.factors.eq(scales.factors),
            requantizer.biases.eq(scales.biases),
            Cat(requantizer.keep).eq(Cat(lane < beat.lanes for lane in range(lanes))),
            normalizer.i.valid.eq(finished & ~beat.wide),
            normalizer.i.payload.data.eq(requantizer.z),
            normalizer.i.payload.end.eq(beat.end),
            normalizer.i.payload.base.eq(beat.base),
            normalizer.index.eq(beat.index),
            normalizer.o.ready.eq(~beat.stream | self.stream.ready),
        ]
        self._elaborate_outputs(m, finished, written, requantizer, normalizer)
        return m

    def _elaborate_outputs(
        self, m: Module, finished: Value, written: Value, requantizer: Requantizer,
        normalizer: SerialNormalizer,
    ) -> None:  # fmt: skip
        """Write words, give semaphores, and count."""
        beat = self.beats.payload
        lanes = self.config.vector.lanes
        # The two clip in different cycles.
        clipped = (requantizer.saturated & finished.replicate(lanes)) | normalizer.saturated
        m.d.comb += [
            self.wide.valid.eq(finished & beat.wide),
            self.wide.payload.address.eq(beat.address),
            self.wide.payload.data.eq(requantizer.z),
            self.words.valid.eq(normalizer.o.valid & ~beat.stream),
            self.words.payload.address.eq(beat.address),
            self.words.payload.word.eq(normalizer.o.payload),
            self.stream.valid.eq(normalizer.o.valid & beat.stream),
            self.stream.payload.eq(normalizer.o.payload),
            self.saturations.eq(sum(clipped, C(0, 1))),
            self.flushes.eq(normalizer.flushed),
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
