"""The core's own interfaces as ports: no bus, but what a bus would be made of."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import FETCH_OUTSTANDING, Config
from .memory_side import MemorySide
from .register_port import RegisterPort

__all__ = ["Native", "NativeMemory", "NativeRegisters"]


def _address(name: str, config: Config) -> dict[str, Any]:
    return {
        f"{name}_request_valid": Out(1),
        f"{name}_request_ready": In(1),
        f"{name}_request_address": Out(config.bus.address_bits),
        f"{name}_request_last": Out(8),
    }


class Native(wiring.Signature):
    """Two read ports, ``fetch`` and ``load``, and a write port, ``store``, seen from the core.

    A request is a burst of ``last + 1`` consecutive beats inside a page of 4096 bytes, and is
    offered until it is taken. Reads are answered beat by beat in the order of the port's requests,
    each burst's last beat with ``data_last``; the three ports know nothing of one another. Data of
    writes come in the order of the requests, those of a burst not before its request has been
    taken, and each burst gets one response, in order, which is always taken.
    """

    def __init__(self, config: Config) -> None:
        bits = config.bus.data_bytes * 8
        members: dict[str, Any] = {}
        for name in ("fetch", "load"):
            members |= {
                **_address(name, config),
                f"{name}_data_valid": In(1),
                f"{name}_data_ready": Out(1),
                f"{name}_data_data": In(bits),
                f"{name}_data_error": In(1),
                f"{name}_data_last": In(1),
            }
        super().__init__({
            **members,
            **_address("store", config),
            "store_data_valid": Out(1),
            "store_data_ready": In(1),
            "store_data_data": Out(bits),
            "store_data_strobe": Out(config.bus.data_bytes),
            "store_data_last": Out(1),
            "store_response_valid": In(1),
            "store_response_error": In(1),
        })


class NativeMemory(MemorySide):
    """Give the core's memory ports to whoever is around it, within the limits that it counts on.

    =========== ==========================================================
    Latency     none
    Throughput  1 request and 1 beat per cycle
    Stall       combinational paths lead from the ports into the core, as far
                as the core's own do
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``: LOAD and STORE each have at most ``outstanding`` bursts under way, fetch two.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config, Native(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, outstanding = self.bus, self.config.bus.outstanding
        busy = [
            self._elaborate_read(m, "fetch", self.fetch, FETCH_OUTSTANDING),
            self._elaborate_read(m, "load", self.load, outstanding),
            self._elaborate_request(m, "store", self.store, outstanding, bus.store_response_valid),
        ]
        beats, response = self.store.data, self.store.response
        m.d.comb += [
            bus.store_data_valid.eq(beats.valid),
            bus.store_data_data.eq(beats.p.data),
            bus.store_data_strobe.eq(beats.p.strobe),
            bus.store_data_last.eq(beats.p.last),
            beats.ready.eq(bus.store_data_ready),
            response.valid.eq(bus.store_response_valid),
            response.payload.eq(bus.store_response_error),
            self.idle.eq(~(Cat(busy).any() | beats.valid)),
        ]
        return m

    def _elaborate_read(self, m: Module, name: str, client, limit: int) -> Value:
        """Connect a read port; return "busy"."""
        valid, ready = (getattr(self.bus, f"{name}_data_{end}") for end in ("valid", "ready"))
        m.d.comb += [
            client.data.valid.eq(valid),
            client.data.p.data.eq(getattr(self.bus, f"{name}_data_data")),
            client.data.p.error.eq(getattr(self.bus, f"{name}_data_error")),
            ready.eq(client.data.ready),
        ]
        ends = valid & ready & getattr(self.bus, f"{name}_data_last")
        return self._elaborate_request(m, name, client, limit, ends)

    def _elaborate_request(self, m: Module, name: str, client, limit: int, ends: Value) -> Value:
        """Pass requests on while fewer than ``limit`` bursts are under way; return "busy"."""
        valid, ready, address, last = (
            getattr(self.bus, f"{name}_request_{part}")
            for part in ("valid", "ready", "address", "last")
        )
        level = Signal(range(limit + 1), name=f"{name}_level")
        room = Signal(name=f"{name}_room")
        m.d.comb += [
            room.eq(level != limit),
            valid.eq(client.request.valid & room),
            client.request.ready.eq(ready & room),
            address.eq(client.request.p.address),
            last.eq(client.request.p.last),
        ]
        m.d.sync += level.eq(level + (valid & ready) - ends)
        return level.any() | client.request.valid


class NativeRegisters(wiring.Component):
    """Give the port of the control registers to whoever is around the core.

    Members
    -------
    bus : In(RegisterPort)
        From the host.
    port : Out(RegisterPort)
        To the registers.
    """

    bus: Any
    port: Any

    def __init__(self) -> None:
        super().__init__({"bus": In(RegisterPort()), "port": Out(RegisterPort())})

    def elaborate(self, platform) -> Module:
        m = Module()
        connect(m, flipped(self.bus), flipped(self.port))
        return m
