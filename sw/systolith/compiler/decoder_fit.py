"""Plan a language model, or say what would fit."""

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.decoder_model import DecoderModel

from .decoder_plan import DecoderPlan
from .decoder_shape import DecoderShape

__all__ = ["plan_decoder"]

FEWEST_TOKENS = 2
"""Of a text: one of a prompt, and one behind it."""

NEEDS = {
    "operand_tiles": "operand_need",
    "activation_words": "activation_need",
    "wide_words": "wide_need",
    "scale_words": "scale_need",
}


def plan_decoder(config: Config, model: DecoderModel, *, tokens: int | None = None) -> DecoderPlan:
    """Return the plan of a model for texts of at most ``tokens``; by default as many as fit.

    Raises
    ------
    ConfigError
        A sentence that says which memory is too small, by how much, and what would fit.
    """
    shape, first = DecoderShape.of(model), model.layers[0]
    shape.check(config)
    context = min(shape.context, config.array.max_k)
    if tokens is not None and not FEWEST_TOKENS <= tokens <= context:
        raise ConfigError(
            f"a text's tokens must be {FEWEST_TOKENS} to {context}, the model's context or "
            f"array.max_k, not {tokens}"
        )
    plan = DecoderPlan(
        config=config, shape=shape, tokens=tokens or context, output_chunk=first.output_chunk,
        down_chunk=first.down_chunk,
    )  # fmt: skip
    _check_chunks(plan)
    if tokens is None:
        plan = plan.with_tokens(_largest(plan) or FEWEST_TOKENS)
    if shortage := _shortage(plan):
        raise ConfigError(_refusal(plan, *shortage))
    return plan


def _check_chunks(plan: DecoderPlan) -> None:
    """Refuse chunks that begin in the middle of what is computed at once."""
    shape, each = plan.shape, plan.shared_inputs
    for name, chunk, size, unit in (
        ("output_chunk", plan.output_chunk, shape.key_heads * each, each),
        ("down_chunk", plan.down_chunk, shape.hidden, plan.config.array.rows),
    ):
        if chunk < size and chunk % unit:
            raise ConfigError(
                f"this language model cannot be compiled: its {name} must be a multiple of "
                f"{unit}, or all {size}, not {chunk}"
            )


def _largest(plan: DecoderPlan) -> int:
    """Return for how many tokens there is room; 0 if there is for none."""
    counts = range(plan.tokens, FEWEST_TOKENS - 1, -1)
    return next((count for count in counts if not _shortage(plan.with_tokens(count))), 0)


def _shortage(plan: DecoderPlan) -> tuple[str, int] | None:
    """Return the first memory that is too small, and the words that it would need."""
    for memory, need in NEEDS.items():
        if getattr(plan, need) > getattr(plan.config.memory, memory):
            return memory, getattr(plan, need)
    return None


def _refusal(plan: DecoderPlan, memory: str, need: int) -> str:
    """Say what is too small, and what would do."""
    have = getattr(plan.config.memory, memory)
    fits = _largest(plan)
    lower = f"lower the tokens to {fits}, or " if fits else ""
    return (
        f"a language model for {plan.tokens} tokens does not fit the chip: memory.{memory} must be "
        f"at least {need}, {need - have} more than it is; {lower}raise memory.{memory}"
    )
