"""What a CPU says for each token of a model."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

__all__ = ["Decodes", "texts"]


class Decodes(Protocol):
    """Knows the text of tokens, as :class:`systolith.models.text_tokenizer.TextTokenizer` does."""

    def decode(self, tokens: Sequence[int], /) -> str:
        """Return it."""


def texts(tokenizer: Decodes, vocabulary: int, before: int) -> bytes:
    """Return where each token's text begins, where the last one ends, and the texts, UTF-8.

    A token may say another thing at the begin of a text, so it is asked for behind ``before``.
    """
    start = len(tokenizer.decode([before]))
    words = [tokenizer.decode([before, token])[start:].encode() for token in range(vocabulary)]
    begins = np.cumsum([2 * (vocabulary + 1), *map(len, words)])
    if begins[-1] >= 1 << 16:
        raise ValueError(f"the texts have {begins[-1]} bytes, but at most 65535 can be told apart")
    return begins.astype("<u2").tobytes() + b"".join(words)
