"""How large an encoder is."""

from collections.abc import Sequence
from dataclasses import dataclass

from systolith_hw.config import HEAD_CHANNELS, Config, ConfigError
from systolith_sim.transformer.model import EncoderModel

__all__ = ["EncoderShape"]

QUEUE_DEPTH = 2
LOOP_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """The sizes of an encoder of BERT's family.

    Parameters
    ----------
    features : int
        D, values of a token between layers.
    heads : int
        H, each of D / H features.
    hidden : int
        F, inputs of the down matrix.
    layers : int
    vocabulary, positions : int
        Rows of the two embeddings.
    """

    features: int
    heads: int
    hidden: int
    layers: int
    vocabulary: int
    positions: int

    @classmethod
    def of(cls, model: EncoderModel) -> "EncoderShape":
        """Return the sizes of a model."""
        first = model.layers[0]
        return cls(
            features=len(first.query.weights), heads=first.heads,
            hidden=len(first.down.weights), layers=len(model.layers),
            vocabulary=len(model.words.exponents), positions=len(model.positions.exponents),
        )  # fmt: skip

    @property
    def head(self) -> int:
        """Features of a head; also the inputs that the output and down matrices take at once."""
        return self.features // self.heads

    @property
    def pairs(self) -> int:
        """Pairs of heads; an odd one is joined by a head of zeros."""
        return -(-self.heads // 2)

    @property
    def chunks(self) -> int:
        """Parts of ``head`` hidden values, the last one filled with zeros."""
        return -(-self.hidden // self.head)

    def check(self, config: Config) -> None:
        """Refuse what no depth of a memory makes possible.

        Raises
        ------
        ConfigError
        """
        array, sequencer = config.array, config.sequencer
        sizes: Sequence[tuple[bool, str]] = (
            (self.features % self.heads == 0,
             f"{self.features} features do not make {self.heads} heads of equal size"),
            (self.head % max(array.rows, array.columns) == 0,
             f"a head of {self.head} features is no multiple of array.rows {array.rows} and "
             f"array.columns {array.columns}; lower them"),
            (self.head <= HEAD_CHANNELS,
             f"a head has {self.head} features, and at most {HEAD_CHANNELS} share an exponent"),
            (self.hidden % array.rows == 0,
             f"{self.hidden} hidden values are no multiple of array.rows, {array.rows}"),
            (self.features <= array.max_k,
             f"array.max_k must be at least {self.features}, not {array.max_k}"),
            (sequencer.queue_depth >= QUEUE_DEPTH,
             f"an encoder needs a sequencer.queue_depth of at least {QUEUE_DEPTH}, so that a unit "
             f"can wait while others are given work; it is {sequencer.queue_depth}"),
            (sequencer.loop_depth >= LOOP_DEPTH,
             f"sequencer.loop_depth must be at least {LOOP_DEPTH}, not {sequencer.loop_depth}"),
        )  # fmt: skip
        for legal, sentence in sizes:
            if not legal:
                raise ConfigError(f"this encoder cannot be compiled: {sentence}")
