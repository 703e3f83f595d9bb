"""Gradients of a language model against differences, and codes that move along them."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from systolith.compiler.decoder_gradient import divergence_gradient
from systolith.compiler.decoder_rounding import round_decoder
from systolith.compiler.decoder_tuning import tune_codes
from systolith.compiler.norm_folding import fold_norms
from systolith.compiler.weight_codecs import CODECS
from systolith_sim.dma.codec import GROUP

from .decoder_bench import divergence, random_model, texts


def in_float64(model):
    wide: dict[str, Any] = {
        field.name: np.asarray(value, np.float64)
        for field in dataclasses.fields(model)
        if isinstance(value := getattr(model, field.name), np.ndarray)
    }
    if hasattr(model, "layers"):
        wide["layers"] = [in_float64(layer) for layer in model.layers]
    return dataclasses.replace(model, **wide)


def with_matrix(model, number, name, matrix):
    layers = list(model.layers)
    layers[number] = dataclasses.replace(layers[number], **{name: matrix})
    return dataclasses.replace(model, layers=layers)


@pytest.mark.parametrize("options", [{}, {"gated": False, "rotary": False}], ids=str)
def test_gradients_are_what_differences_say(options):
    model, other = (in_float64(random_model(seed, **options)) for seed in (1, 2))
    tokens = texts(1, 9)[0]
    wanted = other.logits(tokens)
    rng = np.random.default_rng(0)
    loss, layers, head = divergence_gradient(model, tokens, wanted)
    assert loss > 1
    for number, gradients in enumerate(layers):
        assert len(gradients) == (7 if options == {} else 6)
        for name, gradient in gradients.items():
            matrix = getattr(model.layers[number], name)
            way = rng.normal(0, 1, matrix.shape)
            ahead, behind = (
                divergence_gradient(with_matrix(model, number, name, matrix + s * way), tokens,
                                    wanted)[0] for s in (1e-5, -1e-5)
            )  # fmt: skip
            assert (gradient * way).sum() == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)
    way = rng.normal(0, 1, model.head.shape)
    heads = (dataclasses.replace(model, head=model.head + s * way) for s in (1e-5, -1e-5))
    ahead, behind = (divergence_gradient(one, tokens, wanted)[0] for one in heads)
    assert (head * way).sum() == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


@pytest.mark.parametrize("name", ["int4", "int4-exponent"])
def test_codes_move_towards_the_model(name):
    model = random_model(layers=1)
    documents, unseen = texts(40, 24), texts(6, 24, seed=77)
    codec = CODECS[name]
    first = round_decoder(model, documents[:8], codec, codec)
    tuned = tune_codes(model, documents, first, codec, codec, steps=60, rate=1.0)
    folded = fold_norms(model, first.order)  # as it is rounded

    def restored(rounded):
        layers = [rounded.layer(layer, place) for place, layer in enumerate(folded.layers)]
        return dataclasses.replace(folded, layers=layers, head=rounded.head.values().T)

    errors = [divergence(model, restored(rounded), unseen) for rounded in (first, tuned)]
    assert errors[1] < 0.9 * errors[0]
    for coded in (*tuned.layers[0].values(), tuned.head):
        wide = tuple(np.repeat(parameter, GROUP, axis=0) for parameter in coded.parameters)
        assert coded.codes.min() >= 0 and coded.codes.max() <= 15
        expanded = codec.expand(coded.codes, wide)
        assert (expanded[: len(coded.integers)] == coded.integers).all()
