"""Stacks of encoder layers on the machine, from states, against golden model and float."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.compiler.stack_quantizer import quantize_stack
from systolith.encoder import MachineEncoder
from systolith.stack import CompiledStack, state_words
from systolith_hw.config import ConfigError
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm, encode

from .encoder_bench import CONFIGS as ALL_CONFIGS

CONFIGS = {case: ALL_CONFIGS[case] for case in ("small", "crowded", "spilt", "streamed")}


def random_layers(count, *, seed, features=32, heads=2, hidden=64, **kind):
    rng = np.random.default_rng(seed)

    def linear(k, n):
        return FloatLinear(rng.normal(0, k**-0.5, (k, n)), rng.normal(0, 0.1, n))

    def norm():
        return FloatNorm(rng.normal(1, 0.2, features), rng.normal(0, 0.1, features), 1e-5)

    return [
        FloatLayer(
            heads=heads,
            **{name: linear(features, features) for name in ("query", "key", "value", "output")},
            up=linear(features, hidden), down=linear(hidden, features),
            attention_norm=norm(), output_norm=norm(), **kind,
        )
        for _ in range(count)
    ]  # fmt: skip


def decibels(got, want):
    return 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum())


def cases():
    """Every plan in the gate, with norms first or last in turn; the rest is slow."""
    for number, case in enumerate(CONFIGS):
        for norm_first in (False, True):
            gate = number % 2 == norm_first
            yield pytest.param(case, norm_first, marks=() if gate else pytest.mark.slow)


@pytest.mark.parametrize("case, norm_first", list(cases()))
def test_every_bit_of_the_golden_model(case, norm_first, seed):
    """Every way in which an encoder is cut, and one program for all lengths."""
    config, rng = CONFIGS[case], np.random.default_rng(seed)
    activation = "relu" if case == "small" else "gelu"
    layers = random_layers(2, seed=seed, norm_first=norm_first, activation=activation)
    states = [rng.normal(0, 2, (12, 32))]
    model = quantize_stack(config, layers, states, tokens=37)
    stack = CompiledStack.compile(config, model, tokens=37, segments=3)
    machine = MachineEncoder(stack)
    for lengths in ((37,), (19, 1, 12)):
        sentences = [rng.normal(0, 2, (length, 32)) for length in lengths]
        words, rest = state_words(config.array, np.concatenate(sentences), model.base)
        golden = dataclasses.replace(model, words=words, positions=rest)
        got = machine.run(sentences).states
        for numbers, state in zip(stack.numbers(lengths), got, strict=True):
            want = golden.encode(config.array, numbers, numbers)
            np.testing.assert_array_equal(state, want)


@pytest.mark.parametrize("norm_first, activation", [(False, "relu"), (True, "silu")])
def test_close_to_float(norm_first, activation, seed):
    config, rng = CONFIGS["small"], np.random.default_rng(seed)
    layers = random_layers(2, seed=seed, norm_first=norm_first, activation=activation)
    states = [rng.normal(size=(12, 32)) for _ in range(16)]
    model = quantize_stack(config, layers, states, tokens=20)
    machine = MachineEncoder(CompiledStack.compile(config, model, tokens=20))
    x = rng.normal(size=(20, 32))
    want: NDArray[np.floating] = x
    for layer in layers:
        want = encode(layer, want)
    (got,) = machine.run([x]).states
    assert decibels(np.ldexp(got, -FRACTION), want) > 35


def test_states_keep_fifteen_bits(seed):
    config = CONFIGS["small"]
    x = np.random.default_rng(seed).normal(size=(5, 32))
    words, rest = state_words(config.array, x, 0)
    coarse, fine = (
        np.ldexp(part.mantissas * 2.0 ** part.exponents[..., None], -FRACTION).reshape(x.shape)
        for part in (words, rest)
    )
    assert decibels(coarse + fine, x) > 80 > decibels(coarse, x)


@pytest.mark.parametrize("name, change, words", [
    ("heads", {"heads": 4}, "layer 1 has heads 4, and layer 0 2"),
    ("norms", {"norm_first": True}, "layer 1 has norm_first True"),
])  # fmt: skip
def test_layers_must_be_alike(name, change, words, seed):
    first, second = random_layers(2, seed=seed)
    with pytest.raises(ConfigError, match=words):
        quantize_stack(CONFIGS["small"], [first, dataclasses.replace(second, **change)], [],
                       tokens=5)  # fmt: skip
