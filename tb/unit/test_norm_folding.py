"""Gammas in the matrices behind them."""

import dataclasses

import numpy as np
import pytest

from systolith.compiler.norm_folding import fold_norms

from .decoder_bench import random_model, texts


@pytest.mark.parametrize("gated, rotary", [(True, True), (False, False)])
def test_a_folded_model_computes_the_same(gated, rotary):
    model = random_model(gated=gated, rotary=rotary)
    folded = fold_norms(model)
    norms = [norm for layer in folded.layers for norm in (layer.attention_norm, layer.hidden_norm)]
    assert all((norm == 1).all() for norm in [*norms, folded.norm])
    for tokens in texts(3):
        np.testing.assert_allclose(folded.logits(tokens), model.logits(tokens), atol=2e-4)


def test_features_of_large_gammas_are_last():
    """A feature that is large in front of one matrix shares a step with others that are."""
    model = random_model(layers=1)
    ones = np.ones_like(model.norm)
    gamma = ones.copy()
    gamma[[5, 17]] = 10, 20
    layer = dataclasses.replace(model.layers[0], attention_norm=gamma, hidden_norm=ones)
    folded = fold_norms(dataclasses.replace(model, layers=[layer], norm=ones))
    others = np.delete(np.arange(len(ones)), [5, 17])
    order = [*others, 5, 17]
    np.testing.assert_array_equal(folded.embedding, model.embedding[:, order])
    query = layer.query[[5, 17]] * np.array([[10], [20]], np.float32)
    np.testing.assert_array_equal(folded.layers[0].query[-2:], query)
