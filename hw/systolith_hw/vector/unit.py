"""The vector unit: from results to activation words, wide words or a stream."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import connect, flipped

from ..config import Config
from ..interfaces import unit_ports
from ..isa import Opcode
from .datapath import datapath_ports
from .drain import DrainLoop
from .pipeline import BeatPipeline
from .stepper import BeatStepper

__all__ = ["VectorUnit"]


class VectorUnit(wiring.Component):
    """Carry out DRAIN: requantise results and write them.

    ::

        instruction ──►[ DrainLoop ]──► beats
                                          ▼
        results ──────────────►[ BeatPipeline or BeatStepper ]──┬──► words
        scale_writes ──────────────►                            ├──► wide
                                                                └──► stream

    A group of a token that does not fill its last activation word ends it early, with zeros; words
    wholly beyond ``columns_last`` are written, as zeros. With short pipelines the unit works on
    one beat at a time (:class:`BeatStepper`), otherwise on one per cycle (:class:`BeatPipeline`).

    =========== ====================================================
    Latency     of the datapath
    Throughput  of the datapath, less 2 cycles between instructions
    Stall       ``results.ready`` comes combinationally from ``results.valid``, and with short
                pipelines from ``wait.ready``; the loops' enable from ``wait.ready``,
                and with short pipelines from ``stream.ready``
    Golden      :func:`systolith_sim.vector.requantizer.requantize`,
                :func:`systolith_sim.vector.normalizer.normalize`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        The one description.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.

    Members
    -------
    instruction : In(stream of descriptor(Opcode.DRAIN))
        What to do.
    results : In(stream of result_beat(config))
        Sums, C / L beats for each result.
    scale_writes : In(stream of scale_write(config), always ready)
        Into the scale memory, which is in here.
    words : Out(stream of word_write(config), always ready)
        Activation words.
    wide : Out(stream of wide_write(config), always ready)
        Fixed-point values.
    stream : Out(stream of activation_word(config))
        Activation words for STORE.
    wait : Out(SemaphoreWait), post_inner, post_outer : Out(SemaphorePost)
        Semaphores; posts come in the cycle in which the word they tell of is written.
    fault : Out(Fault), halt : In(1), idle : Out(1)
        As in every unit. The unit is idle when STORE has taken the whole stream, too.
    events : Out(EVENTS)
        For the counters.
    saturations : Out(range(R + L + 1)), flushes : Out(1)
        Values clipped and blocks flushed in a cycle.
    """

    instruction: stream.Interface
    results: stream.Interface
    scale_writes: stream.Interface
    words: stream.Interface
    wide: stream.Interface
    stream: stream.Interface
    wait: Any
    post_inner: Any
    post_outer: Any
    fault: Any
    halt: Signal
    idle: Signal
    events: data.View
    saturations: Signal
    flushes: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        datapath = datapath_ports(config)
        for name in ("beats", "waiting", "empty"):
            del datapath[name]
        super().__init__({**datapath, **unit_ports(Opcode.DRAIN)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.drain = drain = DrainLoop(self.config)
        kind = BeatStepper if self.config.short_pipelines else BeatPipeline
        m.submodules.datapath = datapath = kind(self.config, self.target)
        for name in ("instruction", "wait", "fault"):
            connect(m, flipped(getattr(self, name)), getattr(drain, name))
        for name in (
            "results", "scale_writes", "words", "wide", "stream", "post_inner", "post_outer"
        ):  # fmt: skip
            connect(m, flipped(getattr(self, name)), getattr(datapath, name))
        connect(m, drain.o, datapath.beats)
        m.d.comb += [
            drain.halt.eq(self.halt),
            datapath.halt.eq(self.halt | self.fault.valid),
            datapath.waiting.eq(drain.waiting),
            self.idle.eq(drain.idle & datapath.empty),
            self.events.eq(datapath.events),
            self.saturations.eq(datapath.saturations),
            self.flushes.eq(datapath.flushes),
        ]
        return m
