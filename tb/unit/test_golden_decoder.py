"""Rotary positions, products and a whole language model in integers, against float."""

import dataclasses
import math

import numpy as np
import pytest

from systolith.compiler.decoder_quantizer import quantize_decoder, residual_fraction
from systolith.compiler.decoder_rounding import round_decoder
from systolith.compiler.weight_codecs import CODECS
from systolith_hw.config import NORMAL_BITS
from systolith_hw.presets import preset
from systolith_sim.transformer import decoder_reference
from systolith_sim.transformer.decoder_reference import KeyValueCache
from systolith_sim.vector.product import multiply
from systolith_sim.vector.rotary import rotary_table, rotate

from .decoder_bench import WIDTH, divergence, random_model, texts


def quantized(model, weights="int8", name="ulx3s", deferred=False, streamed=False, **chunks):
    config = preset(name).replace({"vector.deferred_norms": deferred})
    rounded = round_decoder(
        model, texts(4), CODECS[weights], CODECS[weights], folded=not streamed
    )
    return quantize_decoder(config, model, rounded, streamed=streamed, **chunks)


def test_rotation_keeps_its_error():
    rng = np.random.default_rng(0)
    z = rng.integers(-(1 << 17), 1 << 17, (50, 3, 16))
    positions = rng.integers(0, 8192, 50)
    cosine, sine = rotary_table(positions, 16, 1e5)
    assert np.abs(cosine).max() < 1 << 17
    got = rotate(z, cosine[:, None], sine[:, None])
    angles = positions[:, None] * 1e5 ** (-np.arange(0, 16, 2) / 16)
    wanted = decoder_reference.rotate(z.astype(float), np.cos(angles), np.sin(angles))
    other = np.abs(z.reshape(50, 3, 8, 2)[..., ::-1].reshape(z.shape))
    bound = 1 + 2.0**-17 * (np.abs(z) + other) + 1e-6
    assert (np.abs(got - wanted) <= bound).all()
    assert np.abs(got - wanted).max() > 0.9


def test_rotation_keeps_scores():
    """Only the distance of two tokens matters, up to roundings."""
    rng = np.random.default_rng(1)
    query, key = rng.integers(-(1 << 17), 1 << 17, (2, 1, 64))
    scores = []
    for place in (0, 100, 5000):
        turned = [rotate(z, *rotary_table([place + d], 64, 1e5)) for z, d in ((query, 3), (key, 0))]
        scores.append(float((turned[0].astype(float) * turned[1]).sum()))
    size = np.linalg.norm(query.astype(float)) * np.linalg.norm(key.astype(float))
    assert np.ptp(scores) < 2**-15 * size


def test_product_keeps_its_error():
    rng = np.random.default_rng(2)
    up = rng.integers(-(1 << 17), 1 << 17, 20_000)
    gate = rng.integers(-(1 << 23), 1 << 23, 20_000)
    got = multiply(up, gate, 7, 3)
    error = np.abs(got - up * (gate / 128) / 8)
    assert (error <= 0.5 + np.abs(up) / 16 + 1e-9).all()


def test_product_clips_both():
    assert multiply(1 << 20, 1 << 30, 7, 3) == ((1 << 17) - 1) ** 2 + 4 >> 3
    assert multiply(-(1 << 20), -(1 << 30), 7, 3) == (1 << 31) - 1
    assert multiply(-(1 << 20), 1 << 30, 7, 3) == -(1 << 14) * ((1 << 17) - 1)


@pytest.mark.parametrize("options", [
    {}, {"gated": False, "rotary": False}, {"heads": 3, "key_heads": 3}, {"key_heads": 1},
], ids=str)  # fmt: skip
def test_model_is_close_to_float(options):
    model = random_model(**options)
    assert divergence(model, quantized(model), texts(4, seed=8)) < 2e-3


def unequal(model):
    """Return a model whose gammas differ by a factor of 100, some of them negative."""
    rng = np.random.default_rng(4)

    def gamma():
        sizes = np.exp(rng.uniform(math.log(0.05), math.log(5), WIDTH))
        return (sizes * rng.choice([-1, 1, 1], WIDTH)).astype(np.float32)

    layers = [dataclasses.replace(layer, attention_norm=gamma(), hidden_norm=gamma())
              for layer in model.layers]  # fmt: skip
    return dataclasses.replace(model, layers=layers, norm=gamma())


@pytest.mark.parametrize("options", [{}, {"gated": False, "rotary": False}], ids=str)
def test_gammas_left_to_norms_are_as_close(options):
    """Where they are alike; where they are unequal, codes of 4 bits are closer."""
    model, tokens = random_model(**options), texts(4, seed=8)
    assert divergence(model, quantized(model, streamed=True), tokens) < 2e-3
    model = unequal(model)
    folded, left = (divergence(model, quantized(model, "int4", streamed=streamed), tokens)
                    for streamed in (False, True))  # fmt: skip
    assert left < 0.9 * folded


