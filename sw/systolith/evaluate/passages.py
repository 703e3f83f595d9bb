"""Texts that no model here was tuned on, cut into what a model sees at once."""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..models.errors import TextError
from ..models.language_model import LanguageModel
from ..models.library import HELDOUT
from ..progress import Progress
from .brown import brown

__all__ = ["Passage", "Text", "first_documents", "passages", "shorten"]

STORY_TOKENS = 256
"""Most tokens that are predicted of a story."""

CONTEXT = 512
"""Most tokens of a passage of Brown's documents."""

BROWN_TOKENS = 8192
"""How many are predicted if nobody says; of stories, all."""

END_OF_STORY = "<|endoftext|>"


class Text(enum.StrEnum):
    """What to predict."""

    HELDOUT = "heldout"
    BROWN = "brown"


@dataclass(frozen=True)
class Passage:
    """What a model sees at once, from position 0.

    Parameters
    ----------
    document : str
        Passages of one document are not independent of each other.
    tokens : list of int
        All but the first are predicted.
    """

    document: str
    tokens: list[int]


def passages(
    model: LanguageModel, text: Text, count: int | None = None, progress: Progress | None = None
) -> list[Passage]:
    """Return passages in their order, until at least ``count`` tokens are predicted.

    ``heldout``: each story alone, between the model's tokens that begin and end a text, its first
    256 tokens predicted. ``brown``: passages of 512 tokens; the first of the first document of each
    genre, then of the second documents, and so on, then the second passages.

    Raises
    ------
    TextError
        If a text has a character that the model does not know.
    FetchError
        If the text cannot be had.
    """
    if text == Text.BROWN:
        every = _brown(model, brown(progress))
        count = count or BROWN_TOKENS
    else:
        every = _stories(model)
    chosen, predicted = [], 0
    for passage in every:
        if count is not None and predicted >= count:
            break
        chosen.append(passage)
        predicted += len(passage.tokens) - 1
    if count is not None and predicted < count:
        raise TextError(f"{text} has {predicted} tokens to predict, not {count}; give fewer")
    return chosen


def first_documents(passages: Sequence[Passage], count: int) -> list[Passage]:
    """Return the passages of the first so many documents."""
    documents = list(dict.fromkeys(passage.document for passage in passages))[:count]
    return [passage for passage in passages if passage.document in documents]


def shorten(passages: Sequence[Passage], most: int) -> list[Passage]:
    """Return passages without the tokens that come behind their first ``most``."""
    return [Passage(passage.document, passage.tokens[:most]) for passage in passages]


def _stories(model: LanguageModel) -> Iterator[Passage]:
    most = min(STORY_TOKENS, model.decoder.context) + 1
    stories = HELDOUT.read_text(encoding="ascii").split(END_OF_STORY)
    for number, story in enumerate(filter(None, map(str.strip, stories))):
        tokens = [*model.opening, *model.tokenizer.encode(story), *model.ends[:1]]
        yield Passage(f"story {number}", tokens[:most])


def _brown(model: LanguageModel, documents: dict[str, str]) -> Iterator[Passage]:
    """Yield passages: all documents' first ones, then all second ones, and so on."""
    room = min(CONTEXT, model.decoder.context) - len(model.opening)
    tokens: dict[str, list[int]] = {}
    number, found = 0, True
    while found:
        found = False
        for name, text in documents.items():
            if name not in tokens:
                tokens[name] = model.tokenizer.encode(text)
            part = tokens[name][number * room : (number + 1) * room]
            if len(part) == room:  # a rest is too short to be like the others
                found = True
                yield Passage(name, [*model.opening, *part])
        number += 1
