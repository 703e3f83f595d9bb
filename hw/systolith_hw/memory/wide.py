"""Wide memory: 32-bit fixed-point values, ``lanes`` of them in a word."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import wide_write
from .wide_store import WideStore

__all__ = ["WideMemory", "WideRead"]


class WideRead(wiring.Signature):
    """The reading side of wide memory, seen from the reader.

    Parameters
    ----------
    config : Config
        The one description.
    yields : bool
        Another reader goes first.

    Members
    -------
    address : Out(range(memory.wide_words)), enable : Out(1)
        Read this word.
    data : In(lanes of 32 bits)
        The word, ``Config.wide_latency`` cycles after ``enable``; held until the word of the next
        ``enable``, but for a cycle only where there is another reader, that yields.
    ready : In(1)
        Only of a reader that yields, which may raise ``enable`` while it is one. Then it is zero
        until the word is read, and ``data`` comes ``Config.wide_latency - 1`` cycles after it is
        one again: ``Config.store_latency`` after ``enable`` if nobody else read.
    """

    def __init__(self, config: Config, *, yields: bool = False) -> None:
        shape = wide_write(config)
        super().__init__({
            "address": Out(shape["address"].shape),
            "enable": Out(1),
            "data": In(shape["data"].shape),
            **({"ready": In(1)} if yields else {}),
        })


class WideMemory(wiring.Component):
    """Keep wide words: written by the vector unit and LOAD, read by STORE and the vector unit.

    ::

        vector ──► register ──► first ┐
        load ─────────────────► then ─┴─► register ──► memory ──► register ──► hold ──► read
        read: address ──────────────────► register ──────┘

    With ``vector.rows`` the vector unit reads, too, whenever it likes. What STORE asks for waits
    in a register for a cycle in which it does not. ::

        first: address ─────────────► first ┐
        read: address ──► register ──► then ┴─► register ──► memory ──► register ──┬───► first
                                                                                  └ hold ► read

    The blocks of a large memory are far apart, and what is written has a cycle on its way to them;
    what the vector unit writes has two, so that a register tells LOAD of it.
    With short pipelines writes have no register, and reads only that in front of the memory.

    =========== =============================================================
    Latency     3 cycles from ``read.enable`` to ``read.data``, 4 if far, 2 with short
                pipelines (``Config.wide_latency``); a word may be
                read 2 cycles after it was taken, the vector unit's 3, with
                short pipelines 1. With ``vector.rows`` reading takes STORE
                a cycle more (``Config.store_latency``), and longer while
                the vector unit reads
    Throughput  one write and one read per cycle, STORE with ``vector.rows``
                one in 2 cycles; reading a word any earlier gives anything
    Stall       ``load`` waits in the cycle after ``vector`` has written, with
                short pipelines while it writes
    =========== =============================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.wide_words`` and ``vector.lanes``.

    Members
    -------
    vector : In(stream of wide_write, always ready)
        Writes that win.
    load : In(stream of wide_write)
        Writes that yield; ``ready`` is a register, with short pipelines combinational from
        ``vector.valid``.
    read : In(WideRead)
        STORE; with ``vector.rows`` it yields.
    first : In(WideRead)
        The vector unit, only with ``vector.rows``.
    """

    vector: stream.Interface
    load: stream.Interface
    read: Any
    first: Any

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "vector": In(stream.Signature(wide_write(config), always_ready=True)),
            "load": In(stream.Signature(wide_write(config))),
            "read": In(WideRead(config, yields=bool(config.vector.rows))),
            **({"first": In(WideRead(config))} if config.vector.rows else {}),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.store = store = WideStore(self.config)
        valid, payload, room = self._vector(m)
        m.d.comb += [
            self.load.ready.eq(room),
            store.write.eq(Mux(valid, payload, self.load.payload)),
            store.write_enable.eq(valid | self.load.valid),
        ]
        if self.config.vector.rows:
            self._elaborate_readers(m, store)
        else:
            self._elaborate_reader(m, store)
        return m

    def _vector(self, m: Module) -> tuple[Value, Any, Value]:
        """Return whether the vector unit writes, what, and whether there is room for LOAD."""
        if self.config.short_pipelines:
            return self.vector.valid, self.vector.payload, ~self.vector.valid
        valid, room = Signal(), Signal(init=1)
        payload: Any = Signal(wide_write(self.config), reset_less=True)
        m.d.sync += [
            valid.eq(self.vector.valid),
            payload.eq(self.vector.payload),
            room.eq(~self.vector.valid),
        ]
        return valid, payload, room

    def _elaborate_reader(self, m: Module, store: WideStore) -> None:
        """Read for STORE alone."""
        m.d.comb += [
            store.read_enable.eq(self.read.enable), store.read_address.eq(self.read.address)
        ]  # fmt: skip
        if self.config.short_pipelines:
            m.d.comb += self.read.data.eq(store.read_data)
        else:
            self._hold(m, store, self.read.enable)

    def _elaborate_readers(self, m: Module, store: WideStore) -> None:
        """Read for the vector unit, which takes its word when it comes, else for STORE."""
        waiting = Signal()
        place = Signal.like(self.read.address, reset_less=True)
        with m.If(~waiting):
            m.d.sync += place.eq(self.read.address)
        m.d.comb += [
            self.read.ready.eq(~waiting),
            store.read_enable.eq(1),
            store.read_address.eq(Mux(self.first.enable, self.first.address, place)),
            self.first.data.eq(store.read_data),
        ]
        m.d.sync += waiting.eq(self.read.enable | (waiting & self.first.enable))
        self._hold(m, store, waiting & ~self.first.enable)

    def _hold(self, m: Module, store: WideStore, reads: Value) -> None:
        """Show STORE the word that was read for it last."""
        came: Value = reads
        for age in range(self.config.wide_latency):
            before = came
            came = Signal(name=f"came_{age}")
            m.d.sync += came.eq(before)
        word = Signal.like(self.read.data, reset_less=True)
        m.d.comb += self.read.data.eq(Mux(came, store.read_data.as_value(), word.as_value()))
        m.d.sync += word.eq(self.read.data)