def test_nothing_behind_a_norm_is_clipped():
    """Of the rows of the residual those that matrices make most of, and hardly a bit is lost."""
    model = unequal(random_model())
    integers, largest = quantized(model, streamed=True), []
    for exact, layer in zip(model.layers, integers.layers, strict=True):
        for name, norm, gammas in (
            ("query", layer.norm, exact.attention_norm), ("key", layer.norm, exact.attention_norm),
            ("up", layer.hidden_norm, exact.hidden_norm),
        ):  # fmt: skip
            rows = (getattr(exact, name) * gammas[:, None]).T
            fixed = np.rint(np.ldexp(rows.astype(np.float64), integers.fraction)).astype(np.int64)
            matrix = layer.hidden.up if name == "up" else getattr(layer, name)
            largest.append(np.abs(matrix(norm(integers.array, fixed))).max())
    assert 1 << 15 < max(largest) < 1 << NORMAL_BITS - 1


def test_only_streamed_models_leave_gammas_to_norms():
    model = random_model()
    assert quantized(model).norm.gains is None
    assert (quantized(model, streamed=True).layers[0].norm.gains.scale > 0).all()
    rounded = round_decoder(model, texts(2), CODECS["int8"], CODECS["int8"], folded=False)
    with pytest.raises(ValueError, match="on the chip, gammas must be folded"):
        quantize_decoder(preset("ulx3s"), model, rounded)


@pytest.mark.parametrize("options", [{}, {"gated": False, "rotary": False}], ids=str)
def test_deferred_norms_are_as_close(options):
    """Words of the residual itself, its LSB and exponents chosen by its size, lose no more."""
    model = random_model(**options)
    integers = quantized(model, deferred=True)
    assert integers.norm.deferred and integers.layers[0].norm.deferred
    assert divergence(model, integers, texts(4, seed=8)) < 2e-3


@pytest.mark.parametrize("name", ["small", "wide"])
def test_other_arrays_are_as_close(name):
    model = random_model()
    assert divergence(model, quantized(model, name=name), texts(4, seed=8)) < 2e-3


def test_only_distances_of_positions_count():
    """Rotary positions that begin elsewhere change roundings; the wrong way round, the text."""
    model = random_model()
    integers = quantized(model)
    assert integers.rotary is not None
    cosine, sine = integers.rotary
    later = dataclasses.replace(integers, rotary=(cosine[5:], sine[5:]))
    backwards = dataclasses.replace(integers, rotary=(cosine, -sine))
    documents = texts(3, seed=8)
    assert divergence(model, later, documents) < 2e-3
    assert divergence(model, backwards, documents) > 2e-2


@pytest.mark.parametrize("gated", [True, False])
def test_token_by_token_is_a_block_of_tokens(gated):
    integers = quantized(random_model(gated=gated), output_chunk=16, down_chunk=32)
    tokens = texts(1, 19)[0]
    whole = integers.advance(tokens, KeyValueCache(2))
    for sizes in ([1] * 19, [5, 1, 10, 3]):
        cache, parts, first = KeyValueCache(2), [], 0
        for size in sizes:
            parts.append(integers.advance(tokens[first : first + size], cache))
            first += size
        assert (np.concatenate(parts) == whole).all()


def test_later_tokens_change_nothing_before():
    integers = quantized(random_model())
    one, other = texts(2, 20)
    other[:12] = one[:12]
    a, b = (integers.advance(tokens, KeyValueCache(2)) for tokens in (one, other))
    assert (a[:12] == b[:12]).all() and (a[12:] != b[12:]).any()


def test_nothing_is_clipped_for_any_input():
    """Inputs that are all for one channel, as large as a norm lets them be, stay in 18 bits."""
    model = random_model()
    integers = quantized(model)
    for layer in integers.layers:
        for linear in (layer.query, layer.key, layer.hidden.up):
            columns = linear.weights.astype(float)
            worst = columns / np.linalg.norm(columns, axis=0)
            inputs = worst.T * math.sqrt(WIDTH)  # a row for each channel
            result = np.einsum("nk,kn->n", inputs, linear.weights.astype(float))
            fixed = np.ldexp(result * linear.scale, 16 - linear.shift)
            assert 1 << 15 < np.abs(fixed).max() < 1 << 17


@pytest.mark.parametrize("largest, fraction", [(0.5, 16), (8000, 16), (8200, 15), (26_100, 14)])
def test_residual_has_room(largest, fraction):
    assert residual_fraction(largest) == fraction
    assert largest * 4 <= 2 ** (31 - fraction)
