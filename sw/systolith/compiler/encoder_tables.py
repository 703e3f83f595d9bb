"""What the host writes for a run of an encoder: tokens, and how they are cut into segments.

All are 32-bit words. A *segment* is the tokens of one sentence; a *block* some rows of its
scores. Fields in an upper half are what needs an addition to 32 bits, or a shift.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.config import ConfigError

from .encoder_plan import EncoderPlan

__all__ = ["Header", "InputTables"]

WORD = 4


class Header(enum.IntEnum):
    """The words in front of the tables."""

    SEGMENTS = 0
    BLOCKS = 1
    CONTEXTS = 2
    """Contexts of a block and head, of all blocks and heads."""
    TOKEN_BLOCKS = 3
    STAGES = 4
    """Blocks of tokens of the embedding."""
    UNTOUCHED = 5
    """Tokens of the first block whose residual's place has no scores."""
    TOUCHED = 6
    """The others of the first block."""
    STORES = 7
    """STOREs of residuals in each layer."""


@dataclass(frozen=True)
class InputTables:
    """The tables behind the header: segments, blocks, tokens.

    Parameters
    ----------
    plan : EncoderPlan
    """

    plan: EncoderPlan

    @property
    def segments(self) -> int:
        """Where the segments' words begin: unit + (tokens << 16)."""
        return WORD * len(Header)

    @property
    def blocks(self) -> int:
        """Where the blocks begin.

        Of each block: rows + (last token of the segment << 16); the first row's queries, in
        activation words + (unit << 16); and, if contexts are spilt, bytes to the first row's.
        """
        return self.segments + WORD * self.plan.segments

    @property
    def block_bytes(self) -> int:
        """Bytes from block to block."""
        return WORD * (3 if self.plan.spill else 2)

    @property
    def most_blocks(self) -> int:
        """Blocks that there is room for."""
        return self.plan.tokens // self.plan.row_block + self.plan.segments

    @property
    def tokens(self) -> int:
        """Where the tokens' words begin: number + (position << token_bits)."""
        return self.blocks + self.block_bytes * self.most_blocks

    @property
    def token_bits(self) -> int:
        """Bits of a token's number."""
        return max(1, (self.plan.shape.vocabulary - 1).bit_length())

    @property
    def size(self) -> int:
        """Bytes of header and tables."""
        return self.tokens + WORD * self.plan.tokens

    def check(self, lengths: Sequence[int]) -> None:
        """Refuse what the program has no room for, or no positions.

        Raises
        ------
        ConfigError
        """
        plan, total, longest = self.plan, sum(lengths), max(lengths, default=0)
        sentence = ""
        if min(lengths, default=0) < 1:
            sentence = "every sentence must have at least one token"
        elif total > plan.tokens:
            sentence = f"{total} tokens are too many: the program takes {plan.tokens}"
        elif len(lengths) > plan.segments:
            sentence = f"{len(lengths)} sentences are too many: the program takes {plan.segments}"
        elif longest > plan.shape.positions:
            sentence = (
                f"a sentence of {longest} tokens is too long: the model has "
                f"{plan.shape.positions} positions"
            )
        if sentence:
            raise ConfigError(sentence)

    def pack(self, sentences: Sequence[Sequence[int]], token_bytes: int) -> bytes:
        """Return the words for some sentences of token numbers.

        ``token_bytes`` are those from one token's spilt context to the next.
        """
        lengths = [len(sentence) for sentence in sentences]
        self.check(lengths)
        plan, words = self.plan, np.zeros(self.size // WORD, "<u4")
        blocks = words[self.blocks // WORD : self.tokens // WORD]
        blocks = blocks.reshape(-1, self.block_bytes // WORD)
        segments = words[self.segments // WORD :]
        tokens = words[self.tokens // WORD :]
        start = unit = count = 0
        for number, sentence in enumerate(sentences):
            length = len(sentence)
            segments[number] = unit | length << 16
            tokens[start : start + length] = [
                token | position << self.token_bits for position, token in enumerate(sentence)
            ]
            for rows in np.array_split(np.arange(length), -(-length // plan.row_block)):
                first = start + int(rows[0])
                record = (len(rows) | length - 1 << 16, first * plan.head_steps | unit << 16,
                          first * token_bytes)  # fmt: skip
                blocks[count] = record[: blocks.shape[1]]
                count += 1
            start += length
            unit += -(-length // plan.unit)
        heads = 2 * plan.shape.pairs
        token_blocks = -(-start // plan.token_block)
        untouched = min(start, plan.untouched)
        touched = min(start, plan.token_block) - untouched
        words[: len(Header)] = (
            len(lengths), count, count * heads, token_blocks, -(-start // plan.staging),
            untouched, touched, min(1, touched) if plan.resident else token_blocks,
        )  # fmt: skip
        return words.tobytes()
