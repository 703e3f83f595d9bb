"""Frames of the host link as bytes."""

import typing
import zlib
from collections.abc import Iterator

from systolith_hw.link_protocol import (
    CRC_BYTES,
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    HEADER,
    REPLY,
    STATUS_SHIFT,
    Status,
)

__all__ = ["Decoder", "Reply", "encode"]

END_BYTE = bytes([END])
ESCAPES = ((bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE])),
           (END_BYTE, bytes([ESCAPE, ESCAPED_END])))  # fmt: skip
"""What stands for the two bytes inside a frame, in the order in which they are replaced."""

MAX_BYTES = 1 << 17
"""Of a frame, above which what comes is noise."""


class Reply(typing.NamedTuple):
    """What a board answered."""

    sequence: int
    operation: int
    status: int
    address: int
    payload: bytes


def encode(sequence: int, operation: int, address: int, length: int, payload: bytes) -> bytes:
    """Return a request as it goes over the line."""
    body = HEADER.pack(sequence, operation, address, length) + payload
    raw = body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    for byte, pair in ESCAPES:
        raw = raw.replace(byte, pair)
    return END_BYTE + raw + END_BYTE


class Decoder:
    """Find replies among the bytes that come.

    Attributes
    ----------
    dropped : int
        What was between two END, and no reply.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._rest = b""

    def feed(self, line: bytes) -> Iterator[Reply]:
        """Yield the replies that ``line`` completes."""
        *frames, self._rest = (self._rest + line).split(END_BYTE)
        self._rest = self._rest[-MAX_BYTES:]
        for raw in filter(None, frames):
            reply = _decode(raw)
            if reply is None:
                self.dropped += 1
            else:
                yield reply


def _decode(raw: bytes) -> Reply | None:
    """Return the reply between two END; None if it is none."""
    for byte, pair in reversed(ESCAPES):
        raw = raw.replace(pair, byte)
    body, crc = raw[:-CRC_BYTES], raw[-CRC_BYTES:]
    if len(body) < HEADER.size or zlib.crc32(body).to_bytes(CRC_BYTES, "little") != crc:
        return None
    sequence, kind, address, length = HEADER.unpack_from(body)
    payload = body[HEADER.size :]
    status = (kind & ~REPLY) >> STATUS_SHIFT
    if not kind & REPLY or length != len(payload) or status not in list(Status):
        return None
    return Reply(sequence, kind & (1 << STATUS_SHIFT) - 1, status, address, payload)
