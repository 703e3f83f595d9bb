"""What the machine remembers: external memory, and the memories on the chip."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config

from ..vector.requantizer import FIXED_MIN

__all__ = ["ChipMemory", "ExternalMemory", "ring_addresses", "ring_step"]

DEFAULT_BYTES = 1 << 26


class ExternalMemory:
    """Byte-addressed memory behind the bus, zero at first.

    Parameters
    ----------
    size : int
        Bytes. Beyond them the bus answers with an error.

    Attributes
    ----------
    array : (size,) uint8
        The contents, to look at and to change.
    """

    def __init__(self, size: int) -> None:
        self.array: NDArray[np.uint8] = np.zeros(size, np.uint8)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.array)

    def read(self, address: int, count: int) -> bytes:
        """Return ``count`` bytes from ``address``."""
        self._check(address, count)
        return self.array[address : address + count].tobytes()

    def write(self, address: int, content: bytes) -> None:
        """Write ``content`` at ``address``."""
        self._check(address, len(content))
        self.array[address : address + len(content)] = np.frombuffer(content, np.uint8)

    def _check(self, address: int, count: int) -> None:
        if address < 0 or address + count > self.size:
            raise ValueError(
                f"{count} bytes at {address:#x} are not inside the memory of {self.size} bytes"
            )


class ChipMemory:
    """The memories on the chip. They keep their contents from program to program.

    Attributes
    ----------
    operand : (operand_tiles, R, C) int8
        Weights, K and V.
    mantissas : (activation_words, R) int16
        Activation words without their exponents.
    exponents : (activation_words,) uint8
        The exponents.
    wide : (wide_words, L) int32
        Fixed-point values.
    scale, shift, bias : (scale_words, L) uint16, uint8, int32
        Constants of the channels.
    reference : (rows,) int16
        Row memory: the integer part of each token's largest score.
    factor_scale, factor_shift : (rows,) uint16, uint8
        Row memory: the factor of each token, ``scale * 2**-shift``.
    norm : (3,) int64
        ``inverse``, ``inverse_shift`` and ``epsilon`` of the last NORM.
    best : (2,) int64
        The largest value that BEST has seen, and its channel's number.
    """

    def __init__(self, config: Config) -> None:
        array, memory, lanes = config.array, config.memory, config.vector.lanes
        self.operand = np.zeros((memory.operand_tiles, array.rows, array.columns), np.int8)
        self.mantissas = np.zeros((memory.activation_words, array.rows), np.int16)
        self.exponents = np.zeros(memory.activation_words, np.uint8)
        self.wide = np.zeros((memory.wide_words, lanes), np.int32)
        self.scale = np.zeros((memory.scale_words, lanes), np.uint16)
        self.shift = np.zeros((memory.scale_words, lanes), np.uint8)
        self.bias = np.zeros((memory.scale_words, lanes), np.int32)
        self.reference = np.zeros(config.vector.rows, np.int16)
        self.factor_scale = np.zeros(config.vector.rows, np.uint16)
        self.factor_shift = np.zeros(config.vector.rows, np.uint8)
        self.norm = np.zeros(3, np.int64)
        self.best = np.array([FIXED_MIN, 0], np.int64)


def ring_addresses(start: int, count: int, base: int, end: int) -> NDArray[np.int64]:
    """Return ``count`` addresses from ``start`` on, where ``base`` follows ``end - 1``."""
    addresses = start + np.arange(count)
    return np.where(addresses < end, addresses, base + (addresses - end) % (end - base))


def ring_step(address: int, stride: int, base: int, end: int) -> int:
    """Return the address ``stride`` after ``address`` in the ring from ``base`` to ``end``."""
    address += stride
    return address if address < end else address - end + base
