"""The part of an encoder's program that looks embeddings up, adds and norms them.

Rows of words and of positions are gathered as activation words: words in the place of the tokens'
words, positions behind all tokens. No path leads from there to the vector unit but through the
array, which multiplies them by the identity.

It runs once, so units wait for each other at BARRIERs.
"""

from systolith_hw.isa import DrainKind, LoadKind, Register, StoreKind
from systolith_sim.transformer.encoder import Norm

from .encoder_tables import WORD, Header
from .encoder_writer import EncoderWriter
from .layout import log2

__all__ = ["EmbeddingPart"]


class EmbeddingPart:
    """Append the embedding of all tokens.

    Parameters
    ----------
    writer : EncoderWriter
    norm : Norm or None
        Without one, words stay as they were gathered.
    base : int
        Of all words.
    back : bool
        The norm renews the residual, too.
    """

    def __init__(
        self, writer: EncoderWriter, norm: Norm | None, base: int, *, back: bool = True
    ) -> None:
        self.writer = writer
        self.plan = writer.plan
        self.layout = writer.layout
        self.program = writer.program
        self.norm = norm
        self.base = base
        self.back = back
        (self.tokens, self.remaining, self.words, self.wide, self.residual, self.record,
         self.token, self.place, self.address, self.number, self.part) = writer.scratch  # fmt: skip

    def append(self) -> None:
        """Append the instructions; everything is idle behind them."""
        writer, plan, program = self.writer, self.plan, self.program
        self._load_constants()
        for register in (self.words, self.wide, self.residual, self.record):
            program.calc(register)
        writer.read_header(self.number, Header.STAGES)
        with program.loop(
            count_register=self.number, counter=self.remaining, initial=Register.LENGTH,
            step=-plan.staging,
        ):  # fmt: skip
            program.minimum(self.tokens, 0, self.remaining, plan.staging)
            self._gather()
            program.barrier()
            self._add()
            program.barrier()
            if self.norm is not None:
                self._norm(self.norm)
                program.barrier()
            if plan.resident:
                program.calc(self.wide, self.wide, immediate=plan.staging * plan.wide_stride)
            else:
                self._store()
                program.barrier()
            if not plan.streamed:
                program.calc(self.words, self.words, immediate=plan.staging * plan.steps)
        if plan.crowded:
            writer.read_header(self.number, Header.TOUCHED)
            with writer.unless_zero(self.number, self.part):
                writer.store_touched(self.number)
                program.barrier()

    def _load_constants(self) -> None:
        """Load the identity, to its place or as the first slot of the ring, and scales."""
        writer, plan, program = self.writer, self.plan, self.program
        array, config = plan.config.array, plan.config
        tiles = plan.unit**2 // (array.rows * array.columns)
        program.load(
            LoadKind.OPERAND_ROWS, address=writer.address("identity"), local=plan.identity,
            elements=tiles * (array.rows // config.write_rows),
        )  # fmt: skip
        program.load(
            LoadKind.SCALE, address=writer.address("unity"), elements=plan.unit_entries,
            local=plan.unity,
        )  # fmt: skip
        if self.norm is not None:
            program.load(LoadKind.SCALE, address=writer.address("norm"), elements=plan.wide_stride)

    def _gather(self) -> None:
        """Load the rows of some tokens."""
        writer, plan, program, table = self.writer, self.plan, self.program, self.layout.tables
        free = 32 - table.token_bits
        left = log2(self.layout.row_bytes)
        program.calc(self.token)
        with program.loop(count_register=self.tokens, counter=self.place, step=plan.steps):
            writer.read_table(self.number, table.tokens, self.record)
            program.calc(self.address, self.number, left=free)
            program.calc(self.address, self.address, right=free, left=left)
            self._load_row("words", 0, self.words)
            program.calc(self.address, self.number, right=table.token_bits, left=left)
            self._load_row("positions", plan.queries, 0)
            program.calc(self.record, self.record, immediate=WORD)

    def _load_row(self, region: str, local: int, offset: int) -> None:
        """Load one row to ``local`` plus ``place`` plus the register ``offset``."""
        if offset:
            self.program.calc(self.token, self.place, offset)
        self.program.load(
            LoadKind.ACTIVATION, address=self.writer.address(region), elements=self.plan.steps,
            local=local,
            patches={"address": self.address, "local": self.token if offset else self.place},
        )  # fmt: skip

    def _add(self) -> None:
        """Bring rows to wide memory, ``unit`` features at a time: words, then positions."""
        plan, program, array = self.plan, self.program, self.plan.config.array
        steps, entries = plan.unit // array.rows, plan.unit_entries
        with program.loop(
            plan.shape.features // plan.unit, counter=self.part, step=steps
        ):  # fmt: skip
            program.calc(self.number, self.part, self.words)
            shift = (log2(steps), log2(entries))
            program.calc(self.place, self.part, right=shift[0], left=shift[1])
            program.calc(self.place, self.place, self.wide)
            for accumulate in (False, True):
                program.matmul(
                    steps=steps, tiles=plan.unit // array.columns, tokens=0,
                    operand=plan.identity,
                    activation=plan.queries if accumulate else 0, activation_stride=plan.steps,
                    patches={"tokens": self.tokens,
                             "activation": self.part if accumulate else self.number},
                )  # fmt: skip
                program.drain(
                    DrainKind.WIDE, accumulate=accumulate, tiles=plan.unit // array.columns,
                    tokens=0, scale=plan.unity, token_stride=plan.wide_stride,
                    patches={"tokens": self.tokens, "destination": self.place},
                )  # fmt: skip

    def _norm(self, norm: Norm) -> None:
        plan = self.plan
        self.program.norm(
            elements=plan.shape.features, inverse=norm.inverse, epsilon=norm.epsilon,
            back=self.back, source=0, source_stride=plan.wide_stride, destination=0,
            token_stride=plan.steps, exponent_base=self.base, tokens=0,
            patches={"tokens": self.tokens, "destination": self.words, "source": self.wide},
        )  # fmt: skip

    def _store(self) -> None:
        """Store the residual, and the words if they are streamed."""
        plan, program = self.plan, self.program
        program.store(
            StoreKind.WIDE, address=self.writer.address("tokens"), rows=0,
            row_stride=self.layout.token_bytes, elements=plan.wide_stride,
            local_stride=plan.wide_stride,
            patches={"address": self.residual, "rows": self.tokens},
        )  # fmt: skip
        if plan.streamed:
            self.writer.store_input(self.tokens, self.residual, self.place, self.base)
        program.calc(self.residual, self.residual, immediate=plan.staging * self.layout.token_bytes)
