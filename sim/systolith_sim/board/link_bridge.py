"""Golden model of :class:`systolith_fpga.link.endpoint.LinkEndpoint`: bytes in, bytes out."""

import struct
import typing
import zlib

from systolith_hw.config import Config
from systolith_hw.link_protocol import (
    CRC_BYTES,
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
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

__all__ = ["LinkBridge", "Memory", "Registers"]


class Memory(typing.Protocol):
    """External memory, one beat of a burst at a time."""

    def read_beat(self, address: int) -> bytes | None:
        """Return the beat at ``address``; None for the bus's error."""

    def write_beat(self, address: int, data: bytes, strobe: int) -> bool:
        """Write the bytes of a beat whose bits of ``strobe`` are set; return whether it did."""


class Registers(typing.Protocol):
    """The core's registers."""

    def read(self, address: int) -> int | None:
        """Return a register; None if there is none."""

    def write(self, address: int, value: int) -> bool:
        """Write a register; return whether there is one."""


class LinkBridge:
    """Answer frames.

    Parameters
    ----------
    config : Config
        Uses ``bus.data_bytes``.
    identity : Identity
    burst_bytes : int
    memory : Memory
    registers : Registers

    Attributes
    ----------
    irq : bool
        The interrupt line. The hardware would wait for it; here all cycles of a WAIT have passed
        if it is low.
    dropped : int
        Frames that were none.
    """

    def __init__(
        self, config: Config, identity: Identity, burst_bytes: int, memory: Memory,
        registers: Registers,
    ) -> None:  # fmt: skip
        self.data_bytes = config.bus.data_bytes
        self.identity = identity
        self.burst_bytes = burst_bytes
        self.memory = memory
        self.registers = registers
        self.irq = False
        self.dropped = 0
        self._frame = bytearray()
        self._bad = self._escaped = False
        self._kept: tuple[tuple[int, bool], int | None] | None = None

    def receive(self, line: bytes) -> bytes:
        """Return what goes back for bytes that came, be they a part of a frame or several."""
        return b"".join(map(self._byte, line))

    def wait(self, cycles: int) -> int:
        """Wait for ``irq`` or for so many cycles; return how many are left."""
        return cycles if self.irq else 0

    def _byte(self, byte: int) -> bytes:
        longest = HEADER.size + self.identity.payload_bytes + CRC_BYTES
        if byte == END:
            return self._end()
        if self._escaped:
            self._escaped = False
            found = {ESCAPED_END: END, ESCAPED_ESCAPE: ESCAPE}.get(byte)
            if found is None:
                self._bad = True
                return b""
            byte = found
        elif byte == ESCAPE:
            self._escaped = True
            return b""
        if len(self._frame) == longest:
            self._bad = True
        else:
            self._frame.append(byte)
        return b""

    def _end(self) -> bytes:
        frame, bad = bytes(self._frame), self._bad or self._escaped
        self._frame, self._bad, self._escaped = bytearray(), False, False
        body, crc = frame[:-CRC_BYTES], frame[-CRC_BYTES:]
        right = len(body) >= HEADER.size and crc == zlib.crc32(body).to_bytes(4, "little")
        if right and not bad:
            return self._execute(body)
        self.dropped = (self.dropped + bool(frame or bad)) & 0xFFFF
        return b""

    def _execute(self, frame: bytes) -> bytes:
        sequence, operation, address, length = HEADER.unpack_from(frame)
        payload = frame[HEADER.size :]
        if operation & REPLY:
            return b""
        lengths = (length, len(payload))
        wanted = {
            Operation.IDENTIFY: lengths == (IDENTITY_BYTES, 0),
            Operation.READ: 0 < length <= self.identity.payload_bytes and not payload,
            Operation.WRITE: length == len(payload) > 0,
            Operation.READ_REGISTER: lengths == (REGISTER_BYTES, 0),
            Operation.WRITE_REGISTER: lengths == (REGISTER_BYTES, REGISTER_BYTES),
            Operation.WAIT: lengths == (WAIT_BYTES, 0),
        }
        status, result = Status.OK, b""
        if operation not in wanted:
            status = Status.BAD_OPERATION
        elif not wanted[Operation(operation)]:
            status = Status.BAD_LENGTH
        elif operation in (Operation.READ, Operation.WRITE):
            status, address, result = self._move(address, length, payload)
        elif operation in (Operation.READ_REGISTER, Operation.WRITE_REGISTER):
            status, result = self._access(sequence, address, payload)
        elif operation == Operation.WAIT:
            address = self.wait(address)
            result = struct.pack("<HH", self.irq, self.dropped)
        else:
            self._kept, result = None, self.identity.pack()
        kind = REPLY | status << STATUS_SHIFT | operation & (1 << STATUS_SHIFT) - 1
        body = HEADER.pack(sequence, kind, address, len(result)) + result
        return _enclose(body + zlib.crc32(body).to_bytes(4, "little"))

    def _move(self, address: int, length: int, payload: bytes) -> tuple[Status, int, bytes]:
        """Read or write memory burst by burst, up to the first error."""
        result, end = b"", address + length
        while address < end:
            if address >= self.identity.memory_bytes:
                return Status.BAD_ADDRESS, address, b""
            stop = min(end, address // self.burst_bytes * self.burst_bytes + self.burst_bytes)
            failed = False
            for beat in range(address // self.data_bytes, -(-stop // self.data_bytes)):
                base = beat * self.data_bytes
                lanes = range(max(address - base, 0), min(stop - base, self.data_bytes))
                if payload:
                    data, strobe = bytearray(self.data_bytes), 0
                    for lane in lanes:
                        data[lane] = payload[base + lane - end + length]
                        strobe |= 1 << lane
                    failed |= not self.memory.write_beat(base, bytes(data), strobe)
                else:
                    found = self.memory.read_beat(base)
                    failed |= found is None
                    result += bytes((found or bytes(self.data_bytes))[i] for i in lanes)
            address = stop
            if failed:
                return Status.MEMORY, address, b""
        return Status.OK, address, result

    def _access(self, sequence: int, address: int, payload: bytes) -> tuple[Status, bytes]:
        """Access a register, unless that was done for this sequence."""
        key = sequence, bool(payload)
        if self._kept is None or self._kept[0] != key:
            if payload:
                done = self.registers.write(address, int.from_bytes(payload, "little"))
                value = 0 if done else None
            else:
                value = self.registers.read(address)
            self._kept = key, value
        value = self._kept[1]
        if value is None:
            return Status.REGISTER, b""
        return Status.OK, b"" if payload else value.to_bytes(4, "little")


def _enclose(raw: bytes) -> bytes:
    """Escape a frame, and put END in front and behind."""
    raw = raw.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE]))
    raw = raw.replace(bytes([END]), bytes([ESCAPE, ESCAPED_END]))
    return bytes([END]) + raw + bytes([END])
