"""The host link without its line, in few logic cells."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from systolith_hw.config import Config
from systolith_hw.link_protocol import Identity

from .compact.machine import LinkMachine
from .compact.program import IDENTITY_PLACE, PAYLOAD_BYTES, link_program
from .ports import endpoint_ports

__all__ = ["CompactEndpoint"]

PAGE_BYTES, LARGEST = 256, 32768


class CompactEndpoint(wiring.Component):
    """Do what :class:`.endpoint.LinkEndpoint` does, with a program that takes its time.

    It does one thing after the other, while bytes that come wait in a ring of 255. What the ring
    has no room for is lost, byte by byte: of frames that are lost one behind the other, only
    one may be counted as dropped. A WAIT ends with the next request's first byte, whatever becomes
    of it.

    =========== ======================================================================
    Throughput  a byte that comes in 90 cycles, and one that goes in as many; 90 more
                for each byte of memory
    Stall       never ``i``: what there is no room for is lost
    Golden      ``systolith_sim.board.link_bridge``, with bursts of a byte
    =========== ======================================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``; a beat has 2 bytes.
    identity : Identity
        What this says of itself. ``payload_bytes`` is 64, ``memory_bytes`` a multiple of 256 up to
        32768.

    Members
    -------
    As of :class:`.endpoint.LinkEndpoint`.
    """

    i: Any
    o: Any
    load: Any
    store: Any
    registers: Any
    irq: Signal

    def __init__(self, config: Config, identity: Identity) -> None:
        size, payload = identity.memory_bytes, identity.payload_bytes
        if not 0 < size <= LARGEST or size % PAGE_BYTES:
            raise ValueError(
                f"memory_bytes must be a multiple of {PAGE_BYTES} up to {LARGEST}, not {size}"
            )
        if payload != PAYLOAD_BYTES:
            raise ValueError(f"payload_bytes must be {PAYLOAD_BYTES}, not {payload}")
        contents = [*bytes(IDENTITY_PLACE), *identity.pack()]
        self.machine = LinkMachine(config, link_program(size), contents)
        super().__init__(endpoint_ports(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.machine = machine = self.machine
        connect(m, flipped(self.i), machine.i)
        for name in ("o", "load", "store", "registers"):
            connect(m, getattr(machine, name), flipped(getattr(self, name)))
        m.d.comb += machine.irq.eq(self.irq)
        return m
