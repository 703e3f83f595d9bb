"""Plan one matrix product: what lies where, on chip and in external memory.

:mod:`.matmul_programs` says how the plan is carried out.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_ENTRY_BYTES, Config, ConfigError
from systolith_hw.isa import LoadKind
from systolith_sim.dma.pages import pack_pages, pack_scales

from .layout import MemoryMap, WordRuns, pad
from .limits import require_at_most, require_room
from .matmul_programs import Chunk, Layout, write_programs
from .quantize import Scales
from .readback import Readback
from .roofline import roofline_cycles
from .tiling import Tiling

__all__ = ["MatmulPlan", "plan_matmul"]


@dataclass(frozen=True, kw_only=True)
class MatmulPlan(Layout):
    """A matrix product that is ready to run: its layout and its programs.

    Parameters
    ----------
    programs : dict of bytes
        "main"; "setup", to run before it, for operands on chip; "readout", to run behind it, for
        results in wide or activation memory. Their addresses are in ``regions``.
    """

    programs: Mapping[str, bytes] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of external memory."""
        return max(region.end for region in self.regions.values())

    @property
    def macs(self) -> int:
        """Useful multiplications."""
        return self.tiling.m * self.tiling.k * self.tiling.n

    @property
    def compulsory_bytes(self) -> float:
        """Bytes that main must move: weights, scales, inputs and results, each once, no padding."""
        m, k, n = self.tiling.m, self.tiling.k, self.tiling.n
        array = self.config.array

        def words(elements: int) -> int:
            return elements * array.mantissa_bytes - (-elements // array.rows)

        weights = self.tiling.weight_bytes
        loaded = weights + SCALE_ENTRY_BYTES * n + m * words(k) if self.streamed else 0
        return loaded + (m * words(n) if self.out == "memory" else 0)

    @property
    def roofline_cycles(self) -> float:
        """The cycles of the multipliers or of the port, whichever are more."""
        return roofline_cycles(self.config, self.macs, self.compulsory_bytes)

    def image(
        self, mantissas: NDArray[np.integer], exponents: NDArray[np.integer],
        weights: NDArray[np.integer], scales: Scales,
    ) -> bytes:  # fmt: skip
        """Return external memory from address 0 on, programs included.

        Parameters
        ----------
        mantissas, exponents : (M, steps, R) and (M, steps) integers
            Inputs.
        weights : (K, N) integers
            Of 8 bits, or their :mod:`.recipes` where they are coded.
        scales : Scales
            Of the N channels.
        """
        if self.config.memory.bias_words and np.any(scales.bias):
            raise ConfigError(
                "a product with biases needs a memory.bias_words of 0, not "
                f"{self.config.memory.bias_words}"
            )
        parts = {self.regions[name].address: program for name, program in self.programs.items()}
        parts[self.regions["weights"].address] = self.tiling.pack_weights(weights)
        inputs = self.regions["inputs"].address
        for token in range(self.tiling.m):
            page = pack_pages(self.config, mantissas[token], exponents[token])
            parts[inputs + token * self.tiling.input_stride] = page
        channels = self.tiling.tiles * self.config.array.columns
        for chunk in self.chunks:
            part = slice(chunk.first * channels, (chunk.first + chunk.groups) * channels)
            parts[chunk.address] = pack_scales(
                scales.scale[part], scales.shift[part], scales.bias[part]
            )
        if self.readback is not None:
            parts |= self.readback.parts
        image = bytearray(self.size)
        for address, content in parts.items():
            image[address : address + len(content)] = content
        return bytes(image)

    def unpack_words(
        self, memory: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return mantissas (M, words, R) and exponents (M, words) of results in memory."""
        tiling, rows = self.tiling, self.config.array.rows
        if self.readback is not None:
            words, exps = self.readback.unpack(memory)
            exps = exps.reshape(tiling.m, tiling.out_words)
            return words.reshape(*exps.shape, rows), exps
        mantissas = np.zeros((tiling.m, tiling.out_words, rows), np.int64)
        exponents = np.zeros((tiling.m, tiling.out_words), np.int64)
        for block, address in self.outputs:
            runs = WordRuns(self.config, len(block) * tiling.out_words)
            words, exps = runs.unpack(memory, address)
            tokens = slice(block.start, block.stop)
            # Production order: group, token, word of the group.
            shape = (tiling.groups, len(block), tiling.group_words)
            by_token = words.reshape(*shape, rows).transpose(1, 0, 2, 3)
            mantissas[tokens] = by_token.reshape(len(block), -1, rows)
            exponents[tokens] = exps.reshape(shape).transpose(1, 0, 2).reshape(len(block), -1)
        return mantissas, exponents

    def unpack_wide(self, memory: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return fixed-point results (M, N) that readout has stored."""
        region, port = self.regions["output"], self.config.bus.data_bytes
        stride = pad(self.tiling.wide_words * self.config.wide_word_bytes, port)
        rows = memory[region.address : region.end].reshape(self.tiling.m, stride)
        return np.ascontiguousarray(rows[:, : self.tiling.n * 4]).view("<i4")


def plan_matmul(
    config: Config, m: int, k: int, n: int, *, operands: str = "stream", out: str = "auto",
    exponent_base: int = 0, kind: LoadKind = LoadKind.OPERAND_ROWS,
) -> MatmulPlan:  # fmt: skip
    """Return the plan of an M x K by K x N product.

    Parameters
    ----------
    config : Config
        What it will run on.
    m, k, n : int
        Tokens, reduction, output channels; any from 1 on.
    operands : str
        "onchip": everything is loaded before main; "stream": main loads it.
    out : str
        "activation": words in activation memory, "wide": fixed point in wide memory, which
        "readout" stores; "memory": words in external memory. "auto" is, for operands on chip,
        the first of "wide", "activation" that results fit in, and "memory" otherwise.
    exponent_base : int
        Fixed-point bits below block exponent 0 of the results.
    kind : LoadKind
        How weights come: OPERAND_ROWS, or as codes.

    Raises
    ------
    ConfigError
        A sentence that says which of m, k, n is too large for which memory or field, and what
        would do.
    """
    _require(operands in ("onchip", "stream"), f"operands must be onchip or stream, not {operands}")
    outs = ("auto", "activation", "wide", "memory")
    _require(out in outs, f"out must be one of {', '.join(outs)}, not {out}")
    tiling = Tiling(config, m, k, n, kind)
    if out == "auto":
        out = _choose_output(tiling) if operands == "onchip" else "memory"

    streamed = operands == "stream"
    regions = MemoryMap(config, f"m {m}, k {k}, n {n}")
    regions.add("inputs", m * tiling.input_stride)
    regions.add("weights", tiling.groups * tiling.group_stride)
    blocks = _cut_tokens(tiling, streamed, out)
    _check_runs(tiling)
    resident = _check_scales(tiling, streamed)
    slots = _choose_slots(tiling, streamed, resident)
    chunks = _cut_scales(tiling, slots, resident, regions)
    readback = _add_output(tiling, blocks, out, regions)
    layout = Layout(
        config=config, tiling=tiling, streamed=streamed, out=out, exponent_base=exponent_base,
        blocks=blocks, slots=slots, scales_resident=resident, chunks=chunks,
        regions=regions.regions, readback=readback,
    )  # fmt: skip
    try:
        programs = write_programs(layout)
    except ValueError as error:  # too few semaphores, registers, instructions of a loop
        raise ConfigError(f"m {m}, k {k}, n {n} cannot be programmed: {error}") from error
    for name, program in programs.items():
        regions.add(name, len(program))
    return MatmulPlan(**vars(layout), programs=programs)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ConfigError(sentence)


def _choose_output(tiling: Tiling) -> str:
    """Return where results end soonest: the memory on chip that has room for them."""
    memory = tiling.config.memory
    if tiling.m * tiling.wide_words <= memory.wide_words:
        return "wide"
    if tiling.m * (tiling.steps + tiling.out_words) <= memory.activation_words:
        return "activation"
    return "memory"


def _cut_tokens(tiling: Tiling, streamed: bool, out: str) -> tuple[range, ...]:
    """Return blocks of tokens that fit activation memory, all about as large."""
    m, memory = tiling.m, tiling.config.memory
    if out == "wide":
        require_room(
            tiling, "wide_words", lambda shape: shape.m * shape.wide_words, "the results",
            instead="choose another out, or ",
        )  # fmt: skip

    def results(shape: Tiling) -> int:
        return shape.m * shape.out_words if out == "activation" else 0

    require_room(
        tiling, "activation_words",
        lambda shape: results(shape) + (1 if streamed else shape.m) * shape.steps,
        f"{1 if streamed else m} of {m} tokens" + (" and all results" if results(tiling) else ""),
        instead="" if streamed else "stream the operands, or ",
    )  # fmt: skip
    most = (memory.activation_words - results(tiling)) // tiling.steps
    size = -(-m // -(-m // most))
    return tuple(range(first, min(first + size, m)) for first in range(0, m, size))


def _check_runs(tiling: Tiling) -> None:
    """Refuse what one instruction cannot count: weights of a group, and groups."""
    port, most = tiling.config.bus.data_bytes, tiling.config.sequencer.largest_count

    def beats(shape: Tiling) -> int:
        return shape.group_stride // port

    require_at_most(
        tiling, beats, most,
        f"a group's weights take {beats(tiling)} beats, and a LOAD's run has at most {most}",
        "raise bus.data_bytes",
    )  # fmt: skip
    require_at_most(
        tiling, lambda shape: shape.groups, most,
        f"that is {tiling.groups} groups of {tiling.tiles * tiling.config.array.columns} channels, "
        f"and a MATMUL has at most {most}",
        "raise array.columns",
    )  # fmt: skip


def _check_scales(tiling: Tiling, streamed: bool) -> bool:
    """Return whether all scales stay on chip."""

    def all_words(shape: Tiling) -> int:
        return shape.output_tiles * shape.config.beats_per_result

    if all_words(tiling) <= tiling.config.memory.scale_words:
        return True
    if not streamed:
        require_room(
            tiling, "scale_words", all_words, "the scales", instead="stream the operands, or "
        )
    require_room(
        tiling, "scale_words", lambda shape: min(2 * shape.group_scales, all_words(shape)),
        "the scales of two groups",
    )  # fmt: skip
    return False


def _groups_in_half(tiling: Tiling) -> int:
    """Return the groups whose scales fill half of scale memory."""
    return tiling.config.memory.scale_words // 2 // tiling.group_scales


def _choose_slots(tiling: Tiling, streamed: bool, resident: bool) -> int:
    """Return how many groups of weights are on chip at once."""
    depth = tiling.config.memory.operand_tiles
    if not streamed:
        require_room(
            tiling, "operand_tiles", lambda shape: shape.output_tiles * shape.panel,
            "the weights", instead="stream the operands, or ",
        )  # fmt: skip
        return tiling.groups
    require_room(tiling, "operand_tiles", lambda shape: shape.slot, "one group of weights")
    # A semaphore counts the slots that are full.
    counts = (1 << tiling.config.sequencer.semaphore_bits) - 1
    slots = min(depth // tiling.slot, tiling.groups, counts)
    return slots if resident else min(slots, _groups_in_half(tiling))


def _cut_scales(
    tiling: Tiling, slots: int, resident: bool, regions: MemoryMap
) -> tuple[Chunk, ...]:
    """Cut scales into chunks: as many groups as there are slots, then as many as possible."""
    half = _groups_in_half(tiling)
    most = tiling.groups if resident else half
    chunks: list[Chunk] = []
    first = 0
    while first < tiling.groups:
        groups = min(most if chunks else slots, tiling.groups - first)
        tiles = min(groups * tiling.tiles, tiling.output_tiles - first * tiling.tiles)
        place = first if resident else len(chunks) % 2 * half
        chunk = Chunk(
            first=first, groups=groups, local=place * tiling.group_scales,
            words=tiles * tiling.config.beats_per_result, address=0,
        )  # fmt: skip
        size = chunk.words * tiling.config.scale_word_bytes
        region = regions.add(f"scales {len(chunks)}", size)
        chunks.append(dataclasses.replace(chunk, address=region.address))
        first += groups
    return tuple(chunks)


def _add_output(
    tiling: Tiling, blocks: tuple[range, ...], out: str, regions: MemoryMap
) -> Readback | None:
    """Find room for the results, and whatever it takes to bring them there."""
    config = tiling.config
    if out == "activation":
        return Readback(config, tiling.m * tiling.out_words, regions)
    if out == "wide":
        stride = pad(tiling.wide_words * config.wide_word_bytes, config.bus.data_bytes)
        regions.add("output", tiling.m * stride)
    elif out == "memory":
        runs = [WordRuns(config, len(block) * tiling.out_words) for block in blocks]
        regions.add("output", sum(run.size for run in runs))
    return None
