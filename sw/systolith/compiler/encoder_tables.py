"""What the host writes for a run of an encoder: tokens, and how they are cut into segments.

All are 32-bit words. A *segment* is the tokens of one sentence; a *block* some rows of its
scores. Fields in an upper half are what needs an addition to 32 bits, or a shift.

If the layer's input is streamed, its blocks, of tokens of all segments, have a table of their own;
a *piece* is what a segment has of one.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.config import ConfigError

from .encoder_plan import EncoderPlan

__all__ = ["Header", "InputBlock", "InputTables"]

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


class InputBlock(enum.IntEnum):
    """The words of a block of the layer's input."""

    TOKENS = 0
    ADDRESS = 1
    """Bytes of external memory to the first token."""
    QUERIES = 2
    """Activation words to the first token's queries."""
    PIECES = 3
    """How many follow: position in K and V + (tokens << 16) of each."""


@dataclass(frozen=True)
class InputTables:
    """The tables behind the header: segments, blocks, tokens, and blocks of the layer's input.

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
    def tokens(self) -> int:
        """Where the tokens' words begin: number + (position << token_bits)."""
        return self.blocks + self.block_bytes * self.plan.most_blocks

    @property
    def token_bits(self) -> int:
        """Bits of a token's number."""
        return max(1, (self.plan.shape.vocabulary - 1).bit_length())

    @property
    def inputs(self) -> int:
        """Where the layer's input begins: the number of its blocks, and then those."""
        return self.tokens + WORD * self.plan.tokens

    @property
    def input_bytes(self) -> int:
        """Bytes from block to block of the layer's input."""
        return WORD * (len(InputBlock) + self.plan.segments)

    @property
    def size(self) -> int:
        """Bytes of header and tables."""
        if not self.plan.streamed:
            return self.inputs
        return self.inputs + WORD + -(-self.plan.tokens // self.plan.input_block) * self.input_bytes

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

    def pack(
        self, sentences: Sequence[Sequence[int]], token_bytes: int, *, positions: bool = True
    ) -> bytes:
        """Return the words for some sentences of token numbers.

        ``token_bytes`` are those from one token to the next in external memory. Without
        ``positions`` rows of both embeddings have the tokens' numbers.
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
                token | (position if positions else token) << self.token_bits
                for position, token in enumerate(sentence)
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
        if plan.streamed:
            inputs = _input_blocks(plan, lengths, token_bytes)
            words[self.inputs // WORD] = len(inputs)
            records = words[self.inputs // WORD + 1 :].reshape(-1, self.input_bytes // WORD)
            for target, values in zip(records, inputs, strict=False):
                target[: len(values)] = values
        return words.tobytes()


def _input_blocks(plan: EncoderPlan, lengths: Sequence[int], token_bytes: int) -> list[list[int]]:
    """Return the words of each block of the layer's input."""
    blocks: list[list[int]] = []
    total, start, place = sum(lengths), 0, 0
    for length in lengths:
        done = 0
        while done < length:
            first = start + done
            if first % plan.input_block == 0:
                tokens = min(plan.input_block, total - first)
                blocks.append([tokens, first * token_bytes, first * plan.head_steps, 0])
            piece = min(length - done, plan.input_block - first % plan.input_block)
            blocks[-1].append(place + done | piece << 16)
            blocks[-1][InputBlock.PIECES] += 1
            done += piece
        start += length
        place += -(-length // plan.unit) * plan.unit
    return blocks
