"""STORE."""

from collections.abc import Generator, Iterator

import numpy as np

from systolith_hw.isa import ErrorCode, StoreKind, Unit

from ..dma.pages import pack_pages
from .races import MEMORY, Clock
from .run import Run, require, require_counts
from .scheduler import Job
from .transfer import require_transfer, runs, store_bytes

__all__ = ["store"]


def store(run: Run, job: Job) -> Iterator[str]:
    """Execute STORE.

    ::

        take wait_outer
        for row: take wait_inner
                 read `elements` words from DRAIN's stream or from wide memory
                 write `beats` beats to external memory, zeros behind the words
                 post post_inner
        post post_outer, when memory has acknowledged everything
    """
    f, line = job.fields, run.lines[Unit.STORE]
    require(
        f["kind"] in list(StoreKind), line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"STORE has no kind {f['kind']}",
    )  # fmt: skip
    require_counts(line, f, "rows", "beats", "elements")
    kind = StoreKind(f["kind"])
    require_transfer(run, line, job, store_bytes(run.config, kind, f["elements"]))
    yield from run.take(line, f["wait_outer"])
    for row, address in enumerate(runs(run, line, job, ErrorCode.BUS_WRITE)):
        yield from run.take(line, f["wait_inner"])
        if kind == StoreKind.WIDE:
            content = _read_wide(run, job, f["local"] + row * f["local_stride"])
        else:
            content = yield from _take_words(run, job, row)
        _write(run, job, address, content)
        run.post(line, f["post_inner"])
    # Bursts are acknowledged in order, so this covers earlier STOREs too.
    memory = run.lines[MEMORY]
    line.known[MEMORY] = memory.advance()
    run.post(line, f["post_outer"])


def _read_wide(run: Run, job: Job, local: int) -> bytes:
    """Return one run of wide words."""
    line, depth = run.lines[Unit.STORE], run.config.memory.wide_words
    end = local + job.fields["elements"]
    require(
        end <= depth, line, ErrorCode.ADDRESS_RANGE,
        f"wide word {end - 1} is beyond the memory of {depth}",
    )  # fmt: skip
    run.shadows.wide.read(line, slice(local, end), line.now)
    return run.chip.wide[local:end].astype("<i4").tobytes()


def _take_words(run: Run, job: Job, row: int) -> Generator[str, None, bytes]:
    """Wait for one run of stream words; the generator returns their pages."""
    count = job.fields["elements"]
    mantissas = np.zeros((count, run.config.array.rows), np.int64)
    exponents = np.zeros(count, np.int64)
    clock: Clock = run.lines[Unit.STORE].known
    for index in range(count):
        while not len(run.stream):
            yield f"a word from DRAIN (row {row}, word {index})"
        mantissas[index], exponents[index], clock = run.stream.pop()
    run.lines[Unit.STORE].join(clock)
    return pack_pages(run.config, mantissas, exponents)


def _write(run: Run, job: Job, address: int, content: bytes) -> None:
    """Write one run's beats."""
    line, port, beats = run.lines[Unit.STORE], run.config.bus.data_bytes, job.fields["beats"]
    memory = run.lines[MEMORY]
    cells = slice(address // port, address // port + beats)
    run.shadows.external.write(memory, cells, memory.now, line.known)
    run.external.write(address, content.ljust(beats * port, b"\0"))
    run.counts["STORE_BEATS"] += beats
