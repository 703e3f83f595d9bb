"""What plans need of the memories on the chip, whether there is so much, and a core with more."""

from typing import Protocol

from systolith_hw.config import Config

__all__ = ["NEEDS", "Plan", "lacks", "shortage", "with_longest_loops"]

MOST_INSTRUCTIONS = 4096
"""The largest program memory."""

NEEDS = {
    "operand_tiles": "operand_need",
    "activation_words": "activation_need",
    "wide_words": "wide_need",
    "scale_words": "scale_need",
}
"""The property of a plan that says what it needs of each memory."""


class Plan(Protocol):
    """Decisions about a model, among whose properties are those of :data:`NEEDS`."""

    @property
    def config(self) -> Config:
        """For which core."""
        ...


def shortage(plan: Plan) -> tuple[str, int] | None:
    """Return the first memory that is too small, and the words that it would need."""
    for memory, need in NEEDS.items():
        if getattr(plan, need) > getattr(plan.config.memory, memory):
            return memory, getattr(plan, need)
    return None


def lacks(plan: Plan, memory: str, need: int) -> str:
    """Say how many words a memory must have."""
    have = getattr(plan.config.memory, memory)
    return f"memory.{memory} must be at least {need}, {need - have} more than it is"


def with_longest_loops(config: Config) -> Config:
    """Return the same core with the largest program memory there is, to see what a loop takes."""
    return config.replace({"memory.program_instructions": MOST_INSTRUCTIONS, "device": ""})
