"""From a serial line to the core and its memory."""

from fractions import Fraction
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.register_port import RegisterPort
from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort
from systolith_hw.isa import ISA_VERSION
from systolith_hw.link_protocol import PROTOCOL_VERSION, Identity

from ..serial.receiver import SerialReceiver
from ..serial.sender import SerialSender
from .endpoint import LinkEndpoint

__all__ = ["LinkBridge"]


class LinkBridge(wiring.Component):
    """The host link's end on the board, of a serial line of 8 bits, no parity and a stop bit.

    ::

        rx ─► SerialReceiver ─► ┌──────────────┐
                                │ LinkEndpoint │ ─► load, store, registers
        tx ◄─ SerialSender   ◄─ └──────────────┘

    Parameters
    ----------
    config : Config
        Of the core; uses ``bus`` and ``hash``.
    memory_bytes : int
        Size of external memory.
    clock_hz : int
        Of the domain that this is in: the core's.
    baud : int
        Of the line. A bit is at least 4 cycles of the clock, and any fraction.
    board, gateware : str
        Names for :class:`~systolith_hw.link_protocol.Identity`.
    payload_bytes : int
        Longest payload of a frame.
    burst_bytes : int
        Longest burst in memory. :class:`LinkEndpoint` tells what sizes there can be.

    Members
    -------
    rx : In(1), tx : Out(1)
        The line; ``rx`` is synchronised here, ``tx`` is a register.
    load : Out(ReadPort(config)), store : Out(WritePort(config)), registers : Out(RegisterPort())
    irq : In(1)
        The core's interrupt line.
    active : Out(1)
        Bits go over the line: for a lamp.
    """

    rx: Signal
    tx: Signal
    load: Any
    store: Any
    registers: Any
    irq: Signal
    active: Signal

    def __init__(
        self, config: Config, *, memory_bytes: int, clock_hz: int, baud: int, board: str,
        gateware: str, payload_bytes: int = 512, burst_bytes: int = 64,
    ) -> None:  # fmt: skip
        self.identity = Identity(
            protocol=PROTOCOL_VERSION, payload_bytes=payload_bytes, isa=ISA_VERSION,
            config_hash=config.hash, memory_bytes=memory_bytes, clock_hz=clock_hz, baud=baud,
            board=board, gateware=gateware,
        )  # fmt: skip
        cycles = Fraction(clock_hz, baud)
        self.receiver, self.sender = SerialReceiver(cycles), SerialSender(cycles)
        self.endpoint = self._endpoint(config, burst_bytes)
        super().__init__({
            "rx": In(1), "tx": Out(1),
            "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
            "registers": Out(RegisterPort()), "irq": In(1), "active": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.endpoint = endpoint = self.endpoint
        m.submodules.sender = sender = self.sender
        connect(m, endpoint.o, sender.i)
        for name in ("load", "store", "registers"):
            connect(m, getattr(endpoint, name), flipped(getattr(self, name)))
        m.d.comb += [
            receiver.rx.eq(self.rx),
            # It is ready again long before the next byte can be there.
            endpoint.i.valid.eq(receiver.o.valid),
            endpoint.i.payload.eq(receiver.o.payload),
            endpoint.irq.eq(self.irq),
            self.tx.eq(sender.tx),
        ]
        m.d.sync += self.active.eq(~self.rx | ~self.tx)
        return m

    def _endpoint(self, config: Config, burst_bytes: int) -> Any:
        """Return what answers."""
        return LinkEndpoint(config, self.identity, burst_bytes)
