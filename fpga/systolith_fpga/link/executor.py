"""What requests of the host ask for."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.register_port import RegisterPort
from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort
from systolith_hw.link_protocol import (
    HEADER,
    IDENTITY_BYTES,
    REGISTER_BYTES,
    REPLY,
    STATUS_SHIFT,
    WAIT_BYTES,
    Identity,
    Operation,
    Status,
)

from .frame_sender import FRAME_BYTE
from .memory_burst import MemoryBurst
from .register_access import RegisterAccess
from .reply_payload import ReplyPayload

__all__ = ["LinkExecutor"]

HEADER_FIELDS = data.StructLayout({"sequence": 8, "operation": 8, "address": 32, "length": 16})
"""As it goes over the line, least significant byte first."""


class LinkExecutor(wiring.Component):
    """Do what a frame asks for, and reply.

    The header goes through one shift register, where it becomes the reply's; the reply's payload
    is collected before, since the header says how that went.

    =========== ===============================================================
    Throughput  one frame at a time, with its reply; about 2 cycles for a byte,
                or what memory and ``o`` take
    Stall       memory, registers, ``o``; WAIT, until the next frame comes
    Golden      ``systolith_sim.board.link_bridge``
    =========== ===============================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``.
    identity : Identity
        Its ``payload_bytes`` and ``memory_bytes`` are those that hold.
    burst_bytes : int
        As for :class:`MemoryBurst`.

    Members
    -------
    i : In(stream of 8 bits)
        Of each frame its size, low byte and high byte, header and payload.
    o : Out(stream of FRAME_BYTE)
        Replies.
    load : Out(ReadPort(config)), store : Out(WritePort(config)), registers : Out(RegisterPort())
    irq : In(1)
    dropped : In(16)
        What WAIT tells.
    """

    i: Any
    o: Any
    load: Any
    store: Any
    registers: Any
    irq: Signal
    dropped: Signal

    def __init__(self, config: Config, identity: Identity, burst_bytes: int) -> None:
        self.identity = identity
        sizes = range(HEADER.size + identity.payload_bytes + 1)
        self.burst = MemoryBurst(config, burst_bytes, sizes)
        self.access, self.payload = RegisterAccess(), ReplyPayload(identity)
        self.header: Any = Signal(HEADER_FIELDS)
        self.left, self.index = Signal(sizes), Signal(3)
        self.status, self.value, self.waiting = Signal(Status), Signal(32), Signal()
        super().__init__({
            "i": In(stream.Signature(8)), "o": Out(stream.Signature(FRAME_BYTE)),
            "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
            "registers": Out(RegisterPort()), "irq": In(1), "dropped": In(16),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        header, left = self.header, self.left
        m.submodules.burst = burst = self.burst
        m.submodules.access = access = self.access
        m.submodules.payload = self.payload
        for child, name in ((burst, "load"), (burst, "store"), (access, "registers")):
            connect(m, getattr(child, name), flipped(getattr(self, name)))
        m.d.comb += [
            burst.address.eq(header.address), burst.left.eq(left),
            burst.i.payload.eq(self.i.payload),
            access.sequence.eq(header.sequence), access.address.eq(header.address),
            access.value.eq(self.value),
            access.writes.eq(header.operation == Operation.WRITE_REGISTER),
            self.payload.i.valid.eq(burst.o.valid), self.payload.i.payload.eq(burst.o.payload),
        ]  # fmt: skip
        with m.If(burst.step | self.waiting):  # of a wait it counts down
            m.d.sync += header.address.eq(header.address + Mux(self.waiting, C(-1, 32), 1))
        with m.If(burst.step):
            m.d.sync += left.eq(left - 1)
        with m.FSM():
            self._take(m)
            self._move(m)
            self._access(m)
            self._wait(m)
            self._reply(m)
        return m

    def _pop(self, m: Module) -> Value:
        """Take a byte of the frame; return whether there is one."""
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            m.d.sync += self.left.eq(self.left - 1)
        return self.i.valid

    def _shift(self, m: Module, byte: Value) -> Value:
        """Move the header on; return whether that was its last byte."""
        raw = Value.cast(self.header)
        m.d.sync += [raw.eq(Cat(raw[8:], byte)), self.index.eq(self.index + 1)]
        return self.index == HEADER.size - 1

    def _take(self, m: Module) -> None:
        """States that take size and header, and leave out what nobody wants."""
        with m.State("size low"):
            m.d.comb += [self.i.ready.eq(1), self.payload.rewind.eq(1)]
            m.d.sync += self.left.eq(self.i.payload)
            with m.If(self.i.valid):
                m.next = "size high"
        with m.State("size high"):
            m.d.comb += self.i.ready.eq(1)
            with m.If(self.i.valid):
                m.d.sync += self.left.eq(Cat(self.left[:8], self.i.payload))
                m.next = "header"
        with m.State("header"):
            with m.If(self._pop(m)):
                with m.If(self._shift(m, self.i.payload)):
                    m.next = "choose"
        with m.State("choose"):
            self._choose(m)
        for name, after in (("skip", "reply"), ("ignore", "size low")):
            with m.State(name):
                with m.If(self.left == 0):
                    m.next = after
                with m.Else():
                    self._pop(m)

    def _choose(self, m: Module) -> None:
        """Go to the operation's states if its lengths are as they must be."""
        length, left = self.header.length, self.left
        asks, gives = left == 0, (left != 0) & (length == left)
        fitting = length.any() & (length <= self.identity.payload_bytes)
        m.d.sync += self.status.eq(Status.BAD_LENGTH)
        m.next = "skip"
        with m.Switch(self.header.operation):
            for operation, fits, state in (
                (Operation.IDENTIFY, asks & (length == IDENTITY_BYTES), "identify"),
                (Operation.READ, asks & fitting, "read"),
                (Operation.WRITE, gives, "burst"),
                (Operation.READ_REGISTER, asks & (length == REGISTER_BYTES), "access"),
                (Operation.WRITE_REGISTER, gives & (left == REGISTER_BYTES), "register value"),
                (Operation.WAIT, asks & (length == WAIT_BYTES), "wait"),
            ):
                with m.Case(operation):
                    with m.If(fits):
                        m.d.sync += self.status.eq(Status.OK)
                        m.next = state
            with m.Case("1-------"):  # no request
                m.next = "ignore"
            with m.Default():
                m.d.sync += self.status.eq(Status.BAD_OPERATION)

    def _move(self, m: Module) -> None:
        """States that make bursts until nothing is left."""
        burst, reading = self.burst, self.header.operation == Operation.READ
        with m.State("read"):
            m.d.sync += self.left.eq(self.header.length)
            m.next = "burst"
        with m.State("burst"):
            m.next = "bursting"
            with m.If(self.header.address >= self.identity.memory_bytes):
                m.d.sync += self.status.eq(Status.BAD_ADDRESS)
                m.next = "moved"
            with m.Else():
                m.d.comb += [burst.read.eq(reading), burst.write.eq(~reading)]
        with m.State("bursting"):
            m.d.comb += [burst.i.valid.eq(self.i.valid), self.i.ready.eq(burst.i.ready)]
            with m.If(burst.done):
                m.next = "burst"
                with m.If(burst.error):
                    m.d.sync += self.status.eq(Status.MEMORY)
                with m.If(burst.error | (self.left == 0)):
                    m.next = "moved"
        with m.State("moved"):
            m.next = "skip"
            with m.If(reading):  # what is left is no part of the frame
                m.next = "reply"

    def _access(self, m: Module) -> None:
        """States that access a register."""
        access = self.access
        with m.State("register value"):
            with m.If(self.left == 0):
                m.next = "access"
            with m.Else():
                with m.If(self._pop(m)):
                    m.d.sync += self.value.eq(Cat(self.value[8:], self.i.payload))
        with m.State("access"):
            m.d.comb += access.go.eq(1)
            m.next = "accessing"
        with m.State("accessing"):
            with m.If(access.done):
                m.d.sync += self.status.eq(Mux(access.error, Status.REGISTER, Status.OK))
                m.next = "reply"
                with m.If(~access.writes & ~access.error):
                    m.next = "value"

    def _wait(self, m: Module) -> None:
        """States that wait, and put a number into the reply."""
        interrupted, number = Signal(), Signal(32)
        waits = self.header.operation == Operation.WAIT
        told = Cat(interrupted, C(0, 15), self.dropped)
        m.d.comb += number.eq(Mux(waits, told, self.registers.read_data))
        with m.State("wait"):
            m.d.sync += interrupted.eq(self.irq)
            with m.If(self.irq | (self.header.address == 0) | self.i.valid):
                m.next = "value"
            with m.Else():
                m.d.comb += self.waiting.eq(1)
        with m.State("value"):
            byte = self.index[:2]
            m.d.comb += [self.payload.i.valid.eq(1),
                         self.payload.i.payload.eq(number.word_select(byte, 8))]  # fmt: skip
            m.d.sync += byte.eq(byte + 1)
            with m.If(byte.all()):
                m.next = "reply"
        with m.State("identify"):
            m.d.comb += [self.payload.identify.eq(1), self.access.forget.eq(1)]
            m.next = "reply"

    def _reply(self, m: Module) -> None:
        """States that send the reply."""
        header, payload, taken = self.header, self.payload, self.o.valid & self.o.ready
        writes = header.operation.matches(Operation.WRITE, Operation.WRITE_REGISTER)
        with m.State("reply"):
            m.d.comb += payload.rewind.eq(1)
            operation = header.operation[:STATUS_SHIFT]
            m.d.sync += [
                header.operation.eq(REPLY | self.status << STATUS_SHIFT | operation),
                self.left.eq(header.length),
            ]
            with m.If(writes | (self.status != Status.OK)):
                m.d.sync += [header.length.eq(0), self.left.eq(0)]
            m.next = "reply header"
        with m.State("reply header"):
            m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(Value.cast(header)[:8])]
            m.d.comb += self.o.p.last.eq((self.index == HEADER.size - 1) & (self.left == 0))
            with m.If(taken):
                with m.If(self._shift(m, Value.cast(header)[:8])):
                    m.next = "reply payload"
        with m.State("reply payload"):
            m.d.comb += [self.o.valid.eq(self.left != 0), self.o.p.data.eq(payload.o.payload),
                         self.o.p.last.eq(self.left == 1), payload.o.ready.eq(taken)]  # fmt: skip
            with m.If(taken):
                m.d.sync += self.left.eq(self.left - 1)
            with m.If(self.left == 0):
                m.d.comb += payload.collect.eq(1)
                m.next = "size low"
