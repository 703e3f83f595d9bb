"""Where DRAIN's values go."""

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_BITS, SHIFT_BITS, VALUE_WINDOW, WEIGHT_BITS
from systolith_hw.isa import DrainKind, Unit

from ...errors import ProgramError
from ...vector.normalizer import normalize
from ...vector.requantizer import FIXED_MIN
from ...vector.row import Factor, normal_factor, row_sums
from ..races import Shadow
from ..run import Candidates, Run, require_inside
from .part import Part

__all__ = ["to_words", "write_factor", "write_values"]

Integers = NDArray[np.int64]


def to_words(run: Run, part: Part, z: Integers) -> tuple[Integers, Integers]:
    """Return mantissas (turns, words, R) and exponents (turns, words), which are the same in all
    words of a turn of HEADS."""
    array = run.config.array
    padding = (0, 0), (0, -z.shape[1] % array.rows)
    if part.fields["kind"] != DrainKind.HEADS:
        z = np.pad(z, padding).reshape(len(z), -1, array.rows)
        return _normalize(run, part, z, array.mantissa_bits, array.window)
    mantissas, exponents = _normalize(run, part, z, WEIGHT_BITS, array.window)
    mantissas = np.pad(mantissas, padding).reshape(len(z), -1, array.rows)
    return mantissas, np.repeat(exponents[:, None], mantissas.shape[1], axis=1)


def write_values(run: Run, part: Part, z: Integers) -> None:
    """Write values (turns, channels) to a memory on the chip."""
    WRITERS[DrainKind(part.fields["kind"])](run, part, z)


def _activation(run: Run, part: Part, z: Integers) -> None:
    """Write activation words; the last of a group is filled with zeros."""
    mantissas, exponents = to_words(run, part, z)
    words = part.places(exponents.shape[1])
    _claim(run, part, words, run.shadows.activation)
    run.chip.mantissas[words] = mantissas
    run.chip.exponents[words] = exponents


