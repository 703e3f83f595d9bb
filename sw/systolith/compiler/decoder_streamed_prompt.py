"""The part of a streamed language model's program that takes a prompt's tokens through it in
blocks: all weights but the head's come once for each block.

Keys and values go where single tokens put them. Of a layer, with two heads of keys and values::

    load     tables | K0 K1 V0 V1 heads, Q | pages K0 V0 | pages K1 V1 | output, gate, up | down
    row      norm                            softmax ...   softmax ...        norm
    array           | K0 K1 V0 V1 Q | attention 0 | attention 1 | output | gate | up | down
    vector            K0 K1 V0 V1 Q   attention 0   attention 1   residual += ...     residual +=
    store             K0 K1 V0 V1

The last layer ends with keys and values, since nobody needs what would come behind them. A token
that would be a block by itself is left to those that go one by one.
"""

from systolith_hw.isa import Register
from systolith_sim.transformer.decoder import DecoderLayer

from .block_rows import bring_rows
from .decoder_streamed_writer import StreamedWriter
from .decoder_writer import UPPER, remainder
from .layout import log2
from .streamed_prompt_attention import BlockAttention
from .streamed_prompt_hidden import BlockHidden
from .streamed_prompt_plan import StreamedPromptPlan
from .streamed_prompt_writer import BlockWriter

__all__ = ["StreamedPrompt"]


class StreamedPrompt:
    """Append the blocks of a prompt, from the register POSITION on, which then is behind them.

    Parameters
    ----------
    writer : StreamedWriter
        Of the tokens that follow.
    prompt : StreamedPromptPlan
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    remaining : int
        Register: tokens to be taken.
    scratch : tuple of int
        Three more registers, of :class:`~.streamed_prompt_writer.BlockWriter`.
    """

    def __init__(
        self, writer: StreamedWriter, prompt: StreamedPromptPlan, layer: DecoderLayer,
        remaining: int, scratch: tuple[int, int, int],
    ) -> None:  # fmt: skip
        self.writer = writer
        self.program = writer.program
        self.layout = writer.layout
        self.plan = writer.plan
        self.prompt = prompt
        self.remaining = remaining
        self.block = BlockWriter(writer, prompt, layer.norm, scratch)
        self.attention = BlockAttention(self.block, layer)
        self.hidden = BlockHidden(self.block, layer)

    def append(self) -> None:
        """Append all blocks."""
        block = self.block
        program, writer, size = self.program, self.writer, self.prompt.size
        layers, step = self.plan.shape.layers - 1, self.layout.layer_bytes
        # As many blocks as have at least two tokens.
        program.calc(block.end, self.remaining, immediate=size - 2, right=log2(size))
        with program.loop(count_register=block.end):
            program.minimum(block.rows, 0, self.remaining, size)
            bring_rows(
                program, self.layout, self.prompt, block.rows,
                (writer.words, writer.key_tiles, writer.lane, writer.tile), arrived=writer.summed,
            )  # fmt: skip
            self._find_places()
            with program.loop(layers, counter=writer.layer, step=step):
                self.attention.project(last=False)
                self.attention.append()
                self.hidden.append()
            program.calc(writer.layer, immediate=layers * step)
            self.attention.project(last=True)
            program.calc(Register.POSITION, Register.POSITION, block.rows)
            # Where the subtraction wraps around, this was the last block.
            program.minimum(self.remaining, self.remaining, self.remaining, -size)
            program.barrier()

    def _find_places(self) -> None:
        """Find everything that follows from position and rows."""
        block = self.block
        program, plan, writer = self.program, self.plan, self.writer
        columns, rows, position = (
            plan.config.array.columns, plan.config.array.rows, Register.POSITION
        )  # fmt: skip
        program.calc(block.end, position, block.rows, -1)
        writer.multiply(writer.words, block.end, plan.head_words)
        writer.multiply(writer.page, position, self.layout.page_stride)
        program.calc(writer.key_tiles, block.end, right=log2(columns))
        program.calc(writer.value_tiles, block.end, right=log2(rows))
        remainder(program, writer.lane, block.end, columns)
        program.calc(writer.tile, position, left=UPPER)
        program.calc(writer.lane, writer.lane, writer.tile)
        program.calc(block.row_keys, block.end, left=UPPER)
        program.calc(block.row_keys, block.row_keys, block.rows)
        program.calc(block.gates, block.rows, left=log2(self.prompt.gate_words))
