"""One matrix product in the integers that hardware works with, and what must come out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolith_hw.config import Config
from systolith_sim.array.accumulator import accumulate
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import requantize

from .compiler.group_rounding import CodedWeights, round_groups
from .compiler.matmul import MatmulPlan
from .compiler.quantize import (
    ActivationFormat,
    Activations,
    Scales,
    choose_format,
    dequantize,
    quantize_activations,
    quantize_weights,
    scale_entries,
)
from .compiler.weight_codecs import RAW, Codec

__all__ = ["Product", "Result"]


@dataclass(frozen=True)
class Result:
    """What a product leaves behind.

    Parameters
    ----------
    mantissas, exponents : arrays of integers
        Activation words, (M, words, R) and (M, words); or fixed-point numbers (M, N), without
        exponents.
    """

    mantissas: NDArray[np.integer]
    exponents: NDArray[np.integer] | None = None

    def equals(self, other: "Result") -> bool:
        """Whether both are the same, bit for bit."""
        if self.exponents is None or other.exponents is None:
            return self.exponents is other.exponents and np.array_equal(
                self.mantissas, other.mantissas
            )
        return np.array_equal(self.mantissas, other.mantissas) and np.array_equal(
            self.exponents, other.exponents
        )


@dataclass(frozen=True)
class Product:
    """Activations (M, K) times weights (K, N), plus bias, quantised.

    Parameters
    ----------
    config : Config
        Word size and widths.
    activations : Activations
        Inputs.
    weights : (K, N) int8
    coded : CodedWeights or None
        What they are expanded from.
    scales : Scales
        Of the N channels.
    output : ActivationFormat
        What the results' numbers mean.
    """

    config: Config
    activations: Activations
    weights: NDArray[np.int8]
    scales: Scales
    output: ActivationFormat
    coded: CodedWeights | None = None

    @classmethod
    def quantize(
        cls, config: Config, x: ArrayLike, weights: ArrayLike, bias: ArrayLike = 0.0,
        codec: Codec = RAW,
    ) -> "Product":  # fmt: skip
        """Quantise real numbers; the output's format suits what these very inputs give."""
        x, weights = np.asarray(x, np.float64), np.asarray(weights, np.float64)
        largest = float(np.abs(x @ weights + bias).max())
        largest = max(largest, float(np.abs(bias).max(initial=0.0)))
        output = choose_format(config, largest)
        activations = quantize_activations(config, x)
        integers, step = quantize_weights(weights)
        coded = None
        if codec is not RAW:
            coded = round_groups(weights, np.eye(len(weights)), codec, sweeps=0)
            integers, step = coded.integers.astype(np.int8), coded.step
        scales = scale_entries(step, activations.format, output.fraction, bias)
        return cls(config, activations, integers, scales, output, coded)

    @property
    def loaded(self) -> NDArray[np.integer]:
        """The weights (K, N) as :meth:`MatmulPlan.image` takes them."""
        return self.weights if self.coded is None else self.coded.recipes()

    def expected(self, plan: MatmulPlan) -> Result:
        """Return what the golden models give, without any program."""
        mantissas, exponents = self.activations.mantissas, self.activations.exponents
        steps, rows = mantissas.shape[1:]
        k, n = self.weights.shape
        tiles = np.pad(self.weights, ((0, steps * rows - k), (0, 0))).reshape(steps, rows, n)
        sums = accumulate(mantissas, exponents, tiles)
        fixed, _ = requantize(sums, self.scales.scale, self.scales.shift, self.scales.bias)
        if plan.out == "wide":
            return Result(fixed)
        words = np.pad(fixed, ((0, 0), (0, plan.tiling.out_words * rows - n)))
        array = self.config.array
        return Result(*normalize(
            words.reshape(len(words), -1, rows), self.output.exponent_base,
            mantissa_bits=array.mantissa_bits, window=array.window,
        )[:2])  # fmt: skip

    def to_real(self, result: Result) -> NDArray[np.float64]:
        """Return the real numbers (M, N) that a result stands for."""
        n = self.weights.shape[1]
        if result.exponents is None:
            return np.ldexp(result.mantissas.astype(np.float64), -self.output.fraction)[:, :n]
        words = Activations(result.mantissas.astype(np.int64), result.exponents.astype(np.int64),
                            self.output)  # fmt: skip
        return dequantize(words)[:, :n]
