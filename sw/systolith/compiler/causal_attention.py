"""The part of a program that computes the context of heads, of many tokens of one text.

Rows of scores come in blocks. Two are on the chip, so that the softmax of one runs while the array
is busy with the other::

    array    scores 0 | scores 1 | context 0 | scores 2 | context 1 | ...
    vector     scores 0 | scores 1 | context 0 | scores 2 | context 1 ...
    row                  softmax 0  softmax 1              softmax 2 ...

Nothing is written over too early: whoever writes what block n + 2 has in the place of block n's has
taken results of its scores, by which time the array has read all of block n, and knows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from systolith_hw.isa import DrainKind
from systolith_sim.transformer.encoder import VALUE_BASE, probability_base

from ..program import Patches, Program

__all__ = [
    "AttentionLinks",
    "AttentionPatches",
    "AttentionPlaces",
    "CausalAttention",
    "RowBlock",
    "row_blocks",
]


@dataclass(frozen=True, kw_only=True)
class AttentionPlaces:
    """Where heads lie on the chip, some of which, a *group*, share keys and values.

    Parameters
    ----------
    keys, key_stride, group_keys : int
        First tile, tiles from the keys of C tokens to the next ones', and from group to group.
    values, value_stride, group_values : int
        First tile, tiles from the values of C features to the next ones', and from group to group.
    key_entries, value_entries, group_entries : int
        Scale words where their exponents begin, and words from group to group.
    queries, token_words, head_words : int
        Activation word of the first token's first head, words from token to token, and from head to
        head; the context takes the place of the queries.
    head_tiles : int
        Output tiles of a head.
    scores, scores_stride, block_scores : int
        Wide word where scores begin, words from row to row, and from one block to the other.
    powers, powers_stride, block_powers : int
        The same in activation words, for probabilities.
    row, row_block : int
        First of row memory's rows, and how many each of the two blocks has.
    """

    keys: int
    key_stride: int
    group_keys: int = 0
    values: int
    value_stride: int
    group_values: int = 0
    key_entries: int
    value_entries: int
    group_entries: int = 0
    queries: int
    token_words: int
    head_words: int
    head_tiles: int
    scores: int
    scores_stride: int
    block_scores: int
    powers: int
    powers_stride: int
    block_powers: int
    row: int = 0
    row_block: int


@dataclass(frozen=True)
class AttentionLinks:
    """The semaphores of attention.

    Parameters
    ----------
    summed : int
        A row's scores are there.
    normed : int
        The words of a row's probabilities are there.
    written : int
        One count: all queries are there. Then one for each row of context that is told of.
    """

    summed: int
    normed: int
    written: int


@dataclass(frozen=True)
class RowBlock:
    """Rows of scores of one head.

    Parameters
    ----------
    head, group : int
        Of queries, and of keys and values.
    first, rows : int
        The first row's token, which attends to itself and to all before it; and how many rows.
    keys : int
        Keys that the last row attends to.
    tells : bool
        Whether a count of ``written`` is given for each row of context.
    """

    head: int
    group: int
    first: int
    rows: int
    keys: int
    tells: bool = True


@dataclass(frozen=True)
class AttentionPatches:
    """Registers that are added to fields of the instructions of each block.

    Parameters
    ----------
    scores, drained, softened, contexts, blended : Patches
        Of the MATMUL of scores, its DRAIN, SOFTMAX, the MATMUL of contexts, and its DRAIN.
    """

    scores: Patches = field(default_factory=dict)
    drained: Patches = field(default_factory=dict)
    softened: Patches = field(default_factory=dict)
    contexts: Patches = field(default_factory=dict)
    blended: Patches = field(default_factory=dict)


def row_blocks(heads: int, tokens: int, most: int) -> list[RowBlock]:
    """Return the blocks of a group, one head after the other, of at most so many rows."""
    return [
        RowBlock(head, 0, first, rows, first + rows)
        for head in range(heads)
        for first in range(0, tokens, most)
        for rows in [min(most, tokens - first)]
    ]


class CausalAttention:
    """Append blocks of rows.

    Parameters
    ----------
    program : Program
    places : AttentionPlaces
    links : AttentionLinks
    base : int
        Fixed-point bits below exponent 0 of the context's words.
    patches : AttentionPatches
    """

    def __init__(
        self, program: Program, places: AttentionPlaces, links: AttentionLinks, base: int,
        patches: AttentionPatches = AttentionPatches(),
    ) -> None:  # fmt: skip
        self.program = program
        self.places = places
        self.links = links
        self.base = base
        self.patches = patches
        self.array = program.config.array
        self.powers_base = probability_base(self.array)

    def append(self, blocks: Sequence[RowBlock]) -> None:
        """Append some blocks; the context of each comes behind the next one's scores."""
        for number, block in enumerate(blocks):
            self._score(block, number)
            if number:
                self._blend(blocks[number - 1], number - 1)
        self._blend(blocks[-1], len(blocks) - 1)

    def _score(self, block: RowBlock, number: int) -> None:
        """Compute probabilities, not yet divided by their sum; ``number`` is the block's."""
        places, program, links, columns = self.places, self.program, self.links, self.array.columns
        half, tiles = number % 2, -(-block.keys // columns)
        program.matmul(
            steps=places.head_words, tokens=block.rows, tiles=tiles,
            operand=places.keys + block.group * places.group_keys,
            operand_stride=places.key_stride, activation=self._queries(block),
            activation_stride=places.token_words, patches=self.patches.scores,
            wait_outer=None if number else links.written,
        )  # fmt: skip
        row = places.row + half * places.row_block
        scores = places.scores + half * places.block_scores
        program.drain(
            DrainKind.WIDE, tokens=block.rows, tiles=tiles, maximum=True, row=row,
            columns_last=block.keys - (tiles - 1) * columns, entries=block.first + 1,
            scale=places.key_entries + block.group * places.group_entries, destination=scores,
            token_stride=places.scores_stride, patches=self.patches.drained,
            post_inner=links.summed,
        )  # fmt: skip
        program.softmax(
            elements=block.keys, tokens=block.rows, causal=block.first + 1, row=row,
            source=scores, source_stride=places.scores_stride,
            scale=places.value_entries + block.group * places.group_entries,
            destination=places.powers + half * places.block_powers,
            token_stride=places.powers_stride, exponent_base=self.powers_base,
            patches=self.patches.softened, wait_inner=links.summed, post_inner=links.normed,
        )  # fmt: skip

    def _blend(self, block: RowBlock, number: int) -> None:
        """Compute the context of a block."""
        places, program, half = self.places, self.program, number % 2
        program.matmul(
            steps=-(-block.keys // self.array.rows), tokens=block.rows, tiles=places.head_tiles,
            operand=places.values + block.group * places.group_values,
            operand_stride=places.value_stride,
            activation=places.powers + half * places.block_powers,
            activation_stride=places.powers_stride, patches=self.patches.contexts,
            wait_inner=self.links.normed,
        )  # fmt: skip
        program.drain(
            DrainKind.ACTIVATION, tokens=block.rows, tiles=places.head_tiles, factor=True,
            row=places.row + half * places.row_block, offset=VALUE_BASE + self.powers_base,
            exponent_base=self.base, destination=self._queries(block),
            token_stride=places.token_words, patches=self.patches.blended,
            post_inner=self.links.written if block.tells else None,
        )  # fmt: skip

    def _queries(self, block: RowBlock) -> int:
        """Return where the queries of a block begin, and its context."""
        places = self.places
        return places.queries + block.first * places.token_words + block.head * places.head_words
