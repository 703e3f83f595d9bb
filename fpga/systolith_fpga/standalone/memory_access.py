"""Single accesses of a bus to a board's memory."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort

from ..soc.wishbone import Pipelined

__all__ = ["MemoryAccess"]


class MemoryAccess(wiring.Component):
    """Make a burst of one beat of each access.

    =========== ==================================================
    Latency     2 cycles, and what memory takes
    Throughput  one access at a time
    Stall       from an access to its answer
    =========== ==================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.

    Members
    -------
    bus : In(Pipelined(bus.address_bits - log2(bus.data_bytes), bus.data_bytes))
    load : Out(ReadPort(config)), store : Out(WritePort(config))
        Of :class:`~systolith_fpga.memory.memory_system.MemorySystem`.
    """

    bus: Any
    load: Any
    store: Any

    def __init__(self, config: Config) -> None:
        self.shift = ceil_log2(config.bus.data_bytes)
        bus = Pipelined(config.bus.address_bits - self.shift, config.bus.data_bytes)
        super().__init__({
            "bus": In(bus), "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, load, store = self.bus, self.load, self.store
        address, idle = Signal.like(bus.adr), Signal()
        m.d.comb += [
            bus.stall.eq(~idle), store.data.p.last.eq(1),
            *(port.request.p.address.eq(address << self.shift) for port in (load, store)),
        ]  # fmt: skip
        m.d.sync += [bus.ack.eq(0), bus.err.eq(0)]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += idle.eq(1)
                with m.If(bus.cyc & bus.stb):
                    m.d.sync += [
                        address.eq(bus.adr), store.data.p.data.eq(bus.dat_w),
                        store.data.p.strobe.eq(bus.sel),
                    ]  # fmt: skip
                    m.next = "read"
                    with m.If(bus.we):
                        m.next = "write"
            with m.State("read"):
                m.d.comb += load.request.valid.eq(1)
                with m.If(load.request.ready):
                    m.next = "data"
            with m.State("data"):
                m.d.comb += load.data.ready.eq(1)
                with m.If(load.data.valid):
                    m.d.sync += [
                        bus.dat_r.eq(load.data.p.data), bus.ack.eq(~load.data.p.error),
                        bus.err.eq(load.data.p.error),
                    ]  # fmt: skip
                    m.next = "idle"
            with m.State("write"):
                m.d.comb += store.request.valid.eq(1)
                with m.If(store.request.ready):
                    m.next = "beat"
            with m.State("beat"):
                m.d.comb += store.data.valid.eq(1)
                with m.If(store.data.ready):
                    m.next = "response"
            with m.State("response"):
                with m.If(store.response.valid):
                    m.d.sync += [
                        bus.ack.eq(~store.response.payload), bus.err.eq(store.response.payload)
                    ]  # fmt: skip
                    m.next = "idle"
        return m
