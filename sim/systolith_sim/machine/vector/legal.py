"""What is wrong with a DRAIN before its first result."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import HEAD_CHANNELS, Config
from systolith_hw.drain_rules import SHARED, mismatch
from systolith_hw.isa import DrainFunction, DrainKind, ErrorCode, Unit

from ...errors import ProgramError
from ..run import Run, require, require_counts
from ..scheduler import Job
from .part import OPERANDS, tiles_last

__all__ = ["require_legal"]

Integers = NDArray[np.int64]

def require_legal(run: Run, job: Job) -> None:
    """Refuse DRAINs that the hardware refuses, and those whose own accesses get in their way."""
    f, line, array = job.fields, run.lines[Unit.VECTOR], run.config.array
    require(
        f["kind"] in list(DrainKind), line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"DRAIN has no kind {f['kind']}",
    )  # fmt: skip
    kind = DrainKind(f["kind"])
    for name in ("function", "accumulate", "factor", "maximum", "rotate", "scaled"):
        require(
            not f[name] or run.config.vector.rows > 0, line, ErrorCode.ILLEGAL_INSTRUCTION,
            f"vector.rows is 0, so DRAIN has no {name}",
        )  # fmt: skip
    require(
        not f["scaled"] or run.config.vector.deferred_norms, line, ErrorCode.ILLEGAL_INSTRUCTION,
        "vector.deferred_norms is false, so DRAIN has no scaled",
    )  # fmt: skip
    require(
        kind < DrainKind.KEYS or run.config.vector.rows > 0, line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"vector.rows is 0, so DRAIN has no kind {kind.name}",
    )  # fmt: skip
    require(
        kind != DrainKind.CANDIDATES or run.config.vector.candidates > 0, line,
        ErrorCode.ILLEGAL_INSTRUCTION, "vector.candidates is 0, so DRAIN has no kind CANDIDATES",
    )  # fmt: skip
    require(
        kind != DrainKind.MEASURED or run.config.vector.deferred_norms, line,
        ErrorCode.ILLEGAL_INSTRUCTION,
        "vector.deferred_norms is false, so DRAIN has no kind MEASURED",
    )  # fmt: skip
    require(
        f["function"] in list(DrainFunction), line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"DRAIN has no function {f['function']}",
    )  # fmt: skip
    wrong = mismatch(f, run.config.vector.lanes)
    require(not wrong, line, ErrorCode.ILLEGAL_INSTRUCTION, wrong)
    require_counts(line, f, "tokens", "groups", "tiles")
    require(
        not f["maximum"] or f["groups"] == 1, line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"maximum is for one group, not for {f['groups']}",
    )  # fmt: skip
    if kind not in SHARED:
        require_counts(line, f, "tiles_last")
        if kind == DrainKind.CANDIDATES:
            require_counts(line, f, "token_stride")
            most = run.config.vector.candidates
            require(
                f["token_stride"] <= most, line, ErrorCode.ADDRESS_RANGE,
                f"{f['token_stride']} values cannot be kept, only vector.candidates, {most}",
            )  # fmt: skip
        if f["accumulate"] and kind == DrainKind.WIDE:
            _require_separate(run.config, job)
        if f["function"] == DrainFunction.PRODUCT and kind == DrainKind.WIDE:
            _require_own_factors(run.config, job)
        return
    what, lanes = ("lane", array.columns) if kind == DrainKind.KEYS else ("row", array.rows)
    require(
        kind not in OPERANDS or f["columns_last"] < lanes, line, ErrorCode.ADDRESS_RANGE,
        f"{what} {f['columns_last']} is beyond the tile's {lanes}",
    )  # fmt: skip
    channels = f["tiles"] * array.columns
    require(
        channels <= HEAD_CHANNELS, line, ErrorCode.ADDRESS_RANGE,
        f"{channels} channels cannot share an exponent, only {HEAD_CHANNELS}",
    )  # fmt: skip
    if kind in OPERANDS and not f["factor"]:
        _require_own_scales(run.config, job)


def _places(config: Config, f: dict[str, int]) -> tuple[Integers, Integers]:
    """Return the first wide word that each turn writes, and how many it does."""
    group, token = np.divmod(np.arange(f["groups"] * f["tokens"]), f["tokens"])
    tiles = np.where(group == f["groups"] - 1, tiles_last(f), f["tiles"])
    starts = f["destination"] + token * f["token_stride"] + group * f["group_stride"]
    return starts, tiles * config.beats_per_result


def _require_separate(config: Config, job: Job) -> None:
    """Refuse turns that add to what other turns write; the pipeline still holds that."""
    starts, counts = _places(config, job.fields)
    order = np.argsort(starts)
    ends = (starts + counts)[order]
    shared = np.flatnonzero(starts[order][1:] < ends[:-1])
    if len(shared):
        raise ProgramError(
            f"{job} accumulates twice in wide word {starts[order][shared[0] + 1]}; use an "
            "instruction for each time"
        )


def _require_own_factors(config: Config, job: Job) -> None:
    """Refuse second factors that the instruction writes, but for a value's own place."""
    f = job.fields
    starts, counts = _places(config, f)
    factors = f["entries"] + np.arange(len(starts)) * f["tiles"] * config.beats_per_result
    offset = np.arange(counts.max())
    exists = offset < counts[:, None]
    written, read = ((first[:, None] + offset)[exists] for first in (starts, factors))
    wrong = np.isin(read, written) & (read != written)
    if wrong.any():
        raise ProgramError(
            f"{job} multiplies by wide word {read[wrong][0]}, which it writes itself for another "
            "value"
        )


def _require_own_scales(config: Config, job: Job) -> None:
    """Refuse exponents that go to scale words which the instruction itself reads."""
    f, lanes = job.fields, config.vector.lanes
    channels = f["entries"] + np.arange(f["groups"]) * f["tiles_last"]
    first, last = channels // lanes, (channels + f["tokens"] - 1) // lanes
    end = f["scale"] + f["groups"] * f["tiles"] * config.beats_per_result
    both = (first < end) & (last >= f["scale"])
    if both.any():
        raise ProgramError(
            f"{job} writes exponents to scale word {first[both][0]}, but its own are "
            f"{f['scale']} to {end - 1}"
        )
