"""From results to fixed-point values: what DRAIN computes."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import NORMAL_BITS, SCALE_BITS, SHIFT_BITS
from systolith_hw.isa import PRODUCT_SHIFT, DrainFunction, DrainKind, Unit
from systolith_hw.tables import FRACTION, Function

from ...errors import ProgramError
from ...vector.function import rectify
from ...vector.product import multiply
from ...vector.requantizer import FIXED_MAX, FIXED_MIN, clip_normal, requantize_each
from ...vector.rotary import rotate
from ...vector.row import multiply_entries
from ..races import Timeline
from ..run import Run, require_inside
from .part import Part

__all__ = ["finish_values"]

FUNCTIONS = {DrainFunction.GELU: Function.GELU, DrainFunction.SILU: Function.SILU}

Integers = NDArray[np.int64]
Constants = tuple[NDArray[np.integer], ...]


def finish_values(run: Run, part: Part) -> Integers:
    """Return fixed-point values (turns, channels); channels that do not exist are zero."""
    f, valid = part.fields, part.valid(run.config)
    constants = _factors(run, part) if f["factor"] else _entries(run, part, valid)
    values, saturated = requantize_each(part.values[:, :valid], *constants)
    if f["accumulate"] and f["kind"] in (DrainKind.WIDE, DrainKind.MEASURED):
        total = values + _held(run, part)[:, :valid]
        values = np.clip(total, FIXED_MIN, FIXED_MAX)
        saturated |= values != total
    run.counts["SATURATIONS"] += int(np.count_nonzero(saturated))
    function = DrainFunction(f["function"])
    if function == DrainFunction.PRODUCT:
        values = multiply(values, _second(run, part)[:, :valid], PRODUCT_SHIFT, f["shift"])
    elif function == DrainFunction.RELU:
        values = np.maximum(values, 0)
    elif function:
        values = rectify(values, FUNCTIONS[function])
    z = np.zeros_like(part.values)
    z[:, :valid] = values
    if f["rotate"]:
        z = rotate(clip_normal(z), *_angles(run, part))
        z[:, valid:] = 0
    if f["maximum"]:
        _refer(run, part, z, valid)
    return z


def _entries(run: Run, part: Part, valid: int) -> Constants:
    """Return the channels' scale entries: those of scale word ``scale + n // L``."""
    f, line, chip, beats = (
        part.fields, run.lines[Unit.VECTOR], run.chip, run.config.beats_per_result,
    )  # fmt: skip
    words = f["scale"] + part.group[:, None] * f["tiles"] * beats + np.arange(part.tiles * beats)
    require_inside(line, words, run.shadows.scale)
    # With `maximum` it finds what KEYS wrote.
    late = words[run.of_values[words]] if f["maximum"] else words
    run.shadows.scale.require_heard(line, late)
    run.shadows.scale.read(line, words, part.time, part.known())
    scale, shift, bias = (
        table[words].reshape(len(words), -1)[:, :valid]
        for table in (chip.scale, chip.shift, chip.bias)
    )
    _require_normalised(line, scale)
    if not f["scaled"]:
        return scale, shift, bias
    products = multiply_entries(scale, shift, *_row_factors(run, part))
    _require_shifts(line, *products)
    return *products, bias


def _require_normalised(line: Timeline, scale: NDArray[np.integer]) -> None:
    """Refuse scales (turns, channels) with which results beyond 32 bits are not told as such."""
    small = (scale > 0) & (scale < 1 << SCALE_BITS - 1)
    if small.any():
        turn, channel = np.argwhere(small)[0]
        raise ProgramError(
            f"{line} requantises with scale {scale[turn, channel]:#x} in channel {channel} of its "
            f"group; scales must be zero or have bit {SCALE_BITS - 1} set"
        )


