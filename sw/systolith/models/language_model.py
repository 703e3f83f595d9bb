"""A language model: what computes logits, and how text becomes tokens for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from systolith_sim.transformer.decoder_reference import FloatDecoder

from .errors import TextError
from .text_tokenizer import TextTokenizer

__all__ = ["LanguageModel", "require_tokens"]


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """A model in float with all that belongs to it. It has no template for prompts.

    Parameters
    ----------
    name : str
    decoder : FloatDecoder
    tokenizer : TextTokenizer
    begin : int or None
        Token in front of every text, if the model was trained with one.
    ends : tuple of int
        Tokens behind which there is no more text.
    """

    name: str
    decoder: FloatDecoder
    tokenizer: TextTokenizer
    begin: int | None
    ends: tuple[int, ...]

    @property
    def opening(self) -> list[int]:
        """The token in front of every text, if there is one."""
        return [] if self.begin is None else [self.begin]

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt, with the one to begin with.

        Raises
        ------
        TextError
            If there are none, or as many as the context has, or a character has no token.
        """
        tokens = [*self.opening, *self.tokenizer.encode(text)]
        if not tokens:
            raise TextError(
                f"the prompt is empty, and {self.name} has no token to begin a text with; give at "
                "least one word"
            )
        most = self.decoder.context - 1
        if len(tokens) > most:
            raise TextError(
                f"the prompt has {len(tokens)} tokens, and at most {most} are possible, since the "
                f"context of {self.name} is {self.decoder.context}; shorten it"
            )
        return tokens


def require_tokens(tokens: Sequence[int], vocabulary: int) -> None:
    """Raise :class:`TextError` if a token number is not in the vocabulary."""
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise TextError(
                f"token {token} is not in the vocabulary, whose tokens are 0 to {vocabulary - 1}"
            )
