"""Which presets would suit a model."""

from collections.abc import Callable, Mapping

from systolith_hw.config import Config, ConfigError

from .estimate import Choice, Estimate

__all__ = ["suitable"]


def suitable(
    configs: Mapping[str, Config], estimate: Callable[[Config], Estimate]
) -> list[Choice]:
    """Return what each preset makes of a model, the fastest first, then those that do not suit.

    Parameters
    ----------
    configs : dict
        By the names of presets.
    estimate : function
        Raises ConfigError for a core on which the model does not fit.
    """
    choices = []
    for name, config in configs.items():
        try:
            result = estimate(config)
        except ConfigError as error:
            choices.append(Choice(preset=name, fits=False, reason=str(error)))
        else:
            choices.append(Choice(preset=name, fits=True, cycles=result.cycles,
                                  milliseconds=result.milliseconds))  # fmt: skip
    return sorted(choices, key=lambda choice: (not choice.fits, choice.cycles or 0))
