"""Wide memory: 32-bit fixed-point values, ``lanes`` of them in a word."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import wide_write

__all__ = ["WideMemory", "WideRead"]


class WideRead(wiring.Signature):
    """The reading side of wide memory, seen from the reader.

    Members
    -------
    address : Out(range(memory.wide_words)), enable : Out(1)
        Read this word.
    data : In(lanes of 32 bits)
        The word, two cycles after ``enable``; held until the word of the next ``enable``.
    """

    def __init__(self, config: Config) -> None:
        shape = wide_write(config)
        super().__init__({
            "address": Out(shape["address"].shape),
            "enable": Out(1),
            "data": In(shape["data"].shape),
        })


class WideMemory(wiring.Component):
    """Keep wide words: written by the vector unit and LOAD, read by STORE.

    ::

        vector ──► first ┐
        load ────► then ─┴─► register ──► memory ──► register ──► read

    The blocks of a large memory are far apart, and what is written has a cycle on its way to them.
    With short pipelines writes have no register, and that of reads is in front of the memory.

    =========== =============================================================
    Latency     2 cycles from ``read.enable`` to ``read.data``; a word may be
                read 2 cycles after it was taken, 1 with short pipelines
    Throughput  one write and one read per cycle; reading a word any earlier
                gives anything
    Stall       ``load`` waits while ``vector`` writes
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
        Writes that yield; ``ready`` is combinational from ``vector.valid``.
    read : In(WideRead)
        The reader.
    """

    vector: stream.Interface
    load: stream.Interface
    read: Any

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "vector": In(stream.Signature(wide_write(config), always_ready=True)),
            "load": In(stream.Signature(wide_write(config))),
            "read": In(WideRead(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: memory.Memory = memory.Memory(
            shape=wide_write(self.config)["data"].shape,
            depth=self.config.memory.wide_words,
            init=[],
            attrs=attrs,
        )
        m.submodules.memory = store
        write, read = store.write_port(), store.read_port()
        chosen: Any = Signal(wide_write(self.config))
        written: Any = Signal(wide_write(self.config), reset_less=True)
        enable = Signal()
        m.d.comb += [
            self.load.ready.eq(~self.vector.valid),
            chosen.eq(Mux(self.vector.valid, self.vector.payload, self.load.payload)),
            write.en.eq(enable),
            write.addr.eq(written.address),
            write.data.eq(written.data),
        ]
        between = m.d.comb if self.config.short_pipelines else m.d.sync
        between += [
            enable.eq(self.vector.valid | self.load.valid),
            written.eq(chosen),
        ]
        if self.config.short_pipelines:
            # The second cycle is spent on the few bits of the address.
            m.d.sync += [read.en.eq(self.read.enable), read.addr.eq(self.read.address)]
            m.d.comb += self.read.data.eq(read.data)
        else:
            # Block RAM is slow to show its output: nothing but this register follows it. It holds
            # the word, since `enable` is late and would have far to go to every block.
            fetched = Signal()
            m.d.sync += fetched.eq(self.read.enable)
            m.d.comb += [read.en.eq(1), read.addr.eq(self.read.address)]
            with m.If(fetched):
                m.d.sync += self.read.data.eq(read.data)
        return m
