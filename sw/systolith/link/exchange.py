"""Requests and replies over a line that loses, doubles and changes bytes."""

import time
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from systolith_hw.link_protocol import CRC_BYTES, HEADER, Operation
from systolith_sim.device.device import DeviceError

from .frames import Decoder, Reply, encode

__all__ = ["WINDOW", "Exchange", "Line", "Request", "Traffic"]

WINDOW = 32
"""Requests that may be unanswered. Sequences repeat after 256 of them; board and line keep the
order, so that with at most half of that a late answer is none to a request of the same number."""

SEQUENCES = 256
FRAME_BYTES = HEADER.size + CRC_BYTES + 2
BITS = 10
"""Of a byte on the line."""

FLOOR_SECONDS = 0.02
"""Least time to wait beyond what replies have taken lately: that of converters and schedulers."""

FIRST_SECONDS = 0.15
"""What a reply takes besides its time on the line, until that has been measured."""

TRIES = 8
"""How often a request is sent before a board that usually answers at once is given up."""

REGISTERS = (Operation.READ_REGISTER, Operation.WRITE_REGISTER)


class Line(typing.Protocol):
    """Bytes to the board and back."""

    def write(self, data: bytes) -> None:
        """Send."""

    def read(self, seconds: float) -> bytes:
        """Return what has come; wait for up to ``seconds`` if that is nothing."""


class Traffic(typing.NamedTuple):
    """What has gone over a line: bytes to the board and from it, and how often it was waited for
    an answer to one request or to several under way."""

    sent: int
    received: int
    waits: int


class Request(typing.NamedTuple):
    """What the board is asked for.

    Parameters
    ----------
    operation, address, payload
        As on the line.
    wanted : int
        Bytes of the reply's payload.
    seconds : float
        What the operation itself may take.
    """

    operation: Operation
    address: int = 0
    payload: bytes = b""
    wanted: int = 0
    seconds: float = 0.0

    def fits(self, reply: Reply) -> bool:
        """Return whether a reply with the request's sequence is one to it, and not a late one to
        another."""
        if reply.operation != self.operation:
            return False
        if reply.status:
            return not reply.payload
        if len(reply.payload) != self.wanted:
            return False
        if self.operation == Operation.WAIT:
            return reply.address <= self.address
        moved = self.operation in (Operation.READ, Operation.WRITE)
        return reply.address == self.address + moved * max(self.wanted, len(self.payload))


@dataclass
class _Sent:
    """A request under way: when it went, and as the how-manieth frame, first and last time."""

    number: int
    request: Request
    frame: bytes
    first: int = 0
    last: int = 0
    when: float = 0.0
    line_seconds: float = 0.0
    lost: bool = True
    """Has to be sent, for the first time or again."""


