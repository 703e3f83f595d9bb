"""A model on the core that is asked for, and which presets would suit it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import PRESETS

from ..progress import Progress
from .estimate import Choice, Estimate

__all__ = ["Answer", "Cores"]

Estimator = Callable[[Config], Estimate]
"""Tells of a core; raises ConfigError for one on which the model does not fit."""


@dataclass(frozen=True)
class Answer:
    """The preset, what it makes of the model, and what others do.

    Parameters
    ----------
    preset : str
    estimate : Estimate
    choices : list of Choice
        The fastest first, then those on which the model does not fit.
    """

    preset: str
    estimate: Estimate
    choices: list[Choice] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        choices = [dataclasses.asdict(choice) for choice in self.choices]
        return {"preset": self.preset, **self.estimate.to_dict(), "presets": choices}


@dataclass(frozen=True)
class Cores:
    """Cores that may be taken.

    Parameters
    ----------
    configure : function
        Returns the core of a preset, with whatever is set besides; raises ConfigError for a preset
        that cannot have that.
    preset : str or None
        The one that is asked for.
    """

    configure: Callable[[str], Config]
    preset: str | None = None

    def config(self, default: str) -> Config:
        """Return the core that is asked for, by default another preset's."""
        return self.configure(self.preset or default)

    def answer(self, default: str, estimate: Estimator, progress: Progress) -> Answer:
        """Return the estimate on the core that is asked for, and those on all presets.

        Raises
        ------
        ConfigError
            If the model does not fit that core.
        """
        name = self.preset or default
        progress(f"estimating on {name}")
        result = estimate(self.config(default))
        progress("estimating on other presets")
        choices = [one for one in (self._choice(name, estimate) for name in PRESETS) if one]
        choices.sort(key=lambda choice: (not choice.fits, choice.cycles or 0))
        return Answer(name, result, choices)

    def _choice(self, name: str, estimate: Estimator) -> Choice | None:
        """Return what a preset makes of a model; nothing if it cannot have the settings."""
        try:
            config = self.configure(name)
        except ConfigError:
            return None
        try:
            result = estimate(config)
        except ConfigError as error:
            return Choice(preset=name, fits=False, reason=str(error))
        return Choice(preset=name, fits=True, cycles=result.cycles,
                      milliseconds=result.milliseconds)  # fmt: skip
