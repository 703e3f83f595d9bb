"""LOAD."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from systolith_hw.code_pages import PARAMETER_BITS, CodePage
from systolith_hw.config import SHIFT_BITS
from systolith_hw.isa import ErrorCode, LoadKind, Unit

from ..dma.codec import expand_run
from ..dma.pages import unpack_pages
from ..errors import ProgramError
from .memory import ring_addresses, ring_step
from .run import Run, require, require_counts, require_ring
from .scheduler import Job
from .transfer import load_bytes, require_transfer, runs

__all__ = ["load"]


def load(run: Run, job: Job) -> Iterator[str]:
    """Execute LOAD.

    ::

        take wait_outer
        for row: take wait_inner
                 read `beats` beats from external memory
                 write `elements` elements on chip
                 post post_inner
        post post_outer

    Elements go to consecutive addresses, rows of operand columns excepted: each is one lane, and
    `local_stride` applies when the lane wraps.
    """
    f, line = job.fields, run.lines[Unit.LOAD]
    columns = _require_legal(run, job)
    local, lane = f["local"], f["lane"] if columns > 1 else 0
    yield from run.take(line, f["wait_outer"])
    for address in runs(run, line, job, ErrorCode.BUS_READ):
        yield from run.take(line, f["wait_inner"])
        WRITERS[LoadKind(f["kind"])](run, job, _read(run, job, address), local, lane)
        run.post(line, f["post_inner"])
        lane = (lane + 1) % columns
        if lane == 0:
            local = ring_step(local, f["local_stride"], f["ring_base"], f["ring_end"])
    run.post(line, f["post_outer"])


def _require_legal(run: Run, job: Job) -> int:
    """Refuse what is wrong from the start; return how many runs fill one element's lanes."""
    f, line, config = job.fields, run.lines[Unit.LOAD], run.config
    require(
        f["kind"] in list(LoadKind), line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"LOAD has no kind {f['kind']}",
    )  # fmt: skip
    kind = LoadKind(f["kind"])
    require(
        kind not in PARAMETER_BITS or config.bus.codecs, line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"this core has no {kind.name}, since bus.codecs is false",
    )  # fmt: skip
    require_counts(line, f, "rows", "beats", "elements")
    require_transfer(run, line, job, load_bytes(config, kind, f["elements"]))
    columns = config.array.columns if kind == LoadKind.OPERAND_COLUMNS else 1
    require(
        columns == 1 or f["lane"] < columns, line, ErrorCode.ADDRESS_RANGE,
        f"lane {f['lane']} is beyond {columns} columns",
    )  # fmt: skip
    require_ring(line, f, "local", getattr(run.shadows, SHADOWS[kind]).cells)
    size = f["ring_end"] - f["ring_base"]
    require(
        f["local_stride"] <= size, line, ErrorCode.ADDRESS_RANGE,
        f"local_stride {f['local_stride']} is beyond the ring of {size}",
    )  # fmt: skip
    return columns


