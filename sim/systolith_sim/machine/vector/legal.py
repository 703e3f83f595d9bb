"""What is wrong with a DRAIN before its first result."""

import numpy as np

from systolith_hw.config import HEAD_CHANNELS, Config
from systolith_hw.isa import DrainFunction, DrainKind, ErrorCode, Unit

from ...errors import ProgramError
from ..run import Run, require, require_counts
from ..scheduler import Job
from .part import OPERANDS, tiles_last

__all__ = ["require_legal"]


def require_legal(run: Run, job: Job) -> None:
    """Refuse DRAINs that the hardware refuses, and those whose own accesses get in their way."""
    f, line, array = job.fields, run.lines[Unit.VECTOR], run.config.array
    require(
        f["kind"] in list(DrainKind), line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"DRAIN has no kind {f['kind']}",
    )  # fmt: skip
    kind = DrainKind(f["kind"])
    for name in ("function", "accumulate", "factor", "maximum", "rotate"):
        require(
            not f[name] or run.config.vector.rows > 0, line, ErrorCode.ILLEGAL_INSTRUCTION,
            f"vector.rows is 0, so DRAIN has no {name}",
        )  # fmt: skip
    require(
        kind < DrainKind.KEYS or run.config.vector.rows > 0, line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"vector.rows is 0, so DRAIN has no kind {kind.name}",
    )  # fmt: skip
    _require_kinds(run, f, kind)
    require_counts(line, f, "tokens", "groups", "tiles")
    require(
        not f["maximum"] or f["groups"] == 1, line, ErrorCode.ILLEGAL_INSTRUCTION,
        f"maximum is for one group, not for {f['groups']}",
    )  # fmt: skip
    if kind not in OPERANDS:
        require_counts(line, f, "tiles_last")
        if f["accumulate"] and kind == DrainKind.WIDE:
            _require_separate(run.config, job)
        if f["function"] == DrainFunction.PRODUCT and kind == DrainKind.WIDE:
            _require_own_factors(run.config, job)
        return
    what, lanes = ("lane", array.columns) if kind == DrainKind.KEYS else ("row", array.rows)
    require(
        f["columns_last"] < lanes, line, ErrorCode.ADDRESS_RANGE,
        f"{what} {f['columns_last']} is beyond the tile's {lanes}",
    )  # fmt: skip
    channels = f["tiles"] * array.columns
    require(
        channels <= HEAD_CHANNELS, line, ErrorCode.ADDRESS_RANGE,
        f"{channels} channels cannot share an exponent, only {HEAD_CHANNELS}",
    )  # fmt: skip
    if not f["factor"]:
        _require_own_scales(run.config, job)


def _require_kinds(run: Run, f: dict[str, int], kind: DrainKind) -> None:
    """Refuse what does not go together."""
    line = run.lines[Unit.VECTOR]
    function = DrainFunction(f["function"])
    product = function == DrainFunction.PRODUCT
    wide, words = DrainKind.WIDE, DrainKind.ACTIVATION
    for used, name, kinds in (
        (f["accumulate"], "accumulate", (wide, DrainKind.BEST)),
        (f["maximum"], "maximum", (wide,)),
        (f["rotate"], "rotate", (words, DrainKind.KEYS)),
        (product, "PRODUCT", (words, wide)),
    ):
        require(
            not used or kind in kinds, line, ErrorCode.ILLEGAL_INSTRUCTION,
            f"{name} is for {' and '.join(item.name for item in kinds)}, not for {kind.name}",
        )  # fmt: skip
    for used, what in (
        (f["rotate"] and function, f"rotate with {function.name}"),
        (f["rotate"] and f["factor"], "rotate with factor: both use `row`"),
        (f["rotate"] and not f["shift"], "rotate with a shift of 0, words that hold no pair"),
        (f["rotate"] and run.config.vector.lanes == 1, "rotate with a vector.lanes of 1"),
        (product and f["accumulate"], "PRODUCT with accumulate: both read wide memory"),
        (product and f["maximum"], "PRODUCT with maximum: both use `entries`"),
        (kind == DrainKind.BEST and f["tokens"] > 1, f"BEST for {f['tokens']} tokens"),
    ):
        require(not used, line, ErrorCode.ILLEGAL_INSTRUCTION, f"DRAIN has no {what}")


def _require_separate(config: Config, job: Job) -> None:
    """Refuse turns that add to what other turns write; the pipeline still holds that."""
    f, beats = job.fields, config.beats_per_result
    group, token = np.divmod(np.arange(f["groups"] * f["tokens"]), f["tokens"])
    starts = f["destination"] + token * f["token_stride"] + group * f["group_stride"]
    tiles = np.where(group == f["groups"] - 1, tiles_last(f), f["tiles"])
    order = np.argsort(starts)
    ends = (starts + tiles * beats)[order]
    shared = np.flatnonzero(starts[order][1:] < ends[:-1])
    if len(shared):
        raise ProgramError(
            f"{job} accumulates twice in wide word {starts[order][shared[0] + 1]}; use an "
            "instruction for each time"
        )


def _require_own_factors(config: Config, job: Job) -> None:
    """Refuse second factors that the instruction writes, but for a value's own place."""
    f, beats = job.fields, config.beats_per_result
    group, token = np.divmod(np.arange(f["groups"] * f["tokens"]), f["tokens"])
    starts = f["destination"] + token * f["token_stride"] + group * f["group_stride"]
    factors = f["entries"] + np.arange(len(starts)) * f["tiles"] * beats
    counts = np.where(group == f["groups"] - 1, tiles_last(f), f["tiles"]) * beats
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
