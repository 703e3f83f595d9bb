"""Choose how an encoder is cut so that it fits the memories, or say what would fit."""

import operator

from systolith_hw.config import Config, ConfigError

from .encoder_plan import EncoderPlan
from .encoder_program import longest_loop
from .encoder_shape import EncoderShape
from .layout import power_of_two
from .memory_needs import NEEDS

__all__ = ["candidate_plans", "plan_encoder"]

ROW_BLOCKS = (32, 16, 8)
"""Rows of scores worth a softmax of their own, best first."""

FEWEST_ROWS = 4
"""For memories that have no room for more."""

SETTINGS = {
    **{f"memory.{memory}": need for memory, need in NEEDS.items()},
    "sequencer.semaphore_bits": "semaphore_need",
}
"""What an encoder needs of each setting."""


def plan_encoder(
    config: Config, shape: EncoderShape, *, tokens: int, segments: int = 1
) -> EncoderPlan:
    """Return a plan of an encoder for at most ``tokens`` in at most ``segments`` sentences.

    It is that with the fewest passes over the weights; among all that fit,
    :func:`systolith.compiler.encoder_choice.choose_encoder` finds the fastest.

    Raises
    ------
    ConfigError
        A sentence that says which memory is too small, by how much, and what would fit; or, before
        any parameters are there, what else the program has no room for.
    """
    shape.check(config)
    if config.vector.rows < 2:
        raise ConfigError(
            f"an encoder needs a vector.rows of at least 2, not {config.vector.rows}"
        )
    if config.memory.bias_words:
        raise ConfigError(
            "an encoder has biases anywhere in scale memory: memory.bias_words must be 0, not "
            f"{config.memory.bias_words}"
        )
    for name, value in (("tokens", tokens), ("segments", segments)):
        if value < 1:
            raise ConfigError(f"an encoder's {name} must be at least 1, not {value}")
    if tokens > config.array.max_k:
        raise ConfigError(
            f"an encoder for {tokens} tokens is too large: array.max_k is {config.array.max_k}; "
            "lower the tokens, or raise array.max_k"
        )
    plan = _best(config, shape, tokens, segments)
    if plan is None:
        raise ConfigError(_refusal(config, shape, tokens, segments))
    if longest_loop(plan) > config.memory.program_instructions:
        raise ConfigError(_long_loop(plan))
    return plan


def candidate_plans(
    config: Config, shape: EncoderShape, *, tokens: int, segments: int = 1
) -> list[EncoderPlan]:
    """Return all plans worth a comparison, that of :func:`plan_encoder` first.

    Raises
    ------
    ConfigError
        If there is none.
    """
    first = plan_encoder(config, shape, tokens=tokens, segments=segments)
    found = _ordered(config, shape, tokens, segments)
    others = [plan for plan in dict.fromkeys(found) if plan != first]
    most = config.memory.program_instructions
    return [first, *(plan for plan in others if longest_loop(plan) <= most)]


def _best(config: Config, shape: EncoderShape, tokens: int, segments: int) -> EncoderPlan | None:
    """Return the plan with the fewest passes over the weights; nothing if none fits."""
    return next(iter(_ordered(config, shape, tokens, segments)), None)


def _ordered(config: Config, shape: EncoderShape, tokens: int, segments: int) -> list[EncoderPlan]:
    """Return the plans that fit, those with the fewest passes over the weights first."""
    rows = config.vector.rows // 2
    plans = [
        plan
        for choices in (ROW_BLOCKS, (FEWEST_ROWS,))
        for row_block in choices
        for spill in (False, True)
        if (plan := _largest(config, shape, tokens, segments, min(row_block, rows), spill))
    ]
    many = [plan for plan in plans if plan.row_block > FEWEST_ROWS] or plans
    return sorted(many, key=_cost) or _streamed(config, shape, tokens, segments)


