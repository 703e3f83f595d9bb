"""DRAIN."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.isa import DrainKind, ErrorCode, Unit

from ..vector.normalizer import normalize
from ..vector.requantizer import requantize
from .races import CLOCKS, Shadow, Timeline
from .run import Run, require, require_counts
from .scheduler import Job

__all__ = ["drain"]


def drain(run: Run, job: Job) -> Iterator[str]:
    """Execute DRAIN.

    ::

        for group: take wait_outer
            for token: take wait_inner
                for tile: take a result; z = requantise(result, its channels' constants)
                write z: as words of R, block-normalised, or as wide words of L
                post post_inner
            post post_outer

    Channel n = (group * tiles + tile) * C + column has the constants of scale word
    ``scale + n // L``. Where the channels of a group do not fill its last activation word, zeros
    do. Columns of the very last tile from ``columns_last`` on are zero, whatever the kind.

    A *turn* is one token of one group. Turns that no wait separates are drained together, as many
    as have their results in the FIFO.
    """
    f, line = job.fields, run.lines[Unit.VECTOR]
    require_counts(line, f, "tokens", "groups", "tiles", "tiles_last")
    require(
        f["kind"] in list(DrainKind), line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"DRAIN has no kind {f['kind']}",
    )  # fmt: skip
    turns = f["groups"] * f["tokens"]
    last_group = turns - f["tokens"]
    turn = 0
    while turn < turns:
        group, token = divmod(turn, f["tokens"])
        if token == 0:
            yield from run.take(line, f["wait_outer"])
        yield from run.take(line, f["wait_inner"])
        end = last_group if turn < last_group else turns
        if f["wait_inner"]:
            end = turn + 1
        elif f["wait_outer"]:
            end = (group + 1) * f["tokens"]
        yield from _drain_turns(run, job, turn, end)
        turn = end


def _drain_turns(run: Run, job: Job, first: int, end: int) -> Iterator[str]:
    """Drain turns ``first`` to ``end``, which have equally many tiles."""
    f = job.fields
    last_group = f["tokens"] * (f["groups"] - 1)
    tiles = f["tiles_last"] if first >= last_group else f["tiles"]
    values, clocks = run.results.pop(0)
    while first < end:
        while not len(run.results):
            yield f"a result (group {first // f['tokens']}, token {first % f['tokens']})"
        more_values, more_clocks = run.results.pop((end - first) * tiles - len(values))
        values = np.concatenate([values, more_values])
        clocks = np.concatenate([clocks, more_clocks])
        count = len(values) // tiles
        if count:
            used = count * tiles
            turns = np.arange(first, first + count)
            yield from _write(run, job, _Part(f, turns, tiles, values[:used], clocks[:used]))
            values, clocks = values[used:], clocks[used:]
            first += count


class _Part:
    """Some turns, with all their results and what is known at the last one of each.

    Attributes
    ----------
    group, token : (turns,) int64
        Which.
    tiles : int
        Results of each.
    values : (turns, tiles * C) int64
        The results, channel after channel.
    clocks : (turns, CLOCKS) int64
        The clocks of their last results.
    """

    def __init__(
        self, fields: dict[str, int], turns: NDArray[np.int64], tiles: int,
        values: NDArray[np.int64], clocks: NDArray[np.int64],
    ) -> None:  # fmt: skip
        self.group, self.token = np.divmod(turns, fields["tokens"])
        self.tiles = tiles
        self.values = values.reshape(len(turns), -1)
        self.clocks = clocks[tiles - 1 :: tiles]

    def known(self) -> Sequence[ArrayLike]:
        """Return for each entry of a clock its values per turn, as a column."""
        return [self.clocks[:, index : index + 1] for index in range(CLOCKS)]


def _write(run: Run, job: Job, part: _Part) -> Iterator[str]:
    """Finish some turns; each reads its constants and writes its words at a time of its own."""
    f, line = job.fields, run.lines[Unit.VECTOR]
    part.clocks = np.maximum(part.clocks, np.array(line.known))
    line.join([int(time) for time in part.clocks[-1]])
    turns = len(part.values)
    part.clocks[:, Unit.VECTOR] = line.advance(turns) + np.arange(turns)

    z = _requantize(run, job, part)
    run.counts["VECTOR_BUSY"] += turns * part.tiles * run.config.beats_per_result
    if f["kind"] == DrainKind.WIDE:
        _write_wide(run, job, part, z)
    else:
        mantissas, exponents = _normalize(run, job, z)
        if f["kind"] == DrainKind.ACTIVATION:
            _write_activation(run, job, part, mantissas, exponents)
    if f["kind"] != DrainKind.STREAM and not (f["post_inner"] or f["post_outer"]):
        return
    for turn, row in enumerate(part.clocks):
        clock = [int(time) for time in row]
        if f["kind"] == DrainKind.STREAM:
            for mantissa, exponent in zip(mantissas[turn], exponents[turn], strict=True):
                yield from run.stream.push(mantissa, int(exponent), clock)
        run.semaphores.post(line, f["post_inner"], clock)
        if part.token[turn] == f["tokens"] - 1:
            run.semaphores.post(line, f["post_outer"], clock)


def _requantize(run: Run, job: Job, part: _Part) -> NDArray[np.int64]:
    """Return fixed-point values (turns, channels)."""
    f, line, config, chip = job.fields, run.lines[Unit.VECTOR], run.config, run.chip
    beats = config.beats_per_result
    words = f["scale"] + part.group[:, None] * f["tiles"] * beats + np.arange(part.tiles * beats)
    _require_inside(line, words, run.shadows.scale)
    run.shadows.scale.read(line, words, part.clocks[:, Unit.VECTOR, None], part.known())

    valid = part.values.shape[1]
    if part.group[0] == f["groups"] - 1:
        valid = min(valid, (part.tiles - 1) * config.array.columns + f["columns_last"])
    constants = [
        table[words].reshape(len(words), -1)[:, :valid]
        for table in (chip.scale, chip.shift, chip.bias)
    ]
    z = np.zeros_like(part.values)
    z[:, :valid], saturations = requantize(part.values[:, :valid], *constants)
    run.counts["SATURATIONS"] += saturations
    return z


def _normalize(
    run: Run, job: Job, z: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return mantissas (turns, words, R) and exponents (turns, words)."""
    array = run.config.array
    z = np.pad(z, ((0, 0), (0, -z.shape[1] % array.rows)))
    mantissas, exponents, saturations, flushes = normalize(
        z.reshape(len(z), -1, array.rows), job.fields["exponent_base"],
        mantissa_bits=array.mantissa_bits, window=array.window,
    )  # fmt: skip
    run.counts["SATURATIONS"] += saturations
    run.counts["FLUSHES"] += flushes
    return mantissas, exponents


def _write_activation(
    run: Run, job: Job, part: _Part, mantissas: NDArray[np.int64], exponents: NDArray[np.int64]
) -> None:
    words = _claim(run, job, part, exponents.shape[1], run.shadows.activation)
    run.chip.mantissas[words] = mantissas
    run.chip.exponents[words] = exponents


def _write_wide(run: Run, job: Job, part: _Part, z: NDArray[np.int64]) -> None:
    lanes = run.config.vector.lanes
    words = _claim(run, job, part, z.shape[1] // lanes, run.shadows.wide)
    run.chip.wide[words] = z.reshape(*words.shape, lanes)


def _claim(run: Run, job: Job, part: _Part, count: int, shadow: Shadow) -> NDArray[np.int64]:
    """Return the addresses (turns, count) that the part's words go to."""
    f, line = job.fields, run.lines[Unit.VECTOR]
    starts = (
        f["destination"] + part.token * f["token_stride"] + part.group * f["group_stride"]
    )
    words = starts[:, None] + np.arange(count)
    _require_inside(line, words, shadow)
    shadow.write(line, words, part.clocks[:, Unit.VECTOR, None], part.known())
    return words


def _require_inside(line: Timeline, words: NDArray[np.int64], shadow: Shadow) -> None:
    highest = int(words.max())
    require(
        highest < shadow.cells, line, ErrorCode.ADDRESS_RANGE,
        f"{shadow.name} {highest} is beyond the memory of {shadow.cells}",
    )  # fmt: skip
