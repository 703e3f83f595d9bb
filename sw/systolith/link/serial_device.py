"""A board behind a serial port."""

import random
import time
from collections.abc import Iterator

from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION
from systolith_hw.link_protocol import (
    BAUDS,
    IDENTITY_BYTES,
    PROTOCOL_VERSION,
    REGISTER_BYTES,
    WAIT_BYTES,
    Identity,
    Operation,
    Status,
)
from systolith_sim.device.device import Device, DeviceError, RegisterError

from ..driver import ForeignCoreError
from ..progress import Progress
from .exchange import Exchange, Request, Traffic
from .frames import Reply
from .known_cores import known_cores
from .ports import WRITE_SECONDS, SerialPort

__all__ = ["LONG_BYTES", "SerialDevice", "identify"]

PATIENCE = 3.0
IDENTIFY_SHARE = 1 / 6
"""Of the patience: for how long a board is asked who it is, at each rate."""

LONG_BYTES = 1 << 16
"""What takes long: a quarter of a second at 3 Mbaud."""

REQUEST_BYTES = 16
"""On the line, of a request without payload."""

WAIT_CYCLES, WAIT_SECONDS = 1 << 10, 0.1
"""A wait is cut into pieces, the first of so many cycles, then each of about so long: the board
may be simulated, and then a cycle takes as long as it takes."""


def identify(name: str, *, baud: int | None = None) -> Identity:
    """Return who is at a port.

    Raises
    ------
    DeviceError
        If the port cannot be used, or nobody answers who has the link's protocol.
    """
    port, _, identity = _connect(name, baud, PATIENCE)
    port.close()
    return identity


