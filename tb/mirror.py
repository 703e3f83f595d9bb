"""The functional machine and the Verilated core, side by side: the same programs and state."""

from collections.abc import Callable

import numpy as np

from systolith.driver import Driver
from systolith.program import Program
from systolith_hw.config import SCALE_BITS, Config
from systolith_hw.isa import DrainKind, LoadKind, StoreKind
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from systolith_sim.dma.pages import pack_pages, pack_scales
from systolith_sim.machine import Machine

__all__ = ["Mirror"]

Build = Callable[[Program], None]
Reading = tuple[int, Build]
"""What fills the first words of wide memory, and how many those are."""

SIZE = 1 << 20
PROGRAM, DUMP = SIZE // 2, SIZE // 4


class Mirror:
    """Runs programs on both, and compares all memories of the chip.

    To be read by programs, the last tiles and the last scale words are reserved: ``free_tiles`` and
    ``free_scales`` say how many there are for others.

    Parameters
    ----------
    config : Config
        The core.
    pause : float
        How often the buses pause.
    seed : int
        For the pauses, and whatever else wants one.
    """

    def __init__(self, config: Config, *, pause: float = 0.0, seed: int = 1) -> None:
        self.config = config
        self.seed = seed
        self.machine = Machine(config, SIZE)
        pauses = Pauses(probability=pause, seed=seed)
        self.device = VerilatedDevice(config, memory_bytes=SIZE, pauses=pauses)
        self.driver = Driver(self.device, config)
        array, lanes = config.array, config.vector.lanes
        self.span = -(-array.rows // array.columns)
        self.free_tiles = config.memory.operand_tiles - self.span
        self.free_scales = config.memory.scale_words - max(array.rows, array.columns) // lanes

    def __enter__(self) -> "Mirror":
        self.device.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.device.close()

    def write(self, address: int, contents: bytes) -> None:
        """Put bytes into external memory."""
        self.machine.memory.write(address, contents)
        self.device.write_memory(address, contents)

    def run(self, *builds: Build, address: int = PROGRAM, counts: bool = True) -> dict[str, int]:
        """Run instructions, and END; compare what is counted."""
        program = Program(self.config)
        for build in builds:
            build(program)
        program.end()
        code = program.assemble()
        expected = self.machine.run(code).counts
        self.driver.load_program(address, code)
        counters = self.driver.run()
        for name, count in expected.items():
            if counts and name in counters:
                assert counters[name] == count, name
        return counters

    def fill(self, rng: np.random.Generator) -> None:
        """Fill all memories that LOAD writes with random values that overflow nothing by itself."""
        config, memory = self.config, self.config.memory
        array, lanes = config.array, config.vector.lanes
        limit = (1 << array.mantissa_bits - 1) - 1
        scales = memory.scale_words * lanes
        operands = rng.integers(-128, 128, (memory.operand_tiles, array.rows, array.columns))
        mantissas = rng.integers(-limit, limit + 1, (memory.activation_words, array.rows))
        exponents = rng.integers(0, array.window + 1, memory.activation_words)
        wide = rng.integers(-(1 << 24), 1 << 24, (memory.wide_words, lanes))
        wide[rng.random(wide.shape) < 0.05] = -(1 << 31)
        self.load(LoadKind.OPERAND_ROWS, operands.astype(np.int8).tobytes(),
                  memory.operand_tiles * array.rows // config.write_rows)  # fmt: skip
        self.load(LoadKind.ACTIVATION, pack_pages(config, mantissas, exponents), len(exponents))
        self.load(LoadKind.WIDE, wide.astype("<i4").tobytes(), len(wide))
        self.load(LoadKind.SCALE, pack_scales(
            rng.integers(1 << SCALE_BITS - 1, 1 << SCALE_BITS, scales),
            rng.integers(14, 34, scales), rng.integers(-(1 << 20), 1 << 20, scales),
        ), memory.scale_words)  # fmt: skip

    def load(self, kind: LoadKind, contents: bytes, elements: int, local: int = 0) -> None:
        """Load the beginning of a memory."""
        port = self.config.bus.data_bytes
        self.write(0, contents.ljust(-(-len(contents) // port) * port, b"\0"))
        self.run(lambda p: p.load(kind, address=0, elements=elements, local=local))

    def compare(self) -> None:
        """Compare wide, activation, operand and scale memory, which is their end."""
        config, memory = self.config, self.config.memory
        array, lanes = config.array, config.vector.lanes
        everything: Reading = (memory.wide_words, lambda p: None)
        self._dump("wide", [everything])

        one = np.ones(lanes, int)
        words = max(array.rows, array.columns) // lanes
        last = memory.scale_words - words
        unit = pack_scales(one << SCALE_BITS - 1, one * (SCALE_BITS - 1), one * 0) * words
        self.load(LoadKind.SCALE, unit, words, local=last)
        eye = np.zeros((self.span, array.rows, array.columns), np.int8)
        for row in range(array.rows):
            eye[row // array.columns, row, row % array.columns] = 1
        first = memory.operand_tiles - self.span
        self.load(LoadKind.OPERAND_ROWS, eye.tobytes(),
                  self.span * array.rows // config.write_rows, local=first)  # fmt: skip
        per_word = self.span * array.columns // lanes
        block = memory.wide_words // per_word
        self._dump("activation", [
            self._reading(first, word, min(block, memory.activation_words - word), self.span, last,
                          (first, memory.operand_tiles))
            for word in range(0, memory.activation_words, block)
        ])  # fmt: skip

        self._scale_constants(last)
        hot = np.eye(array.rows, dtype=int)
        pages = pack_pages(config, hot, np.zeros(array.rows, int))
        self.load(LoadKind.ACTIVATION, pages, array.rows)
        self._dump("operand", [
            self._reading(tile, 0, array.rows, 1, last, (0, memory.operand_tiles))
            for tile in range(self.free_tiles)
        ])  # fmt: skip
        self._dump("wide, in the end,", [everything])  # results alone went there

    def _scale_constants(self, last: int) -> None:
        """Compare what scale memory gives: biases of no sums, and those of large ones."""
        config, memory = self.config, self.config.memory
        beats = config.beats_per_result
        pages = pack_pages(
            config, np.stack([np.zeros(config.array.rows, int), np.full(config.array.rows, 100)]),
            np.array([0, 3]),
        )  # fmt: skip
        self.load(LoadKind.ACTIVATION, pages, 2)
        tile = memory.operand_tiles - 1
        self.load(LoadKind.OPERAND_ROWS,
                  np.full(config.array.rows * config.array.columns, 3, np.int8).tobytes(),
                  config.array.rows // config.write_rows, local=tile)  # fmt: skip
        tiles = min(last // beats, memory.wide_words // beats // 2)
        self._dump("scale", [
            self._reading(tile, 0, 2, tiles, first * beats, (tile, tile + 1))
            for first in range(0, last // beats - tiles + 1, tiles)
        ])  # fmt: skip

    def _reading(
        self, operand: int, activation: int, tokens: int, tiles: int, scale: int,
        ring: tuple[int, int],
    ) -> Reading:  # fmt: skip
        """Return a MATMUL of single steps whose results are at the beginning of wide memory, and
        how many words they take."""
        beats = self.config.beats_per_result

        def build(program: Program) -> None:
            program.matmul(
                operand=operand, ring=ring, activation=activation, activation_stride=1, steps=1,
                tokens=tokens, tiles=tiles,
            )  # fmt: skip
            program.drain(
                DrainKind.WIDE, tokens=tokens, tiles=tiles, scale=scale, token_stride=tiles * beats
            )
            program.barrier()

        return tokens * tiles * beats, build

    def _dump(self, name: str, readings: list[Reading]) -> None:
        """Store the beginning of wide memory after each reading, and compare it."""
        for number, (words, build) in enumerate(readings):
            size = words * self.config.wide_word_bytes

            def store(program: Program, words: int = words) -> None:
                program.store(StoreKind.WIDE, address=DUMP, elements=words)

            self.run(build, store, counts=False)
            found = np.frombuffer(self.device.read_memory(DUMP, size), "<i4")
            expected = np.frombuffer(self.machine.memory.read(DUMP, size), "<i4")
            np.testing.assert_array_equal(
                found.reshape(words, -1), expected.reshape(words, -1), err_msg=f"{name} {number}"
            )
