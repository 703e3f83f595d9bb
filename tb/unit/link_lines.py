"""Lines without hardware: the bridge's golden model, with or without faults."""

import random
import time
from collections import deque

import numpy as np

from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION
from systolith_hw.link_protocol import PROTOCOL_VERSION, Identity
from systolith_sim.board.link_bridge import LinkBridge
from systolith_sim.device.device import Device, RegisterError

__all__ = ["GoldenBoard", "GoldenLine", "PlainMemory", "PlainRegisters", "device_board"]


class PlainMemory:
    """Bytes in beats, of which those of ``refused`` answer with errors."""

    def __init__(self, config: Config, size: int) -> None:
        self.width = config.bus.data_bytes
        self.bytes = bytearray(size)
        self.refused = range(0)

    def read_beat(self, address: int) -> bytes | None:
        if address in self.refused:
            return None
        return bytes(self.bytes[address : address + self.width])

    def write_beat(self, address: int, data: bytes, strobe: int) -> bool:
        if address in self.refused:
            return False
        for lane in range(self.width):
            if strobe >> lane & 1:
                self.bytes[address + lane] = data[lane]
        return True


class PlainRegisters:
    """64 registers that hold what is written, and a list of all accesses."""

    def __init__(self) -> None:
        self.values = [0] * 64
        self.log: list[tuple[int, int | None]] = []

    def read(self, address: int) -> int | None:
        if address % 4 or address >= 256:
            return None
        self.log.append((address, None))
        return self.values[address // 4]

    def write(self, address: int, value: int) -> bool:
        if address % 4 or address >= 256:
            return False
        self.log.append((address, value))
        self.values[address // 4] = value
        return True


class GoldenLine:
    """A line to the golden model whose bytes get lost, doubled, changed or swapped.

    Parameters
    ----------
    config, identity
        Of the board.
    fault : float
        Probability for each byte and direction.
    late : float
        Probability that what the board said comes only after the next look.
    """

    def __init__(
        self, config: Config, identity: Identity, *, fault: float = 0.0, late: float = 0.0,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.memory = PlainMemory(config, identity.memory_bytes)
        self.registers = PlainRegisters()
        self.bridge: LinkBridge = LinkBridge(config, identity, 64, self.memory, self.registers)
        self.fault, self.late = fault, late
        self.rng = random.Random(seed)
        self.faults = 0
        self.mute = False
        self._coming: deque[bytes] = deque()

    def write(self, data: bytes) -> None:
        if not self.mute:
            self._coming.append(self.spoil(self.bridge.receive(self.spoil(data))))

    def read(self, seconds: float) -> bytes:
        if not self._coming or self.rng.random() < self.late:
            time.sleep(min(seconds, 0.001))
            return b""
        return self._coming.popleft()

    def spoil(self, data: bytes) -> bytes:
        """Return what a bad line makes of bytes."""
        if not self.fault:
            return data
        hits = np.random.default_rng(self.rng.getrandbits(32)).random(len(data)) < self.fault
        spoilt = bytearray(data)
        for place in map(int, reversed(np.flatnonzero(hits))):
            self.faults += 1
            match self.rng.randrange(4):
                case 0:
                    spoilt[place] ^= 1 << self.rng.randrange(8)
                case 1:
                    del spoilt[place]
                case 2:
                    spoilt.insert(place, spoilt[place])
                case _ if place:
                    spoilt[place - 1 : place + 1] = spoilt[place], spoilt[place - 1]
        return bytes(spoilt)


class DeviceMemory:
    """The memory of a device, in beats."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.width = device.config.bus.data_bytes

    def read_beat(self, address: int) -> bytes | None:
        return self.device.read_memory(address, self.width)

    def write_beat(self, address: int, data: bytes, strobe: int) -> bool:
        for lane in range(self.width):
            if strobe >> lane & 1:
                self.device.write_memory(address + lane, data[lane : lane + 1])
        return True


class DeviceRegisters:
    """The registers of a device."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def read(self, address: int) -> int | None:
        try:
            return self.device.read_register(address)
        except RegisterError:
            return None

    def write(self, address: int, value: int) -> bool:
        try:
            self.device.write_register(address, value)
        except RegisterError:
            return False
        return True


class DeviceBridge(LinkBridge):
    """The golden model in front of a device."""

    def __init__(self, device: Device, identity: Identity) -> None:
        self.device = device
        super().__init__(device.config, identity, 64, DeviceMemory(device),
                         DeviceRegisters(device))  # fmt: skip

    def wait(self, cycles: int) -> int:
        self.irq = self.device.wait(cycles)
        return 0


def device_board(device: Device, **other) -> "GoldenBoard":
    """Return a board whose core and memory are another device."""
    identity = Identity(
        protocol=PROTOCOL_VERSION, payload_bytes=512, isa=ISA_VERSION,
        config_hash=device.config.hash, memory_bytes=device.memory_bytes, clock_hz=50_000_000,
        baud=3_000_000, board="simulated", gateware="0.0",
    )._replace(**other)  # fmt: skip
    board = GoldenBoard(device.config, identity)
    board.golden.bridge = DeviceBridge(device, identity)
    return board


class GoldenBoard:
    """The golden model as a board behind a pseudo-terminal: nothing takes time there."""

    def __init__(self, config: Config, identity: Identity, *, fault: float = 0.0, seed: int = 0):
        self.golden = GoldenLine(config, identity, fault=fault, seed=seed)
        self.line = _Bytes(self.golden)
        self.quiet = True

    def run(self, cycles: int) -> None:
        """Nothing happens but by what is said."""


class _Bytes:
    waiting = 0
    quiet = True

    def __init__(self, golden: GoldenLine) -> None:
        self._golden = golden

    def write(self, data: bytes) -> None:
        if data:
            self._golden.write(data)

    def read(self) -> bytes:
        return self._golden.read(0.0)
