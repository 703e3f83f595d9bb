"""The program of an encoder layer written by hand, its parameters all on the chip."""

from typing import TypedDict

from systolith.program import Program
from systolith_hw.isa import DrainFunction, DrainKind
from systolith_sim.transformer.encoder import VALUE_BASE, EncoderLayer, Norm, probability_base

from .layer_places import LayerPlaces, LayerShape

__all__ = ["LayerProgram"]


class Loops(TypedDict, total=False):
    """What a MATMUL and its DRAIN have in common."""

    tokens: int
    groups: int
    tiles: int


class LayerProgram:
    """Appends encoder layers to a program, each of the words and wide words that the last left.

    ::

        array    V  K  Q  scores 0  scores 1  context 0  scores 2  context 1 ...  output  up  down
        vector   V  K  Q  scores 0  scores 1  context 0  scores 2  context 1 ...  output  up  down
        row                     softmax 0   softmax 1        softmax 2 ...          norm       norm

    Units follow each other token by token. Scores, probabilities and rows are there twice, for even
    and odd heads. Whoever writes those of head h + 2 comes, through semaphores and results,
    after everybody who needed those of head h: the array has computed context h before it begins
    scores h + 2.

    Parameters
    ----------
    program : Program
        Takes seven semaphores from it.
    shape : LayerShape
    places : LayerPlaces
        Where everything lies.
    """

    def __init__(self, program: Program, shape: LayerShape, places: LayerPlaces) -> None:
        self._program = program
        self._shape = shape
        self._places = places
        self._rows = program.config.array.rows
        self._columns = program.config.array.columns
        self._lanes = program.config.vector.lanes
        self._power_base = probability_base(program.config.array)
        self._projected = program.semaphore("a head's queries, and all keys and values, are there")
        self._scored = program.semaphore("a token's scores are there")
        self._softened = program.semaphore("a token's probabilities are there")
        self._blended = program.semaphore("a token's context is there")
        self._added = program.semaphore("a token has been added to")
        self._normed = program.semaphore("a token's words are there")
        self._hidden = program.semaphore("a token's hidden words are there")
        self._waits_for_input: int | None = None

    def append(self, layer: EncoderLayer) -> None:
        """Append one layer; the first finds its input in its place."""
        shape = self._shape
        self._project(layer)
        self._score(layer, 0)
        for head in range(shape.heads):
            if head + 1 < shape.heads:
                self._score(layer, head + 1)
            self._blend(layer, head)
        self._add("output", self._places.context, layer.output_chunk, self._blended)
        self._norm(layer.attention_norm, "attention_norm", layer.base)
        self._expand(layer)
        self._add("down", self._places.hidden, layer.down_chunk, self._hidden)
        self._norm(layer.output_norm, "output_norm", layer.base)
        self._waits_for_input = self._normed

    # -- attention ---------------------------------------------------------------------------

    def _project(self, layer: EncoderLayer) -> None:
        """Compute V, K and the queries, a group of output tiles for each head."""
        shape, places, steps = self._shape, self._places, self._shape.features // self._rows
        head = shape.features // shape.heads
        tiles = head // self._columns
        loops: Loops = {"tokens": shape.tokens, "groups": shape.heads, "tiles": tiles}
        # The first head of V goes token by token behind the layer before. Only with its DRAIN
        # issued can a core in which instructions stand go on to the other heads.
        first = places.operands["value"]
        self._program.matmul(
            operand=first, activation=places.words, steps=steps, tokens=shape.tokens, tiles=tiles,
            wait_inner=self._waits_for_input,
        )  # fmt: skip
        self._program.drain_operands(
            DrainKind.VALUES, scale=places.scales["value"], destination=places.values,
            token_stride=places.value_tiles // tiles, group_stride=places.value_tiles,
            entries=places.value_exponents, entries_stride=places.padded,
            exponent_base=VALUE_BASE, **loops,
        )  # fmt: skip
        if shape.heads > 1:
            self._program.matmul(
                operand=first + tiles * steps, activation=places.words, steps=steps,
                tokens=shape.tokens, groups=shape.heads - 1, tiles=tiles,
            )  # fmt: skip
        self._program.matmul(
            operand=places.operands["key"], activation=places.words, steps=steps, **loops
        )
        self._program.drain_operands(
            DrainKind.KEYS, scale=places.scales["key"], destination=places.keys,
            token_stride=head // self._rows, group_stride=places.key_tiles,
            entries=places.key_exponents, entries_stride=places.padded,
            offset=layer.score_shift, exponent_base=layer.base, **loops,
        )  # fmt: skip
        self._program.matmul(
            operand=places.operands["query"], activation=places.words, steps=steps, **loops
        )
        self._program.drain(
            DrainKind.ACTIVATION, scale=places.scales["query"], destination=places.queries,
            token_stride=steps, group_stride=head // self._rows, exponent_base=layer.base,
            post_outer=self._projected, **loops,
        )  # fmt: skip

    def _score(self, layer: EncoderLayer, head: int) -> None:
        """Compute the scores of one head, and their exponentials."""
        shape, places, half = self._shape, self._places, head % 2
        words = shape.features // shape.heads // self._rows
        tiles = places.padded // self._columns
        token_stride = places.padded // self._lanes
        self._program.matmul(
            operand=places.keys + head * places.key_tiles, steps=words, tokens=shape.tokens,
            tiles=tiles, activation=places.queries + head * words,
            activation_stride=shape.features // self._rows, wait_outer=self._projected,
        )  # fmt: skip
        self._program.drain(
            DrainKind.WIDE, tokens=shape.tokens, tiles=tiles,
            columns_last=shape.tokens - (tiles - 1) * self._columns,
            scale=(places.key_exponents + head * places.padded) // self._lanes,
            destination=places.scores[half], token_stride=token_stride,
            maximum=True, row=half * shape.tokens, post_inner=self._scored,
        )  # fmt: skip
        self._program.softmax(
            elements=shape.tokens, tokens=shape.tokens, source=places.scores[half],
            source_stride=token_stride, destination=places.probabilities[half],
            token_stride=-(-shape.tokens // self._rows),
            scale=(places.value_exponents + head * places.padded) // self._lanes,
            exponent_base=self._power_base, row=half * shape.tokens,
            wait_inner=self._scored, post_inner=self._softened,
        )  # fmt: skip

    def _blend(self, layer: EncoderLayer, head: int) -> None:
        """Compute the context of one head."""
        shape, places, half = self._shape, self._places, head % 2
        features = shape.features // shape.heads
        tiles, steps = features // self._columns, -(-shape.tokens // self._rows)
        self._program.matmul(
            operand=places.values + head * places.value_tiles, operand_stride=steps, steps=steps,
            tokens=shape.tokens, tiles=tiles, activation=places.probabilities[half],
            wait_inner=self._softened,
        )  # fmt: skip
        self._program.drain(
            DrainKind.ACTIVATION, tokens=shape.tokens, tiles=tiles, factor=True,
            row=half * shape.tokens, offset=VALUE_BASE + self._power_base,
            destination=places.context + head * features // self._rows,
            token_stride=shape.features // self._rows, exponent_base=layer.base,
            post_inner=self._blended if head == shape.heads - 1 else None,
        )  # fmt: skip

    # -- the rest ----------------------------------------------------------------------------

    def _add(self, name: str, source: int, chunk: int, ready: int) -> None:
        """Multiply words by a matrix, chunk by chunk, and add that to the wide words."""
        shape, places = self._shape, self._places
        inputs, words = shape.inputs(name), shape.inputs(name) // self._rows
        tiles = shape.outputs(name) // self._columns
        loops: Loops = {"tokens": shape.tokens, "tiles": tiles}
        for first in range(0, inputs, chunk):
            end = min(first + chunk, inputs)
            self._program.matmul(
                operand=places.operands[name] + first // self._rows, operand_stride=words,
                steps=(end - first) // self._rows, activation=source + first // self._rows,
                activation_stride=words, wait_inner=ready if first == 0 else None, **loops,
            )  # fmt: skip
            self._program.drain(
                DrainKind.WIDE, scale=(places.unbiased if first else places.scales)[name],
                destination=places.fixed, token_stride=shape.features // self._lanes,
                accumulate=True, post_inner=self._added if end == inputs else None, **loops,
            )  # fmt: skip

    def _norm(self, norm: Norm, name: str, base: int) -> None:
        """Normalise wide words in their place, and make words of them."""
        shape, places = self._shape, self._places
        self._program.norm(
            elements=shape.features, inverse=norm.inverse, epsilon=norm.epsilon,
            source=places.fixed, source_stride=shape.features // self._lanes,
            destination=places.words, token_stride=shape.features // self._rows,
            scale=places.scales[name], tokens=shape.tokens, exponent_base=base, back=True,
            wait_inner=self._added, post_inner=self._normed,
        )  # fmt: skip

    def _expand(self, layer: EncoderLayer) -> None:
        """Compute the hidden words."""
        shape, places = self._shape, self._places
        loops: Loops = {"tokens": shape.tokens, "tiles": shape.hidden // self._columns}
        self._program.matmul(
            operand=places.operands["up"], steps=shape.features // self._rows,
            activation=places.words, wait_inner=self._normed, **loops,
        )  # fmt: skip
        self._program.drain(
            DrainKind.ACTIVATION, scale=places.scales["up"], destination=places.hidden,
            token_stride=shape.hidden // self._rows, exponent_base=layer.base,
            function=DrainFunction.GELU, post_inner=self._hidden, **loops,
        )  # fmt: skip
