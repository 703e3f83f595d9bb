"""The tokens of a language model in external memory: the prompt, and those that the core makes.

A header of some words says what is to be done. Behind it is an entry for each position, as long as
a wide word, whose lane 0 is the token. The host writes the prompt, and :data:`PENDING` to all
entries behind it; the core writes each token as it makes it, and reads it there again.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.config import SCALE_BITS, Config, ConfigError

from ..sampling import GREEDY, Sampling
from .decoder_shape import DecoderShape
from .layout import pad, power_of_two

__all__ = ["PENDING", "Header", "TokenList"]

PENDING = 0xFFFFFFFF
"""No token; nor is it one while only its lower half has been replaced."""

WORD = 4


class Header(enum.IntEnum):
    """The words in front of the entries."""

    POSITIONS = 0
    """Positions to go through."""
    PROMPT = 1
    """Positions of them whose token is the prompt's."""
    TOKENS = 2
    """Tokens to be made: positions from the prompt's last token on."""
    CANDIDATES = 3
    """Tokens among which each is chosen; 1: the likeliest always."""
    SHARPNESS = 4
    """Scale, and behind it shift, of log2(e) / temperature."""
    SEED = 5
    """Of the noise."""


@dataclass(frozen=True)
class TokenList:
    """Where header and entries are, and what the host writes there.

    Parameters
    ----------
    config : Config
    shape : DecoderShape
    tokens : int
        Most tokens of a text.
    address : int
        Where the header begins.
    """

    config: Config
    shape: DecoderShape
    tokens: int
    address: int

    @property
    def stride(self) -> int:
        """Bytes from entry to entry, a power of two."""
        size = pad(self.config.wide_word_bytes, self.config.bus.data_bytes)
        return power_of_two(size)

    @property
    def entries(self) -> int:
        """Where the entries begin."""
        return self.address + power_of_two(max(self.stride, WORD * len(Header)))

    @property
    def size(self) -> int:
        """Bytes of all."""
        return self.entries - self.address + self.tokens * self.stride

    def header(self, word: Header) -> int:
        """Return the address of a word of the header."""
        return self.address + WORD * word

    def pack(
        self, prompt: Sequence[int], count: int, first: int = 0, sampling: Sampling = GREEDY
    ) -> bytes:
        """Return what the host writes to have ``count`` tokens made behind a prompt.

        Positions before ``first`` are on the chip already.

        Raises
        ------
        ConfigError
            If there is no room for so many, or a token is not in the vocabulary.
        """
        self._check(prompt, count, first)
        words = np.full(self.size // WORD, PENDING, "<u4")
        words[Header.POSITIONS] = len(prompt) + count - 1 - first
        words[Header.PROMPT] = len(prompt) - first
        words[Header.TOKENS] = count
        words[Header.CANDIDATES] = sampling.candidates
        words[Header.SHARPNESS] = sampling.sharpness.scale | sampling.sharpness.shift << SCALE_BITS
        words[Header.SEED] = sampling.seed
        entries = words[(self.entries - self.address) // WORD :].reshape(self.tokens, -1)
        entries[: len(prompt), 0] = prompt
        return words.tobytes()

    def entry(self, number: int) -> int:
        """Return the address of an entry."""
        return self.entries + number * self.stride

    def token(self, raw: bytes) -> int | None:
        """Return the token that an entry's bytes begin with, or None if there is none yet."""
        token = int.from_bytes(raw[:WORD], "little")
        return token if token < self.shape.vocabulary else None

    def _check(self, prompt: Sequence[int], count: int, first: int) -> None:
        sentence = ""
        vocabulary = self.shape.vocabulary
        outside = [token for token in prompt if not 0 <= token < vocabulary]
        if not 0 <= first < len(prompt):
            sentence = f"a prompt must have at least {first + 1} tokens, not {len(prompt)}"
        elif count < 1:
            sentence = f"the tokens to generate must be at least 1, not {count}"
        elif len(prompt) + count > self.tokens:
            sentence = (
                f"{len(prompt)} tokens and {count} behind them are too many: the program takes "
                f"{self.tokens} altogether"
            )
        elif outside:
            sentence = (
                f"token {outside[0]} is not in the vocabulary, whose tokens are 0 to "
                f"{vocabulary - 1}"
            )
        if sentence:
            raise ConfigError(sentence)
