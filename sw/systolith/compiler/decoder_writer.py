"""What the parts of a language model's program share: semaphores, registers, and norms."""

from collections.abc import Sequence

from systolith_hw.isa import DrainKind, Register
from systolith_sim.transformer.encoder import Norm

from ..program import Program
from .decoder_plan import DecoderPlan
from .layout import log2

__all__ = ["DecoderWriter", "multiply"]

WORD_BITS = 32
"""Of a register."""


def multiply(program: Program, target: int, source: int, factor: int) -> None:
    """Multiply a register by a power of two, or by a sum of two; the target is another one."""
    low, high = log2(factor & -factor), log2(factor)
    program.calc(target, source, left=high - low if factor & factor - 1 else high)
    if factor & factor - 1:
        program.calc(target, target, source, left=low)


class DecoderWriter:
    """A program under construction.

    Each step of a token waits for the one before, so each pair of units needs one semaphore only:
    counts are taken in the order in which they are given. Whatever is written over has been read by
    then, since who gave the count had heard so, through results or other counts.

    Parameters
    ----------
    plan : DecoderPlan

    Attributes
    ----------
    program : Program
    summed : int
        Semaphore, for the row unit: wide words are there, a residual or a head's scores.
    normed : int
        Semaphore, for the array: words of a norm, or of a head's probabilities, are there.
    written : int
        Semaphore, for the array: words of DRAIN are there.
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

    def __init__(self, plan: DecoderPlan) -> None:
        self.plan = plan
        self.program = program = Program(plan.config)
        self.summed = program.semaphore("wide words for the row unit are there")
        self.normed = program.semaphore("words of the row unit are there")
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

    def find_places(self) -> None:
        """Find everything that follows from the position, for the first layer."""
        program, array, position = self.program, self.plan.config.array, Register.POSITION
        for register, size in ((self.lane, array.columns), (self.row, array.rows)):
            program.calc(register, position, left=WORD_BITS - log2(size))
            program.calc(register, register, right=WORD_BITS - log2(size))
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
        program.calc(self.keys, self.key_tiles, left=log2(plan.key_stride))
        program.calc(self.value_tiles, Register.POSITION, right=log2(array.rows))
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

    def norm(
        self, norm: Norm, table: int, base: int, *, layer: bool = True,
        post_outer: int | None = None, post_inner: int | None = None,
    ) -> None:  # fmt: skip
        """Make words of the residual, with a table of the layer's block or of no layer."""
        self.program.norm(
            elements=self.plan.shape.features, inverse=norm.inverse, epsilon=norm.epsilon,
            centre=False, source=self.plan.residual, destination=0, scale=table,
            exponent_base=base, patches={"scale": self.entry} if layer else {},
            wait_outer=self.summed, post_outer=post_outer, post_inner=post_inner,
        )  # fmt: skip

    def add(self, chunks: Sequence[int], operand: int, activation: int, table: int) -> None:
        """Add a matrix to the residual, as many words of inputs at once as ``chunks`` says."""
        plan, program = self.plan, self.program
        for number, words in enumerate(chunks):
            first = sum(chunks[:number])
            program.matmul(
                steps=words, tiles=plan.tiles, operand=operand + first * plan.tiles,
                activation=activation + first, patches={"operand": self.tile},
                wait_outer=self.written,
            )  # fmt: skip
            program.drain(
                DrainKind.WIDE, accumulate=True, tiles=plan.tiles, columns_last=plan.features_last,
                scale=table, destination=plan.residual, patches={"scale": self.entry},
                post_outer=self.summed if number + 1 == len(chunks) else None,
            )  # fmt: skip
