"""What the parts of a language model's program share: semaphores, registers, and norms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from systolith_hw.isa import DrainKind, Register
from systolith_sim.transformer.row_norm import RowNorm

from ..program import Program
from .decoder_plan import DecoderPlan
from .layer_places import NOTHING, LayerPlaces, added
from .layout import log2

__all__ = ["UPPER", "WORD_BITS", "DecoderWriter", "Opening", "multiply", "remainder"]

WORD_BITS = 32
"""Of a register."""

UPPER = 16
"""Bits by which a number is shifted to be added to the slot behind another one."""

NORM_ROW = 0
"""The row whose factor is that of a norm which is deferred."""


class BehindNorm(TypedDict, total=False):
    """What a DRAIN is told of the norm in front of its matrix."""

    scaled: bool
    row: int
    wait_outer: int


@dataclass(frozen=True)
class Opening:
    """Where tokens find what they begin with, if that is in tables (:mod:`.opening_tables`).

    Parameters
    ----------
    loaded, summed : int
        Semaphores, for the array and VECTOR: the position's table of words, or of residuals, is
        there.
    half : int
        Register: activation words in front of the half of the tables that was filled last.
    words, sums : int
        Registers: activation words in front of the token's, and wide words in front of its
        residual.
    """

    loaded: int
    summed: int
    half: int
    words: int
    sums: int


def multiply(program: Program, target: int, source: int, factor: int) -> None:
    """Multiply a register by a power of two, or by a sum of two; the target is another one."""
    low, high = log2(factor & -factor), log2(factor)
    program.calc(target, source, left=high - low if factor & factor - 1 else high)
    if factor & factor - 1:
        program.calc(target, target, source, left=low)


def remainder(program: Program, target: int, source: int, divisor: int) -> None:
    """Take a register modulo a power of two."""
    unused = WORD_BITS - log2(divisor)
    program.calc(target, source, left=unused)
    program.calc(target, target, right=unused)


class DecoderWriter:
    """A program under construction.

    Each step of a token waits for the one before, so each pair of units needs one semaphore only:
    counts are taken in the order in which they are given. Whatever is written over has been read by
    then, since who gave the count had heard so, through results or other counts.

    Parameters
    ----------
    plan : DecoderPlan
    norm : RowNorm
        All of the model's.

    Attributes
    ----------
    program : Program
    summed : int
        Semaphore, for the row unit: wide words are there, a residual or a head's scores.
    normed : int
        Semaphore, for the array: words of a norm, or of a head's probabilities, are there.
    softened : int
        Semaphore, for VECTOR: factors of a head's probabilities are there.
    written : int
        Semaphore, for the array: words of DRAIN are there.
    opening : Opening or None
        Where tokens begin; None if their norm is made here.
    layer : LayerPlaces
        Which of the following registers a layer's instructions take.
    tile, entry : int
        Registers: operand tiles and scale words from the first block to the layer's. The first is
        free between loops over layers.
    keys, values : int
        Registers: tiles from the first block's keys, or values, to the next one in the layer's.
    exponents : int
        Register: lanes of scale memory from the first exponent of a head to the position's, in the
        layer's block.
    lane, row : int
        Registers: the position's lane in keys, and row in values.
    key_tiles, value_tiles : int
        Registers: whole tiles of keys, and of values, before the position's.
    """

    def __init__(self, plan: DecoderPlan, norm: RowNorm) -> None:
        self.plan = plan
        self._norm = norm
        self.opening: Opening | None = None
        self.program = program = Program(plan.config)
        self.summed = program.semaphore("wide words for the row unit are there")
        self.normed = program.semaphore("words of the row unit are there")
        self._measured = program.semaphore("the factor of a norm is there")
        self.softened = program.semaphore("the factors of a softmax are there")
        self.written = program.semaphore("words of the vector unit are there")
        self.tile = program.register("the layer's tiles")
        self.entry = program.register("the layer's scale words")
        self.keys = program.register("place of the next key")
        self.values = program.register("place of the next value")
        self.exponents = program.register("place of the next exponents")
        self.lane = program.register("lane of the next key")
        self.row = program.register("row of the next value")
        self.key_tiles = program.register("whole tiles of keys")
        self.value_tiles = program.register("whole tiles of values")
        single = plan.shape.layers == 1
        self.layer = LayerPlaces(
            tile=NOTHING if single else self.tile,
            entry=NOTHING if single else self.entry,
            keys=self.key_tiles if single and plan.key_stride == 1 else self.keys,
            values=self.value_tiles if single else self.values,
            exponents=Register.POSITION if single else self.exponents,
        )  # fmt: skip

    def find_places(self) -> None:
        """Find everything that follows from the position, for the first layer."""
        program, array, position = self.program, self.plan.config.array, Register.POSITION
        for register, size in ((self.lane, array.columns), (self.row, array.rows)):
            remainder(program, register, position, size)
        self._find_tiles()

    def next_position(self) -> None:
        """Find the same for the next position, without shifts to the left, which take long."""
        program, array, position = self.program, self.plan.config.array, Register.POSITION
        program.calc(position, position, immediate=1)
        for register, size in ((self.lane, array.columns), (self.row, array.rows)):
            program.calc(register, register, immediate=1)
            # Where the subtraction wraps around, the number as it was is the smaller one.
            program.minimum(register, register, register, -size)
        self._find_tiles()

    def _find_tiles(self) -> None:
        program, plan, array = self.program, self.plan, self.plan.config.array
        program.calc(self.key_tiles, Register.POSITION, right=log2(array.columns))
        if self.layer.keys == self.keys:
            program.calc(self.keys, self.key_tiles, left=log2(plan.key_stride))
        program.calc(self.value_tiles, Register.POSITION, right=log2(array.rows))
        if plan.shape.layers > 1:
            program.calc(self.values, self.value_tiles)
            program.calc(self.exponents, Register.POSITION)
            program.calc(self.entry)

    def multiply(self, target: int, source: int, factor: int) -> None:
        """Multiply a register by a power of two, or by a sum of two; the target is another one."""
        multiply(self.program, target, source, factor)

    def next_layer(self) -> None:
        """Go on to the next layer, but for ``tile``."""
        program, plan = self.program, self.plan
        for register, step in (
            (self.keys, plan.block_tiles), (self.values, plan.block_tiles),
            (self.exponents, plan.block_entries * plan.config.vector.lanes),
            (self.entry, plan.block_entries),
        ):  # fmt: skip
            program.calc(register, register, immediate=step)

    def first_norm(self) -> None:
        """Make words of what LOAD has brought as residual, where :meth:`add` makes them later."""
        if self._norm.deferred and not self.plan.shape.tabled:
            self.append_norm(
                self._norm, post_inner=self.normed, post_outer=self._measured
            )

    @property
    def deferred(self) -> bool:
        """Whether DRAIN does what norms leave to it."""
        return self._norm.deferred

    @property
    def head_row(self) -> int:
        """The row of the first head of queries."""
        return NORM_ROW + 1 if self.deferred else 0

    def norm(self, norm: RowNorm, done: int | None = None) -> None:
        """Make words of the residual, unless :meth:`add` has; the array is told.

        What DRAIN does to the results of matrices behind it is in :meth:`behind_norm`. ``done``
        is given when all before is, but for a norm that is deferred.
        """
        if not norm.deferred:
            self.append_norm(norm, post_outer=self.normed, post_inner=done)

    def skip_norm(self, semaphore: int | None) -> None:
        """Give a semaphore, if any, when all is done whose results nobody wants."""
        if not self._norm.deferred:
            self.append_norm(self._norm, post_inner=semaphore)
            return
        # Counts are taken by those who always take them.
        plan, program = self.plan, self.program
        program.matmul(steps=1, operand=plan.head_matrix, wait_outer=self.normed)
        program.drain(
            DrainKind.WIDE, destination=plan.gates, scale=plan.head_table, post_outer=semaphore,
            **self.behind_norm(self._norm, first=True),
        )  # fmt: skip

    def behind_norm(self, norm: RowNorm, *, first: bool = False) -> BehindNorm:
        """Return fields of a DRAIN of results behind a norm; the ``first`` one has one group."""
        if not norm.deferred:
            return {}
        fields: BehindNorm = {"scaled": True, "row": NORM_ROW}
        return fields | {"wait_outer": self._measured} if first else fields

    def norm_tokens(self, norm: RowNorm, tokens: int, source: int, stride: int) -> None:
        """Make words of the residual of as many tokens as a register says; each is told of.

        They begin at wide word ``source``, ``stride`` words apart. Of their factors, if norms are
        deferred, DRAIN is told at the end.
        """
        plan = self.plan
        self.program.norm(
            elements=norm.features, inverse=norm.inverse, epsilon=norm.epsilon, centre=False,
            defer=norm.deferred, row=NORM_ROW, tokens=0, source=source, source_stride=stride,
            destination=0, token_stride=plan.steps, scale=0 if norm.deferred else plan.unit_table,
            exponent_base=norm.base, patches={"tokens": tokens}, wait_inner=self.summed,
            post_inner=self.normed, post_outer=self._measured if norm.deferred else None,
        )  # fmt: skip

    def append_norm(
        self, norm: RowNorm, *, source: int | None = None, post_inner: int | None = None,
        post_outer: int | None = None,
    ) -> None:  # fmt: skip
        """Make words of what is told of as ``summed``: of the residual, or of what is elsewhere."""
        plan = self.plan
        self.program.norm(
            elements=norm.features, inverse=norm.inverse, epsilon=norm.epsilon, centre=False,
            defer=norm.deferred, row=NORM_ROW, destination=0,
            source=plan.residual if source is None else source,
            scale=0 if norm.deferred else plan.unit_table, exponent_base=norm.base,
            wait_outer=self.summed, post_inner=post_inner, post_outer=post_outer,
        )  # fmt: skip

    def add(
        self, chunks: Sequence[int], operand: int, activation: int, table: int,
        wait_outer: int | None = None,
    ) -> None:  # fmt: skip
        """Add a matrix to the residual, as many words of inputs at once as ``chunks`` says; where
        norms are deferred, make words of it. VECTOR takes ``wait_outer``, if any, before it."""
        plan, program = self.plan, self.program
        for number, words in enumerate(chunks):
            first = sum(chunks[:number])
            program.matmul(
                steps=words, tiles=plan.tiles, operand=operand + first * plan.tiles,
                activation=activation + first, patches=added(operand=self.layer.tile),
                wait_outer=self.written,
            )  # fmt: skip
            self._drain_sums(
                table, last=number + 1 == len(chunks), wait_outer=None if number else wait_outer
            )

    def _drain_sums(self, table: int, *, last: bool, wait_outer: int | None) -> None:
        """Add results to the residual, and tell who works on with the ``last``."""
        plan, opening, measured = self.plan, self.opening, last and self._norm.deferred
        told = self._measured if measured else self.summed if last else None
        self.program.drain(
            DrainKind.MEASURED if measured else DrainKind.WIDE, accumulate=True, tiles=plan.tiles,
            columns_last=plan.features_last, scale=table,
            destination=plan.sums if opening else plan.residual,
            row=NORM_ROW, exponent_base=self._norm.base,
            patches=added(
                scale=self.layer.entry, destination=opening.sums if opening else NOTHING
            ),
            wait_outer=wait_outer, post_inner=self.normed if measured else None, post_outer=told,
        )  # fmt: skip
