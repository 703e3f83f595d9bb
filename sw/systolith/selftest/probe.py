"""Short programs on random numbers, and what they must leave in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, Config
from systolith_hw.isa import LoadKind, StoreKind
from systolith_sim.dma.pages import pack_pages, pack_scales
from systolith_sim.machine import Machine
from systolith_sim.machine.transfer import load_bytes, store_bytes

from ..compiler.layout import pad
from ..program import Program

__all__ = ["LEAST_SPACE", "SPACE", "TILES", "Answer", "Probe", "least_space"]

PROGRAM_BYTES = 4096
ALIGNMENT = 256
"""Of what is in memory: more than a beat of any port."""

SPACE = 1 << 16
"""Bytes of external memory that probes use, program and all; of most a small part."""

LEAST_SPACE = 1 << 11
"""Bytes that do for a core without a row unit behind a port of 2 bytes."""

PROGRAM_PARTS, ALIGNED_PARTS = 2, 64
"""In less than :data:`SPACE`, what part of it the program has, and what data are multiples of."""

TILES, WORDS = 8, 16
"""Operand tiles and activation words that :meth:`Probe.fill` loads."""


def least_space(config: Config) -> int:
    """Return how many bytes of external memory the probes of a core need."""
    small = not config.vector.rows and config.bus.data_bytes == 2
    return LEAST_SPACE if small else SPACE


@dataclass(frozen=True)
class Answer:
    """What the functional machine says of a probe.

    Parameters
    ----------
    outputs : dict
        Bytes by address.
    counts : dict
        Those of the hardware's counters that the machine knows.
    """

    outputs: dict[int, bytes]
    counts: dict[str, int]


class Probe:
    """A program under construction, with its data.

    Parameters
    ----------
    config : Config
    seed : int
        Of its numbers.
    space : int
        Bytes of external memory that there are, a power of two.

    Attributes
    ----------
    program : Program
    parts : dict
        Contents of external memory by address.
    """

    def __init__(self, config: Config, seed: int, space: int = SPACE) -> None:
        self.config = config
        self._space = space
        self._program_bytes = min(PROGRAM_BYTES, space // PROGRAM_PARTS)
        self._alignment = min(ALIGNMENT, space // ALIGNED_PARTS)
        self.program = Program(config)
        self.parts: dict[int, bytes] = {}
        self._rng = np.random.default_rng(seed)
        self._outputs: dict[int, int] = {}
        self._end = self._program_bytes

    def fill(self) -> None:
        """Load operand tiles, activation words, and a scale for each channel of 4 tiles."""
        config, rng, array = self.config, self._rng, self.config.array
        tiles = min(TILES, config.memory.operand_tiles)
        rows = tiles * array.rows // config.write_rows
        self._load(LoadKind.OPERAND_ROWS, rows, rng.bytes(rows * config.row_write_bytes))
        top = 1 << array.mantissa_bits - 1
        mantissas = rng.integers(-top, top, (WORDS, array.rows))
        exponents = rng.integers(0, 4, WORDS)
        self._load(LoadKind.ACTIVATION, WORDS, pack_pages(config, mantissas, exponents))
        self.fill_scales(0, 4 * array.columns)
        self.program.barrier()

    def fill_columns(self, tiles: int) -> None:
        """Load all columns of operand tiles, one after the other."""
        config, kind = self.config, LoadKind.OPERAND_COLUMNS
        columns = config.array.columns
        stride = pad(load_bytes(config, kind, tiles), config.bus.data_bytes)
        self._load(kind, tiles, self._rng.bytes(columns * stride), rows=columns)

    def fill_codes(self, kind: LoadKind, tiles: int) -> None:
        """Load operand tiles from codes of 4 bits, with parameters."""
        config = self.config
        elements = tiles * config.array.rows // config.write_rows
        self._load(kind, elements, self._rng.bytes(load_bytes(config, kind, elements)))

    def fill_scales(self, first: int, channels: int, *, one: bool = False) -> None:
        """Load constants of channels, random, or those that change nothing."""
        config, rng = self.config, self._rng
        if one:
            scale, shift, bias = (np.full(channels, value) for value in (0x8000, 15, 0))
        else:
            scale = rng.integers(1 << SCALE_BITS - 1, 1 << SCALE_BITS, channels)
            shift = rng.integers(16, 22, channels)
            bias = rng.integers(-(1 << 12), 1 << 12, channels)
            if config.memory.bias_words:
                bias[:] = 0
        words = channels // config.vector.lanes
        self._load(LoadKind.SCALE, words, pack_scales(scale, shift, bias), local=first)

    def fill_wide(self, words: int, *, bits: int = 31, first: int = 0) -> None:
        """Load wide words of random numbers of up to so many bits."""
        numbers = self.wide_numbers(words, bits)
        self._load(LoadKind.WIDE, words, numbers.astype("<i4").tobytes(), local=first)

    def wide_numbers(self, words: int, bits: int) -> NDArray[np.int64]:
        """Return random numbers for wide words."""
        limit = 1 << bits
        return self._rng.integers(-limit, limit, words * self.config.vector.lanes)

    def store_wide(self, first: int, words: int) -> None:
        """Store wide words: that is what the probe answers."""
        self.program.barrier()
        address = self._output(StoreKind.WIDE, words)
        self.program.store(StoreKind.WIDE, address=address, elements=words, local=first)

    def store_stream(self, words: int) -> None:
        """Store activation words that VECTOR streams."""
        address = self._output(StoreKind.STREAM, words)
        self.program.store(StoreKind.STREAM, address=address, elements=words)

    def answer(self) -> Answer:
        """End the program, and return what the functional machine leaves."""
        self.program.end()
        raw = self.program.assemble()
        assert len(raw) <= self._program_bytes and self._end <= self._space
        self.parts[0] = raw
        machine = Machine(self.config, self._space)
        for address, part in self.parts.items():
            machine.memory.write(address, part)
        counts = machine.run(raw).counts
        memory = machine.memory.array
        outputs = {at: memory[at : at + size].tobytes() for at, size in self._outputs.items()}
        return Answer(outputs, {name: n for name, n in counts.items() if name != "INSTRUCTIONS"})

    def _load(
        self, kind: LoadKind, elements: int, data: bytes, *, local: int = 0, rows: int = 1
    ) -> None:
        address = self._reserve(len(data))
        self.parts[address] = data
        self.program.load(kind, address=address, elements=elements, local=local, rows=rows)

    def _output(self, kind: StoreKind, words: int) -> int:
        size = store_bytes(self.config, kind, words)
        address = self._reserve(size)
        self._outputs[address] = size
        return address

    def _reserve(self, size: int) -> int:
        """Return where ``size`` bytes may be, and no others in the same beats."""
        address = self._end
        self._end += -(-size // self._alignment) * self._alignment
        return address
