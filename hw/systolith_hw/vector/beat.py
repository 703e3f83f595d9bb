"""What the vector unit knows of L values that go through its datapath together."""

from typing import Any

from amaranth.hdl import Value
from amaranth.lib import data

from ..config import HEAD_CHANNELS, SHIFT_BITS, Config
from ..sequencer.permit import semaphore
from .block_exponent import BASE_BITS
from .operation import PRODUCT_SHIFT_BITS, Operation

__all__ = ["MARKS", "POSTS", "beat", "makes_block", "marks_of"]

POSTS = ("post_inner", "post_outer")

MARKS = data.StructLayout({"blocks": 1, "ends_block": 1, "tells": 1, "scales": 1})
"""What the gate decides by, from registers of its own: see :func:`marks_of`."""


def beat(config: Config) -> data.StructLayout:
    """Return the shape of a beat, as the loops of DRAIN, NORM and SOFTMAX make it.

    Every address is inside its memory, and what a beat does not use may be anything but for the
    flags. A *block* is what nothing of the other loop may come into: an activation word, all
    channels that share an exponent (``shared``), or a single beat of WIDE, BEST, CANDIDATES or
    SAMPLE.

    Members
    -------
    row_unit : 1
        The beat belongs to ROW, else to VECTOR: who posts, and who is busy.
    lanes : range(L + 1)
        How many values, from lane 0 on, exist; the others are zero.
    counted : range(L + 1)
        How many of these count for ``maximum`` or ``sum``.

    Where values come from:

    results : 1
        Take a beat of the array's sums; those of STRAIGHT stay for ACROSS.
    centre : 1
        Read ``source`` at once and take ``mean`` off: NORM's second sweep. Neither this nor
        ``results``: start from zero.
    factor : 1
        Multiply by the factor of row ``row``, its shift lowered by ``offset``, and add no bias.
    scaled : 1
        Multiply by the scale entries times the factor of row ``row``.
    add : 1
        Read ``source`` later, and add it, or multiply by it if the operation does.
    rectify : 1
        Negative values become zero then.
    operation : Operation
        What is done behind that. AFFINE and EXP2 use scale word ``scale``, as A does for results.
        STRAIGHT has no result, and is not counted: ACROSS follows, with the same sums.
    shift : 5
        What PRODUCT and ACROSS divide by, as a power of two.
    scale : range(memory.scale_words), source : range(memory.wide_words)
        Scale word, and wide word that is read.
    record : 1
        Which of the two records of mean and factor belongs to ``centre``.
    row : range(vector.rows)
        Row of row memory, for ``factor``, ``scaled``, ``maximum``, EXP2, ``sum`` and a ``measure``
        with ``to_words``.
    offset : 7
        Taken off a factor's shift, or what a key's exponent is taken off.

    Where values go:

    to_wide : 1, wide : range(memory.wide_words)
        To wide word ``wide``.
    to_best : 1
        To be compared; the number of the best channel goes to wide word ``wide``.
    to_sampler, sample : 1
        To the sampler, which keeps the values, or with ``sample``, when there are none, chooses one
        that it keeps; its number goes to wide word ``wide``.
    to_words, to_stream, to_keys, to_values : 1
        Through the normaliser, and to activation words, STORE, operand columns or rows.
    shared : 1
        All channels of the token's group share an exponent, and mantissas have 8 bits.
    room : 1
        Its block goes to the stream, where there must be room for all of it; holds with STRAIGHT,
        too.
    measure : 1
        Through the normaliser, to be measured: NORM's first sweep, or MEASURED. With ``to_words``
        NORM is deferred, and this its only sweep; without them nothing is written, nor clips.
    maximum, sum : 1
        To the reference, or to the factor, of row ``row``.
    early : 1
        With ``sum``: ``post_inner`` tells of words alone, and need not wait for the factor.
    base : 5
        Fixed-point bits below block exponent 0.
    address : range(max(activation words, operand tiles))
        Where the word that this beat belongs to goes: an activation word or a tile. Holds with
        ``end``.
    lane : range(max(C, R))
        Column (KEYS) or row (VALUES) of the tile.
    entry : range(scale_words * L)
        Channel whose scale entry takes the block's exponent; holds with ``block_end``.

    What begins and ends with this beat:

    index : range(max(R, C) / L)
        Its place in its word; for VALUES its place in its tile's row.
    end : 1
        The last of a written word: an activation word, a column, a tile's row of VALUES, a beat of
        WIDE.
    block_end : 1
        The last of its block.
    more : range(most beats of a block)
        How many beats of sums its block takes behind this one's; holds with the block's first, of
        VECTOR only.
    row_begin, row_end : 1
        The first and the last of a token: of its group for VECTOR, of its sweep for ROW.
    post_inner, post_outer : semaphore()
        Given when all that the token writes is written.
    """
    array, memory, lanes = config.array, config.memory, config.vector.lanes
    flags = (
        "row_unit", "results", "centre", "factor", "scaled", "add", "rectify", "record", "to_wide",
        "to_best", "to_sampler", "sample", "to_words", "to_stream", "to_keys", "to_values",
        "shared", "room", "measure", "maximum", "sum", "early", "end", "block_end", "row_begin",
        "row_end",
    )  # fmt: skip
    return data.StructLayout({
        **dict.fromkeys(flags, 1),
        "lanes": range(lanes + 1),
        "counted": range(lanes + 1),
        "operation": Operation,
        "scale": range(memory.scale_words),
        **dict.fromkeys(("source", "wide"), range(memory.wide_words)),
        "shift": PRODUCT_SHIFT_BITS,
        "row": range(max(config.vector.rows, 2)),  # none of no bits
        "offset": SHIFT_BITS,
        "base": BASE_BITS,
        "address": range(max(memory.activation_words, memory.operand_tiles)),
        "lane": range(max(array.rows, array.columns)),
        "entry": range(memory.scale_words * lanes),
        "index": range(max(array.rows, array.columns) // lanes),
        "more": range(max(array.rows, HEAD_CHANNELS) // lanes),
        "post_inner": semaphore(),
        "post_outer": semaphore(),
    })


def makes_block(beat: Any) -> Value:
    """Return whether a beat goes through the normaliser."""
    return beat.to_words | beat.to_stream | beat.to_keys | beat.to_values | beat.measure


def marks_of(beat: Any) -> dict[str, Value]:
    """Return of a beat whether it goes through the normaliser, as the last of its block, whether it
    tells somebody without that, and whether it reads scale memory for its sums."""
    told_here = beat.to_wide & ~beat.row_unit & ~beat.measure
    return {
        "blocks": makes_block(beat),
        "ends_block": makes_block(beat) & beat.block_end,
        "tells": told_here | beat.to_best | beat.to_sampler,
        "scales": beat.results & ~beat.factor,
    }
