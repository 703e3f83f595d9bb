"""The loops of DRAIN."""

from collections.abc import Iterator

import numpy as np

from systolith_hw.isa import DrainKind, Unit

from ..run import Run
from ..scheduler import Job
from .destinations import to_words, write_factor, write_values
from .legal import require_legal
from .part import STREAMS, Part, tiles_last
from .values import finish_values

__all__ = ["drain"]


def drain(run: Run, job: Job) -> Iterator[str]:
    """Execute DRAIN.

    ::

        for group: take wait_outer
            for token: take wait_inner
                for tile: take a result
                          z = requantise(result, its channels' constants or the row's factor)
                          z = function(z + wide memory)
                reference of the row = largest z
                write z: as words of R, block-normalised, as wide words of L, or block-normalised
                         as a whole to operand memory, and the exponent to scale memory
                post post_inner
                MEASURED: write the factor of the row
            post post_outer

    Channel n = (group * tiles + tile) * C + column has the constants of scale word
    ``scale + n // L``. Where the channels of a group do not fill its last activation word, zeros
    do. Columns of the very last tile from ``columns_last`` on are zero, whatever the kind, but
    for KEYS, VALUES and HEADS, where all exist.

    A *turn* is one token of one group. Turns that no wait separates are drained together, as many
    as have their results in the FIFO.
    """
    f, line = job.fields, run.lines[Unit.VECTOR]
    require_legal(run, job)
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
    tiles = tiles_last(f) if first >= last_group else f["tiles"]
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
            yield from _write(run, Part(f, turns, tiles, values[:used], clocks[:used]))
            values, clocks = values[used:], clocks[used:]
            first += count


def _write(run: Run, part: Part) -> Iterator[str]:
    """Finish some turns; each reads its constants and writes its words at a time of its own."""
    f, line = part.fields, run.lines[Unit.VECTOR]
    part.clocks = np.maximum(part.clocks, np.array(line.known))
    line.join([int(time) for time in part.clocks[-1]])
    turns = len(part.values)
    part.clocks[:, Unit.VECTOR] = line.advance(turns) + np.arange(turns)

    z = finish_values(run, part)
    passes = 2 if f["rotate"] else 1
    run.counts["VECTOR_BUSY"] += turns * part.tiles * run.config.beats_per_result * passes
    streams = f["kind"] in STREAMS
    if streams:
        mantissas, exponents = to_words(run, part, z)
    else:
        write_values(run, part, z)
        if not (f["post_inner"] or f["post_outer"] or f["kind"] == DrainKind.MEASURED):
            return
    for turn, row in enumerate(part.clocks):
        clock = [int(time) for time in row]
        if streams:
            for mantissa, exponent in zip(mantissas[turn], exponents[turn], strict=True):
                yield from run.stream.push(mantissa, int(exponent), clock)
        run.semaphores.post(line, f["post_inner"], clock)
        if f["kind"] == DrainKind.MEASURED:
            clock[Unit.VECTOR] = write_factor(run, part)
        if part.token[turn] == f["tokens"] - 1:
            run.semaphores.post(line, f["post_outer"], clock)
