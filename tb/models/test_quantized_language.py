"""Integers of a language model: kept as they were made, and made anew when they must be."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from language_models import llama_tensors, write_llama
from systolith.compiler.decoder_tuning import tune_codes
from systolith.models import own_texts, quantized_language
from systolith.models.fingerprint import fingerprint
from systolith.models.library import load_language_model
from systolith.models.quantized_language import quantize_language
from systolith_hw.presets import preset
from systolith_sim.verilator import cache_directory

TOKENS = [0, 70, 71, 400, 9]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(own_texts, "LONGEST", 12)
    monkeypatch.setattr(quantized_language, "SMALL", 0)
    return load_language_model(str(write_llama(tmp_path)))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_kept_as_they_were_made(model, weights, monkeypatch):
    config = preset("ulx3s")
    first = quantize_language(model, config, weights)
    monkeypatch.setattr(quantized_language, "round_decoder", None)
    again = quantize_language(model, config, weights)
    np.testing.assert_array_equal(first.logits(TOKENS), again.logits(TOKENS))
    with pytest.raises(TypeError, match="not callable"):
        quantize_language(model, config, {"int8": "int4", "int4": "int8"}[weights])


def test_another_recipe_makes_other_weights(model, monkeypatch):
    """What was kept before a constant changed is not taken for the new one's."""
    config = preset("ulx3s")
    quantize_language(model, config, "int4")
    monkeypatch.setattr(quantized_language, "round_decoder", None)
    quantize_language(model, config, "int4")
    for constant, value in (("ROUNDING_TEXTS", 99), ("SMALL", 10**6)):
        with monkeypatch.context() as patch, pytest.raises(TypeError, match="not callable"):
            patch.setattr(quantized_language, constant, value)
            quantize_language(model, config, "int4")


def test_codes_of_small_models_are_tuned(model, monkeypatch):
    """On many texts, of which the first are those for rounding; int8 has no need of it."""
    config = preset("ulx3s")
    rounded = quantize_language(model, config, "int4").logits(TOKENS)
    monkeypatch.setenv("SYSTOLITH_CACHE", str(cache_directory() / "tuned"))
    monkeypatch.setattr(quantized_language, "SMALL", 10**6)
    monkeypatch.setattr(quantized_language, "TUNING_TEXTS", 20)
    seen = []

    def tune(decoder, texts, *rest, progress):
        seen.append(len(texts))
        return tune_codes(decoder, texts, *rest, steps=3, rate=4.0, progress=progress)

    monkeypatch.setattr(quantized_language, "tune_codes", tune)
    tuned = quantize_language(model, config, "int4").logits(TOKENS)
    assert seen == [20] and (tuned != rounded).any()
    quantize_language(model, config, "int8")
    assert seen == [20]


def test_a_damaged_file_is_made_anew(model, tmp_path):
    config = preset("ulx3s")
    want = quantize_language(model, config).logits(TOKENS)
    (path,) = (tmp_path / "cache" / "quantized").iterdir()
    whole = path.read_bytes()
    for raw in (b"", whole[: len(whole) // 2]):
        path.write_bytes(raw)
        np.testing.assert_array_equal(quantize_language(model, config).logits(TOKENS), want)


def test_fingerprints(model, tmp_path):
    decoder = model.decoder
    own = fingerprint(decoder)
    assert own == fingerprint(load_language_model(str(tmp_path)).decoder)
    assert own != fingerprint(dataclasses.replace(decoder, rotary_base=7.0))
    tensors = llama_tensors()
    tensors["model.layers.1.mlp.down_proj.weight"][3, 4] += 1e-3
    assert own != fingerprint(load_language_model(str(write_llama(tmp_path, tensors))).decoder)