class SerialDevice(Device):
    """A core on a board, over the host link.

    Parameters
    ----------
    config : Config
        What the core was generated from.
    name : str
        The port, such as ``/dev/ttyUSB0``.
    baud : int
        Its rate; without it those of ``link_protocol.BAUDS`` are tried.
    patience : float
        Seconds without any answer after which the board is given up; more for one that is
        simulated slowly.
    progress : Progress
        Told how far writes and reads are that take long.

    Attributes
    ----------
    identity : Identity

    Raises
    ------
    DeviceError
        If the port cannot be used, nobody answers, or somebody of another protocol.
    ForeignCoreError
        If the core is another one.
    """

    def __init__(
        self, config: Config, name: str, *, baud: int | None = None, patience: float = PATIENCE,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self._told = progress or Progress()
        self._port, self._exchange, self.identity = _connect(name, baud, patience)
        try:
            _check_core(self.identity, config, name)
        except ForeignCoreError:
            self._port.close()
            raise
        super().__init__(config, self.identity.memory_bytes)
        self._cycle_seconds = 1 / max(1, self.identity.clock_hz)

    @property
    def clock_hz(self) -> int:
        """Cycles of the core per second."""
        return self.identity.clock_hz

    @property
    def memory_clock(self) -> tuple[float, int] | None:
        """Clock of external memory in Hz, and its bytes in each cycle; None for an unknown board.

        A board does not tell; its bitstream has the clocks of its file.
        """
        from systolith_fpga.boards import BOARDS

        board, known = BOARDS.get(self.identity.board), known_cores().get(self.config.hash)
        if board is None or known is None or known.preset not in board.variants:
            return None
        return board.clocks(known.preset)[1], board.memory.data_bytes

    @property
    def repeated(self) -> int:
        """Requests that were sent again."""
        return self._exchange.repeated

    @property
    def baud(self) -> int:
        """Of the board's line."""
        return self._exchange.baud

    @property
    def traffic(self) -> Traffic:
        """What has gone over the line."""
        return self._exchange.traffic

    def close(self) -> None:
        """Give the port back."""
        if not self.closed:
            self._port.close()
        super().close()

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte ``offset``."""
        reply = self._ask(Request(Operation.READ_REGISTER, offset, wanted=REGISTER_BYTES))
        return int.from_bytes(reply.payload, "little")

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte ``offset``."""
        data = (value & 0xFFFFFFFF).to_bytes(REGISTER_BYTES, "little")
        self._ask(Request(Operation.WRITE_REGISTER, offset, data))

    def wait(self, cycles: int) -> bool:
        """Let at most ``cycles`` cycles pass; return early, and true, on an interrupt."""
        piece = WAIT_CYCLES
        while True:
            step = min(cycles, piece)
            begin = time.monotonic()
            reply = self._ask(Request(
                Operation.WAIT, step, wanted=WAIT_BYTES, seconds=step * self._cycle_seconds
            ))  # fmt: skip
            taken = time.monotonic() - begin
            passed = step - reply.address
            if reply.payload[0] & 1:
                return True
            cycles -= passed
            if cycles <= 0:
                return False
            if passed:
                self._cycle_seconds = max(1 / self.identity.clock_hz, taken / passed)
            if taken < WAIT_SECONDS:
                piece = min(2 * piece, 1 << 31)

    def _read(self, address: int, count: int) -> bytes:
        data, done = bytearray(count), 0
        requests = (
            Request(Operation.READ, at, wanted=size) for at, size in self._cut(address, count)
        )
        self._check_open()
        # They come much faster than they are answered; a board has room for two longest payloads.
        window = 2 * self.identity.payload_bytes // REQUEST_BYTES
        for _, reply in self._exchange.run(requests, window):
            self._check(reply)
            start = reply.address - len(reply.payload) - address
            data[start : start + len(reply.payload)] = reply.payload
            done += len(reply.payload)
            self._tell(done, count)
        return bytes(data)

    def _write(self, address: int, data: bytes) -> None:
        requests = (
            Request(Operation.WRITE, at, data[at - address : at - address + size])
            for at, size in self._cut(address, len(data))
        )
        self._check_open()
        longest = self.identity.payload_bytes
        for number, (_, reply) in enumerate(self._exchange.run(requests)):
            self._check(reply)
            self._tell(min((number + 1) * longest, len(data)), len(data))

    def _tell(self, done: int, total: int) -> None:
        """Tell of a long transfer."""
        if total >= LONG_BYTES:
            self._told.reached(done, total)

    def _cut(self, address: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield addresses and sizes of frames; all but the first begin at multiples of theirs."""
        longest, end = self.identity.payload_bytes, address + count
        while address < end:
            size = min(longest - address % longest, end - address)
            yield address, size
            address += size

    def _ask(self, request: Request) -> Reply:
        self._check_open()
        reply = self._exchange.ask(request)
        self._check(reply)
        return reply

    def _check_open(self) -> None:
        if self.closed:
            raise DeviceError("the device has been closed")

    def _check(self, reply: Reply) -> None:
        """Raise what an error reply says."""
        name = Operation(reply.operation).name.lower().replace("_", " ")
        match reply.status:
            case Status.OK:
                return
            case Status.REGISTER:
                raise RegisterError(f"the core has no register at offset {reply.address:#x}")
            case Status.MEMORY:
                raise DeviceError(f"the board's memory refused to {name} before {reply.address:#x}")
            case Status.BAD_ADDRESS:
                raise DeviceError(f"the board cannot {name} memory at {reply.address:#x}")
        raise DeviceError(
            f"the board refused a request to {name} with {Status(reply.status).name}: its gateware "
            f"{self.identity.gateware} does not fit this software"
        )


def _connect(name: str, baud: int | None, patience: float) -> tuple[SerialPort, Exchange, Identity]:
    """Open a port and ask who is there, at one rate after the other."""
    rates = BAUDS if baud is None else (baud,)
    port = SerialPort(name, rates[0], max(patience, WRITE_SECONDS))
    try:
        for index, rate in enumerate(rates):
            if index:
                port.set_baud(rate)
            # Not what somebody asked before, whose answer may be on its way.
            nonce = random.getrandbits(32)
            asking = Exchange(port, name, rate, patience * IDENTIFY_SHARE)
            try:
                reply = asking.ask(Request(Operation.IDENTIFY, nonce, wanted=IDENTITY_BYTES))
            except DeviceError as error:
                if "not answered" not in str(error):
                    raise
                continue
            identity = Identity.unpack(reply.payload)
            if identity is not None:
                _check_protocol(identity, name)
                return port, Exchange(port, name, rate, patience), identity
        rates_text = " or ".join(f"{rate:,}" for rate in rates)
        raise DeviceError(
            f"no Systolith board answers at {name}, at {rates_text} baud: flash its bitstream, "
            "reset it, or choose another port"
        )
    except BaseException:
        port.close()
        raise


def _check_protocol(identity: Identity, name: str) -> None:
    if identity.protocol != PROTOCOL_VERSION:
        raise DeviceError(
            f"the board at {name} speaks version {identity.protocol} of the link's protocol, this "
            f"software version {PROTOCOL_VERSION}: build and flash its bitstream again, or use the "
            "software it came with"
        )


def _check_core(identity: Identity, config: Config, name: str) -> None:
    if identity.isa != ISA_VERSION:
        raise ForeignCoreError(
            f"the core of {identity.board} at {name} has instruction set {identity.isa}, this "
            f"software has {ISA_VERSION}: build and flash its bitstream again, or use the software "
            "it came with"
        )
    if identity.config_hash != config.hash:
        known = known_cores()
        its, ours = (
            f"{value:08x}" + (f" ({known[value].options})" if value in known else "")
            for value in (identity.config_hash, config.hash)
        )
        raise ForeignCoreError(
            f"the core of {identity.board} at {name} was generated from configuration {its}, not "
            f"from {ours}: use its own preset and settings"
        )
