"""The golden encoder layer in integers against the same layer in float."""

import numpy as np
import pytest

from systolith.compiler.encoder_quantizer import measure_grams, quantize_layer, word_base
from systolith.compiler.quantize import quantize_weights
from systolith.compiler.rounding import round_weights
from systolith_hw.presets import PRESETS, preset
from systolith_sim.transformer import encoder, reference
from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm


def random_layer(rng, features=48, heads=3, hidden=96):
    def linear(k, n):
        return FloatLinear(rng.normal(0, k**-0.5, (k, n)), rng.normal(0, 0.1, n))

    def norm():
        return FloatNorm(rng.normal(1, 0.3, features), rng.normal(0, 0.1, features), 1e-12)

    return FloatLayer(
        heads=heads,
        **{name: linear(features, features) for name in ("query", "key", "value", "output")},
        up=linear(features, hidden), down=linear(hidden, features),
        attention_norm=norm(), output_norm=norm(),
    )  # fmt: skip


def cosine(a, b):
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("length", [1, 2, 7, 37])
def test_layer_is_close_to_float(name, length):
    rng = np.random.default_rng(length)
    config = preset(name)
    layer = random_layer(rng)
    sentences = [rng.normal(0, 1, (20, 48)) for _ in range(4)]
    integers = quantize_layer(config, layer, next(measure_grams([layer], sentences)))
    x = rng.normal(0, 1, (length, 48))
    z = np.rint(x * 65536).astype(np.int64)
    got = encoder.encode(config.array, integers, z) / 65536
    assert cosine(got, reference.encode(layer, x)) > 0.9997


def test_chunks_change_roundings_only():
    """Inputs that are multiplied in parts give the same but for the last bits."""
    rng = np.random.default_rng(2)
    config = preset("small")
    layer = random_layer(rng)
    grams = next(measure_grams([layer], [rng.normal(0, 1, (20, 48))]))
    z = np.rint(rng.normal(0, 1, (5, 48)) * 65536).astype(np.int64)
    whole, parts = (
        encoder.encode(config.array, quantize_layer(config, layer, grams, **chunks), z)
        for chunks in ({}, {"output_chunk": 16, "down_chunk": 32})
    )
    assert (whole != parts).any()
    assert cosine(whole, parts) > 0.99999


def test_large_outliers_fit_the_words():
    """A feature a thousand times the others neither saturates nor drowns other words."""
    rng = np.random.default_rng(5)
    config = preset("ulx3s")
    z = rng.normal(0, 1, (3, 64))
    z[:, 0] = 1000
    words = encoder.to_words(
        config.array, np.rint(z * 65536).astype(np.int64), word_base(config)
    )
    held = np.ldexp(words.mantissas, (words.exponents + word_base(config) - 16)[..., None])
    held = held.reshape(z.shape)
    assert np.abs(held[:, 16:] - z[:, 16:]).max() < 0.02
    assert np.abs(held[:, 0] - 1000).max() < 4


def test_rounding_makes_up_for_its_errors():
    """On inputs like those measured the error is well below that of rounding to nearest."""
    rng = np.random.default_rng(9)
    mixing = rng.normal(0, 1, (64, 64)) * np.geomspace(1, 0.01, 64)
    seen, unseen = rng.normal(0, 1, (500, 64)) @ mixing.T, rng.normal(0, 1, (500, 64)) @ mixing.T
    weights = rng.normal(0, 1, (64, 24))
    nearest, step = quantize_weights(weights)
    rounded = round_weights(weights, step, seen.T @ seen, limit=127)
    assert np.abs(rounded).max() <= 127

    def error(integers):
        return np.linalg.norm(unseen @ (integers * step - weights))

    assert error(rounded) < 0.6 * error(nearest)


def test_rounding_without_inputs_is_to_nearest():
    weights = np.array([[0.5, -1.0], [0.26, 0.0], [0.0, 0.0]])
    nearest, step = quantize_weights(weights)
    assert (round_weights(weights, step, np.zeros((3, 3)), limit=127) == nearest).all()
    assert (round_weights(weights, step * [1, 0], np.eye(3), limit=127)[:, 1] == 0).all()