def _read(run: Run, job: Job, address: int) -> bytes:
    """Return one run's beats."""
    line, port, beats = run.lines[Unit.LOAD], run.config.bus.data_bytes, job.fields["beats"]
    cells = slice(address // port, address // port + beats)
    run.shadows.external.read(line, cells, line.now)
    run.counts["LOAD_BEATS"] += beats
    return run.external.read(address, beats * port)


def _addresses(run: Run, job: Job, local: int, count: int) -> NDArray[np.int64]:
    """Return ``count`` on-chip addresses from ``local`` on, and note that they are written."""
    f, line = job.fields, run.lines[Unit.LOAD]
    addresses = ring_addresses(local, count, f["ring_base"], f["ring_end"])
    getattr(run.shadows, SHADOWS[LoadKind(f["kind"])]).write(line, addresses, line.now)
    return addresses


def _operand_rows(run: Run, job: Job, raw: bytes, local: int, lane: int) -> None:
    """Write W rows of C weights per element; R / W elements fill a tile."""
    array, count = run.config.array, job.fields["elements"] * run.config.write_rows
    tiles = _addresses(run, job, local, -(-count // array.rows))
    rows = np.frombuffer(raw, np.int8, count * array.columns).reshape(count, array.columns)
    index = np.arange(count)
    run.chip.operand[tiles[index // array.rows], index % array.rows] = rows


def _operand_codes(run: Run, job: Job, raw: bytes, local: int, lane: int) -> None:
    """Write the same, expanded from codes."""
    page = CodePage(run.config, LoadKind(job.fields["kind"]))
    weights = expand_run(page, raw, job.fields["elements"]).astype(np.int8)
    _operand_rows(run, job, weights.tobytes(), local, lane)


def _operand_columns(run: Run, job: Job, raw: bytes, local: int, lane: int) -> None:
    """Write one column of R weights per element: the low bytes of its mantissas."""
    array, count = run.config.array, job.fields["elements"]
    tiles = _addresses(run, job, local, count)
    words = np.frombuffer(raw, np.int8, count * array.word_bytes)
    run.chip.operand[tiles, :, lane] = words.reshape(count, array.rows, -1)[:, :, 0]


def _activation(run: Run, job: Job, raw: bytes, local: int, lane: int) -> None:
    """Write words of R mantissas and an exponent; bits that the memory lacks are dropped."""
    array, count = run.config.array, job.fields["elements"]
    words = _addresses(run, job, local, count)
    mantissas, exponents = unpack_pages(run.config, raw, count)
    unused = 64 - array.mantissa_bits
    run.chip.mantissas[words] = mantissas << unused >> unused
    run.chip.exponents[words] = exponents & (1 << array.exponent_bits) - 1


def _wide(run: Run, job: Job, raw: bytes, local: int, lane: int) -> None:
    """Write words of L 32-bit values."""
    count, lanes = job.fields["elements"], run.config.vector.lanes
    words = _addresses(run, job, local, count)
    run.chip.wide[words] = np.frombuffer(raw, "<i4", count * lanes).reshape(count, lanes)


def _scale(run: Run, job: Job, raw: bytes, local: int, lane: int) -> None:
    """Write words of L channels' constants."""
    count, lanes = job.fields["elements"], run.config.vector.lanes
    words = _addresses(run, job, local, count)
    entries = np.frombuffer(raw, "<u2, u1, u1, <i4", count * lanes).reshape(count, lanes)
    run.chip.scale[words] = entries["f0"]
    run.chip.shift[words] = entries["f1"] & (1 << SHIFT_BITS) - 1
    biased = run.config.memory.biased_words
    lost = words[entries["f3"].any(axis=1) & (words >= biased)]
    if len(lost):
        raise ProgramError(
            f"LOAD brings a bias to scale word {lost[0]}; with a memory.bias_words of "
            f"{run.config.memory.bias_words} only words below {biased} have one"
        )
    run.chip.bias[words] = entries["f3"]


SHADOWS = {
    LoadKind.OPERAND_ROWS: "operand",
    LoadKind.OPERAND_COLUMNS: "operand",
    LoadKind.ACTIVATION: "activation",
    LoadKind.WIDE: "wide",
    LoadKind.SCALE: "scale",
    LoadKind.OPERAND_AFFINE: "operand",
    LoadKind.OPERAND_EXPONENT: "operand",
}

WRITERS = {
    LoadKind.OPERAND_ROWS: _operand_rows,
    LoadKind.OPERAND_COLUMNS: _operand_columns,
    LoadKind.ACTIVATION: _activation,
    LoadKind.WIDE: _wide,
    LoadKind.SCALE: _scale,
    LoadKind.OPERAND_AFFINE: _operand_codes,
    LoadKind.OPERAND_EXPONENT: _operand_codes,
}
