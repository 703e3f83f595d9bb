"""Plan the layers of a language model for many tokens at once, their weights streamed.

Weights pass through a ring of slots, each the features' weights of half a head of channels, or as
many of half of the features for a head of inputs. What shares keys and values, a *group* of heads,
is computed together. The residual of all tokens is in wide memory throughout.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

from systolith_hw.config import Config, ConfigError

from .causal_attention import AttentionPlaces
from .decoder_shape import DecoderShape
from .layout import power_of_two, starts
from .memory_needs import lacks, shortage
from .slot_ring import FEWEST_SLOTS

__all__ = ["PrefillPlan", "plan_prefill"]


@dataclass(frozen=True, kw_only=True)
class PrefillPlan:
    """All decisions; addresses are those of memories on the chip.

    Parameters
    ----------
    config : Config
    shape : DecoderShape
    tokens : int
        T, which are computed at once.
    row_block : int
        Most rows of scores at once; of two heads or blocks they are on the chip.
    """

    config: Config
    shape: DecoderShape
    tokens: int
    row_block: int

    # -- cuts --------------------------------------------------------------------------------

    @property
    def unit(self) -> int:
        """What places for keys and values, and channels of half a head, are a multiple of."""
        return max(self.config.array.rows, self.config.array.columns)

    @property
    def places(self) -> int:
        """Tokens that there are places for."""
        return -(-self.tokens // self.unit) * self.unit

    @property
    def steps(self) -> int:
        """Activation words of a token."""
        return self.words(self.shape.features)

    @property
    def tiles(self) -> int:
        """Output tiles of the features."""
        return self.shape.features // self.config.array.columns

    @property
    def head_words(self) -> int:
        """Activation words of a head."""
        return self.words(self.shape.head)

    @property
    def head_tiles(self) -> int:
        """Output tiles of a head."""
        return self.shape.head // self.config.array.columns

    @property
    def half_words(self) -> int:
        """Activation words of half a head."""
        return self.head_words // 2

    @property
    def half_tiles(self) -> int:
        """Output tiles of half a head."""
        return self.head_tiles // 2

    @property
    def group_words(self) -> int:
        """Activation words of the heads of a group."""
        return self.shape.share * self.head_words

    @property
    def chunks(self) -> int:
        """Parts of the hidden values, each as many as a head has features."""
        return self.shape.hidden // self.shape.head

    # -- operand memory: the ring, then keys and values of a group ---------------------------

    @property
    def slot(self) -> int:
        """Tiles of a slot."""
        return self.steps * self.half_tiles

    @property
    def slots(self) -> int:
        """Slots of the ring."""
        room = self.config.memory.operand_tiles - self.group_tiles
        return min(self.layer_slots, room // self.slot)

    @property
    def group_slots(self) -> int:
        """Slots of a group: two for keys, for values, for each head's queries and its output."""
        return 2 * (2 + 2 * self.shape.share)

    @property
    def layer_slots(self) -> int:
        """Slots of a layer: those of its groups, then of gate, up and down of each chunk."""
        return self.shape.key_heads * self.group_slots + 6 * self.chunks

    @property
    def keys(self) -> int:
        """Where the keys begin."""
        return self.slots * self.slot

    @property
    def key_stride(self) -> int:
        """Tiles from the keys of C tokens to the next ones', a power of two."""
        return power_of_two(self.head_words)

    @property
    def values(self) -> int:
        """Where the values begin."""
        return self.keys + self.places // self.config.array.columns * self.key_stride

    @property
    def value_stride(self) -> int:
        """Tiles from the values of C features to the next ones'."""
        return self.places // self.config.array.rows

    @property
    def group_tiles(self) -> int:
        """Tiles of the keys and values of a group."""
        keys = self.places // self.config.array.columns * self.key_stride
        return keys + self.head_tiles * self.value_stride

    @property
    def operand_need(self) -> int:
        """Tiles with the fewest slots."""
        return FEWEST_SLOTS * self.slot + self.group_tiles

    # -- activation memory: words of norms, then what a group, or a chunk, needs -------------

    @property
    def queries(self) -> int:
        """Where a group's queries begin, token by token; its context takes their places."""
        return self.tokens * self.steps

    @property
    def hidden(self) -> int:
        """Where a chunk's hidden words begin, token by token."""
        return self.queries

    @property
    def powers(self) -> int:
        """Where the probabilities of two blocks of rows begin."""
        return self.queries + self.tokens * self.group_words

    @property
    def powers_stride(self) -> int:
        """Words of a row of probabilities."""
        return self.words(self.places)

    @property
    def block_powers(self) -> int:
        """Words from one block's probabilities to the other one's."""
        return self.row_block * self.powers_stride

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return self.powers + 2 * self.block_powers

    # -- wide memory: angles, the residual, then what a group, or a chunk, needs --------------

    @property
    def angle_words(self) -> int:
        """Wide words of a position's cosines and sines, a power of two."""
        return 2 * self.beats(self.head_tiles)

    @property
    def residual(self) -> int:
        """Where the residual begins."""
        return self.tokens * self.angle_words

    @property
    def residual_stride(self) -> int:
        """Wide words of a token's residual."""
        return self.beats(self.tiles)

    @property
    def scores(self) -> int:
        """Where the scores of two blocks of rows begin."""
        return self.residual + self.tokens * self.residual_stride

    @property
    def scores_stride(self) -> int:
        """Wide words of a row of scores."""
        return self.beats(self.places // self.config.array.columns)

    @property
    def block_scores(self) -> int:
        """Wide words from one block's scores to the other one's."""
        return self.row_block * self.scores_stride

    @property
    def gates(self) -> int:
        """Where a chunk's gates begin: all tokens' first half, then the second one."""
        return self.scores

    @property
    def half_gates(self) -> int:
        """Wide words of one half of them."""
        return self.tokens * self.beats(self.half_tiles)

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        return self.scores + 2 * max(self.block_scores, self.half_gates)

    # -- scale memory: tables of attention, of the feed-forward, and exponents ----------------

    @cached_property
    def attention_tables(self) -> dict[str, int]:
        """Where each table of attention begins; "end" behind them."""
        head, groups = self.beats(self.head_tiles), self.shape.key_heads
        return starts({
            "attention_norm": self.residual_stride,
            "key": groups * head, "query": self.shape.heads * head, "value": groups * head,
            "output": self.residual_stride,
        })  # fmt: skip

    @cached_property
    def hidden_tables(self) -> dict[str, int]:
        """Where each table of the feed-forward begins, behind the others; "end" behind them."""
        hidden = self.chunks * self.beats(self.head_tiles)
        return starts({
            "hidden_norm": self.residual_stride, "gate": hidden, "up": hidden,
            "down": self.residual_stride,
        }, self.attention_tables["end"])  # fmt: skip

    @property
    def key_entries(self) -> int:
        """Where the exponents of a group's keys begin."""
        return self.hidden_tables["end"]

    @property
    def value_entries(self) -> int:
        """Where the exponents of a group's values begin."""
        return self.key_entries + self.places // self.config.vector.lanes

    @property
    def scale_need(self) -> int:
        """Words altogether."""
        return self.value_entries + self.places // self.config.vector.lanes

    @property
    def attention(self) -> AttentionPlaces:
        """Where a group's attention lies."""
        return AttentionPlaces(
            keys=self.keys, key_stride=self.key_stride, values=self.values,
            value_stride=self.value_stride, key_entries=self.key_entries,
            value_entries=self.value_entries, queries=self.queries, token_words=self.group_words,
            head_words=self.head_words, head_tiles=self.head_tiles, scores=self.scores,
            scores_stride=self.scores_stride, block_scores=self.block_scores, powers=self.powers,
            powers_stride=self.powers_stride, block_powers=self.block_powers,
            row_block=self.row_block,
        )  # fmt: skip

    # -- sizes -------------------------------------------------------------------------------

    def words(self, values: int) -> int:
        """Return the activation words of so many values."""
        return -(-values // self.config.array.rows)

    def beats(self, tiles: int) -> int:
        """Return the wide or scale words of so many output tiles."""
        return tiles * self.config.beats_per_result


def plan_prefill(config: Config, shape: DecoderShape, tokens: int) -> PrefillPlan:
    """Return the plan with the largest blocks of rows that fit.

    Raises
    ------
    ConfigError
        A sentence that says what does not fit, and what would.
    """
    shape.check(config)
    shape.require_llama("a model whose prompt is a batch")
    most = min(shape.context, config.array.max_k)
    if not 1 <= tokens <= most:
        raise ConfigError(
            f"the prompt's tokens must be 1 to {most}, the model's context or array.max_k, not "
            f"{tokens}"
        )
    if shape.deferred:
        raise ConfigError(
            "the norms of this language model are deferred; for a prompt as a batch it must be "
            "quantised with streamed=True"
        )
    if config.vector.rows < 2:
        raise ConfigError("vector.rows must be at least 2 for two blocks of scores, not 1")
    largest = min(config.vector.rows // 2, power_of_two(tokens))
    plan = PrefillPlan(config=config, shape=shape, tokens=tokens, row_block=largest)
    _check_sizes(plan)
    while plan.row_block > 1 and shortage(plan):
        plan = dataclasses.replace(plan, row_block=plan.row_block // 2)
    if short := shortage(plan):
        raise ConfigError(
            f"{tokens} tokens of a prompt do not fit the chip: {lacks(plan, *short)}; lower the "
            f"tokens, or raise memory.{short[0]}"
        )
    return plan


def _check_sizes(plan: PrefillPlan) -> None:
    """Refuse models whose parts are no whole slots, and counts beyond those of semaphores."""
    shape, unit = plan.shape, plan.unit
    bits = plan.config.sequencer.semaphore_bits
    most = (1 << bits) - 1
    sentence = ""
    if shape.head % (2 * unit) or shape.head & shape.head - 1:
        sentence = (
            f"a head's features must be a power of two and at least {2 * unit}, not {shape.head}"
        )
    elif shape.features % (2 * unit):
        sentence = f"its features must be a multiple of {2 * unit}, not {shape.features}"
    elif shape.hidden % shape.head:
        sentence = (
            f"its hidden values must be a multiple of a head's {shape.head} features, not "
            f"{shape.hidden}"
        )
    elif plan.layer_slots > most:
        sentence = (
            f"sequencer.semaphore_bits must be at least {plan.layer_slots.bit_length()}, not {bits}"
        )
    if sentence:
        raise ConfigError(f"the weights of this language model cannot be streamed: {sentence}")
    told = plan.tokens * shape.share
    if told > most:
        raise ConfigError(
            f"the prompt's tokens must be at most {most // shape.share}, so that semaphores of "
            f"{bits} bits count what each tells of, not {plan.tokens}; lower them, or set "
            f"sequencer.semaphore_bits to {told.bit_length()}"
        )