def _cost(plan: EncoderPlan) -> tuple[int, bool, bool, int]:
    """Order plans; weights are by far the most that is loaded.

    Large blocks of rows are issued with less haste; but if the residual does not stay on the chip,
    it comes back the later, the more of its place the scores take.
    """
    rows = abs(plan.row_block - (ROW_BLOCKS[1] if plan.moves else ROW_BLOCKS[0]))
    return -(-plan.tokens // plan.token_block), plan.spill, plan.crowded, rows


def _largest(
    config: Config, shape: EncoderShape, tokens: int, segments: int, row_block: int, spill: bool
) -> EncoderPlan | None:
    """Return the plan with the largest blocks of tokens that fit, as equal as possible."""

    def cut(token_block: int) -> EncoderPlan:
        return EncoderPlan(
            config=config, shape=shape, tokens=tokens, segments=segments, row_block=row_block,
            token_block=token_block, input_block=tokens, spill=spill,
        )  # fmt: skip

    if _shortage(cut(1)):  # sooner than by trying all
        return None
    return next(plan for n in range(1, tokens + 1) if not _shortage(plan := cut(-(-tokens // n))))


def _streamed(
    config: Config, shape: EncoderShape, tokens: int, segments: int
) -> list[EncoderPlan]:
    """Return the plans whose layers' input moves, too, the best first."""
    rows = config.vector.rows // 2
    plans = [
        plan
        for row_block in (*ROW_BLOCKS, FEWEST_ROWS)
        if (plan := _largest_streamed(config, shape, tokens, segments, min(row_block, rows)))
    ]
    many = [plan for plan in plans if plan.row_block > FEWEST_ROWS] or plans
    return sorted(many, key=_streamed_cost)


def _largest_streamed(
    config: Config, shape: EncoderShape, tokens: int, segments: int, row_block: int
) -> EncoderPlan | None:
    """Return the plan with the largest blocks for most weights, then for those of the heads."""

    def cut(blocks: int, inputs: int) -> EncoderPlan:
        return EncoderPlan(
            config=config, shape=shape, tokens=tokens, segments=segments, row_block=row_block,
            token_block=-(-tokens // blocks), input_block=-(-tokens // inputs), spill=True,
        )  # fmt: skip

    if tokens == 1 or _shortage(cut(tokens, tokens)):
        return None
    blocks = next(n for n in range(2, tokens + 1) if not _shortage(cut(n, n)))
    return next(plan for n in range(2, blocks + 1) if not _shortage(plan := cut(blocks, n)))


def _streamed_cost(plan: EncoderPlan) -> tuple[int, tuple[int, bool, bool, int]]:
    """Order plans by the weights that are loaded, then as all are."""
    heads, blocks = 3 * plan.shape.features**2, plan.shape.weights - 3 * plan.shape.features**2
    inputs, tokens = -(-plan.tokens // plan.input_block), -(-plan.tokens // plan.token_block)
    return inputs * heads + tokens * blocks, _cost(plan)


def _shortage(plan: EncoderPlan) -> tuple[str, int] | None:
    """Return the first setting that is too small, and what it would have to be."""
    for setting, need in SETTINGS.items():
        if getattr(plan, need) > _setting(plan.config, setting):
            return setting, getattr(plan, need)
    return None


def _setting(config: Config, path: str) -> int:
    """Return a setting by its dotted name."""
    return operator.attrgetter(path)(config)


def _long_loop(plan: EncoderPlan) -> str:
    """Say that program memory is too small, and what would do."""
    config, shape, have = plan.config, plan.shape, plan.config.memory.program_instructions
    need = longest_loop(plan)

    def fits(tokens: int) -> bool:
        smaller = _best(config, shape, tokens, plan.segments)
        return smaller is not None and longest_loop(smaller) <= have

    most = fits(1) and next(n for n in range(plan.tokens - 1, 0, -1) if fits(n))
    lower = f"; or lower the tokens to {most}" if most else ""
    return (
        f"an encoder for {plan.tokens} tokens has a loop of {need} instructions: "
        f"memory.program_instructions must be at least {power_of_two(need)}, not "
        f"{have}{lower}"
    )


def _refusal(config: Config, shape: EncoderShape, tokens: int, segments: int) -> str:
    """Say what is too small, and what would do."""
    smallest = EncoderPlan(
        config=config, shape=shape, tokens=tokens, segments=segments,
        row_block=min(FEWEST_ROWS, config.vector.rows // 2), token_block=1, input_block=1,
        spill=True,
    )  # fmt: skip
    shortage = _shortage(smallest)
    assert shortage is not None
    setting, need = shortage
    have = _setting(config, setting)
    fits = next((n for n in range(tokens - 1, 0, -1) if _best(config, shape, n, segments)), 0)
    lower = f"lower the tokens to {fits}, or " if fits else ""
    return (
        f"an encoder for {tokens} tokens in {segments} sentences does not fit: {setting} "
        f"must be at least {need}, {need - have} more than it is; {lower}raise {setting}"
    )
