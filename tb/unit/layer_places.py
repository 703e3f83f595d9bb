"""Where an encoder layer's parameters and intermediate results lie on the chip."""

from dataclasses import dataclass

from systolith_hw.config import Config, ConfigError

__all__ = ["LayerPlaces", "LayerShape", "place_layer"]

MATRICES = ("query", "key", "value", "output", "up", "down")
NORMS = ("attention_norm", "output_norm")


@dataclass(frozen=True)
class LayerShape:
    """The shape of a layer, and the length of its sentences.

    Parameters
    ----------
    tokens, features, heads, hidden : int
        S, N, H and F; each head has D = N / H features.
    """

    tokens: int
    features: int
    heads: int
    hidden: int

    def require(self, config: Config) -> None:
        """Raise ConfigError unless all that a layer divides is whole, and its rows fit."""
        array, head = config.array, self.features // self.heads
        step = max(array.rows, array.columns)
        for name, value in (("features / heads", head), ("hidden", self.hidden)):
            if value % step:
                raise ConfigError(
                    f"{name} must be a multiple of {step} (array.rows and array.columns), "
                    f"not {value}"
                )
        if 2 * self.tokens > config.vector.rows:
            raise ConfigError(
                f"two heads of {self.tokens} tokens do not fit vector.rows, {config.vector.rows}"
            )

    def inputs(self, matrix: str) -> int:
        """Return K of a matrix."""
        return self.hidden if matrix == "down" else self.features

    def outputs(self, matrix: str) -> int:
        """Return N of a matrix."""
        return self.hidden if matrix == "up" else self.features


@dataclass(frozen=True)
class LayerPlaces:
    """First addresses.

    Parameters
    ----------
    operands : dict
        Tiles of each matrix: output tile after output tile.
    keys, values : int
        Tiles of K and V, head after head; see ``key_tiles``, ``value_tiles``.
    scales, unbiased : dict
        Scale words of matrices and norms; for matrices that are added chunk by chunk, a second time
        without bias.
    key_exponents, value_exponents : int
        Channels in scale memory, head after head; ``padded`` for each.
    words, queries, context, hidden : int
        Activation words, token after token; ``words`` those of the layer's input and output.
    probabilities : (int, int)
        Activation words of two heads.
    fixed : int
        Wide words of the layer's input and output.
    scores : (int, int)
        Wide words of two heads.
    padded : int
        S, rounded up to whole tiles.
    key_tiles, value_tiles : int
        Tiles of one head.
    """

    operands: dict[str, int]
    keys: int
    values: int
    scales: dict[str, int]
    unbiased: dict[str, int]
    key_exponents: int
    value_exponents: int
    words: int
    queries: int
    context: int
    hidden: int
    probabilities: tuple[int, int]
    fixed: int
    scores: tuple[int, int]
    padded: int
    key_tiles: int
    value_tiles: int


class Space:
    """Hands out one memory from address 0 upwards."""

    def __init__(self, name: str, depth: int) -> None:
        self._name = name
        self._depth = depth
        self._used = 0

    def take(self, count: int) -> int:
        """Return the first of ``count`` addresses."""
        first = self._used
        self._used += count
        if self._used > self._depth:
            raise ConfigError(
                f"memory.{self._name} is {self._depth}, but the layer needs {self._used} or more"
            )
        return first


def place_layer(config: Config, shape: LayerShape) -> LayerPlaces:
    """Return where a layer lies whose parameters are all on the chip.

    Raises
    ------
    ConfigError
        For a shape that the configuration does not divide, or that its memories do not hold.
    """
    shape.require(config)
    array, memory, lanes = config.array, config.memory, config.vector.lanes
    rows, columns, tokens = array.rows, array.columns, shape.tokens
    operand = Space("operand_tiles", memory.operand_tiles)
    activation = Space("activation_words", memory.activation_words)
    wide = Space("wide_words", memory.wide_words)
    scale = Space("scale_words", memory.scale_words)

    head = shape.features // shape.heads
    padded = -(-tokens // columns) * columns
    key_tiles = padded // columns * (head // rows)
    value_tiles = -(-tokens // rows) * (head // columns)
    word_count = tokens * shape.features // rows
    probability_words = tokens * -(-tokens // rows)
    score_words = tokens * padded // lanes

    def matrix_tiles(name: str) -> int:
        return shape.inputs(name) // rows * (shape.outputs(name) // columns)

    return LayerPlaces(
        operands={name: operand.take(matrix_tiles(name)) for name in MATRICES},
        keys=operand.take(shape.heads * key_tiles),
        values=operand.take(shape.heads * value_tiles),
        scales={
            **{name: scale.take(shape.outputs(name) // lanes) for name in MATRICES},
            **{name: scale.take(shape.features // lanes) for name in NORMS},
        },
        unbiased={name: scale.take(shape.features // lanes) for name in ("output", "down")},
        key_exponents=scale.take(shape.heads * padded // lanes) * lanes,
        value_exponents=scale.take(shape.heads * padded // lanes) * lanes,
        words=activation.take(word_count),
        queries=activation.take(word_count),
        context=activation.take(word_count),
        hidden=activation.take(tokens * shape.hidden // rows),
        probabilities=(activation.take(probability_words), activation.take(probability_words)),
        fixed=wide.take(tokens * shape.features // lanes),
        scores=(wide.take(score_words), wide.take(score_words)),
        padded=padded, key_tiles=key_tiles, value_tiles=value_tiles,
    )  # fmt: skip
