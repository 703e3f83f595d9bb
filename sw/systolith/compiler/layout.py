"""Where things lie in external memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import INSTRUCTION_BYTES, Config, ConfigError
from systolith_sim.dma.pages import page_bytes, unpack_pages

__all__ = [
    "MemoryMap", "Region", "WordRuns", "log2", "pad", "power_of_two", "starts", "two_powers",
]  # fmt: skip


def pad(size: int, step: int) -> int:
    """Return ``size`` rounded up to a multiple of ``step``."""
    return -(-size // step) * step


def power_of_two(size: int) -> int:
    """Return ``size``, at least 1, rounded up to a power of two."""
    return 1 << (size - 1).bit_length()


def log2(number: int) -> int:
    """Return the logarithm of a power of two."""
    return number.bit_length() - 1


def two_powers(size: int, step: int) -> int:
    """Return the smallest multiple of ``step`` that is not below ``size`` and a power of two or a
    sum of two: a register is soon multiplied by it."""
    powers = [1 << bit for bit in range(max(size, step).bit_length() + 1)]
    sums = (high + low for high in powers for low in (0, *powers))
    return min(number for number in sums if number >= size and number % step == 0)


def starts(sizes: dict[str, int], first: int = 0) -> dict[str, int]:
    """Return where things of some sizes begin, one after the other; "end" behind them."""
    places = {}
    for name, size in sizes.items():
        places[name] = first
        first += size
    return places | {"end": first}


@dataclass(frozen=True)
class Region:
    """A piece of external memory."""

    name: str
    address: int
    size: int

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.address + self.size


class MemoryMap:
    """Hand out external memory from address 0 upwards.

    Parameters
    ----------
    config : Config
        Regions start at multiples of ``bus.data_bytes`` and of an instruction.
    purpose : str
        What it is for, for the sentence that refuses more than there is.

    Attributes
    ----------
    regions : dict of Region
        By name, in the order of their addresses.
    """

    def __init__(self, config: Config, purpose: str) -> None:
        self._purpose = purpose
        self._step = max(INSTRUCTION_BYTES, config.bus.data_bytes)
        self._reach = 1 << config.bus.address_bits
        self.regions: dict[str, Region] = {}

    @property
    def size(self) -> int:
        """Bytes handed out so far."""
        return next(reversed(self.regions.values())).end if self.regions else 0

    def add(self, name: str, size: int) -> Region:
        """Return a new region of ``size`` bytes.

        Raises
        ------
        ConfigError
            If external memory has no room for it.
        """
        region = Region(name, pad(self.size, self._step), size)
        if region.end > self._reach:
            raise ConfigError(
                f"{self._purpose} is too large: {name} needs {size} bytes from address "
                f"{region.address:#x} on, but bus.address_bits reach only {self._reach} bytes; "
                f"lower one of them, or raise bus.address_bits to {(region.end - 1).bit_length()}"
            )
        self.regions[name] = region
        return region


@dataclass(frozen=True)
class WordRuns:
    """Many activation words in as few runs of pages as the counts of STORE and LOAD allow.

    Parameters
    ----------
    config : Config
        Shapes and port.
    words : int
        How many.
    """

    config: Config
    words: int

    @property
    def longest(self) -> int:
        """Words of every run but the last: whole pages, so that only the last has a gap."""
        rows, port = self.config.array.rows, self.config.bus.data_bytes
        most = self.config.sequencer.largest_count
        pages = min(most // rows, most * port // page_bytes(self.config, rows))
        return pages * rows

    @property
    def counts(self) -> list[int]:
        """Words of each run."""
        full, rest = divmod(self.words, self.longest)
        return [self.longest] * full + [rest] * bool(rest)

    @property
    def stride(self) -> int:
        """Bytes from run to run."""
        return pad(page_bytes(self.config, self.longest), self.config.bus.data_bytes)

    @property
    def size(self) -> int:
        """Bytes of all runs."""
        *full, last = self.counts
        size = len(full) * self.stride + page_bytes(self.config, last)
        return pad(size, self.config.bus.data_bytes)

    def unpack(
        self, memory: NDArray[np.uint8], address: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return mantissas (words, R) and exponents (words,) of runs that begin at ``address``."""
        parts = []
        for count in self.counts:
            raw = memory[address : address + page_bytes(self.config, count)].tobytes()
            parts.append(unpack_pages(self.config, raw, count))
            address += self.stride
        mantissas, exponents = zip(*parts, strict=True)
        return np.concatenate(mantissas), np.concatenate(exponents)
