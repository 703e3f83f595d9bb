"""The programs of attention alone: what loads it, what is measured, what brings the result."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, ConfigError
from systolith_hw.isa import LoadKind
from systolith_sim.dma.pages import pack_pages, pack_scales, unpack_pages

from ..program import Program
from .attention import BLOCKS_AHEAD, HeadsPlan
from .encoder_attention import AttentionPart, Links, Spill
from .encoder_tables import WORD
from .layout import MemoryMap, pad
from .readback import Readback

__all__ = ["AttentionPrograms"]

Integers = NDArray[np.int64]


class AttentionPrograms:
    """What attention takes in external memory, its programs included.

    Parameters
    ----------
    plan : HeadsPlan
    base : int
        Of the words of queries and context.

    Attributes
    ----------
    programs : dict
        "setup" loads K, V and, if they fit, the queries; "main" computes; "readout", if the context
        is on the chip, stores it.
    regions : dict of Region
    """

    def __init__(self, plan: HeadsPlan, base: int) -> None:
        self.plan = plan
        self.config = config = plan.config
        purpose = f"attention of {plan.heads} heads over {plan.tokens} tokens"
        self._map = MemoryMap(config, purpose)
        self.regions = self._map.regions
        array, port = config.array, config.bus.data_bytes
        self._tile_bytes = pad(array.rows * array.columns, port)
        self._scale_bytes = pad(config.scale_word_bytes, port)
        heads = 2 * plan.pairs
        for name, size in (
            ("operands", plan.operand_need * self._tile_bytes),
            ("scales", plan.scale_need * self._scale_bytes),
            ("queries", heads * plan.head_bytes),
            ("contexts", plan.spill * heads * plan.head_bytes),
            ("records", len(self._records) * self._record_bytes),
        ):
            self._map.add(name, size)
        words = heads * plan.tokens * plan.head_steps
        self._readback = None if plan.spill else Readback(config, words, self._map)
        try:
            self.programs = {"setup": self._setup(), "main": self._main(base)}
        except ValueError as error:
            raise ConfigError(f"{purpose} cannot be programmed: {error}") from error
        if self._readback is not None:
            self.programs["readout"] = self._readback.program(plan.queries)
        for name, program in self.programs.items():
            self._map.add(name, len(program))

    @property
    def size(self) -> int:
        """Bytes of external memory."""
        return self._map.size

    # -- programs ----------------------------------------------------------------------------

    def _setup(self) -> bytes:
        plan, program, array = self.plan, Program(self.config), self.config.array
        program.load(
            LoadKind.OPERAND_ROWS, address=self.regions["operands"].address,
            rows=plan.operand_need, row_stride=self._tile_bytes, local_stride=1,
            elements=array.rows // self.config.write_rows,
        )  # fmt: skip
        program.load(
            LoadKind.SCALE, address=self.regions["scales"].address, rows=plan.scale_need,
            row_stride=self._scale_bytes, local_stride=1, elements=1,
        )  # fmt: skip
        if not plan.spill:
            program.load(
                LoadKind.ACTIVATION, address=self.regions["queries"].address,
                rows=2 * plan.pairs * plan.tokens, row_stride=plan.run_bytes,
                local=plan.queries, local_stride=plan.head_steps, elements=plan.head_steps,
            )  # fmt: skip
        program.end()
        return program.assemble()

    def _main(self, base: int) -> bytes:
        plan, program = self.plan, Program(self.config)
        arrived = free = spill = None
        summed = program.semaphore("a row's scores are there")
        normed = program.semaphore("the words of a row's probabilities are there")
        record = program.register("record")
        scratch = [program.register(f"scratch {number}") for number in range(8)]
        if plan.spill:
            arrived = program.semaphore("a block's queries are there")
            free = program.semaphore("the place of a block's queries is free")
            spill = Spill(self.regions["contexts"].address, plan.run_bytes, plan.head_bytes)
            fetch = [program.register(f"fetch {number}") for number in range(3)]
            program.credit(free, 2 * BLOCKS_AHEAD)
        links = Links(summed, normed, arrived=arrived, free=free)
        part = AttentionPart(
            program, plan, links, base=base, records=self.regions["records"].address,
            scratch=scratch, spill=spill, causal=plan.causal,
        )  # fmt: skip
        with program.loop(len(self._records), counter=record, step=self._record_bytes):
            if plan.spill:
                self._fetch(program, record, fetch, links)
            part.append(record)
        program.end()
        return program.assemble()

    def _fetch(self, program: Program, record: int, registers: list[int], links: Links) -> None:
        """Load a block's queries of two heads, as soon as there is a place for them."""
        plan, first = self.plan, 3 + self.plan.causal
        for word, register in zip((2, first, first + 1), registers, strict=True):
            program.read(register, record, self.regions["records"].address + WORD * word)
        address, rows, local = registers
        for half in range(2):
            program.load(
                LoadKind.ACTIVATION, rows=0, row_stride=plan.run_bytes,
                address=self.regions["queries"].address + half * plan.head_bytes,
                local=plan.queries + half * plan.head_queries, local_stride=plan.head_steps,
                elements=plan.head_steps,
                patches={"address": address, "rows": rows, "local": local},
                wait_outer=links.free, post_outer=links.arrived,
            )  # fmt: skip

    # -- contents ----------------------------------------------------------------------------

    @property
    def _record_bytes(self) -> int:
        return WORD * len(self._records[0])

    @cached_property
    def _records(self) -> list[tuple[int, ...]]:
        """The words of each block, as :class:`AttentionPart` and :meth:`_fetch` read them."""
        plan = self.plan
        records: list[tuple[int, ...]] = []
        for pair in range(plan.pairs):
            for rows in plan.blocks:
                last = plan.seen(rows[-1]) - 1
                if plan.spill:
                    place = len(records) % BLOCKS_AHEAD * plan.block_queries
                else:
                    place = 2 * pair * plan.head_queries + rows.start * plan.head_steps
                address = 2 * pair * plan.head_bytes + rows.start * plan.run_bytes
                record = [len(rows) | last << 16, place | 2 * pair * plan.units << 16]
                record += [address] * plan.spill
                record += [plan.seen(rows[0]) << 16] * plan.causal
                records.append((*record, *(len(rows), place) * plan.spill))
        return records

    def parts(
        self, queries: tuple[Integers, Integers], keys: Integers, key_shifts: Integers,
        values: Integers, value_shifts: Integers,
    ) -> dict[int, bytes]:  # fmt: skip
        """Return contents of external memory by address, without the programs.

        Parameters
        ----------
        queries : (H, S, words, R) and (H, S, words) int64
            Mantissas and exponents.
        keys, values : (H, S, D) int64
            Mantissas.
        key_shifts, value_shifts : (H, S) int64
            Shifts of their scale entries.
        """
        plan, regions = self.plan, self.regions
        runs = (
            pack_pages(self.config, mantissas, exponents).ljust(plan.run_bytes, b"\0")
            for head in zip(*queries, strict=True)
            for mantissas, exponents in zip(*head, strict=True)
        )
        entries = np.stack([self._places(shifts) for shifts in (key_shifts, value_shifts)])
        parts = {
            regions["operands"].address: self._tiles(keys, values),
            regions["scales"].address: self._pad(
                pack_scales(np.full(entries.size, 1 << SCALE_BITS - 1), entries.ravel(),
                            np.zeros(entries.size, np.int64)),
                self.config.scale_word_bytes, self._scale_bytes,
            ),
            regions["queries"].address: b"".join(runs),
            regions["records"].address: np.array(self._records, "<u4").tobytes(),
        }  # fmt: skip
        return parts | (self._readback.parts if self._readback else {})

    def _places(self, part: Integers) -> Integers:
        """Return what each head (H, S, ...) has, in places of whole units, with a head to pair."""
        plan = self.plan
        empty = [(0, 2 * plan.pairs - plan.heads), (0, plan.units * plan.unit - plan.tokens)]
        return np.pad(part, empty + [(0, 0)] * (part.ndim - 2))

    def _tiles(self, keys: Integers, values: Integers) -> bytes:
        """Return operand memory: of K a column, and of V a row for each token."""
        plan, array = self.plan, self.config.array
        columns = self._places(keys).reshape(-1, array.columns, plan.head_steps, array.rows)
        rows = self._places(values).reshape(-1, array.rows, plan.head_tiles, array.columns)
        tiles = np.zeros((plan.operand_need, array.rows, array.columns), np.int8)
        gaps = tiles[: plan.values].reshape(-1, plan.key_stride, array.rows, array.columns)
        gaps[:, : plan.head_steps] = columns.transpose(0, 2, 3, 1)
        tiles[plan.values :] = rows.transpose(2, 0, 1, 3).reshape(-1, array.rows, array.columns)
        return self._pad(tiles.tobytes(), array.rows * array.columns, self._tile_bytes)

    @staticmethod
    def _pad(raw: bytes, size: int, stride: int) -> bytes:
        """Return pieces of ``size`` bytes ``stride`` apart."""
        pieces = np.frombuffer(raw, np.uint8).reshape(-1, size)
        return np.pad(pieces, ((0, 0), (0, stride - size))).tobytes()

    # -- result ------------------------------------------------------------------------------

    def unpack(self, memory: NDArray[np.uint8]) -> tuple[Integers, Integers]:
        """Return the context's mantissas (H, S, words, R) and exponents (H, S, words)."""
        plan, shape = self.plan, (2 * self.plan.pairs, self.plan.tokens, self.plan.head_steps)
        if self._readback is not None:
            mantissas, exponents = self._readback.unpack(memory)
        else:
            region = self.regions["contexts"]
            runs = memory[region.address : region.end].reshape(-1, plan.run_bytes)
            parts = (unpack_pages(self.config, run.tobytes(), plan.head_steps) for run in runs)
            mantissas, exponents = map(np.concatenate, zip(*parts, strict=True))
        words = mantissas.reshape(*shape, -1), exponents.reshape(shape)
        return words[0][: plan.heads], words[1][: plan.heads]
