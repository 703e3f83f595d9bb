"""How large a language model is."""

from dataclasses import dataclass

from systolith_hw.code_pages import PARAMETER_BITS
from systolith_hw.config import HEAD_CHANNELS, Config, ConfigError
from systolith_hw.isa import LoadKind
from systolith_sim.transformer.decoder import GatedHidden
from systolith_sim.transformer.decoder_model import DecoderModel

from .coded_linear import kind_of

__all__ = ["DecoderShape"]

LOOP_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """The sizes of a language model of Llama's family.

    Parameters
    ----------
    features : int
        N, values of a token between layers.
    heads, key_heads : int
        H heads of queries, G of keys and values.
    head : int
        D, features of each.
    hidden : int
        F, inputs of the down matrix.
    layers : int
    vocabulary : int
        V.
    context : int
        Most tokens that positions are known for; 0 if there are none.
    gated : bool
        SwiGLU; otherwise ReLU.
    rotary, learned : bool
        How positions are told of: queries and keys are turned, or a row is added to the embedding.
    kind : LoadKind
        OPERAND_ROWS for weights of 8 bits, or that of their codes.
    deferred : bool
        Norms leave the division to DRAIN.
    tabled : bool
        All but the first, whose words of every token are in tables (:mod:`.opening_tables`); of a
        model of one layer.
    """

    features: int
    heads: int
    key_heads: int
    head: int
    hidden: int
    layers: int
    vocabulary: int
    context: int
    gated: bool
    rotary: bool
    learned: bool
    kind: LoadKind = LoadKind.OPERAND_ROWS
    deferred: bool = False
    tabled: bool = False

    @classmethod
    def of(cls, model: DecoderModel) -> "DecoderShape":
        """Return the sizes of a model."""
        first = model.layers[0]
        known = [len(table) for table in (
            None if model.rotary is None else model.rotary[0],
            None if model.positions is None else model.positions.mantissas,
        ) if table is not None]  # fmt: skip
        return cls(
            features=len(first.query.weights), heads=first.heads, key_heads=first.key_heads,
            head=first.query.weights.shape[1] // first.heads, hidden=len(first.down.weights),
            layers=len(model.layers), vocabulary=model.head.weights.shape[1],
            context=min(known, default=0), gated=isinstance(first.hidden, GatedHidden),
            rotary=model.rotary is not None, learned=model.positions is not None,
            kind=kind_of(model.head), deferred=model.norm.deferred,
            tabled=model.norm.deferred and not first.norm.deferred,
        )  # fmt: skip

    @property
    def share(self) -> int:
        """Heads of queries that share a head of keys and values."""
        return self.heads // self.key_heads

    @property
    def layer_weights(self) -> int:
        """Weights of a layer."""
        attention = 2 * (self.heads + self.key_heads) * self.head
        return self.features * (attention + (2 + self.gated) * self.hidden)

    def macs(self, position: int) -> int:
        """Return the useful multiplications of one token there, with its logits."""
        attention = 2 * (position + 1) * self.heads * self.head
        matrices = self.layers * (self.layer_weights + attention)
        return matrices + self.features * self.vocabulary

    def require_llama(self, what: str) -> None:
        """Refuse what is not of Llama's kind, for what takes nothing else.

        Raises
        ------
        ConfigError
        """
        lacking = [
            name for name, has in (
                ("hidden values gated (SwiGLU), not behind ReLU", self.gated),
                ("positions rotary, not learned", self.rotary and not self.learned),
            ) if not has
        ]  # fmt: skip
        if lacking:
            raise ConfigError(f"{what} must have {' and '.join(lacking)}")

    def check(self, config: Config) -> None:
        """Refuse what no depth of a memory makes possible.

        Raises
        ------
        ConfigError
        """
        array, vector = config.array, config.vector
        sentence = ""
        if self.kind in PARAMETER_BITS and not config.bus.codecs:
            sentence = (
                "weights of 4 bits take a core that expands them: set bus.codecs to true, or take "
                "weights int8"
            )
        elif not self.context:
            sentence = "its positions must be rotary or learned"
        elif self.head > HEAD_CHANNELS:
            sentence = (
                f"a head has {self.head} features, and at most {HEAD_CHANNELS} share an exponent"
            )
        elif max(self.features, self.hidden) > array.max_k:
            sentence = (
                f"array.max_k must be at least {max(self.features, self.hidden)}, not {array.max_k}"
            )
        elif self.deferred and not vector.deferred_norms:
            sentence = "vector.deferred_norms must be true, since its norms are deferred"
        elif vector.rows < self.heads + self.deferred:
            norms = " and one for norms" * self.deferred
            sentence = (
                f"vector.rows must be at least {self.heads + self.deferred}, one for each "
                f"head{norms}, not {vector.rows}"
            )
            if not vector.rows:
                sentence += (
                    "; without a row unit a core only multiplies for `systolith run`, and this "
                    "computer does the rest, whose time nobody estimates"
                )
        elif vector.lanes == 1 and self.rotary:
            sentence = "vector.lanes must be at least 2 for rotary positions, not 1"
        elif config.sequencer.loop_depth < LOOP_DEPTH:
            sentence = (
                f"sequencer.loop_depth must be at least {LOOP_DEPTH}, not "
                f"{config.sequencer.loop_depth}"
            )
        if sentence:
            raise ConfigError(f"this language model cannot be compiled: {sentence}")
