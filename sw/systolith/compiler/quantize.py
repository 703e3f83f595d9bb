"""From real numbers to the integers of ``docs/numerics.md``, and back.

A tensor of activations has a *fraction* f and an *exponent base* b: its values are first rounded
to fixed point with LSB 2**-f, as the vector unit has them, then each word of R is rounded to
mantissas with LSB 2**(b - f + e), e being the word's exponent. Weights have one real step per
output channel; the step, the LSB of the activations and the fraction of the result together
make the channel's scale and shift.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import FIXED_BITS, SCALE_BITS, SHIFT_BITS, Config, ConfigError
from systolith_sim.vector.normalizer import normalize

__all__ = [
    "ActivationFormat",
    "Activations",
    "Scales",
    "choose_format",
    "dequantize",
    "quantize_activations",
    "quantize_weights",
    "scale_entries",
]

FIXED_LIMIT = (1 << FIXED_BITS - 1) - 1
WEIGHT_LIMIT = 127


@dataclass(frozen=True)
class ActivationFormat:
    """What the numbers of one tensor mean.

    Parameters
    ----------
    fraction : int
        f: fixed-point values have LSB 2**-f. May be negative.
    exponent_base : int
        b: fixed-point bits below block exponent 0, DRAIN's field of that name.
    """

    fraction: int
    exponent_base: int

    @property
    def base(self) -> int:
        """Power of two of a mantissa's LSB at block exponent 0."""
        return self.exponent_base - self.fraction


@dataclass(frozen=True)
class Activations:
    """Activation words of M tokens.

    Parameters
    ----------
    mantissas : (M, words, R) int64
    exponents : (M, words) int64
    format : ActivationFormat
    """

    mantissas: NDArray[np.int64]
    exponents: NDArray[np.int64]
    format: ActivationFormat


@dataclass(frozen=True)
class Scales:
    """Scale entries of N channels, as the scale memory holds them."""

    scale: NDArray[np.int64]
    shift: NDArray[np.int64]
    bias: NDArray[np.int64]


def choose_format(config: Config, largest: float, *, headroom: int = 1) -> ActivationFormat:
    """Return the finest format for values up to ``largest`` in magnitude.

    Parameters
    ----------
    config : Config
        Mantissas and window.
    largest : float
        Largest magnitude met when the range was measured.
    headroom : int
        Bits that values may still grow beyond it before they saturate.
    """
    exponent = int(np.frexp(largest)[1]) if largest > 0 else 0  # largest <= 2**exponent
    fraction = FIXED_BITS - 1 - headroom - exponent
    # Exponent `window` must still hold the largest fixed-point number.
    mantissa = config.array.mantissa_bits - 1
    return ActivationFormat(fraction, max(0, FIXED_BITS - 1 - mantissa - config.array.window))


def quantize_activations(
    config: Config, x: ArrayLike, format: ActivationFormat | None = None
) -> Activations:
    """Return real activations (M, K) as words, the tail of each token zero.

    Without ``format``, one is chosen for the largest magnitude in ``x``.
    """
    x = np.asarray(x, np.float64)
    if format is None:
        format = choose_format(config, float(np.abs(x).max(initial=0.0)))
    rows = config.array.rows
    fixed = np.clip(np.rint(np.ldexp(x, format.fraction)), -FIXED_LIMIT - 1, FIXED_LIMIT)
    fixed = np.pad(fixed, ((0, 0), (0, -x.shape[1] % rows))).astype(np.int64)
    mantissas, exponents, _, _ = normalize(
        fixed.reshape(len(x), -1, rows), format.exponent_base,
        mantissa_bits=config.array.mantissa_bits, window=config.array.window,
    )  # fmt: skip
    return Activations(mantissas, exponents, format)


def dequantize(activations: Activations) -> NDArray[np.float64]:
    """Return the real values (M, words * R) of activation words."""
    exponents = activations.exponents[..., None] + activations.format.base
    values = np.ldexp(activations.mantissas.astype(np.float64), exponents)
    return values.reshape(len(values), -1)


def quantize_weights(weights: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return int8 weights and the step of each output channel: ``weights ~ int8 * step``.

    ``weights`` is (K, N). The largest magnitude of a channel becomes 127.
    """
    weights = np.asarray(weights, np.float64)
    step = np.abs(weights).max(axis=0) / WEIGHT_LIMIT
    quotient = np.divide(weights, step, out=np.zeros_like(weights), where=step > 0)
    return np.rint(quotient).astype(np.int8), step


def scale_entries(
    step: ArrayLike, inputs: ActivationFormat, fraction: int, bias: ArrayLike = 0.0
) -> Scales:
    """Return scale, shift and bias that turn accumulators into fixed point.

    Parameters
    ----------
    step : (N,) floats
        Real value of weight 1 of each channel.
    inputs : ActivationFormat
        Of the activations multiplied.
    fraction : int
        f of the result.
    bias : (N,) floats or one
        Real numbers to add.

    Raises
    ------
    ConfigError
        If a channel or a bias is too large for fixed point of that fraction.
    """
    factor = np.ldexp(np.asarray(step, np.float64), inputs.base + fraction)
    significand, exponent = np.frexp(factor)
    scale = np.rint(np.ldexp(significand, SCALE_BITS)).astype(np.int64)
    shift = SCALE_BITS - exponent.astype(np.int64)
    # 0.99999 rounds up to 2**16, which is 2**15 one place further on.
    carry = scale >> SCALE_BITS
    scale, shift = scale >> carry, shift - carry
    # So small that every result is zero.
    vanishing = (scale == 0) | (shift >= 1 << SHIFT_BITS)
    scale, shift = np.where(vanishing, 0, scale), np.where(vanishing, 0, shift)
    if shift.min(initial=0) < 0:
        raise ConfigError(
            f"fraction {fraction} is too fine: channel {int(np.argmin(shift))} has steps of "
            f"{factor[np.argmin(shift)]:.3g} LSB; lower it by {-int(shift.min())} or more"
        )
    fixed = np.rint(np.ldexp(np.broadcast_to(np.asarray(bias, np.float64), scale.shape), fraction))
    if np.abs(fixed).max(initial=0.0) > FIXED_LIMIT:
        raise ConfigError(
            f"fraction {fraction} is too fine for a bias of {np.abs(bias).max():.3g}, which "
            f"would not fit {FIXED_BITS} bits"
        )
    return Scales(scale, shift, fixed.astype(np.int64))
