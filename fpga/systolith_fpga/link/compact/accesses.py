"""The compact endpoint's accesses of memory and registers."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.register_port import RegisterPort
from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort

__all__ = ["Accesses"]

REGISTER_BYTES = 4


class Accesses(wiring.Component):
    """Load or store a byte, or access a register, at an address that comes in two halves.

    Parameters
    ----------
    config : Config
        Uses ``bus``; a beat has 2 bytes.

    Members
    -------
    load : Out(ReadPort(config)), store : Out(WritePort(config)), registers : Out(RegisterPort())
    value : In(8)
        For the address, for the word, and to store; steady from ``start`` on while ``busy``.
    low, high : In(1)
        ``value`` is a half of the address.
    push, pull : In(1)
        Shift the word, whose highest byte becomes ``value``.
    word : Out(8)
        Its lowest byte. Behind a load, that is what was loaded; behind an access of a register
        the word is what that gave.
    start : In(4)
        Begin, for a cycle: :class:`~.instructions.Start`.
    busy : Out(1)
        An access is under way.
    failed : Out(1)
        The last load or store was answered with an error.
    """

    load: Any
    store: Any
    registers: Any
    value: Signal
    low: Signal
    high: Signal
    push: Signal
    pull: Signal
    word: Signal
    start: Signal
    busy: Signal
    failed: Signal

    def __init__(self, config: Config) -> None:
        if config.bus.data_bytes != 2:
            raise ValueError(f"bus.data_bytes must be 2, not {config.bus.data_bytes}")
        super().__init__({
            "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
            "registers": Out(RegisterPort()), "value": In(8), "low": In(1), "high": In(1),
            "push": In(1), "pull": In(1), "word": Out(8), "start": In(4), "busy": Out(1),
            "failed": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        load, store, port = self.load, self.store, self.registers
        address, word, starts = Signal(16), Signal(8 * REGISTER_BYTES), Signal(4)
        odd = address[0]
        with m.If(self.low):
            m.d.sync += address[:8].eq(self.value)
        with m.If(self.high):
            m.d.sync += address[8:].eq(self.value)
        with m.If(self.start.any()):
            m.d.sync += [starts.eq(self.start), self.busy.eq(1)]
        requested = Signal()  # the data of a store go behind its request
        for request in (load.request, store.request):
            m.d.comb += [request.p.address.eq(Cat(C(0, 1), address[1:])), request.p.last.eq(0)]
        m.d.comb += [
            load.request.valid.eq(starts[0]), load.data.ready.eq(1),
            store.request.valid.eq(starts[1]), store.data.valid.eq(requested),
            store.data.p.data.eq(self.value.replicate(2)),
            store.data.p.strobe.eq(Cat(~odd, odd)), store.data.p.last.eq(1),
            port.address.eq(address), port.write_data.eq(word),
            port.read.eq(starts[2]), port.write.eq(starts[3]), self.word.eq(word[:8]),
        ]  # fmt: skip
        m.d.sync += starts[2:].eq(self.start[2:])
        with m.If(load.request.ready & starts[0]):
            m.d.sync += starts[0].eq(0)
        with m.If(store.request.ready & starts[1]):
            m.d.sync += [starts[1].eq(0), requested.eq(1)]
        with m.If(store.data.ready & requested):
            m.d.sync += requested.eq(0)
        with m.If(load.data.valid | store.response.valid | port.valid):
            m.d.sync += [
                self.busy.eq(0),
                self.failed.eq(Mux(load.data.valid, load.data.p.error, store.response.payload)),
            ]
        with m.If(port.valid):
            m.d.sync += word.eq(port.read_data)
        with m.Elif(self.push | self.pull | load.data.valid):
            m.d.sync += word.eq(Cat(word[8:], self.value))
        with m.If(load.data.valid):
            m.d.sync += word[:8].eq(load.data.p.data.word_select(odd, 8))
        return m
