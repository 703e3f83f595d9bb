"""Plan a language model, or say what would fit."""

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.decoder_model import DecoderModel

from .decoder_plan import DecoderPlan
from .decoder_shape import DecoderShape
from .memory_needs import lacks, shortage

__all__ = ["FEWEST_TOKENS", "largest", "most_tokens", "plan_decoder", "refusal"]

FEWEST_TOKENS = 2
"""Of a text: one of a prompt, and one behind it."""


def plan_decoder(config: Config, model: DecoderModel, *, context: int | None = None) -> DecoderPlan:
    """Return the plan of a model for texts of ``context`` tokens; by default of as many as fit.

    Raises
    ------
    ConfigError
        A sentence that says which memory is too small, by how much, and what would fit.
    """
    shape, first = DecoderShape.of(model), model.layers[0]
    shape.check(config)
    if model.norm.gains is not None:
        raise ConfigError(
            "the norms of this language model have gammas, so it is one to be streamed; for the "
            "chip it must be quantised with streamed=False"
        )
    plan = DecoderPlan(
        config=config, shape=shape, tokens=most_tokens(config, shape, context),
        output_chunk=first.output_chunk, down_chunk=first.down_chunk,
    )  # fmt: skip
    _check_chunks(plan)
    if context is None:
        plan = plan.with_tokens(largest(plan) or FEWEST_TOKENS)
    if short := shortage(plan):
        raise ConfigError(refusal(plan, *short))
    return plan


def most_tokens(config: Config, shape: DecoderShape, context: int | None) -> int:
    """Return the tokens of a text that are asked for, or all that the model takes.

    Raises
    ------
    ConfigError
        If there are more, or fewer than any text has.
    """
    most = min(shape.context, config.array.max_k)
    if context is not None and not FEWEST_TOKENS <= context <= most:
        name = "array.max_k" if most < shape.context else "the model's own"
        raise ConfigError(
            f"the context must be {FEWEST_TOKENS} to {most} tokens, {name}, not {context}"
        )
    return context or most


def _check_chunks(plan: DecoderPlan) -> None:
    """Refuse chunks that begin in the middle of what is computed at once."""
    array, shape, each = plan.config.array, plan.shape, plan.shared_inputs
    for name, chunk, size, unit in (
        ("output_chunk", plan.output_chunk, shape.key_heads * each, each),
        ("down_chunk", plan.down_chunk, shape.hidden, max(array.rows, array.columns)),
    ):
        if chunk < size and chunk % unit:
            raise ConfigError(
                f"this language model cannot be compiled: its {name} must be a multiple of "
                f"{unit}, or all {size}, not {chunk}"
            )


def largest(plan: DecoderPlan) -> int:
    """Return for how many tokens there is room; 0 if there is for none."""
    counts = range(plan.tokens, FEWEST_TOKENS - 1, -1)
    return next((count for count in counts if not shortage(plan.with_tokens(count))), 0)


def refusal(plan: DecoderPlan, memory: str, need: int, *, streamed: bool = False) -> str:
    """Say what is too small, and what would do."""
    fits = largest(plan)
    how = ", streamed," if streamed else ""
    lower = f"lower the context to {fits}, or " if fits else ""
    instead = "" if streamed else ", or leave the model in external memory (--operands stream)"
    return (
        f"a language model for {plan.tokens} tokens{how} does not fit the chip: "
        f"{lacks(plan, memory, need)}; {lower}raise memory.{memory}{instead}"
    )
