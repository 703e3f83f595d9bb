"""NORM and SOFTMAX."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import NEGATIVE_SHIFT, SCALE_BITS, VALUE_WINDOW
from systolith_hw.isa import ErrorCode, Opcode, Unit
from systolith_hw.tables import FRACTION

from ..errors import ProgramError
from ..vector.exponential import exponentiate
from ..vector.normalizer import normalize
from ..vector.row import Factor, normal_factor, reciprocal_factor, row_sums, scale_row
from .races import Shadow
from .run import Run, require, require_counts, require_inside
from .scheduler import Job

__all__ = ["row"]

Integers = NDArray[np.int64]


def row(run: Run, job: Job) -> Iterator[str]:
    """Execute NORM or SOFTMAX.

    ::

        take wait_outer
        for token: take wait_inner
                   read `elements` values from wide memory
                   write ceil(elements / R) activation words, zeros behind the elements
                   NORM: write wide memory
                   SOFTMAX without post_outer: write the factor of the token's row
                   post post_inner
                   deferred NORM, SOFTMAX with post_outer: write the factor of the token's row
        post post_outer

    The unit shares its datapath with DRAIN, token by token; a DRAIN whose token is held up by the
    stream keeps it.
    """
    f, line = job.fields, run.lines[Unit.ROW]
    _require_legal(run, job)
    if job.opcode == Opcode.NORM:
        _claim(run, np.zeros(1, np.int64), run.shadows.norm)
        run.chip.norm[:] = f["inverse"], f["inverse_shift"], f["epsilon"]
    defers = job.opcode == Opcode.NORM and f["defer"]
    whole = job.opcode == Opcode.SOFTMAX and not f["post_outer"]
    execute = _soften if job.opcode == Opcode.SOFTMAX else _measure if defers else _normalise
    yield from run.take(line, f["wait_outer"])
    for token in range(f["tokens"]):
        yield from run.take(line, f["wait_inner"])
        while run.stream.full:
            yield "DRAIN to leave the datapath"
        factor = execute(run, job, token)
        if factor and whole:
            _write_factor(run, job, token, factor)
        run.post(line, f["post_inner"])
        if factor and not whole:
            _write_factor(run, job, token, factor)
    run.post(line, f["post_outer"])


def _require_legal(run: Run, job: Job) -> None:
    f, line, most = job.fields, run.lines[Unit.ROW], run.config.array.max_k
    require_counts(line, f, "tokens", "elements")
    require(
        f["elements"] <= most, line, ErrorCode.ADDRESS_RANGE,
        f"elements is {f['elements']}, but array.max_k is {most}",
    )  # fmt: skip
    if job.opcode == Opcode.NORM:
        require_counts(line, f, "epsilon")
        require(
            bool(f["inverse"] >> SCALE_BITS - 1), line, ErrorCode.ILLEGAL_INSTRUCTION,
            f"bit {SCALE_BITS - 1} of inverse {f['inverse']:#x} must be set",
        )  # fmt: skip
        require(
            not f["defer"] or run.config.vector.deferred_norms, line,
            ErrorCode.ILLEGAL_INSTRUCTION, "vector.deferred_norms is false, so NORM has no defer",
        )  # fmt: skip
        require(
            not (f["defer"] and (f["centre"] or f["back"])), line, ErrorCode.ILLEGAL_INSTRUCTION,
            "NORM has no defer with centre or back",
        )  # fmt: skip
        _require_separate(run, job)


def _require_separate(run: Run, job: Job) -> None:
    """Refuse a NORM that would read what it wrote itself: it measures a token before the one in
    front of it is written."""
    f, words = job.fields, len(_count(run, job.fields["elements"]))
    if f["back"] and f["tokens"] > 1 and f["source_stride"] < words:
        raise ProgramError(
            f"{job}: a token's {words} wide words, written back, run into the next token's, which "
            f"begins {f['source_stride']} words further"
        )


def _normalise(run: Run, job: Job, token: int) -> None:
    """Execute one token of NORM. Only what clips in words that are written counts."""
    f, chip, elements = job.fields, run.chip, job.fields["elements"]
    z, places = _read_wide(run, job, token)
    entries = _read_scales(run, job)
    scale, shift, bias = (
        table[entries].ravel()[:elements].astype(np.int64)
        for table in (chip.scale, chip.shift, chip.bias)
    )
    mean, factor = _statistics(job, *_to_words(run, job, z)[:2])
    y = scale_row(
        z, mean, factor, scale=scale, negative=shift & NEGATIVE_SHIFT != 0,
        shift=shift & NEGATIVE_SHIFT - 1, bias=bias,
    )  # fmt: skip
    _write_words(run, job, token, y)
    if f["back"]:
        _claim(run, places, run.shadows.wide)
        chip.wide[places] = np.pad(y, (0, -elements % chip.wide.shape[1])).reshape(len(places), -1)
    run.counts["ROW_BUSY"] += 2 * len(places)


def _measure(run: Run, job: Job, token: int) -> Factor:
    """Execute one token of deferred NORM; return its factor."""
    z, places = _read_wide(run, job, token)
    row = np.array([job.fields["row"] + token])
    require_inside(run.lines[Unit.ROW], row, run.shadows.factor)
    words = _write_words(run, job, token, z)
    run.counts["ROW_BUSY"] += len(places)
    return _statistics(job, *words)[1]


def _statistics(job: Job, mantissas: Integers, exponents: Integers) -> tuple[int, Factor]:
    """Return what a token's words tell: its mean, and 1 / its deviation."""
    f = job.fields
    return normal_factor(
        row_sums(mantissas[None], exponents[None])[0],
        Factor(f["inverse"], f["inverse_shift"]),
        base=f["exponent_base"], epsilon=f["epsilon"], centre=bool(f["centre"]),
    )  # fmt: skip


