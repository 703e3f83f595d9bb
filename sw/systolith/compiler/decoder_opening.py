"""The part of a language model's program that lets tokens begin with what is in tables.

::

    load      table of residuals ─►|              | of words, of residuals ─► ...
    array   K Q V | ...      output |    ... | head | K Q V | ...
    sequencer                            token ─► place in the tables

Of a model of one layer the registers that tell its layers apart are free; this has them.
"""

from systolith_hw.isa import LoadKind, Register
from systolith_sim.transformer.row_norm import RowNorm

from .decoder_layout import DecoderLayout
from .decoder_writer import DecoderWriter, Opening
from .layout import log2

__all__ = ["OpeningPart"]


class OpeningPart:
    """Append what brings :mod:`.opening_tables` to the chip, and finds a token's row there.

    Parameters
    ----------
    writer : DecoderWriter
        Is told of the places.
    layout : DecoderLayout
    place : int
        A free register, for the bytes to a position's tables.

    Attributes
    ----------
    numbered : int or None
        Semaphore, for the array: VECTOR has chosen a token. None where the sequencer tells the
        array which one.
    """

    def __init__(self, writer: DecoderWriter, layout: DecoderLayout, place: int) -> None:
        self.writer = writer
        self.layout = layout
        self.plan = plan = layout.plan
        self.program = writer.program
        self.tables = plan.opening_tables
        self.place = place
        config = self.plan.config
        direct = config.array.numbered and not (config.vector.candidates or self.plan.shape.rotary)
        self.numbered = self.program.semaphore("the next token is chosen") if direct else None
        self._token: int | None = None  # the register of a token that is to be looked up
        self._asked = False
        writer.opening = self.opening = Opening(
            loaded=self.program.semaphore("the table of tokens' first words is there"),
            summed=self.program.semaphore("the table of tokens' residuals is there"),
            half=writer.exponents, words=writer.entry, sums=writer.values,
        )  # fmt: skip

    def begin(self, norm: RowNorm) -> None:
        """Fill the first half for POSITION. A token measured in vain says what ``norm`` is."""
        program, plan, writer = self.program, self.plan, self.writer
        program.calc(self.opening.half)
        left = log2(self.layout.position_bytes) * plan.shape.learned
        program.calc(self.place, Register.POSITION if plan.shape.learned else 0, left=left)
        self._load(post_outer=writer.summed)
        writer.append_norm(norm, source=plan.sums)
        program.barrier()
        program.credit(self.opening.summed)

    def fill(self) -> None:
        """Fill the other half for the next position."""
        program, words, half = self.program, self.tables.words, self.opening.half
        program.calc(half, half, immediate=words // 2)
        # Where the subtraction wraps around, the number as it was is the smaller one.
        program.minimum(half, half, half, -words)
        if self.plan.shape.learned:
            program.calc(self.place, self.place, immediate=self.layout.position_bytes)
        self._load(post_outer=self.opening.summed)

    def find_words(self, token: int) -> None:
        """Find where the words of the token in a register are, in the half that was filled last."""
        words = self.opening.words
        self.program.calc(words, token, left=log2(self.tables.word_stride))
        self.program.calc(words, words, self.opening.half)

    def leave_token(self, token: int, *, asked: bool) -> None:
        """Let :meth:`find_sum` look the token up; and ask VECTOR for it, if nobody has asked."""
        self._token, self._asked = token, asked

    def find_sum(self) -> None:
        """Find where the token's residual is; that has time until the first addition."""
        if self._token is not None:
            if not self._asked:
                self.program.read_number(self._token, fresh=True)
            self.find_words(self._token)
        self.program.calc(self.opening.sums, self.opening.words, left=self.tables.lift)

    def _load(self, post_outer: int) -> None:
        """Bring both tables of a position to a half."""
        program, plan, tables, local = self.program, self.plan, self.tables, self.writer.tile
        half = self.opening.half
        program.load(
            LoadKind.ACTIVATION, address=self.layout.address("openings"), local=plan.openings,
            elements=plan.shape.vocabulary * tables.word_stride,
            patches={"address": self.place, "local": half}, post_outer=self.opening.loaded,
        )  # fmt: skip
        program.calc(local, half, left=tables.lift)
        program.load(
            LoadKind.WIDE, address=self.layout.address("embedding"), local=plan.sums,
            elements=plan.shape.vocabulary * tables.sum_stride,
            patches={"address": self.place, "local": local}, post_outer=post_outer,
        )  # fmt: skip
