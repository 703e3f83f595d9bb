"""How large an encoder is."""

from dataclasses import dataclass

from systolith_hw.config import HEAD_CHANNELS, Config, ConfigError
from systolith_sim.transformer.model import EncoderModel

__all__ = ["EncoderShape"]

QUEUE_DEPTH = 4
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

    @property
    def weights(self) -> int:
        """Weights of a layer."""
        return 4 * self.features**2 + 2 * self.features * self.hidden

    def macs(self, tokens: int) -> int:
        """Return the useful multiplications of all layers for a sentence of so many tokens.

        Those are of matrices, scores and context.
        """
        return self.layers * tokens * (self.weights + 2 * tokens * self.features)

    def check(self, config: Config) -> None:
        """Refuse what no depth of a memory makes possible.

        Raises
        ------
        ConfigError
        """
        array, sequencer = config.array, config.sequencer
        queue, loops = sequencer.queue_depth, sequencer.loop_depth
        sentence = ""
        if self.features % self.heads:
            sentence = f"{self.features} features do not make {self.heads} heads of equal size"
        elif self.head % max(array.rows, array.columns):
            sentence = (
                f"a head of {self.head} features is no multiple of array.rows {array.rows} and "
                f"array.columns {array.columns}; lower them"
            )
        elif self.head > HEAD_CHANNELS:
            sentence = (
                f"a head has {self.head} features, and at most {HEAD_CHANNELS} share an exponent"
            )
        elif self.hidden % array.rows:
            sentence = f"{self.hidden} hidden values are no multiple of array.rows, {array.rows}"
        elif self.features > array.max_k:
            sentence = f"array.max_k must be at least {self.features}, not {array.max_k}"
        elif queue < QUEUE_DEPTH:
            sentence = (
                f"it needs a sequencer.queue_depth of at least {QUEUE_DEPTH}, so that one unit can "
                f"wait while others are given work; it is {queue}"
            )
        elif loops < LOOP_DEPTH:
            sentence = f"sequencer.loop_depth must be at least {LOOP_DEPTH}, not {loops}"
        if sentence:
            raise ConfigError(f"this encoder cannot be compiled: {sentence}")
