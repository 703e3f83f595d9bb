"""The vector unit's arithmetic: a beat per cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import connect, flipped

from ..config import Config
from ..interfaces import activation_word
from ..memory.scale import ScaleMemory
from ..sequencer.permit import semaphore
from ..stream.fifo import Fifo
from ..stream.spare import Spare
from .datapath import Datapath, count, stream_credits
from .head import Head
from .normalizer import Normalizer
from .order import address_bits
from .requantizer import Requantizer

__all__ = ["BeatPipeline"]


def drain_write(config: Config) -> data.StructLayout:
    """Return the shape of what waits for a word under way: where it goes, and what is given."""
    return data.StructLayout({
        "address": address_bits(config),
        "stream": 1,
        "post_inner": semaphore(),
        "post_outer": semaphore(),
    })


class BeatPipeline(Datapath):
    """Requantise the sums of a beat in each cycle, and write them.

    ::

        beats ──────┐                       ┌────────────────────────► wide
                    ▼                       │
        results ─►[ head ]─►[ Requantizer ]─┴─►[ Normalizer ]──┬─────► words
                    │          ▲ scales                        │
                    └─►[ writes: address, posts ]─────────────►┴─[FIFO]► stream

    Only :class:`Head` waits: nothing behind it ever stalls. Words leave in the order of their
    beats.

    =========== ====================================================
    Latency     from taking a beat: 11 cycles to ``wide``; from the last beat
                of an activation word: R / L + 19 to ``words``
    Throughput  1 beat per cycle
    Stall       no combinational path but between ``valid`` and ``ready`` of beats and results
    Golden      :func:`systolith_sim.vector.requantizer.requantize`,
                :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters and members are those of :class:`~systolith_hw.vector.datapath.Datapath`.
    """

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        beats = config.array.rows // config.vector.lanes
        m.submodules.scales = scales = ScaleMemory(config)
        m.submodules.requantizer = requantizer = Requantizer(config, self.target)
        m.submodules.normalizer = normalizer = Normalizer(config)

        # Cycles from a word's last beat in the head to the word.
        flight = 1 + requantizer.latency + normalizer.latency
        shortest = min(beats, config.beats_per_result)
        waiting = max(requantizer.latency, flight // shortest) + 3
        # A power of two keeps comparisons off the pointers.
        m.submodules.writes = writes = Fifo(
            drain_write(config), 1 << (waiting - 1).bit_length()
        )
        credits = stream_credits(config, flight + 3)
        # With its last place free a queue may still be unready for a cycle, and nobody waits.
        m.submodules.queue = queue = Fifo(activation_word(config), credits + 1)
        m.submodules.head = head = Head(config, credits, normalizer.latency)
        connect(m, flipped(self.results), head.results)
        connect(m, flipped(self.scale_writes), scales.write)
        connect(m, flipped(self.beats), head.beats)
        # What STORE does with a word is decided far from here, and late.
        m.submodules.spare = spare = Spare(activation_word(config))
        connect(m, queue.o, spare.i)
        connect(m, spare.o, flipped(self.stream))
        m.d.comb += [
            head.halt.eq(self.halt),
            head.waiting.eq(self.waiting),
            head.freed.eq(spare.o.valid & spare.o.ready),
            self.events.eq(head.events),
            requantizer.x.eq(head.sums),
            requantizer.factors.eq(scales.factors),
            requantizer.biases.eq(scales.biases),
            normalizer.i.payload.data.eq(requantizer.z),
        ]

        valid, wide = self._elaborate_beats(m, head, scales, requantizer, normalizer)
        self._elaborate_writes(m, valid & wide, head, writes, queue, requantizer, normalizer)
        requantized = Signal()
        m.d.sync += requantized.eq(valid)
        self._elaborate_counts(m, requantized, requantizer, normalizer)

        # Three cycles later the last word is out and counted, too.
        quiet = Signal(3)
        nothing = head.empty & writes.empty
        m.d.sync += quiet.eq(Cat(nothing, quiet))
        m.d.comb += self.empty.eq(nothing & quiet.all())
        return m

    def _elaborate_beats(
        self, m: Module, head: Head, scales: ScaleMemory, requantizer: Requantizer,
        normalizer: Normalizer,
    ) -> tuple[Value, Value]:  # fmt: skip
        """Send along with a beat what is known of it; return "a beat", "of WIDE" for next cycle."""
        # By age: cycles since the beat was in the head. Its sums leave the head at age 1.
        beat = head.beats.payload
        done = 1 + requantizer.latency
        valid = _ages(m, "valid", head.take, done, reset_less=False)
        wide = _ages(m, "wide", beat.wide, done)
        end = _ages(m, "end", beat.end, done)
        base = _ages(m, "base", beat.base, done)
        lanes = _ages(m, "lanes", beat.lanes, 1 + requantizer.keep_delay)
        # The memory takes two cycles, and constants are wanted that long after age 1.
        scale = _ages(m, "scale", beat.scale, requantizer.bias_delay - 1)
        m.d.comb += [
            scales.factor_address.eq(scale[requantizer.factor_delay - 1]),
            scales.bias_address.eq(scale[requantizer.bias_delay - 1]),
            normalizer.i.valid.eq(valid[done] & ~wide[done]),
            normalizer.i.payload.end.eq(end[done]),
            normalizer.i.payload.base.eq(base[done]),
        ]
        m.d.comb += [
            requantizer.keep[lane].eq(lane < lanes[-1])
            for lane in range(self.config.vector.lanes)
        ]
        return valid[done - 1], wide[done - 1]

    def _elaborate_writes(
        self, m: Module, wide_next: Value, head: Head, writes: Fifo, queue: Fifo,
        requantizer: Requantizer, normalizer: Normalizer,
    ) -> None:  # fmt: skip
        """Join each word with its address, one cycle ahead, and give its semaphores."""
        beat = head.beats.payload
        m.d.comb += writes.i.valid.eq(head.take & beat.end)
        for name, _ in drain_write(self.config):
            m.d.comb += writes.i.payload[name].eq(beat[name])

        write: Any = Signal(drain_write(self.config), reset_less=True)
        m.d.comb += writes.o.ready.eq(wide_next | normalizer.coming)
        m.d.sync += [write[name].eq(writes.o.payload[name]) for name, _ in write.shape()]
        for name in ("post_inner", "post_outer"):
            port = getattr(self, name)
            m.d.sync += port.valid.eq(writes.o.ready & writes.o.payload[name].present)
            m.d.comb += port.id.eq(write[name].id)

        # All that leaves the unit goes far, so valid is a register.
        m.d.sync += [
            self.wide.valid.eq(wide_next),
            self.words.valid.eq(normalizer.coming & ~writes.o.payload.stream),
        ]
        m.d.comb += [
            self.wide.payload.address.eq(write.address),
            self.wide.payload.data.eq(requantizer.z),
            self.words.payload.address.eq(write.address),
            self.words.payload.word.eq(normalizer.o.payload),
            queue.i.valid.eq(normalizer.o.valid & write.stream),
            queue.i.payload.eq(normalizer.o.payload),
        ]

    def _elaborate_counts(
        self, m: Module, requantized: Value, requantizer: Requantizer, normalizer: Normalizer
    ) -> None:
        """Count clipped values; ``requantized`` says that the requantiser's belong to a beat."""
        lanes = self.config.vector.lanes
        clipped = Signal(range(lanes + 1))
        rounded = Signal(range(lanes + 1))
        m.d.sync += [
            clipped.eq(count(requantizer.saturated & requantized.replicate(lanes))),
            rounded.eq(count(normalizer.saturated)),
            self.saturations.eq(clipped + rounded),
        ]
        m.d.comb += self.flushes.eq(normalizer.flushed)


def _ages(
    m: Module, name: str, value: Value, oldest: int, *, reset_less: bool = True
) -> list[Value]:
    """Return ``value`` as it is, as it was one cycle ago, and so on up to ``oldest``."""
    ages = [value]
    for age in range(1, oldest + 1):
        ages.append(Signal(value.shape(), name=f"{name}_{age}", reset_less=reset_less))
        m.d.sync += ages[-1].eq(ages[-2])
    return ages
