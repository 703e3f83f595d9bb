"""Protocol of the host link as plain data, used by hardware, golden model, driver and docs.

Frames go both ways over bytes that may be lost, doubled or changed. A frame is a header of
:data:`HEADER`, a payload, and the CRC-32 of both (that of zlib), least significant byte first;
SLIP (RFC 1055) puts :data:`END` in front and behind, and escapes both of its bytes within.

The host asks; the board answers each request whose CRC is right with one reply, in order, and
drops what is no frame. A reply repeats the request's sequence. Its operation is
``REPLY | status << STATUS_SHIFT | operation``, its address is where the operation ended, and its
length is that of its payload.
"""

import enum
import struct
import typing

__all__ = [
    "BAUDS",
    "CRC_BYTES",
    "END",
    "ESCAPE",
    "ESCAPED_END",
    "ESCAPED_ESCAPE",
    "HEADER",
    "IDENTITY_BYTES",
    "IDENTITY_MAGIC",
    "PROTOCOL_VERSION",
    "REGISTER_BYTES",
    "REPLY",
    "STATUS_SHIFT",
    "WAIT_BYTES",
    "Identity",
    "Operation",
    "Status",
]

PROTOCOL_VERSION = 1

END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
"""SLIP: the byte between frames, the one that escapes, and what follows that one."""

HEADER = struct.Struct("<BBIH")
"""Sequence, operation, address and length."""

CRC_BYTES = 4

BAUDS = (3_000_000, 1_000_000, 115_200)
"""Rates at which boards may listen, in the order in which a driver tries them."""


class Operation(enum.IntEnum):
    """What a request asks for.

    ``length`` is that of its payload, or of the payload that it wants. Registers are accessed
    exactly once: a register frame with sequence and operation of the one before is answered again
    without another access. The sequences of other frames mean nothing to the board.
    """

    IDENTIFY = 0
    """Give the :class:`Identity`, 64 bytes in all versions of the protocol, and forget the last
    register frame. The address is any number, and comes back."""
    READ = 1
    """Give ``length`` bytes of memory, from 1 to the identity's ``payload_bytes``."""
    WRITE = 2
    """Put the payload into memory; the reply says that it is there."""
    READ_REGISTER = 3
    """Give the 32-bit register at byte ``address``; ``length`` is 4."""
    WRITE_REGISTER = 4
    """Write the payload of 4 bytes into the register at byte ``address``."""
    WAIT = 5
    """Reply at the interrupt, after ``address`` cycles or when another request comes, whatever is
    first. The reply's address is how many cycles were left, its payload of 4 bytes says whether
    the interrupt line is high (byte 0) and how many frames were dropped since reset (bytes 2 and
    3, modulo 65,536)."""


class Status(enum.IntEnum):
    """How an operation ended. A reply with an error has no payload."""

    OK = 0
    BAD_OPERATION = 1
    """No such operation."""
    BAD_LENGTH = 2
    """The length is not the payload's, or none that the operation has."""
    BAD_ADDRESS = 3
    """Beyond memory, from the reply's address on; what is in front of it has been written."""
    MEMORY = 4
    """Memory refused an access; the reply's address is behind its burst."""
    REGISTER = 5
    """There is no such register."""


REPLY = 0x80
"""Bit of a reply's operation. A request that has it is dropped without an answer, so that two
boards on one line do not talk for ever."""

STATUS_SHIFT = 4

REGISTER_BYTES = 4
WAIT_BYTES = 4

IDENTITY_MAGIC = b"SYLK"

IDENTITY = struct.Struct("<4sHHIIIII16s20s")
IDENTITY_BYTES = IDENTITY.size


class Identity(typing.NamedTuple):
    """What a board says of itself.

    Parameters
    ----------
    protocol : int
        :data:`PROTOCOL_VERSION`; what follows is as here if it is that one.
    payload_bytes : int
        Longest payload of a frame.
    isa : int
        ``ISA_VERSION`` of its core.
    config_hash : int
        Of the configuration that its core was generated from.
    memory_bytes : int
        Size of external memory.
    clock_hz : int
        Of the core.
    baud : int
        Of the line.
    board : str
        Up to 16 bytes of ASCII.
    gateware : str
        Version of the software that it was built with, up to 20 bytes of ASCII.
    """

    protocol: int
    payload_bytes: int
    isa: int
    config_hash: int
    memory_bytes: int
    clock_hz: int
    baud: int
    board: str
    gateware: str

    def pack(self) -> bytes:
        """Return its 64 bytes.

        Raises
        ------
        ValueError
            If a name is too long or not ASCII.
        """
        names = []
        for field, room in (("board", 16), ("gateware", 20)):
            text = getattr(self, field)
            if not text.isascii() or len(text) > room:
                raise ValueError(f"{field} must be up to {room} letters of ASCII, not {text!r}")
            names.append(text.encode())
        return IDENTITY.pack(IDENTITY_MAGIC, *self[:7], *names)

    @classmethod
    def unpack(cls, raw: bytes) -> "Identity | None":
        """Return what :meth:`pack` made into ``raw``; None if it is no identity."""
        if len(raw) != IDENTITY_BYTES or not raw.startswith(IDENTITY_MAGIC):
            return None
        _, *numbers, board, gateware = IDENTITY.unpack(raw)
        names = (name.rstrip(b"\0").decode("ascii", "replace") for name in (board, gateware))
        return cls(*numbers, *names)
