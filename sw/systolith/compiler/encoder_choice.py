"""Choose among the plans of an encoder the one with the fewest cycles, by the cycle model.

A program is written for each plan, of two layers, since the first one's beginning overlaps with
nothing, and its instructions' times are added up. Plans that differ by less than the model can tell
are as good as each other: then the first of them in :mod:`.encoder_fit`'s order is taken.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from systolith_hw.config import Config, ConfigError
from systolith_hw.isa import Register
from systolith_sim.timing import Unending, replay

from .encoder_fit import candidate_plans
from .encoder_layout import EncoderLayout
from .encoder_plan import EncoderPlan
from .encoder_program import blank_model, write_encoder
from .encoder_shape import EncoderShape

__all__ = ["Candidate", "PlanChoice", "choose_encoder"]

MOST = 4
"""Plans that are timed, so that compiling does not take long."""

LAYERS = 2
"""At most, of the programs that are timed."""

RESOLUTION = 0.03
"""Of the cycles, as much as the model may be off the hardware: smaller differences mean nothing."""


@dataclass(frozen=True)
class Candidate:
    """A plan that fits.

    Parameters
    ----------
    token_block, input_block, row_block : int
        Tokens whose residual, and whose layer's input, are on the chip; rows of scores of a
        softmax.
    spill : bool
        Contexts leave the chip.
    cycles : int
        Of a few layers, for one sentence of all tokens, or several if it has fewer positions.
    """

    token_block: int
    input_block: int
    row_block: int
    spill: bool
    cycles: int

    def __str__(self) -> str:
        """Return it as part of a line."""
        blocks = f"blocks of {self.token_block} tokens and {self.row_block} rows"
        return blocks + ", contexts outside" * self.spill


@dataclass(frozen=True)
class PlanChoice:
    """Plans that were compared, in the order in which they were tried.

    Parameters
    ----------
    chosen : int
    candidates : tuple of Candidate
    layers : int
        How many their cycles are of.
    """

    chosen: int
    candidates: tuple[Candidate, ...]
    layers: int

    def __post_init__(self) -> None:
        """Refuse what no comparison gave, as a damaged file may hold it.

        Raises
        ------
        ValueError
        """
        numbers = [self.chosen, self.layers]
        for one in self.candidates:
            numbers += [one.token_block, one.input_block, one.row_block, one.cycles]
            if type(one.spill) is not bool:
                raise ValueError(f"of a plan, {one.spill!r} is neither true nor false")
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("sizes and cycles of plans are numbers")
        if self.chosen >= len(self.candidates):
            raise ValueError(f"there is no plan {self.chosen} of {len(self.candidates)}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PlanChoice":
        """Return what :func:`dataclasses.asdict` took apart."""
        candidates = tuple(Candidate(**one) for one in values["candidates"])
        return cls(values["chosen"], candidates, values["layers"])

    def __str__(self) -> str:
        """Return the line that reports have."""
        best, others = self.candidates[self.chosen], [*self.candidates]
        others.pop(self.chosen)
        count = f"{len(self.candidates)} candidate" + "s" * bool(others)
        layers = f"{self.layers} layer" + "s" * (self.layers > 1)
        line = f"plan: {best}, {count}, {best.cycles:,} cycles of {layers}"
        if not others:
            return line
        following = min(others, key=lambda one: one.cycles)
        faster = ", which is within what the model can tell" * (following.cycles < best.cycles)
        return f"{line}; next {following.cycles:,}, {following}{faster}"


@functools.cache
def choose_encoder(
    config: Config, shape: EncoderShape, *, tokens: int, segments: int = 1,
    norm_first: bool = False, activation: str = "gelu", embedded: bool = True,
) -> tuple[EncoderPlan, PlanChoice]:  # fmt: skip
    """Return the plan with the fewest cycles, and what it was chosen from.

    Parameters
    ----------
    config : Config
    shape : EncoderShape
    tokens, segments : int
        Most of a run.
    norm_first : bool
    activation : str
    embedded : bool
        It looks up its tokens itself; otherwise the host brings their states.

    Raises
    ------
    ConfigError
        As :func:`systolith.compiler.encoder_fit.plan_encoder`; or no plan comes to its end with
        queues of so few instructions.
    """
    plans, timed = [], []
    for plan in candidate_plans(config, shape, tokens=tokens, segments=segments)[:MOST]:
        try:
            timed.append(_cycles(plan, norm_first, activation, embedded))
            plans.append(plan)
        except Unending:
            continue  # loads that wait for a place in a small ring keep later ones out of a queue
    if not plans:
        raise ConfigError(
            f"in {config.memory.operand_tiles} operand tiles this model's loads would wait for one "
            f"another for ever; raise memory.operand_tiles, or sequencer.queue_depth above "
            f"{config.sequencer.queue_depth}"
        )
    chosen = _fewest(timed)
    return plans[chosen], PlanChoice(chosen, tuple(
        Candidate(plan.token_block, plan.input_block, plan.row_block, plan.spill, cycles)
        for plan, cycles in zip(plans, timed, strict=True)
    ), min(shape.layers, LAYERS))  # fmt: skip


def _fewest(cycles: Sequence[int]) -> int:
    """Return the first of those that are as good as the best."""
    limit = min(cycles) * (1 + RESOLUTION)
    return next(place for place, one in enumerate(cycles) if one <= limit)


def _cycles(plan: EncoderPlan, norm_first: bool, activation: str, embedded: bool) -> int:
    """Return what the first layers take for sentences as long as the model has positions."""
    layers = min(plan.shape.layers, LAYERS)
    plan = dataclasses.replace(plan, shape=dataclasses.replace(plan.shape, layers=layers))
    layout, model = EncoderLayout(plan), blank_model(norm_first=norm_first, activation=activation)
    if not embedded and not norm_first:
        model = dataclasses.replace(model, norm=None)
    program = write_encoder(layout, model)
    longest = min(plan.tokens, plan.shape.positions)
    lengths = [min(longest, plan.tokens - first) for first in range(0, plan.tokens, longest)]
    lengths = lengths[: plan.segments]
    sentences = [range(length) for length in lengths]
    tables = layout.tables.pack(sentences, layout.token_bytes, positions=embedded)
    address = layout.map.add("program", len(program)).address
    return replay(
        plan.config, program, address=address, parts={layout.regions["tables"].address: tables},
        registers={Register.LENGTH: sum(lengths)},
    ).cycles  # fmt: skip
