"""The part of a language model's program that takes a prompt's tokens through it in blocks.

Keys and values of all but the prompt's last token go where that and the tokens behind it look for
them; nothing else of these tokens is needed, so the last layer ends with them. A layer, of three
tokens with two heads, each of which goes through it a little behind the one before::

    row      norm norm norm   softmax 0 softmax 1              norm norm norm
    array      K Q V | scores 0 | scores 1 | context 0 | ... output | gate | up | down
    vector       K Q V  scores 0  scores 1   context 0 | ... residual += SiLU  x  residual +=
"""

from systolith_hw.isa import DrainFunction, DrainKind, Register
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden
from systolith_sim.transformer.encoder import VALUE_BASE
from systolith_sim.transformer.row_norm import RowNorm

from .block_rows import bring_rows
from .causal_attention import AttentionLinks, AttentionPatches, CausalAttention, RowBlock
from .decoder_attention import turned
from .decoder_layout import DecoderLayout
from .decoder_writer import UPPER, DecoderWriter, remainder
from .layout import log2
from .prompt_plan import PromptPlan

__all__ = ["PromptPart"]


class PromptPart:
    """Append the blocks of a prompt, from the register POSITION on, which then is behind them.

    Parameters
    ----------
    writer : DecoderWriter
        Of the tokens that follow; what its registers hold begins behind the prompt.
    layout : DecoderLayout
    prompt : PromptPlan
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    remaining : int
        Register: tokens to be taken.
    scratch : tuple of int
        Three more registers.

    Attributes
    ----------
    rows : int
        Register: tokens of the block.
    keys, values : int
        Registers: tiles from the first block's keys, or values, to the first token's in the
        layer's.
    key_lane, value_row : int
        Registers: the first token's lane in keys, or row in values; in the upper half the lanes of
        scale memory to its exponent in the layer's block.
    key_tiles, value_tiles : int
        Registers: whole tiles of keys, and of values, before the last token's.
    last : int
        Register: the last token's lane in keys; in the upper half the first token's position.
    row_keys : int
        Register: tokens of the block; in the upper half all tokens before its last one.
    """

    def __init__(
        self, writer: DecoderWriter, layout: DecoderLayout, prompt: PromptPlan,
        layer: DecoderLayer, remaining: int, scratch: tuple[int, int, int],
    ) -> None:  # fmt: skip
        self.writer = writer
        self.program = writer.program
        self.layout = layout
        self.plan = layout.plan
        self.prompt = prompt
        self.layer = layer
        self.shift = layer.hidden.shift if isinstance(layer.hidden, GatedHidden) else 0
        self.keys, self.values = writer.keys, writer.values
        self.key_tiles, self.value_tiles = writer.key_tiles, writer.value_tiles
        self.key_lane, self.value_row, self.last = writer.exponents, writer.lane, writer.row
        self.remaining = remaining
        self.rows, self.row_keys, self.count = scratch
        rows, tile, entry = {"tokens": self.rows}, writer.tile, writer.entry
        patches = AttentionPatches(
            scores=rows | {"operand": tile, "tiles_last": self.key_tiles},
            drained=rows | {"scale": entry, "tiles_last": self.key_tiles,
                            "columns_last": self.last},
            softened={"tokens": self.row_keys, "scale": entry, "causal": Register.POSITION},
            contexts=rows | {"operand": tile, "steps": self.value_tiles},
            blended=rows,
        )  # fmt: skip
        self.attention = CausalAttention(
            self.program, prompt.attention,
            AttentionLinks(writer.summed, writer.normed, writer.written), layer.base, patches,
        )  # fmt: skip

    def append(self) -> None:
        """Append all blocks."""
        program, plan, writer, size = self.program, self.plan, self.writer, self.prompt.size
        program.calc(self.count, self.remaining, immediate=size - 1, right=log2(size))
        with program.loop(count_register=self.count):
            program.minimum(self.rows, 0, self.remaining, size)
            bring_rows(
                program, self.layout, self.prompt, self.rows,
                (self.keys, self.values, self.key_lane, self.count), arrived=writer.summed,
            )  # fmt: skip
            self._find_places()
            with program.loop(plan.shape.layers - 1, counter=writer.tile, step=plan.block_tiles):
                self._compute()
                self._next_layer()
            program.calc(writer.tile, immediate=(plan.shape.layers - 1) * plan.block_tiles)
            self._norm(self.layer.norm)
            self._project(last=True)
            program.calc(Register.POSITION, Register.POSITION, self.rows)
            # Where the subtraction wraps around, this was the last block.
            program.minimum(self.remaining, self.remaining, self.remaining, -size)
            program.barrier()

    # -- places of tokens --------------------------------------------------------------------

    def _find_places(self) -> None:
        """Find everything that follows from position and rows, for the first layer."""
        program, plan, end, upper = self.program, self.plan, self.count, self.row_keys
        columns, rows = plan.config.array.columns, plan.config.array.rows
        position = Register.POSITION
        program.calc(self.keys, position, right=log2(columns), left=log2(plan.key_stride))
        program.calc(self.values, position, right=log2(rows))
        program.calc(end, position, self.rows, -1)
        program.calc(self.key_tiles, end, right=log2(columns))
        program.calc(self.value_tiles, end, right=log2(rows))
        program.calc(upper, position, left=UPPER)
        for target, number, size in (
            (self.key_lane, position, columns), (self.value_row, position, rows),
            (self.last, end, columns),
        ):  # fmt: skip
            remainder(program, target, number, size)
            program.calc(target, target, upper)
        program.calc(self.row_keys, end, left=UPPER)
        program.calc(self.row_keys, self.row_keys, self.rows)
        program.calc(self.writer.entry)

    def _next_layer(self) -> None:
        """Go on to the next layer, but for its tiles."""
        plan = self.plan
        entries = plan.block_entries * plan.config.vector.lanes << UPPER
        for register, step in (
            (self.keys, plan.block_tiles), (self.values, plan.block_tiles),
            (self.key_lane, entries), (self.value_row, entries),
            (self.writer.entry, plan.block_entries),
        ):  # fmt: skip
            self.program.calc(register, register, immediate=step)

    # -- a layer -----------------------------------------------------------------------------

    def _compute(self) -> None:
        """Take the block through a layer."""
        plan, shape, prompt = self.plan, self.plan.shape, self.prompt
        self._norm(self.layer.norm)
        self._project()
        self.attention.append([
            RowBlock(head, head // shape.share, 0, 0, 1,
                     tells=(head + 1) / shape.share in plan.head_ends)
            for head in range(shape.heads)
        ])  # fmt: skip
        words = [count * shape.share * plan.head_words for count in plan.head_groups]
        self._add(words, plan.output_matrix, prompt.queries, plan.output_steps, "output")
        self._norm(self.layer.hidden_norm)
        first = 0
        for count in plan.hidden_groups:
            self._expand(first, count)
            first += count
        self._add(plan.hidden_groups, plan.down_matrix, prompt.hidden, prompt.hidden_words, "down")

    def _norm(self, norm: RowNorm) -> None:
        """Make words of the residual."""
        prompt = self.prompt
        self.writer.norm_tokens(norm, self.rows, prompt.residual, prompt.residual_stride)

    def _project(self, *, last: bool = False) -> None:
        """Compute keys, queries and values; in the last layer no queries."""
        shape, groups = self.plan.shape, self.plan.shape.key_heads
        self._multiply_heads(0, 1, wait_inner=self.writer.normed)
        if last:
            self._multiply_heads(1, groups - 1)
            self._multiply_heads(groups + shape.heads, groups)
        else:
            self._multiply_heads(1, 2 * groups + shape.heads - 1)
        self._drain_keys(0, 1)
        self._drain_keys(1, groups - 1)
        if last:
            self._drain_values(0, groups)
        else:
            self._drain_queries()
            self._drain_values(0, groups - 1)
            self._drain_values(groups - 1, 1, post_outer=self.writer.written)

    def _multiply_heads(self, first: int, count: int, *, wait_inner: int | None = None) -> None:
        """Multiply by the matrices of so many heads, of those that stand side by side."""
        plan = self.plan
        if count:
            self.program.matmul(
                steps=plan.steps, groups=count, tiles=plan.head_tiles, tokens=0,
                operand=first * plan.head_tiles * plan.steps,
                patches={"tokens": self.rows, "operand": self.writer.tile}, wait_inner=wait_inner,
            )  # fmt: skip

    def _drain_keys(self, first: int, count: int) -> None:
        """Write the keys of so many heads; the first one waits for the norm's factors."""
        plan, layer, lanes = self.plan, self.layer, self.plan.config.vector.lanes
        if count:
            self.program.drain_operands(
                DrainKind.KEYS, groups=count, tiles=plan.head_tiles, tokens=0,
                scale=plan.tables["key"] + first * plan.beats(plan.head_tiles),
                destination=plan.keys + first * plan.head_keys, token_stride=plan.key_stride,
                group_stride=plan.head_keys,
                entries=(plan.key_entries + first * plan.head_entries) * lanes,
                entries_stride=plan.head_entries * lanes, offset=layer.score_shift,
                exponent_base=layer.base,
                patches=self._operand_patches(self.keys, self.key_lane), **turned(plan),
                **self.writer.behind_norm(layer.norm, first=not first),
            )  # fmt: skip

    def _drain_queries(self) -> None:
        plan, prompt = self.plan, self.prompt
        self.program.drain(
            DrainKind.ACTIVATION, groups=plan.shape.heads, tiles=plan.head_tiles, tokens=0,
            scale=plan.tables["query"], destination=prompt.queries, group_stride=plan.head_words,
            token_stride=plan.output_steps, exponent_base=self.layer.base,
            patches=self._patches(), **turned(plan),
            **self.writer.behind_norm(self.layer.norm),
        )  # fmt: skip

    def _drain_values(self, first: int, count: int, *, post_outer: int | None = None) -> None:
        """Write the values of so many heads."""
        plan, lanes = self.plan, self.plan.config.vector.lanes
        if count:
            self.program.drain_operands(
                DrainKind.VALUES, groups=count, tiles=plan.head_tiles, tokens=0,
                scale=plan.tables["value"] + first * plan.beats(plan.head_tiles),
                destination=plan.values + first * plan.head_values,
                token_stride=plan.value_stride, group_stride=plan.head_values,
                entries=(plan.value_entries + first * plan.head_entries) * lanes,
                entries_stride=plan.head_entries * lanes, exponent_base=VALUE_BASE,
                patches=self._operand_patches(self.values, self.value_row),
                post_outer=post_outer, **self.writer.behind_norm(self.layer.norm),
            )  # fmt: skip

    def _add(
        self, chunks: list[int] | tuple[int, ...], operand: int, activation: int, stride: int,
        table: str,
    ) -> None:  # fmt: skip
        """Add a matrix to the residual, as many words of inputs at once as ``chunks`` says."""
        plan, prompt, writer, first = self.plan, self.prompt, self.writer, 0
        for number, words in enumerate(chunks):
            self.program.matmul(
                steps=words, tiles=plan.tiles, tokens=0, operand=operand + first * plan.tiles,
                activation=activation + first, activation_stride=stride,
                patches={"tokens": self.rows, "operand": writer.tile}, wait_inner=writer.written,
            )  # fmt: skip
            self.program.drain(
                DrainKind.WIDE, accumulate=True, tiles=plan.tiles, tokens=0,
                columns_last=plan.features_last, scale=plan.tables[table],
                destination=prompt.residual, token_stride=prompt.residual_stride,
                patches=self._patches(),
                post_inner=writer.summed if number + 1 == len(chunks) else None,
            )  # fmt: skip
            first += words

    def _expand(self, first: int, words: int) -> None:
        """Compute some hidden words: what up gives, times gates or behind ReLU."""
        plan, prompt, writer, array = self.plan, self.prompt, self.writer, self.plan.config.array
        gated = plan.shape.gated
        start = first * array.rows // array.columns
        end = min(plan.hidden_tiles, -(-(first + words) * array.rows // array.columns))
        last = plan.hidden_last if end == plan.hidden_tiles else array.columns
        gates = prompt.gates + prompt.size * plan.beats(start)
        self._multiply_hidden(start, end - start, wait_inner=None if first else writer.normed)
        if gated:
            self.program.drain(
                DrainKind.WIDE, function=DrainFunction.SILU, tiles=end - start, tokens=0,
                columns_last=last, scale=plan.tables["gate"] + plan.beats(start),
                destination=gates, token_stride=plan.beats(end - start), patches=self._patches(),
                **writer.behind_norm(self.layer.hidden_norm, first=not first),
            )  # fmt: skip
            self._multiply_hidden(plan.hidden_tiles + start, end - start)
        self.program.drain(
            DrainKind.ACTIVATION, function=DrainFunction.PRODUCT if gated else DrainFunction.RELU,
            shift=self.shift, entries=gates if gated else 0, tiles=end - start, tokens=0,
            columns_last=last, exponent_base=self.layer.base,
            scale=plan.tables["up"] + plan.beats(start), destination=prompt.hidden + first,
            token_stride=prompt.hidden_words, patches=self._patches(), post_inner=writer.written,
            **writer.behind_norm(self.layer.hidden_norm, first=not gated and not first),
        )  # fmt: skip

    def _multiply_hidden(self, first: int, count: int, *, wait_inner: int | None = None) -> None:
        """Multiply by so many output tiles of gate and up, which stand side by side."""
        plan = self.plan
        self.program.matmul(
            steps=plan.steps, tiles=count, tokens=0, operand=plan.expansion + first * plan.steps,
            patches={"tokens": self.rows, "operand": self.writer.tile}, wait_inner=wait_inner,
        )  # fmt: skip

    # -- registers that are added to instructions --------------------------------------------

    def _patches(self) -> dict[str, int]:
        return {"tokens": self.rows, "scale": self.writer.entry}

    def _operand_patches(self, place: int, lane: int) -> dict[str, int]:
        """Return those of KEYS or VALUES: the exponents' place is above the lane."""
        return self._patches() | {"destination": place, "columns_last": lane}
