"""Gammas in the matrices behind them, and the order of the residual's features."""

import dataclasses

import numpy as np
import pytest

from systolith.compiler.feature_order import feature_order
from systolith.compiler.norm_folding import fold_norms, order_features

from .decoder_bench import random_model, texts


@pytest.mark.parametrize("gated, rotary", [(True, True), (False, False)])
def test_a_folded_model_computes_the_same(gated, rotary):
    model = random_model(gated=gated, rotary=rotary)
    order = np.random.default_rng(5).permutation(len(model.norm))
    folded = fold_norms(model, order)
    norms = [norm for layer in folded.layers for norm in (layer.attention_norm, layer.hidden_norm)]
    assert all((norm == 1).all() for norm in [*norms, folded.norm])
    np.testing.assert_array_equal(folded.embedding, model.embedding[:, order])
    for tokens in texts(3):
        np.testing.assert_allclose(folded.logits(tokens), model.logits(tokens), atol=2e-4)


@pytest.mark.parametrize("gated, rotary", [(True, True), (False, False)])
def test_a_model_whose_features_change_places_computes_the_same(gated, rotary):
    model = random_model(gated=gated, rotary=rotary)
    order = np.random.default_rng(6).permutation(len(model.norm))
    other = order_features(model, order)
    np.testing.assert_array_equal(other.norm, model.norm[order])
    np.testing.assert_array_equal(other.layers[1].hidden_norm, model.layers[1].hidden_norm[order])
    for tokens in texts(3):
        np.testing.assert_allclose(other.logits(tokens), model.logits(tokens), atol=2e-4)


def test_features_with_like_gammas_share_a_step():
    """Gammas of two sizes, in turns, and now and then a third: no order is better than by size."""
    model = random_model()
    gamma = np.where(np.arange(len(model.norm)) % 2, 1.0, 8.0).astype(np.float32)
    gamma[::12] = 30.0
    layers = [dataclasses.replace(layer, attention_norm=gamma, hidden_norm=gamma)
              for layer in model.layers]  # fmt: skip
    model = dataclasses.replace(model, layers=layers, norm=gamma)
    order = feature_order(model, texts(4))
    assert sorted(order) == list(range(len(gamma)))

    def loss(order):
        groups = [order[first : first + 32] for first in range(0, len(order), 32)]
        return sum((gamma[group].max() ** 2) * len(group) for group in groups) / (gamma**2).sum()

    assert loss(order) <= 1.001 * loss(np.argsort(gamma)) < 0.5 * loss(np.arange(len(gamma)))


def test_features_that_are_all_alike_stay_where_they_are():
    model = random_model()
    ones = np.ones_like(model.norm)
    layers = [dataclasses.replace(layer, attention_norm=ones, hidden_norm=ones)
              for layer in model.layers]  # fmt: skip
    order = feature_order(dataclasses.replace(model, layers=layers, norm=ones), texts(2))
    np.testing.assert_array_equal(order, np.arange(len(ones)))


def test_an_order_is_the_same_every_time():
    model = random_model()
    first, second = (feature_order(model, texts(2)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
