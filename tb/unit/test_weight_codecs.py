"""What codes become, and how codes are chosen."""

import dataclasses

import numpy as np
import pytest

from systolith.compiler.decoder_rounding import round_decoder
from systolith.compiler.group_rounding import round_groups
from systolith.compiler.norm_folding import fold_norms
from systolith.compiler.weight_codecs import CODECS
from systolith_sim.dma.codec import GROUP, expand_affine, expand_exponent

from .decoder_bench import divergence, random_model, texts


def inputs_of(rng, features, rows=600):
    """Return inputs that go together, of which some are large."""
    mixing = rng.normal(0, 1, (features, features)) * np.geomspace(1, 0.02, features)
    return rng.normal(0, 1, (rows, features)) @ mixing.T


def error(coded, weights, inputs):
    return np.linalg.norm(inputs @ (coded.integers * coded.step - weights))


def replaced(model, layers, head):
    return dataclasses.replace(
        model,
        layers=[
            dataclasses.replace(layer, **{name: coded.values() for name, coded in found.items()})
            for layer, found in zip(model.layers, layers, strict=True)
        ],
        head=head.values().T,
    )


def test_expansion_is_that_of_the_formula():
    codes, slope, offset = np.meshgrid(
        np.arange(16), np.arange(0, 256, 5), np.arange(-128, 128, 3), indexing="ij"
    )
    got = expand_affine(codes, slope, offset)
    exact = slope * codes / 16 + offset
    inside = (exact > -127) & (exact < 127)
    assert np.abs(got - exact)[inside].max() == 0.5  # ties go up
    assert got.min() == -128 and got.max() == 127
    assert ((got >= exact - 0.5) & (got == np.floor(exact + 0.5)))[inside].all()
    assert expand_exponent([0, 8, 15], 4).tolist() == [-128, 0, 112]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("inputs, outputs", [(64, 24), (40, 3), (176, 20)])
def test_codes_stand_for_the_integers(name, inputs, outputs):
    rng = np.random.default_rng(inputs)
    weights = rng.normal(0, 1, (inputs, outputs))
    weights[:, 0] = 0
    x = inputs_of(rng, inputs)
    codec = CODECS[name]
    coded = round_groups(weights, x.T @ x, codec)
    wide = tuple(np.repeat(parameter, GROUP, axis=0) for parameter in coded.parameters)
    assert (codec.expand(coded.codes, wide)[:inputs] == coded.integers).all()
    assert np.abs(coded.integers).max() <= 128 and not (coded.values()[:, 0]).any()
    if name != "int8":
        assert coded.codes.min() >= 0 and coded.codes.max() <= 15
    assert error(coded, weights, x) < {"int8": 0.01, "int4": 0.12}.get(name, 0.25) * (
        np.linalg.norm(x @ weights)
    )


@pytest.mark.parametrize("name", CODECS)
def test_each_step_makes_the_error_smaller(name):
    """Rounding to nearest is worst; what it cannot make up for, the sweeps can."""
    rng = np.random.default_rng(5)
    weights, x = rng.normal(0, 1, (96, 40)), inputs_of(rng, 96)
    gram, codec = x.T @ x, CODECS[name]
    nearest = round_groups(weights, np.diag(np.diag(gram)), codec, sweeps=0)
    once = round_groups(weights, gram, codec, sweeps=0, damping=0.01)
    more = round_groups(weights, gram, codec, sweeps=3, damping=0.01)
    errors = [error(coded, weights, x) for coded in (nearest, once, more)]
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.985 * errors[1]


def test_affine_codes_find_affine_weights():
    """Weights that were affine in groups of 32 stay what they were, to a part of an int8."""
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 16, (3, GROUP, 8))
    codes[:, :2] = np.array([0, 15])[None, :, None]
    weights = codes * rng.uniform(4, 9, (3, 1, 8)) + rng.uniform(-90, -40, (3, 1, 8))
    weights = weights.reshape(96, 8)
    coded = round_groups(weights, np.eye(96), CODECS["int4"], damping=0.0)
    assert (coded.codes == codes.reshape(96, 8)).mean() > 0.99
    assert np.abs(coded.values() - weights).max() < 2.5 * coded.step.max()


def test_matrices_make_up_for_those_before():
    """A model whose rounded matrices know of each other's errors is closer to what it was."""
    close = round_decoder(random_model(), texts(8), CODECS["int4"], CODECS["int4"])
    model = fold_norms(random_model(), close.order)  # as it is rounded
    assert len(close.layers) == 2 and set(close.layers[0]) == {
        "query", "key", "value", "output", "gate", "up", "down",
    }  # fmt: skip
    assert 1 < close.largest < 100

    alone = [
        {name: round_groups(getattr(layer, name), np.eye(len(getattr(layer, name))),
                            CODECS["int4"]) for name in coded}
        for layer, coded in zip(model.layers, close.layers, strict=True)
    ]  # fmt: skip
    head = round_groups(model.head.T, np.eye(model.head.shape[1]), CODECS["int4"])
    unseen = texts(6, seed=77)
    errors = [divergence(model, replaced(model, *what), unseen)
              for what in ((close.layers, close.head), (alone, head))]  # fmt: skip
    assert errors[0] < 0.8 * errors[1]
