"""Reads a word for READ, on the port of the program fetch."""

from typing import Any

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import Config
from ..interfaces import ReadPort
from ..isa import SLOT_BITS

__all__ = ["QUIET_CYCLES", "READ_BYTES", "WordReader"]

READ_BYTES = 4
"""What READ reads."""

QUIET_CYCLES = 4
"""Cycles in a row in which units must be idle: an instruction may be in the registers between queue
and unit, where neither sees it."""


class State(enum.Enum, shape=2):
    """What is done: let the fetch ask, wait for its last beats, ask, take."""

    IDLE = 0
    WAIT = 1
    ASK = 2
    TAKE = 3


class WordReader(wiring.Component):
    """Reads a word for READ, between two bursts of the program fetch, or VECTOR's last number.

    ::

        fetch request ──►[ unless a word is read ]──► bus request
        fetch data    ◄──[          "            ]◄── bus data ──► word ◄── number

    The fetch asks for nothing new while a word is wanted, and what it has asked for comes first, so
    the two need no numbers to tell their beats apart. VECTOR's number is taken when that has been
    idle for some cycles.

    =========== ==========================================================
    Latency     2 cycles from ``read`` to the request if the fetch is quiet, 1 from the last beat to
                ``done``; no cycle for what passes through
    Stall       ``fetch.request.ready`` and ``fetch.data.valid`` come combinationally from ``bus``
    =========== ==========================================================

    A halt does not keep a request that waits for the bus, or its beats, from coming to an end.

    Parameters
    ----------
    config : Config
        Uses ``bus``.

    Members
    -------
    fetch : In(ReadPort)
        The program fetch.
    quiet : In(1)
        None of its beats is outstanding.
    bus : Out(ReadPort)
        External memory.
    halt : In(1)
        Begin nothing.
    read : In(1), address : In(address_bits)
        Read a word here, a multiple of 4; all hold until ``done``.
    numbered : In(1)
        Take ``number`` in its place.
    fresh : In(1)
        With ``numbered``: not when VECTOR is idle, but when there is one that no such read has had.
    number : In(16), vector_idle : In(1)
        Of VECTOR.
    told : In(1)
        The number is a new one.
    forget : In(1)
        There is none yet.
    done : Out(1)
        The word is there, for one cycle.
    failed : Out(1), word : Out(32)
        Whether the bus answered with an error, and the word; they stay until ``read``.
    """

    fetch: Any
    quiet: Signal
    bus: Any
    halt: Signal
    read: Signal
    address: Signal
    numbered: Signal
    fresh: Signal
    number: Signal
    vector_idle: Signal
    told: Signal
    forget: Signal
    done: Signal
    failed: Signal
    word: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "fetch": In(ReadPort(config)),
            "quiet": In(1),
            "bus": Out(ReadPort(config)),
            "halt": In(1),
            "read": In(1),
            "address": In(config.bus.address_bits),
            "numbered": In(1),
            "number": In(SLOT_BITS),
            "vector_idle": In(1),
            **dict.fromkeys(("fresh", "told", "forget"), In(1)),
            "done": Out(1),
            "failed": Out(1),
            "word": Out(8 * READ_BYTES),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, fetch = self.bus, self.fetch
        parts = max(READ_BYTES // self.config.bus.data_bytes, 1)
        burst = min(parts, self.config.bus.burst_beats)
        part = Signal(exact_log2(parts))  # the beat that comes next
        word = Signal.like(self.word, reset_less=True)
        m.d.comb += self.word.eq(word)

        state = Signal(State)
        m.d.comb += [
            bus.request.valid.eq(Mux(state == State.IDLE, fetch.request.valid, state == State.ASK)),
            bus.request.payload.eq(fetch.request.payload),
            fetch.request.ready.eq((state == State.IDLE) & bus.request.ready),
            fetch.data.valid.eq(bus.data.valid & (state != State.TAKE)),
            fetch.data.payload.eq(bus.data.payload),
            bus.data.ready.eq(fetch.data.ready | (state == State.TAKE)),
        ]
        with m.If(state == State.ASK):
            m.d.comb += [
                bus.request.p.address.eq(self._address(part)), bus.request.p.last.eq(burst - 1)
            ]  # fmt: skip

        idle = Signal(QUIET_CYCLES)  # bit n: VECTOR was, n + 1 cycles ago and since
        unread = Signal()
        m.d.sync += unread.eq((unread | self.told) & ~self.forget)
        m.d.sync += [self.done.eq(0), idle.eq(Mux(self.vector_idle, Cat(C(1, 1), idle), 0))]
        with m.Switch(state):
            with m.Case(State.IDLE):
                # An offer is not taken back.
                free = ~fetch.request.valid | bus.request.ready
                wanted = self.read & ~self.done & ~self.halt
                with m.If(wanted & self.numbered):
                    there = Mux(self.fresh, unread, idle.all())
                    m.d.sync += [word.eq(self.number), self.failed.eq(0), self.done.eq(there)]
                    with m.If(self.fresh):
                        m.d.sync += unread.eq(self.told & ~self.forget)
                with m.Elif(wanted & free):
                    m.d.sync += [state.eq(State.WAIT), part.eq(0), self.failed.eq(0)]
            with m.Case(State.WAIT):
                with m.If(self.halt):
                    m.d.sync += state.eq(State.IDLE)
                with m.Elif(self.quiet):
                    m.d.sync += state.eq(State.ASK)
            with m.Case(State.ASK):
                with m.If(bus.request.ready):
                    m.d.sync += state.eq(State.TAKE)
            with m.Case(State.TAKE):
                with m.If(bus.data.valid):
                    self._take(m, part, word)
                    with m.If(part[: exact_log2(burst)].all()):
                        m.d.sync += state.eq(State.ASK)
                    with m.If(part.all()):
                        m.d.sync += [state.eq(State.IDLE), self.done.eq(1)]
        return m

    def _address(self, part: Signal) -> Value:
        """Return the address of the beat that holds this part of the word."""
        beat_bits = exact_log2(self.config.bus.data_bytes)
        inside = Cat(part, self.address[len(part) + beat_bits :])
        return Cat(Const(0, beat_bits), inside)

    def _take(self, m: Module, part: Signal, word: Signal) -> None:
        """Keep a beat, or what the word takes of it."""
        data, error = self.bus.data.p.data, self.bus.data.p.error
        if len(part):
            new: Value = Cat(word, data)[len(data) :]
        else:
            new = data.word_select(self.address[2 : exact_log2(len(data) // 8)], 8 * READ_BYTES)
        m.d.sync += [
            word.eq(new), self.failed.eq(self.failed | error), part.eq(part + 1)
        ]  # fmt: skip
