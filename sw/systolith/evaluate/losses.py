"""How well a language model predicts text, beside the same model in float32."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..progress import Progress
from .passages import Passage

__all__ = ["LossComparison", "Predictor", "compare_losses", "token_losses"]

ROWS = 64
"""Logits that are turned into probabilities at once: a vocabulary may be large."""

Floats = NDArray[np.floating]


class Predictor(Protocol):
    """Whatever computes logits: the model in float, in integers, or on the hardware."""

    def logits(self, tokens: Sequence[int], /) -> Floats:
        """Return logits (S, V) in nats behind each token of a text from position 0."""
        ...


@dataclass(frozen=True, kw_only=True)
class LossComparison:
    """What came out; losses are in nats for each predicted token.

    Parameters
    ----------
    documents, tokens : int
    loss, loss_fp32 : float
    perplexity, perplexity_fp32 : float
        ``exp(loss)``.
    delta_nats : float
        What is lost to float32: the mean of the tokens' differences.
    standard_error : float or None
        Of that mean, for documents that are independent of each other; None if there is only one.
    top1_agreement : float
        Share of places at which both find the same token the likeliest.
    """

    documents: int
    tokens: int
    loss: float
    loss_fp32: float
    perplexity: float
    perplexity_fp32: float
    delta_nats: float
    standard_error: float | None
    top1_agreement: float


def compare_losses(
    exact: Predictor, predictor: Predictor, passages: Sequence[Passage],
    progress: Progress | None = None,
) -> LossComparison:  # fmt: skip
    """Compare a predictor with ``exact``, token by token of the same passages."""
    progress = progress or Progress()
    losses, losses_exact, agreed, documents = [], [], [], []
    for number, passage in enumerate(passages):
        progress.reached(number, len(passages))
        seen, wanted = passage.tokens[:-1], np.array(passage.tokens[1:])
        loss_exact, best_exact = token_losses(exact.logits(seen), wanted)
        loss, best = loss_exact, best_exact
        if predictor is not exact:
            loss, best = token_losses(predictor.logits(seen), wanted)
        losses.append(loss)
        losses_exact.append(loss_exact)
        agreed.append(best == best_exact)
        documents.append(passage.document)
    mean, mean_exact = (float(np.concatenate(one).mean()) for one in (losses, losses_exact))
    differences = [loss - before for loss, before in zip(losses, losses_exact, strict=True)]
    return LossComparison(
        documents=len(set(documents)), tokens=sum(map(len, losses)), loss=mean,
        loss_fp32=mean_exact, perplexity=math.exp(mean), perplexity_fp32=math.exp(mean_exact),
        delta_nats=float(np.concatenate(differences).mean()),
        standard_error=_standard_error(differences, documents),
        top1_agreement=float(np.concatenate(agreed).mean()),
    )  # fmt: skip


def token_losses(logits: Floats, wanted: NDArray[np.integer]) -> tuple[Floats, NDArray]:
    """Return -log of the probabilities (S,) of ``wanted``, and the likeliest tokens (S,)."""
    losses = np.empty(len(wanted))
    for first in range(0, len(wanted), ROWS):
        rows = slice(first, first + ROWS)
        part = logits[rows].astype(np.float64)
        part -= part.max(-1, keepdims=True)
        chosen = np.take_along_axis(part, wanted[rows, None], -1)[:, 0]
        losses[rows] = np.log(np.exp(part).sum(-1)) - chosen
    return losses, logits.argmax(-1)


def _standard_error(differences: Sequence[Floats], documents: Sequence[str]) -> float | None:
    """Return the standard error of the mean of all, in which a document counts as a whole.

    Tokens of a document may be lost together, so what varies is each document's sum of what its
    tokens differ from the mean.
    """
    mean = np.concatenate(differences).mean()
    sums: dict[str, float] = {}
    for part, document in zip(differences, documents, strict=True):
        sums[document] = sums.get(document, 0.0) + float((part - mean).sum())
    count = len(sums)
    if count < 2:
        return None
    squares = sum(value * value for value in sums.values())
    return math.sqrt(squares * count / (count - 1)) / sum(map(len, differences))
