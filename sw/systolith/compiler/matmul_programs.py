"""The programs of a matrix product.

*On chip*, setup loads weights, scales and inputs; main is MATMUL and DRAIN alone.

*Streamed*, weights pass through the operand memory as a ring of slots, each of them one group::

    LOAD    scales | group 0 | inputs | group 1 | group 2 | ... | more scales | group s | ...
    array                    | group 0, token by token | group 1 | group 2 | ...
    vector                      | group 0 ...            | group 1 | ...
    STORE                         | [group][token][word], one long run

* The first ``slots`` groups are loaded without waiting: that is how the semaphore "a slot is free",
  which starts at zero, comes to stand for an empty ring. Every later group takes a count, which
  MATMUL gives when it has read the group ``slots`` before.
* The first group waits for each token on its own, so that it is multiplied while other tokens
  are still being loaded.
* Scales come in chunks, each loaded before the first group that needs it. LOAD works in order, so
  whoever has a result of the group also has its scales: DRAIN waits for nothing. The first
  chunk is as small as the ring; when LOAD comes to the others, the array has work in store.
* If scale memory is too small, chunks take turns in its two halves, and a slot is free only
  when DRAIN has finished its group. A chunk is at least ``slots`` groups, so the count that LOAD
  took for the last of them says that the chunk before the last one is done with.
* If activation memory is too small, tokens are cut into blocks with a BARRIER between them, and
  weights are streamed again for each block, unless the ring holds them all.
* Instructions stand in the order in which their units come to them, and each behind all that the
  one before it needs to end. With a ``queue_depth`` of 1 it is issued only then: who takes a
  MATMUL's results stands before the next MATMUL, who frees a LOAD's slots before that LOAD.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from systolith_hw.config import Config
from systolith_hw.isa import DrainKind, LoadKind, StoreKind

from ..program import Program, Semaphores
from .layout import Region, WordRuns
from .readback import Readback
from .tiling import Tiling

__all__ = ["Chunk", "Layout", "write_programs"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Scales of some groups, loaded by one LOAD.

    Parameters
    ----------
    first, groups : int
        Which groups.
    local, words : int
        Where on chip, in scale words.
    address : int
        Byte address.
    """

    first: int
    groups: int
    local: int
    words: int
    address: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All decisions about a matrix product.

    Parameters
    ----------
    config : Config
        What it runs on.
    tiling : Tiling
        M, K, N and all that follows from them.
    streamed : bool
        Main loads the operands; otherwise setup does.
    out : str
        "activation", "wide" or "memory": where results go.
    exponent_base : int
        Of the results' activation words.
    blocks : tuple of range
        Tokens that are in activation memory together.
    slots : int
        Groups that the ring holds.
    scales_resident : bool
        Scale memory holds all scales.
    chunks : tuple of Chunk
        The scales.
    regions : dict of Region
        External memory: "inputs", "weights", "scales 0" and on, "output", and the programs.
    readback : Readback
        How results in activation memory are read, or None.
    """

    config: Config
    tiling: Tiling
    streamed: bool
    out: str
    exponent_base: int
    blocks: tuple[range, ...]
    slots: int
    scales_resident: bool
    chunks: tuple[Chunk, ...]
    regions: Mapping[str, Region]
    readback: Readback | None = None

    @property
    def ring(self) -> tuple[int, int]:
        """Operand tiles of the ring."""
        return 0, min(self.slots * self.tiling.slot, self.config.memory.operand_tiles)

    @property
    def out_word(self) -> int:
        """First word of the results on chip: in activation memory behind the inputs."""
        return len(self.blocks[0]) * self.tiling.steps if self.out == "activation" else 0

    @property
    def outputs(self) -> list[tuple[range, int]]:
        """Each block, with the address of its results in memory."""
        address = self.regions["output"].address
        outputs = []
        for block in self.blocks:
            outputs.append((block, address))
            address += WordRuns(self.config, len(block) * self.tiling.out_words).size
        return outputs


def write_programs(layout: Layout) -> dict[str, bytes]:
    """Return all programs of a layout by name, "main" first."""
    programs = {}
    if layout.streamed:
        programs["main"] = _StreamWriter(layout).main()
    else:
        programs["main"] = _Writer(layout).main()
        programs["setup"] = _Writer(layout).setup()
    if layout.out == "wide":
        programs["readout"] = _Writer(layout).readout()
    if layout.readback is not None:
        programs["readout"] = layout.readback.program(layout.out_word)
    return programs


class _Writer:
    """Write one program: instructions of a layout, and programs for operands on chip."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.tiling = layout.tiling
        self.program = Program(layout.config)

    # -- programs ----------------------------------------------------------------------------

    def setup(self) -> bytes:
        self.load_scales(self.layout.chunks[0])
        self.load_groups(0, self.tiling.groups)
        self.load_inputs(self.layout.blocks[0])
        self.program.end()
        return self.program.assemble()

    def main(self) -> bytes:
        (block,) = self.layout.blocks
        self.matmul(block, 0, self.tiling.groups)
        self.drain(block, 0, self.tiling.groups, 0)
        if self.layout.out == "memory":
            self.store(self.runs(*self.layout.outputs[0]))
        self.program.end()
        return self.program.assemble()

    def readout(self) -> bytes:
        words = self.tiling.wide_words
        self.program.store(
            StoreKind.WIDE, address=self.layout.regions["output"].address, rows=self.tiling.m,
            elements=words, local_stride=words,
        )  # fmt: skip
        self.program.end()
        return self.program.assemble()

    # -- instructions ------------------------------------------------------------------------

    def load_scales(self, chunk: Chunk) -> None:
        self.program.load(
            LoadKind.SCALE, address=chunk.address, elements=chunk.words, local=chunk.local
        )

    def load_inputs(self, block: range, **semaphores: Unpack[Semaphores]) -> None:
        tiling = self.tiling
        address = self.layout.regions["inputs"].address + block.start * tiling.input_stride
        self.program.load(
            LoadKind.ACTIVATION, address=address, rows=len(block),
            row_stride=tiling.input_stride, elements=tiling.steps, local_stride=tiling.steps,
            **semaphores,
        )  # fmt: skip

    def load_groups(self, first: int, groups: int, **semaphores: Unpack[Semaphores]) -> None:
        """Load weights; a smaller last group takes an instruction of its own."""
        tiling = self.tiling
        parts = [(first, groups, tiling.tiles)]
        if first + groups == tiling.groups and tiling.tiles_last < tiling.tiles:
            last = tiling.groups - 1
            parts = [(first, groups - 1, tiling.tiles), (last, 1, tiling.tiles_last)]
        for start, rows, tiles in parts:
            if rows:
                self.program.load(
                    tiling.kind, rows=rows, elements=tiling.row_writes(tiles),
                    address=self.layout.regions["weights"].address + start * tiling.group_stride,
                    row_stride=tiling.group_stride, ring=self.layout.ring,
                    local=start % self.layout.slots * tiling.slot, local_stride=tiling.slot,
                    **semaphores,
                )  # fmt: skip

    def matmul(
        self, block: range, first: int, groups: int, **semaphores: Unpack[Semaphores]
    ) -> None:
        tiling = self.tiling
        ends = first + groups == tiling.groups
        self.program.matmul(
            operand=first % self.layout.slots * tiling.slot, ring=self.layout.ring,
            steps=tiling.steps, tokens=len(block), groups=groups, tiles=tiling.tiles,
            tiles_last=tiling.tiles_last if ends else tiling.tiles,
            operand_stride=tiling.operand_stride, **semaphores,
        )  # fmt: skip

    def drain(
        self, block: range, first: int, groups: int, scale: int, **semaphores: Unpack[Semaphores]
    ) -> None:
        layout, tiling = self.layout, self.tiling
        ends = first + groups == tiling.groups
        kind, token_stride, group_stride = {
            "activation": (DrainKind.ACTIVATION, tiling.out_words, tiling.group_words),
            "wide": (DrainKind.WIDE, tiling.wide_words, tiling.group_scales),
            "memory": (DrainKind.STREAM, 0, 0),
        }[layout.out]
        self.program.drain(
            kind, scale=scale, exponent_base=layout.exponent_base, tokens=len(block),
            groups=groups, tiles=tiling.tiles,
            tiles_last=tiling.tiles_last if ends else tiling.tiles,
            columns_last=tiling.columns_last if ends else layout.config.array.columns,
            destination=layout.out_word + block.start * token_stride + first * group_stride,
            token_stride=token_stride, group_stride=group_stride, **semaphores,
        )  # fmt: skip

    def runs(self, block: range, address: int) -> list[tuple[int, int, int]]:
        """Return address, rows and elements of the STOREs that take a block's words.

        One is for runs of the greatest length, one for the rest.
        """
        runs = WordRuns(self.layout.config, len(block) * self.tiling.out_words)
        full = runs.counts.count(runs.longest)
        stores = [(address, full, runs.longest)] * bool(full)
        return stores + [(address + full * runs.stride, 1, n) for n in runs.counts[full:]]

    def store(self, runs: list[tuple[int, int, int]]) -> None:
        for address, rows, elements in runs:
            self.program.store(StoreKind.STREAM, address=address, rows=rows, elements=elements)


