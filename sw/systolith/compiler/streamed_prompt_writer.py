"""What the parts of a block of a streamed prompt share: semaphores, registers, and steps."""

from systolith_hw.isa import DrainKind
from systolith_sim.transformer.row_norm import RowNorm

from .decoder_ring import RingMatrix
from .decoder_streamed_writer import StreamedWriter
from .streamed_prompt_plan import StreamedPromptPlan

__all__ = ["BlockWriter"]


class BlockWriter:
    """A block of tokens on its way through a layer.

    Parameters
    ----------
    writer : StreamedWriter
        Of the tokens that follow, whose registers are found anew behind the prompt. Of a block,
        ``page`` is that of its first token; ``words``, ``key_tiles`` and ``value_tiles`` are those
        of its last one, and in ``lane`` that one's lane in keys has the first one's position above
        it, in the upper half.
    prompt : StreamedPromptPlan
    norm : RowNorm
        All of the model's.
    scratch : tuple of int
        Three registers: ``rows``, ``row_keys`` and ``end``.

    Attributes
    ----------
    program : Program
    rows : int
        Register: tokens of the block.
    row_keys : int
        Register: tokens of the block; in the upper half the last one's position.
    end : int
        Register: the last one's position.
    gates : int
        Register: wide words of the gates of a slot.
    freed : int
        Semaphore, for LOAD: a slot of the block's ring is free.
    room : int
        Semaphore, for LOAD: the place for weights of a head of keys, or values, is free.
    expanded : int
        Semaphore, for LOAD: nothing is in the block's ring any more.
    tokens : dict
        The patch of a field ``tokens`` of 0.
    """

    def __init__(
        self, writer: StreamedWriter, prompt: StreamedPromptPlan, norm: RowNorm,
        scratch: tuple[int, int, int],
    ) -> None:  # fmt: skip
        self.writer = writer
        self.program = program = writer.program
        self.layout = writer.layout
        self.plan = writer.plan
        self.prompt = prompt
        self._norm = norm
        self.rows, self.row_keys, self.end = scratch
        self.gates = program.register("wide words of the gates of a slot")
        self.freed = program.semaphore("a slot of the block's ring is free")
        self.room = program.semaphore("the place for weights of a head is free")
        self.expanded = program.semaphore("nothing is in the block's ring")
        self.tokens = {"tokens": self.rows}
        program.credit(self.freed, prompt.ring.slots)
        program.credit(self.room)

    def norm(self, table: str) -> None:
        """Make words of the residual, when the table is there; each token's are told of."""
        norm, plan, prompt = self._norm, self.plan, self.prompt
        self.program.norm(
            elements=norm.features, inverse=norm.inverse, epsilon=norm.epsilon, centre=False,
            tokens=0, source=prompt.residual, source_stride=prompt.residual_stride,
            destination=0, token_stride=plan.steps, scale=plan.tables[table],
            exponent_base=norm.base, patches=self.tokens, wait_outer=self.writer.tabled,
            wait_inner=self.writer.summed, post_inner=self.writer.normed,
        )  # fmt: skip

    def load(self, name: str, matrix: str, panels: int = 0) -> None:
        """Bring a matrix through the block's ring: of one in the layer's record, what is behind so
        many panels."""
        ring = self.prompt.matrices[name]
        address = self.address(matrix) + panels * ring.panel_bytes
        ring.load(
            self.program, address, {"address": self.writer.layer}, free=self.freed,
            arrived=self.writer.arrived,
        )  # fmt: skip

    def address(self, matrix: str) -> int:
        """Return where a matrix of the first layer begins."""
        return self.layout.address("layers") + self.layout.places[matrix]

    def multiply(
        self, matrix: RingMatrix, activation: int, stride: int, *, free: int,
        ready: int | None = None,
    ) -> None:  # fmt: skip
        """Multiply all tokens by a matrix, each from when it is ``ready`` on."""
        matrix.multiply(
            self.program, activation, ready=ready, free=free, arrived=self.writer.arrived,
            rows=self.rows, stride=stride,
        )  # fmt: skip

    def add(self, matrix: RingMatrix, table: str) -> None:
        """Add the results of a matrix to the residual; the row unit is told of each token."""
        plan, prompt, each = self.plan, self.prompt, self.plan.beats(matrix.each)
        for first, groups, panels in matrix.pieces:
            last = first + groups == matrix.slots
            self.program.drain(
                DrainKind.WIDE, accumulate=True, tokens=0, groups=groups, tiles=panels,
                columns_last=plan.features_last if last else plan.config.array.columns,
                scale=plan.tables[table] + first * each, group_stride=each,
                destination=prompt.residual + first * each, token_stride=prompt.residual_stride,
                patches=self.tokens, post_inner=self.writer.summed if last else None,
            )  # fmt: skip
