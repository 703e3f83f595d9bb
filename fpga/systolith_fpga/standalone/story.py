"""A model and a prompt for a standalone board."""

from systolith.language_run import LanguageRun
from systolith.models.language_model import LanguageModel
from systolith.progress import Progress
from systolith_hw.config import Config, ConfigError

from ..firmware.job import MOST_PROMPT
from ..firmware.story import Story, stage_story

__all__ = ["board_story"]


def board_story(
    model: LanguageModel, prompt: str, tokens: int, config: Config, *, weights: str = "int8",
    streamed: bool = False, progress: Progress | None = None,
) -> tuple[LanguageRun, list[int], Story]:  # fmt: skip
    """Return a model in a core's integers, the prompt's tokens, and what the board is to do.

    Parameters
    ----------
    model : LanguageModel
    prompt : str
    tokens : int
        To be made behind it.
    config : Config
        Of the board's core.
    weights : str
        Key of ``CODECS``.
    streamed : bool
        Weights stay in main memory, and are not on the chip.

    Raises
    ------
    ConfigError
        If the text has no room, or the model.
    """
    tell = progress or Progress()
    numbers = model.prompt(prompt)
    if len(numbers) > MOST_PROMPT:
        raise ConfigError(
            f"the prompt has {len(numbers)} tokens, and a standalone board takes {MOST_PROMPT}; "
            "give a shorter one"
        )
    context = len(numbers) + tokens if streamed else None
    run = LanguageRun(
        model, config, tell, weights=weights, streamed=streamed, context=context
    )
    run.require_room(numbers)
    if len(numbers) + tokens > run.context:
        raise ConfigError(
            f"--tokens must be at most {run.context - len(numbers)} behind a prompt of "
            f"{len(numbers)} tokens, not {tokens}: the core has room for {run.context}"
        )
    story = stage_story(run.decoder, numbers, tokens, name=model.name, tokenizer=model.tokenizer,
                        largest=0)  # fmt: skip
    return run, numbers, story
