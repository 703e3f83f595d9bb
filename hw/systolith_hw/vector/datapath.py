"""What is behind the loops of DRAIN, however it is built."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import C, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import (
    SemaphorePost,
    activation_word,
    result_beat,
    scale_stream,
    wide_write,
    word_write,
)
from .drain import drain_beat

__all__ = [
    "EVENTS", "SHORT_REDUCTION", "Datapath", "count", "datapath_ports", "stream_credits",
]  # fmt: skip

SHORT_REDUCTION = 64
"""Elements of the shortest dot product whose results STREAM takes without ever waiting for room."""

EVENTS = data.StructLayout({"busy": 1, "wait_semaphore": 1, "wait_result": 1, "wait_store": 1})
"""The vector unit's strobes for the counters."""


def datapath_ports(config: Config) -> dict[str, wiring.Member]:
    """Return the ports that join DRAIN's beats with sums, and write what comes of them.

    Members
    -------
    beats : In(stream of drain_beat(config))
        What to do.
    results : In(stream of result_beat(config))
        Sums, C / L beats for each result.
    scale_writes : In(scale_stream(config))
        Into the scale memory, which is in here.
    words : Out(stream of word_write(config), always ready)
        Activation words.
    wide : Out(stream of wide_write(config), always ready)
        Fixed-point values.
    stream : Out(stream of activation_word(config))
        Activation words for STORE.
    post_inner, post_outer : Out(SemaphorePost)
        Semaphores; given in the cycle in which the word they tell of is written.
    halt : In(1)
        Take nothing.
    waiting : In(1)
        No beat is here because of a semaphore.
    empty : Out(1)
        All beats taken are written, counted, and gone.
    events : Out(EVENTS)
        For the counters.
    saturations : Out(range(R + L + 1)), flushes : Out(1)
        Values clipped and blocks flushed in a cycle.
    """
    many = config.array.rows + config.vector.lanes
    return {
        "beats": In(stream.Signature(drain_beat(config))),
        "results": In(stream.Signature(result_beat(config))),
        "scale_writes": In(scale_stream(config)),
        "words": Out(stream.Signature(word_write(config), always_ready=True)),
        "wide": Out(stream.Signature(wide_write(config), always_ready=True)),
        "stream": Out(stream.Signature(activation_word(config))),
        "post_inner": Out(SemaphorePost()),
        "post_outer": Out(SemaphorePost()),
        "halt": In(1),
        "waiting": In(1),
        "empty": Out(1),
        "events": Out(EVENTS),
        "saturations": Out(range(many + 1)),
        "flushes": Out(1),
    }


def count(flags: Value) -> Value:
    """Return how many bits are one."""
    return sum(flags, C(0, 1))


def stream_credits(config: Config, trip: int) -> int:
    """Return how many words the array makes in ``trip`` cycles, a credit's way and back."""
    rows, columns = config.array.rows, config.array.columns
    # A word takes several results, or a result gives several words at once.
    interval = max(
        max(rows, columns) // config.vector.lanes, SHORT_REDUCTION // min(rows, columns)
    )
    return -(-trip // interval) * max(1, columns // rows)


class Datapath(wiring.Component):
    """What the datapaths have in common: their ports.

    Parameters
    ----------
    config : Config
        The one description.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.
    more : Mapping from str to Member
        Ports besides, or in place of those.

    Members
    -------
    As in :func:`datapath_ports`.
    """

    beats: stream.Interface
    results: stream.Interface
    scale_writes: stream.Interface
    words: stream.Interface
    wide: stream.Interface
    stream: stream.Interface
    post_inner: Any
    post_outer: Any
    halt: Signal
    waiting: Signal
    empty: Signal
    events: data.View
    saturations: Signal
    flushes: Signal

    def __init__(
        self, config: Config, target: str = "generic",
        more: Mapping[str, wiring.Member] | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.target = target
        super().__init__({**datapath_ports(config), **(more or {})})
