"""Text to token numbers and back, also token by token."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from .errors import CheckpointError, TextError

__all__ = ["TextStream", "TextTokenizer"]

UNFINISHED = "\ufffd"
"""What decoding gives for bytes that are no whole character."""

LONGEST_CHARACTER = 4
"""Bytes of UTF-8, and so the most tokens that a character can be cut into."""


class TextTokenizer:
    """A tokenizer that never loses a character without saying so.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Its rules for special tokens around a text are not used: models say with which token they
        begin.

    Members
    -------
    vocabulary : int
        One more than the largest token.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocabulary: int = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @classmethod
    def load(cls, path: Path, vocabulary: int) -> "TextTokenizer":
        """Read ``tokenizer.json`` of a model with so large a vocabulary.

        Raises
        ------
        CheckpointError
            If there is none, or it cannot be read, or has more tokens than the model.
        """
        if not path.is_file():
            raise CheckpointError(f"there is no {path}; a model needs its tokenizer beside it")
        try:
            tokenizer = cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # tokenizers raises nothing more special
            raise CheckpointError(f"{path} is no tokenizer that can be read: {error}") from error
        return tokenizer.require_at_most(vocabulary)

    def require_at_most(self, vocabulary: int) -> "TextTokenizer":
        """Return this tokenizer, if it has no more tokens than its model."""
        if self.vocabulary > vocabulary:
            raise CheckpointError(
                f"the tokenizer has {self.vocabulary} tokens, but the model has {vocabulary}"
            )
        return self

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ``text``; names of special tokens in it are those tokens.

        Raises
        ------
        TextError
            If the text has a character for which there is no token.
        """
        tokens = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if not self._same(tokens, text):
            lost = [one for one in sorted(set(text)) if not self._keeps(one)]
            what = f"the character {lost[0]!r} of the text" if lost else f"the text {text!r}"
            raise TextError(
                f"{what} is not in the model's vocabulary; leave it out, or take another model"
            )
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; special ones have none."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def stream(self) -> "TextStream":
        """Return who decodes tokens as they come."""
        return TextStream(self)

    def _keeps(self, character: str) -> bool:
        ids = self._tokenizer.encode(character, add_special_tokens=False).ids
        return self._same(ids, character)

    def _same(self, tokens: Sequence[int], text: str) -> bool:
        back = self._tokenizer.decode(list(tokens), skip_special_tokens=False)
        return unicodedata.normalize("NFC", back) == unicodedata.normalize("NFC", text)


class TextStream:
    """Decodes tokens one after the other: all that came out is at any time the text so far.

    A token may end within a character. It is kept back then, until the character is whole.

    Parameters
    ----------
    tokenizer : TextTokenizer
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._waiting: list[int] = []

    def push(self, token: int) -> str:
        """Take a token; return the text that it completes, maybe none."""
        self._waiting.append(token)
        text = self._tokenizer.decode(self._waiting)
        if text.endswith(UNFINISHED) and len(self._waiting) < LONGEST_CHARACTER:
            return ""
        self._waiting.clear()
        return text

    def flush(self) -> str:
        """Return what is left behind the last token, though it is no whole character."""
        text = self._tokenizer.decode(self._waiting)
        self._waiting.clear()
        return text