class Exchange:
    """Ask a board, and ask again until it has answered.

    Up to ``WINDOW`` requests are under way, so that the time that bytes take is not waited for.
    Board and line keep the order: who is answered later than those behind was lost, and is asked
    again at once. The last ones are asked again after a time that follows what replies take.

    Parameters
    ----------
    line : Line
    name : str
        Of the port, for messages.
    baud : int
    patience : float
        Seconds without any reply after which the board is given up.

    Attributes
    ----------
    baud : int
    repeated : int
        Requests that were sent again.
    traffic : Traffic
    """

    def __init__(self, line: Line, name: str, baud: int, patience: float) -> None:
        self._line, self._name, self.baud, self._patience = line, name, baud, patience
        self._decoder = Decoder()
        self._sequence = {True: 0, False: 0}
        self._order = 0
        self._mean, self._deviation = FIRST_SECONDS, FIRST_SECONDS / 2
        self._measured = False
        self._backoff = 1.0
        self.repeated = 0
        self.traffic = Traffic(0, 0, 0)

    @property
    def dropped(self) -> int:
        """Frames of the board that came damaged."""
        return self._decoder.dropped

    def ask(self, request: Request) -> Reply:
        """Return the reply to one request."""
        ((_, reply),) = self.run([request])
        return reply

    def run(
        self, requests: Iterable[Request], window: int = WINDOW
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the replies to ``requests``, each with its index, as they come.

        Accesses of registers must not be among several. At most ``window`` are under way, where
        that is less than ``WINDOW``.

        Raises
        ------
        DeviceError
            Nothing has come for longer than the patience allows.
        """
        source = enumerate(requests)
        self._count(waits=1)
        under_way: dict[int, _Sent] = {}
        heard = time.monotonic()
        more = True
        while True:
            while more and len(under_way) < min(window, WINDOW):
                index, request = next(source, (0, None))
                if request is None:
                    more = False
                    break
                sequence = self._next_sequence(request.operation)
                frame = encode(sequence, request.operation, request.address,
                               request.wanted or len(request.payload), request.payload)  # fmt: skip
                under_way[sequence] = _Sent(index, request, frame)
            if not under_way:
                return
            self._send(under_way)
            replies = self._receive(under_way, heard)
            if replies:
                heard = time.monotonic()
            for reply in replies:
                sent = under_way.get(reply.sequence)
                if sent is not None and sent.request.fits(reply):
                    del under_way[reply.sequence]
                    self._learn(sent, under_way)
                    yield sent.number, reply
            heard = max(heard, self._repeat_late(under_way, heard))

    def _next_sequence(self, operation: Operation) -> int:
        """Return a new sequence; those of registers count for themselves, as on the board."""
        kind = operation in REGISTERS
        self._sequence[kind] = (self._sequence[kind] + 1) % SEQUENCES
        return self._sequence[kind]

    def _send(self, under_way: dict[int, _Sent]) -> None:
        """Send what has not been sent or is lost, in one piece."""
        out = bytearray()
        bytes_ahead = sum(self._bytes(sent) for sent in under_way.values() if not sent.lost)
        now = time.monotonic()
        for sent in under_way.values():
            if not sent.lost:
                continue
            self._order += 1
            if sent.first:
                self.repeated += 1
            sent.first = sent.first or self._order
            bytes_ahead += self._bytes(sent)
            sent.last, sent.when, sent.lost = self._order, now, False
            sent.line_seconds = bytes_ahead * BITS / self.baud
            out += sent.frame
        if out:
            self._count(sent=len(out))
            self._line.write(bytes(out))

    @staticmethod
    def _bytes(sent: _Sent) -> int:
        """Return about how many bytes a request and its reply are on the line."""
        return len(sent.frame) + sent.request.wanted + FRAME_BYTES

    def _due(self, sent: _Sent) -> float:
        """Return when a request is taken for lost."""
        margin = self._mean + max(4 * self._deviation, FLOOR_SECONDS)
        margin = min(margin * self._backoff, max(margin, self._patience / TRIES))
        return sent.when + sent.request.seconds + 2 * sent.line_seconds + margin

    def _receive(self, under_way: dict[int, _Sent], heard: float) -> list[Reply]:
        """Return replies that come before the next request is late."""
        due = min(self._due(sent) for sent in under_way.values())
        seconds = min(due, heard + self._patience) - time.monotonic()
        data = self._line.read(max(seconds, 0.0))
        self._count(received=len(data))
        return list(self._decoder.feed(data))

    def _count(self, sent: int = 0, received: int = 0, waits: int = 0) -> None:
        before = self.traffic
        self.traffic = Traffic(
            before.sent + sent, before.received + received, before.waits + waits
        )

    def _learn(self, sent: _Sent, under_way: dict[int, _Sent]) -> None:
        """Draw conclusions from a reply: what is lost, and how long replies take."""
        self._backoff = 1.0
        for other in under_way.values():
            # If it was asked twice, this may answer the first time.
            other.lost |= other.last < sent.first
        if sent.first != sent.last or sent.request.seconds:
            return
        taken = max(0.0, time.monotonic() - sent.when - sent.line_seconds)
        if self._measured:  # Jacobson, "Congestion avoidance and control", 1988
            self._deviation += (abs(taken - self._mean) - self._deviation) / 4
            self._mean += (taken - self._mean) / 8
        else:
            self._mean, self._deviation, self._measured = taken, taken / 2, True

    def _repeat_late(self, under_way: dict[int, _Sent], heard: float) -> float:
        """Mark what is late as lost; give up if nothing has come for long."""
        now = time.monotonic()
        late = [sent for sent in under_way.values() if not sent.lost and self._due(sent) <= now]
        longest = max((sent.request.seconds + sent.line_seconds for sent in under_way.values()),
                      default=0.0)  # fmt: skip
        if under_way and now - heard > self._patience + longest:
            raise DeviceError(
                f"the board at {self._name} has not answered for {now - heard:.1f} s: it is "
                "unplugged, has no power or hangs; plug it in again or reset it"
            )
        if late:
            self._backoff = min(2 * self._backoff, 64.0)
            for sent in late:
                sent.lost = True
        return heard
