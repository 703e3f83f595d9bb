"""MATMUL."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from systolith_hw.isa import ErrorCode, Unit

from ..array.accumulator import accumulate
from ..errors import ProgramError
from .memory import ring_addresses
from .run import Run, require, require_counts, require_ring
from .scheduler import Job

__all__ = ["matmul"]

BLOCK_WORDS = 1 << 16
"""Activation words that are multiplied at once, to bound memory."""


def matmul(run: Run, job: Job) -> Iterator[str]:
    """Execute MATMUL.

    ::

        for group: take wait_outer
            for token: take wait_inner
                for tile: for step: sum += word[token, step] * tile[group, tile, step]
                          push the sums
                post post_inner
            post post_outer

    Tokens that no wait separates are computed at once; results and posts leave one by one, each
    with the time at which the hardware reads its last operand.
    """
    f, line = job.fields, run.lines[Unit.ARRAY]
    _require_legal(run, job)
    block = 1 if f["wait_inner"] else max(1, BLOCK_WORDS // f["steps"])
    pointer = f["operand"]
    for group in range(f["groups"]):
        yield from run.take(line, f["wait_outer"])
        tiles = f["tiles_last"] if group == f["groups"] - 1 else f["tiles"]
        operands, pointer = _operands(f, pointer, tiles)
        for first in range(0, f["tokens"], block):
            yield from run.take(line, f["wait_inner"])
            tokens = np.arange(first, min(first + block, f["tokens"]))
            yield from _multiply(run, job, operands, tokens)
        run.post(line, f["post_outer"])


def _operands(
    f: dict[str, int], pointer: int, tiles: int
) -> tuple[NDArray[np.int64], int]:
    """Return the addresses (tiles, steps) of a group from ``pointer`` on, and the next pointer."""
    base, end, stride = f["ring_base"], f["ring_end"], f["operand_stride"] or f["steps"]
    # One more than the group has: where the next one starts.
    first = ring_addresses(pointer, tiles * stride + 1, base, end)[::stride]
    steps = [ring_addresses(int(start), f["steps"], base, end) for start in first[:-1]]
    return np.stack(steps), int(first[-1])


def _require_legal(run: Run, job: Job) -> None:
    f, line, config = job.fields, run.lines[Unit.ARRAY], run.config
    require_counts(line, f, "tokens", "groups", "tiles", "tiles_last", "steps")
    require_ring(line, f, "operand", config.memory.operand_tiles)
    size = f["ring_end"] - f["ring_base"]
    require(
        f["operand_stride"] <= size, line, ErrorCode.ADDRESS_RANGE,
        f"operand_stride {f['operand_stride']} is beyond the ring of {size}",
    )  # fmt: skip
    require(
        config.array.numbered or not f["numbered"], line, ErrorCode.ADDRESS_RANGE,
        "numbered must be 0, since array.numbered is false",
    )  # fmt: skip
    most = -(-config.array.max_k // config.array.rows)
    require(
        f["steps"] <= most, line, ErrorCode.ADDRESS_RANGE,
        f"steps is {f['steps']}, but array.max_k {config.array.max_k} is {most} words",
    )  # fmt: skip


def _numbered(run: Run, field: int) -> int:
    """Return the activation words in front of those of VECTOR's number, if that is wanted."""
    if not field:
        return 0
    line = run.lines[Unit.ARRAY]
    if run.number is None:
        raise ProgramError(f"{line} wants a number, and neither BEST nor SAMPLE has written one")
    run.shadows.number.read(line, np.zeros(1, np.int64), line.now)
    return run.number << field - 1


def _require_window(run: Run, words: NDArray[np.int64]) -> None:
    """Refuse exponents beyond what accumulators have bits for; memory has room for some."""
    exponents, window = run.chip.exponents[words], run.config.array.window
    if exponents.max() > window:
        place = np.unravel_index(np.argmax(exponents), words.shape)
        raise ProgramError(
            f"{run.lines[Unit.ARRAY]} reads activation word {words[place]}, whose exponent is "
            f"{exponents[place]}; array.window is {window}"
        )


def _multiply(
    run: Run, job: Job, operands: NDArray[np.int64], tokens: NDArray[np.int64]
) -> Iterator[str]:
    """Give the results of ``tokens`` with the tiles at ``operands`` (tiles, steps)."""
    f, line = job.fields, run.lines[Unit.ARRAY]
    tiles, steps = operands.shape
    first_word = f["activation"] + _numbered(run, f["numbered"])
    words = first_word + (tokens * f["activation_stride"])[:, None] + np.arange(steps)
    depth, highest = run.config.memory.activation_words, int(words.max())
    require(
        highest < depth, line, ErrorCode.ADDRESS_RANGE,
        f"activation word {highest} is beyond the memory of {depth}",
    )  # fmt: skip

    # Result i is finished at time `first + i`. A tile is last read for the last token, a word
    # for the last tile; where words are shared by tokens, the later assignment stays.
    first = line.advance(len(tokens) * tiles)
    done = first + np.arange(len(tokens) * tiles).reshape(len(tokens), tiles)
    run.shadows.operand.read(line, operands, done[-1][:, None])
    run.shadows.activation.read(line, words, done[:, -1][:, None])
    _require_window(run, words)

    # (tiles, steps, R, C) to (steps, R, tiles * C): all tiles of the group side by side.
    rows = run.config.array.rows
    weights = run.chip.operand[operands].transpose(1, 2, 0, 3).reshape(steps, rows, -1)
    sums = accumulate(run.chip.mantissas[words], run.chip.exponents[words], weights)
    results = sums.reshape(len(tokens), tiles, -1)
    run.counts["ARRAY_BUSY"] += done.size * steps

    if not f["post_inner"]:
        yield from run.results.push(results.reshape(done.size, -1), line, first)
        return
    for token, result in enumerate(results):
        yield from run.results.push(result, line, int(done[token, 0]))
        run.post(line, f["post_inner"], int(done[token, -1]))
