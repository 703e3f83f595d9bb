"""Plan attention alone: of all heads, with queries, keys and values that somebody else computed.

K and V of all heads are on the chip. Queries are, too, and the context takes their place; or, where
they do not fit, queries come from external memory block by block, and the context goes there.
"""

from dataclasses import dataclass

from systolith_hw.config import HEAD_CHANNELS, Config, ConfigError
from systolith_sim.dma.pages import page_bytes

from .encoder_attention_plan import AttentionPlan
from .encoder_fit import FEWEST_ROWS, ROW_BLOCKS
from .encoder_shape import QUEUE_DEPTH
from .layout import pad
from .memory_needs import lacks, shortage

__all__ = ["HeadsPlan", "plan_attention"]

BLOCKS_AHEAD = 3
"""Blocks whose queries are on the chip at once, if not all are."""


@dataclass(frozen=True, kw_only=True)
class HeadsPlan(AttentionPlan):
    """Attention of one sentence.

    Parameters
    ----------
    heads, features : int
        H, of D features each. They are computed in pairs; an odd one is joined by a head of zeros.
    causal : bool
        No token attends to those behind it.
    """

    heads: int
    features: int
    causal: bool

    @property
    def head(self) -> int:
        """Features of a head."""
        return self.features

    @property
    def pairs(self) -> int:
        """Pairs of heads."""
        return -(-self.heads // 2)

    @property
    def blocks(self) -> list[range]:
        """The rows of each block, about as many in each."""
        count = -(-self.tokens // self.row_block)
        ends = [self.tokens * number // count for number in range(count + 1)]
        return [range(*pair) for pair in zip(ends, ends[1:], strict=False)]

    # -- work --------------------------------------------------------------------------------

    def seen(self, token: int) -> int:
        """Return how many tokens a token attends to."""
        return token + 1 if self.causal else self.tokens

    @property
    def macs(self) -> int:
        """Useful multiplications, of scores and context."""
        return 2 * self.heads * self.head * sum(map(self.seen, range(self.tokens)))

    @property
    def ideal_cycles(self) -> int:
        """Control words that the array needs, every token on its own in whole tiles."""
        array = self.config.array
        return self.heads * sum(
            -(-seen // array.columns) * self.head_steps + -(-seen // array.rows) * self.head_tiles
            for seen in map(self.seen, range(self.tokens))
        )

    @property
    def compulsory_bytes(self) -> int:
        """Bytes of queries and context, exponents included, each once, if they are not on chip."""
        array = self.config.array
        words = 2 * self.heads * self.tokens * self.head_steps
        return words * (array.rows * array.mantissa_bytes + 1) if self.spill else 0

    # -- places ------------------------------------------------------------------------------

    @property
    def keys(self) -> int:
        """Where the keys begin."""
        return 0

    @property
    def values(self) -> int:
        """Where the values begin: behind the keys."""
        return 2 * self.pairs * self.units * self.unit_keys

    @property
    def value_stride(self) -> int:
        """Tiles from the values of C features to the next ones'."""
        return 2 * self.pairs * self.units * self.unit_values

    @property
    def operand_need(self) -> int:
        """Tiles altogether."""
        return self.values + self.head_tiles * self.value_stride

    @property
    def key_entries(self) -> int:
        """Where the exponents of keys begin."""
        return 0

    @property
    def value_entries(self) -> int:
        """Where the exponents of values begin: behind those of keys."""
        return 2 * self.pairs * self.units * self.unit_entries

    @property
    def scale_need(self) -> int:
        """Words altogether."""
        return 2 * self.value_entries

    @property
    def queries(self) -> int:
        """Where the queries begin."""
        return 0

    @property
    def block_queries(self) -> int:
        """Words of a block's queries of one head."""
        return self.row_block * self.head_steps

    @property
    def head_queries(self) -> int:
        """Words of a head's queries, or of those of some blocks."""
        return BLOCKS_AHEAD * self.block_queries if self.spill else self.tokens * self.head_steps

    @property
    def context(self) -> int:
        """Where the context begins: that of a block takes the place of its queries."""
        return self.queries

    @property
    def powers(self) -> int:
        """Where the probabilities of two heads begin: behind the queries."""
        return 2 * (1 if self.spill else self.pairs) * self.head_queries

    @property
    def activation_need(self) -> int:
        """Words altogether."""
        return self.powers + 2 * self.head_powers

    @property
    def scores(self) -> int:
        """Where the scores of two heads begin."""
        return 0

    @property
    def wide_need(self) -> int:
        """Words altogether."""
        return 2 * self.head_scores

    # -- external memory ---------------------------------------------------------------------

    @property
    def run_bytes(self) -> int:
        """Bytes of a token's queries, or context, of one head."""
        return pad(page_bytes(self.config, self.head_steps), self.config.bus.data_bytes)

    @property
    def head_bytes(self) -> int:
        """Bytes of a head's."""
        return self.tokens * self.run_bytes


def plan_attention(
    config: Config, tokens: int, *, heads: int, features: int, causal: bool = False
) -> HeadsPlan:
    """Return the plan of attention, with all on the chip if that fits.

    Raises
    ------
    ConfigError
        A sentence that says what is too small.
    """
    _check(config, tokens, heads, features)
    # Under a mask half of a block is computed for nothing: that is little of small ones.
    blocks = (*ROW_BLOCKS[1 if causal else 0 :], FEWEST_ROWS)
    plans = [
        HeadsPlan(
            config=config, tokens=tokens, segments=1, row_block=min(rows, config.vector.rows // 2),
            spill=spill, heads=heads, features=features, causal=causal,
        )
        for spill in (False, True)
        for rows in blocks
    ]  # fmt: skip
    for plan in plans:
        if not _shortage(plan):
            return plan
    raise ConfigError(
        f"attention of {heads} heads of {features} features over {tokens} tokens does not fit: "
        f"{_shortage(plans[-1])}; lower one of them, or raise that memory"
    )


def _check(config: Config, tokens: int, heads: int, features: int) -> None:
    array, sentence = config.array, ""
    for name, value in (("seq", tokens), ("heads", heads), ("head-dim", features)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, not {value}")
    if config.vector.rows < 2:
        sentence = f"a vector.rows of at least 2, not {config.vector.rows}"
    elif config.sequencer.queue_depth < QUEUE_DEPTH:
        sentence = (
            f"a sequencer.queue_depth of at least {QUEUE_DEPTH}, not {config.sequencer.queue_depth}"
        )
    elif features % max(array.rows, array.columns) or features > HEAD_CHANNELS:
        sentence = (
            f"a head-dim that is a multiple of array.rows {array.rows} and array.columns "
            f"{array.columns} and at most {HEAD_CHANNELS}, not {features}"
        )
    elif tokens > array.max_k:
        sentence = f"an array.max_k of at least {tokens}, the tokens, not {array.max_k}"
    if sentence:
        raise ConfigError(f"attention needs {sentence}")


def _shortage(plan: HeadsPlan) -> str:
    """Return which memory is too small, and by how much; nothing if all is there."""
    short = shortage(plan)
    return lacks(plan, *short) if short else ""
