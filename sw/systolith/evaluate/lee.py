"""News that people have judged: Lee's 50 documents, and single sentences of 300 others.

Lee, Pincombe and Welsh, "An empirical evaluation of models of text document similarity", 2005.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..models.fetch import Package, fetch
from ..progress import Progress

__all__ = ["lee50", "news_sentences"]

GENSIM = Package(
    name="gensim",
    version="4.4.0",
    sha256="91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    folder="gensim/test/test_data",
    size=27_809_988,
    files=("lee.cor", "lee_background.cor", "similarities0-1.txt"),
    # Any wheel has the data; this is the one whose hash is pinned.
    options=("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11",
             "--implementation", "cp", "--abi", "cp311"),
)  # fmt: skip
"""Under LGPL-2.1; only its test data is kept."""

FEWEST_WORDS, MOST_WORDS = 4, 24


def lee50(progress: Progress | None = None) -> tuple[list[str], NDArray[np.float64]]:
    """Return 50 documents, and how alike people found them: (50, 50), its upper half."""
    folder = fetch(GENSIM, progress)
    return _lines(folder / "lee.cor"), np.loadtxt(folder / "similarities0-1.txt")


def news_sentences(progress: Progress | None = None) -> list[str]:
    """Return all sentences of 4 to 24 words of the background documents, in their order."""
    folder = fetch(GENSIM, progress)
    sentences = (
        sentence
        for document in _lines(folder / "lee_background.cor")
        for sentence in re.split(r"(?<=[.!?]) +", document)
    )
    return [
        sentence for sentence in sentences if FEWEST_WORDS <= len(sentence.split()) <= MOST_WORDS
    ]


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="latin-1").splitlines()]
