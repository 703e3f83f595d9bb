"""Plan a language model that is streamed, or say what would fit."""

import dataclasses

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.decoder_model import DecoderModel

from .decoder_fit import FEWEST_TOKENS, largest, most_tokens, refusal
from .decoder_shape import DecoderShape
from .decoder_streamed_plan import StreamedPlan
from .memory_needs import shortage
from .slot_ring import FEWEST_SLOTS

__all__ = ["plan_streamed"]


def plan_streamed(
    config: Config, model: DecoderModel, *, context: int | None = None
) -> StreamedPlan:
    """Return the plan of a model for texts of ``context`` tokens; by default of as many as fit.

    The ring is as large as what keys and values leave.

    Raises
    ------
    ConfigError
        A sentence that says which memory is too small, by how much, and what would fit.
    """
    shape, first = DecoderShape.of(model), model.layers[0]
    shape.check(config)
    shape.require_llama("a language model that is streamed")
    if shape.deferred:
        raise ConfigError(
            "the norms of this language model are deferred, so it is one for the chip; to be "
            "streamed it must be quantised with streamed=True"
        )
    plan = StreamedPlan(
        config=config, shape=shape, tokens=most_tokens(config, shape, context),
        output_chunk=first.output_chunk, down_chunk=first.down_chunk, slot=1, slots=FEWEST_SLOTS,
    )  # fmt: skip
    _check(plan)
    plan = _with_ring(plan)
    if context is None:
        plan = plan.with_tokens(largest(plan) or FEWEST_TOKENS)
    if short := shortage(plan):
        raise ConfigError(refusal(plan, *short, streamed=True))
    rings = [dataclasses.replace(plan, slots=count) for count in _slot_counts(plan)]
    return max((ring for ring in rings if not shortage(ring)), key=lambda ring: ring.slots)


def _check(plan: StreamedPlan) -> None:
    """Refuse what this program has no means for."""
    array, shape = plan.config.array, plan.shape
    sentence = ""
    if array.columns > array.rows:
        sentence = (
            f"array.columns must be at most array.rows, {array.rows}, so that pages of keys become "
            f"operands, not {array.columns}"
        )
    elif len(plan.head_groups) > 1 or len(plan.hidden_groups) > 1:
        sentence = (
            f"its output_chunk and down_chunk must be all inputs, not {plan.output_chunk} and "
            f"{plan.down_chunk}"
        )
    elif shape.vocabulary > 1 << 16:
        sentence = f"its vocabulary must be at most 65536, not {shape.vocabulary}"
    if sentence:
        raise ConfigError(f"this language model cannot be streamed: {sentence}")


def _with_ring(plan: StreamedPlan) -> StreamedPlan:
    """Return the plan with the smallest slots, and the fewest, that serve all matrices."""
    steps = {size for size, _ in plan.matrices.values()}
    for slot in range(max(steps), 2 * max(steps)):
        if all(slot % size == 0 or slot < 2 * size for size in steps):
            sized = dataclasses.replace(plan, slot=slot)
            if counts := _slot_counts(sized):
                return dataclasses.replace(sized, slots=counts[0])
    raise ConfigError(_no_ring(plan, max(steps)))


def _no_ring(plan: StreamedPlan, longest: int) -> str:
    """Say why no ring serves all matrices, and what would do."""
    least, have = FEWEST_SLOTS * longest, plan.config.memory.operand_tiles
    if have < least:
        return (
            f"the weights of this language model cannot be streamed: memory.operand_tiles must be "
            f"at least {least}, for {FEWEST_SLOTS} slots of its longest reduction, not {have}"
        )
    return (
        "the weights of this language model cannot be streamed: its matrices cannot be cut into "
        "as many slots for each layer that a ring of fewer returns to its first; raise "
        "memory.operand_tiles, or choose another number of hidden values or heads"
    )


def _slot_counts(plan: StreamedPlan) -> list[int]:
    """Return how many slots the ring may have, so that each layer finds it as the first did.

    It must not hold more than the down matrix: LOAD writes over a layer's first entries behind that
    one's slots, the last of which only become free when those entries have been used.
    """
    slots = {name: plan.slots_of(*matrix) for name, matrix in plan.matrices.items()}
    layer = sum(slots.values())
    most = min(plan.config.memory.operand_tiles // plan.slot, slots["down"])
    return [count for count in range(FEWEST_SLOTS, most + 1) if layer % count == 0]