def _require_shifts(line: Timeline, scale: Integers, shift: Integers) -> None:
    """Refuse shifts (turns, channels) of entries times factors that an entry cannot hold."""
    outside = (scale != 0) & (shift >> SHIFT_BITS != 0)
    if outside.any():
        turn, channel = np.argwhere(outside)[0]
        raise ProgramError(
            f"{line} multiplies the entry of channel {channel} of its group by its row's factor, "
            f"and gets a shift of {shift[turn, channel]}; it must be 0 to {(1 << SHIFT_BITS) - 1}"
        )


def _factors(run: Run, part: Part) -> Constants:
    """Return the factors of the tokens' rows, as entries for all their channels."""
    scale, shift = _row_factors(run, part)
    shift = shift - part.fields["offset"]
    return scale, shift & (1 << SHIFT_BITS) - 1, np.zeros_like(shift)


def _row_factors(run: Run, part: Part) -> tuple[Integers, Integers]:
    """Return scales and shifts (turns, 1) of the factors of the tokens' rows."""
    line, chip, rows = run.lines[Unit.VECTOR], run.chip, part.rows()
    require_inside(line, rows, run.shadows.factor)
    run.shadows.factor.read(line, rows, part.time, part.known())
    return chip.factor_scale[rows].astype(np.int64), chip.factor_shift[rows].astype(np.int64)


def _held(run: Run, part: Part) -> Integers:
    """Return what wide memory holds in the place of the values (turns, channels).

    Whoever may not read it may not write it either, so that races are found later.
    """
    words = part.places(part.tiles * run.config.beats_per_result)
    require_inside(run.lines[Unit.VECTOR], words, run.shadows.wide)
    return run.chip.wide[words].reshape(len(words), -1).astype(np.int64)


def _second(run: Run, part: Part) -> Integers:
    """Return PRODUCT's second factors (turns, channels)."""
    f, width = part.fields, part.fields["tiles"] * run.config.beats_per_result
    first = f["entries"] + (part.group * f["tokens"] + part.token) * width
    return _read(run, part, first[:, None] + np.arange(part.tiles * run.config.beats_per_result))


def _angles(run: Run, part: Part) -> tuple[Integers, Integers]:
    """Return what ``rotate`` multiplies a channel and its neighbour with (turns, channels)."""
    f, beats = part.fields, run.config.beats_per_result
    beat = part.group[:, None] * f["tiles"] * beats + np.arange(part.tiles * beats)
    place = 2 * beat & (1 << f["shift"]) - 1
    row = f["row"] + part.token[:, None] << f["shift"]
    require_inside(run.lines[Unit.VECTOR], row + (1 << f["shift"]) - 1, run.shadows.wide)
    words = row + place
    straight, across = _read(run, part, words), _read(run, part, words + 1)
    low = (1 << NORMAL_BITS) - 1
    half = 1 << NORMAL_BITS - 1
    straight, across = (((table & low) ^ half) - half for table in (straight, across))
    return straight, across


def _read(run: Run, part: Part, words: Integers) -> Integers:
    """Return wide words (turns, count) as their values."""
    line = run.lines[Unit.VECTOR]
    require_inside(line, words, run.shadows.wide)
    run.shadows.wide.read(line, words, part.time, part.known())
    return run.chip.wide[words].reshape(len(words), -1).astype(np.int64)


def _refer(run: Run, part: Part, z: Integers, valid: int) -> None:
    """Note the integer part of each token's largest value; without any, of the smallest number."""
    line, rows, entries = run.lines[Unit.VECTOR], part.rows(), part.fields["entries"]
    limits = np.full_like(rows, valid)
    if entries:
        limits = np.minimum(limits, entries + part.token[:, None])
    require_inside(line, rows, run.shadows.reference)
    run.shadows.reference.write(line, rows, part.time, part.known())
    largest = np.where(np.arange(z.shape[1]) < limits, z, FIXED_MIN).max(axis=1)
    run.chip.reference[rows[:, 0]] = largest >> FRACTION