class _StreamWriter(_Writer):
    """Write the program for operands that main loads."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        semaphore = self.program.semaphore
        self.arrived = semaphore("weights of a group are there")
        self.token = semaphore("inputs of a token are there")
        ring_is_full = layout.slots < layout.tiling.groups
        self.free = semaphore("a slot is free") if ring_is_full else None
        self.outputs = dict(layout.outputs) if layout.out == "memory" else {}

    def main(self) -> bytes:
        for block in self.layout.blocks:
            if block.start:
                self.program.barrier()
            self.block(block)
        self.program.end()
        return self.program.assemble()

    def block(self, block: range) -> None:
        """Multiply some tokens by all weights."""
        layout, groups = self.layout, self.tiling.groups
        head, *chunks = layout.chunks
        loads_weights = not block.start or self.free is not None
        loads_scales = not block.start or not layout.scales_resident
        arrived = self.arrived if loads_weights else None
        freed = self.free if layout.scales_resident else None

        # A semaphore counts tokens, so there may be too many; then inputs come before weights.
        counts = (1 << layout.config.sequencer.semaphore_bits) - 1
        token_by_token = len(block) <= counts
        if not token_by_token:
            self.load_inputs(block)
            if not loads_weights:
                self.program.barrier()

        if loads_scales:
            self.load_scales(head)
        if loads_weights:
            self.load_some(block, 0, 1)
        if token_by_token:
            self.matmul(block, 0, 1, wait_outer=arrived, wait_inner=self.token, post_outer=freed)
            self.load_inputs(block, post_inner=self.token)
        else:
            self.matmul(block, 0, groups, wait_outer=arrived, post_outer=freed)
        if layout.scales_resident:
            self.drain(block, 0, groups, 0)
        else:
            self.drain(block, 0, head.groups, head.local, post_outer=self.free)
        runs = self.runs(block, self.outputs[block]) if self.outputs else []
        self.store(runs[:1])
        if token_by_token and groups > 1:
            self.matmul(block, 1, groups - 1, wait_outer=arrived, post_outer=freed)

        if loads_weights:
            self.load_some(block, 1, head.groups - 1)
        for chunk in chunks:
            if loads_scales:
                self.load_scales(chunk)
            if not layout.scales_resident:
                self.drain(block, chunk.first, chunk.groups, chunk.local, post_outer=self.free)
            if loads_weights:
                self.load_some(block, chunk.first, chunk.groups)
        self.store(runs[1:])

    def load_some(self, block: range, first: int, groups: int) -> None:
        """Load weights of some groups; the first ones of all find the ring empty."""
        empty = max(0, min(groups, self.layout.slots - first)) if not block.start else 0
        if empty:
            self.load_groups(first, empty, post_inner=self.arrived)
        if groups > empty:
            self.load_groups(
                first + empty, groups - empty, wait_inner=self.free, post_inner=self.arrived
            )