def _soften(run: Run, job: Job, token: int) -> Factor:
    """Execute one token of SOFTMAX; return its factor."""
    f, chip, line, shadows = job.fields, run.chip, run.lines[Unit.ROW], run.shadows
    valid = min(f["elements"], f["causal"] + token) if f["causal"] else f["elements"]
    z, places = _read_wide(run, job, token)
    entries = _read_scales(run, job, token * f["scale_stride"])
    exponents = chip.shift[entries].ravel()[:valid] & VALUE_WINDOW
    number = np.array([f["row"] + token])
    require_inside(line, number, shadows.reference)
    shadows.reference.read(line, number, line.now)
    reference = int(chip.reference[number[0]])
    largest = int(z[:valid].max()) >> FRACTION
    if largest > reference:
        raise ProgramError(
            f"{job}: the integer part of token {token}'s largest score is {largest}, above its "
            f"row's reference, {reference}"
        )

    powers = np.zeros_like(z)
    powers[:valid], summands = exponentiate(z[:valid], reference, exponents)
    total = int(summands.sum())
    if not total:
        raise ProgramError(
            f"{job}: all probabilities of token {token} are zero, so far is its row's reference, "
            f"{reference}, above its scores"
        )
    _write_words(run, job, token, powers)
    run.counts["ROW_BUSY"] += len(places)
    return reciprocal_factor(total)


def _read_wide(run: Run, job: Job, token: int) -> tuple[Integers, Integers]:
    """Return a token's values, and the words that hold them."""
    f, line = job.fields, run.lines[Unit.ROW]
    words = f["source"] + token * f["source_stride"] + _count(run, f["elements"])
    require_inside(line, words, run.shadows.wide)
    run.shadows.wide.read(line, words, line.now)
    return run.chip.wide[words].ravel()[: f["elements"]].astype(np.int64), words


def _read_scales(run: Run, job: Job, further: int = 0) -> Integers:
    """Return the scale words of a token's elements, which are so many ``further``."""
    f, line = job.fields, run.lines[Unit.ROW]
    words = f["scale"] + further + _count(run, f["elements"])
    require_inside(line, words, run.shadows.scale)
    run.shadows.scale.read(line, words, line.now)
    return words


def _count(run: Run, elements: int) -> Integers:
    """Return 0, 1, ... for the words of L elements."""
    return np.arange(-(-elements // run.config.vector.lanes))


def _to_words(run: Run, job: Job, z: Integers) -> tuple[Integers, Integers, int, int]:
    """Return mantissas (words, R), exponents, saturations and flushes."""
    array = run.config.array
    return normalize(
        np.pad(z, (0, -len(z) % array.rows)).reshape(-1, array.rows), job.fields["exponent_base"],
        mantissa_bits=array.mantissa_bits, window=array.window,
    )  # fmt: skip


def _write_words(
    run: Run, job: Job, token: int, z: Integers
) -> tuple[Integers, Integers]:
    """Write a token's words; return their mantissas and exponents."""
    f, chip = job.fields, run.chip
    mantissas, exponents, saturations, flushes = _to_words(run, job, z)
    words = f["destination"] + token * f["token_stride"] + np.arange(len(exponents))
    _claim(run, words, run.shadows.activation)
    chip.mantissas[words], chip.exponents[words] = mantissas, exponents
    run.counts["SATURATIONS"] += saturations
    run.counts["FLUSHES"] += flushes
    return mantissas, exponents


def _write_factor(run: Run, job: Job, token: int, factor: Factor) -> None:
    """Write the factor of a token's row."""
    number = np.array([job.fields["row"] + token])
    _claim(run, number, run.shadows.factor)
    run.chip.factor_scale[number], run.chip.factor_shift[number] = factor.scale, factor.shift


def _claim(run: Run, cells: Integers, shadow: Shadow) -> None:
    """Note that the unit writes ``cells``."""
    line = run.lines[Unit.ROW]
    require_inside(line, cells, shadow)
    shadow.write(line, cells, line.now)