def _wide(run: Run, part: Part, z: Integers) -> None:
    """Write words of L values."""
    lanes = run.config.vector.lanes
    words = part.places(z.shape[1] // lanes)
    _claim(run, part, words, run.shadows.wide)
    run.chip.wide[words] = z.reshape(*words.shape, lanes)


def _measured(run: Run, part: Part, z: Integers) -> None:
    """Write wide words, and the same values as activation words."""
    _wide(run, part, z)
    mantissas, exponents = to_words(run, part, z)
    words = part.fields["entries"] + np.arange(exponents.shape[1])[None]
    _claim(run, part, words, run.shadows.activation)
    run.chip.mantissas[words] = mantissas
    run.chip.exponents[words] = exponents


def write_factor(run: Run, part: Part) -> int:
    """Write the factor of a row whose words MEASURED has written; return when: later."""
    f, chip, line = part.fields, run.chip, run.lines[Unit.VECTOR]
    words = f["entries"] + np.arange(-(-part.values.shape[1] // run.config.array.rows))
    constants = np.zeros(1, np.int64)
    run.shadows.norm.read(line, constants, line.now)
    inverse, inverse_shift, epsilon = (int(value) for value in chip.norm)
    if not epsilon:
        raise ProgramError(f"{line} measures a row, and no NORM has said how long it is")
    _, factor = normal_factor(
        row_sums(chip.mantissas[words][None], chip.exponents[words][None])[0],
        Factor(inverse, inverse_shift), base=f["exponent_base"], epsilon=epsilon, centre=False,
    )  # fmt: skip
    row, time = part.rows()[0], line.advance()
    require_inside(line, row, run.shadows.factor)
    run.shadows.factor.write(line, row, time)
    chip.factor_scale[row], chip.factor_shift[row] = factor.scale, factor.shift
    return time


def _best(run: Run, part: Part, z: Integers) -> None:
    """Find the largest valid value, and write its channel's number; turns are groups."""
    f, best, valid = part.fields, run.chip.best, part.valid(run.config)
    place = np.array([[f["destination"]]])
    for group, row in zip(part.group, z[:, :valid], strict=True):
        if group == 0 and not f["accumulate"]:
            best[:] = FIXED_MIN, f["entries"]
        if valid and row.max() > best[0]:
            channel = group * f["tiles"] * run.config.array.columns + int(row.argmax())
            best[:] = row.max(), f["entries"] + channel & 0xFFFF
    _claim(run, part, np.repeat(place, len(z), axis=0), run.shadows.wide)
    run.number = int(best[1])
    line = run.lines[Unit.VECTOR]
    run.fresh = line.clock(int(np.max(part.time))) if f["groups"] == 1 else None
    _claim(run, part, np.zeros((len(z), 1), np.int64), run.shadows.number)
    run.chip.wide[f["destination"]] = [best[1], *[0] * (run.config.vector.lanes - 1)]


def _candidates(run: Run, part: Part, z: Integers) -> None:
    """Keep the largest valid values, and their channels' numbers; turns are groups."""
    f, valid = part.fields, part.valid(run.config)
    for group, row in zip(part.group, z[:, :valid], strict=True):
        if group == 0 and not f["accumulate"]:
            run.candidates = Candidates(f["token_stride"])
        if run.candidates is None:
            raise ProgramError(
                f"{run.lines[Unit.VECTOR]} goes on keeping values, but none in this program began"
            )
        first = f["entries"] + group * f["tiles"] * run.config.array.columns
        run.candidates.add(row, first + np.arange(valid) & 0xFFFF)


def _keys(run: Run, part: Part, z: Integers) -> None:
    """Write a lane of operand tiles for each turn: a tile for every R channels, zeros behind."""
    f, array = part.fields, run.config.array
    mantissas, exponents = _normalize(run, part, z, WEIGHT_BITS, array.window)
    mantissas = np.pad(mantissas, ((0, 0), (0, -z.shape[1] % array.rows)))
    mantissas = mantissas.reshape(len(z), -1, array.rows)
    wraps, lane = np.divmod(f["columns_last"] + part.token[:, None], array.columns)
    first = f["destination"] + part.group[:, None] * f["group_stride"] + wraps * f["token_stride"]
    tiles = first + np.arange(mantissas.shape[1])
    _claim(run, part, tiles, run.shadows.operand)
    run.chip.operand[tiles, :, lane] = mantissas
    _write_exponents(run, part, f["offset"] - exponents)


def _values(run: Run, part: Part, z: Integers) -> None:
    """Write a row of operand tiles for each turn: a tile for every C channels."""
    f, array = part.fields, run.config.array
    window = min(array.window, VALUE_WINDOW)
    mantissas, exponents = _normalize(run, part, z, WEIGHT_BITS, window)
    wraps, row = np.divmod(f["columns_last"] + part.token[:, None], array.rows)
    first = f["destination"] + part.group[:, None] * f["group_stride"] + wraps
    tiles = first + np.arange(part.tiles) * f["token_stride"]
    _claim(run, part, tiles, run.shadows.operand)
    run.chip.operand[tiles, row] = mantissas.reshape(len(z), part.tiles, array.columns)
    _write_exponents(run, part, exponents)


def _write_exponents(run: Run, part: Part, shift: Integers) -> None:
    """Write one scale entry for each turn; a shift keeps its low bits."""
    f, chip = part.fields, run.chip
    channels = f["entries"] + part.group * f["tiles_last"] + part.token
    words, lanes = np.divmod(channels, run.config.vector.lanes)
    _claim(run, part, words[:, None], run.shadows.scale)
    run.of_values[words] = f["kind"] == DrainKind.VALUES
    chip.scale[words, lanes] = 1 << SCALE_BITS - 1
    chip.shift[words, lanes] = shift & (1 << SHIFT_BITS) - 1
    chip.bias[words, lanes] = 0


def _normalize(
    run: Run, part: Part, blocks: Integers, mantissa_bits: int, window: int
) -> tuple[Integers, Integers]:
    mantissas, exponents, saturations, flushes = normalize(
        blocks, part.fields["exponent_base"], mantissa_bits=mantissa_bits, window=window
    )
    run.counts["SATURATIONS"] += saturations
    run.counts["FLUSHES"] += flushes
    return mantissas, exponents


def _claim(run: Run, part: Part, cells: Integers, shadow: Shadow) -> None:
    """Note that the part writes ``cells`` (turns, count)."""
    line = run.lines[Unit.VECTOR]
    require_inside(line, cells, shadow)
    shadow.write(line, cells, part.time, part.known())


WRITERS = {
    DrainKind.ACTIVATION: _activation,
    DrainKind.WIDE: _wide,
    DrainKind.KEYS: _keys,
    DrainKind.VALUES: _values,
    DrainKind.BEST: _best,
    DrainKind.CANDIDATES: _candidates,
    DrainKind.MEASURED: _measured,
}
