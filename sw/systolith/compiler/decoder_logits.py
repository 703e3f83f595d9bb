"""Logits in external memory, for who asks for more than tokens: a row for each position.

The head is multiplied once more, as many output tiles at once as the gates have room for::

    array    | tiles 0..     | tiles 22..    |
    vector       to the gates    | to the gates       each when those before have been stored
    store              to the row      | to the row
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import FIXED_BITS, ConfigError
from systolith_hw.isa import DrainKind, StoreKind
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.row_norm import RowNorm

from .decoder_plan import DecoderPlan
from .decoder_writer import DecoderWriter
from .layout import log2, pad, power_of_two

__all__ = ["LogitsPart", "LogitsRows", "in_nats", "tiles_at_once"]

LOGIT_BYTES = FIXED_BITS // 8


@dataclass(frozen=True)
class LogitsRows:
    """Where the rows are.

    Parameters
    ----------
    plan : DecoderPlan
    address : int
        Of position 0.
    parts : tuple of int
        Output tiles of each part of a row, which begins with a beat of the port.
    """

    plan: DecoderPlan
    address: int
    parts: tuple[int, ...]

    @property
    def stride(self) -> int:
        """Bytes from row to row, a power of two."""
        return power_of_two(self.place(len(self.parts)))

    def place(self, part: int) -> int:
        """Return the bytes in front of a part of a row."""
        config = self.plan.config
        sizes = (self.plan.beats(tiles) * config.wide_word_bytes for tiles in self.parts[:part])
        return sum(pad(size, config.bus.data_bytes) for size in sizes)

    @property
    def size(self) -> int:
        """Bytes of all."""
        return self.plan.tokens * self.stride

    def unpack(self, raw: bytes) -> NDArray[np.int32]:
        """Return logits (positions, V) with LSB 2**-16 of whole rows."""
        rows = np.frombuffer(raw, "<i4").reshape(-1, self.stride // LOGIT_BYTES)
        firsts = (self.place(part) // LOGIT_BYTES for part in range(len(self.parts)))
        columns = self.plan.config.array.columns
        parts = [rows[:, first : first + tiles * columns]
                 for first, tiles in zip(firsts, self.parts, strict=True)]  # fmt: skip
        return np.concatenate(parts, axis=1)[:, : self.plan.shape.vocabulary]


def in_nats(logits: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return logits of LSB 2**-16 in nats."""
    return np.ldexp(logits.astype(np.float64), -FRACTION)


def tiles_at_once(plan: DecoderPlan) -> int:
    """Return the output tiles whose logits the place of the gates holds, in whole beats.

    Raises
    ------
    ConfigError
        If there are none.
    """
    port = plan.config.bus.data_bytes
    unit = max(1, port // (LOGIT_BYTES * plan.config.array.columns))
    tiles = plan.hidden_tiles // unit * unit
    if not tiles:
        raise ConfigError(
            f"logits cannot be stored with a bus.data_bytes of {port}, since the "
            f"{plan.shape.hidden} hidden values leave room for less at once; lower it"
        )
    return tiles


class LogitsPart:
    """Append what stores the logits of a position, out of the words of the last norm.

    Parameters
    ----------
    writer : DecoderWriter
    norm : RowNorm
        In front of the head.
    rows : LogitsRows
    place : int
        Register that counts bytes of the list of tokens.
    list_stride : int
        What it counts for each position.
    stored : int
        Semaphore that only STORE waits for.

    Raises
    ------
    ConfigError
        If what is computed at once cannot be stored.
    """

    def __init__(
        self, writer: DecoderWriter, norm: RowNorm, rows: LogitsRows, *, place: int,
        list_stride: int, stored: int,
    ) -> None:  # fmt: skip
        self.writer = writer
        self.norm = norm
        self.plan = plan = writer.plan
        self.rows = rows
        self.place = place
        self.list_stride = list_stride
        self.stored = stored
        self.free = writer.program.semaphore("logits have been stored")
        self.tiles = tiles_at_once(plan)

    def append(self, done: int | None) -> None:
        """Append the instructions; behind a deferred norm ``done``, if any, is given when its
        factor is not needed any more."""
        plan, program, writer = self.plan, self.writer.program, self.writer
        row = writer.tile
        program.calc(row, self.place, left=log2(self.rows.stride) - log2(self.list_stride))
        for first in range(0, plan.vocabulary_tiles, self.tiles):
            tiles = min(self.tiles, plan.vocabulary_tiles - first)
            last = first + tiles == plan.vocabulary_tiles
            program.matmul(
                steps=plan.steps, tiles=tiles, operand=plan.head_matrix + first * plan.steps,
                wait_outer=None if first else writer.normed,
            )  # fmt: skip
            program.drain(
                DrainKind.WIDE, tiles=tiles, scale=plan.head_table + plan.beats(first),
                columns_last=plan.vocabulary_last if last else plan.config.array.columns,
                destination=plan.gates, wait_inner=self.free if first else None,
                post_inner=done if writer.deferred and not first else None,
                post_outer=self.stored, **writer.behind_norm(self.norm, first=not first),
            )  # fmt: skip
            program.store(
                StoreKind.WIDE, elements=plan.beats(tiles), local=plan.gates,
                address=self.rows.address + plan.beats(first) * plan.config.wide_word_bytes,
                patches={"address": row}, wait_outer=self.stored,
                post_inner=None if last else self.free,
            )  # fmt: skip
