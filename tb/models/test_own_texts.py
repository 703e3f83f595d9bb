"""Texts that a model writes: as it would write each alone, and kept."""

import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from systolith.models import own_texts
from systolith.models.library import load_language_model
from systolith.models.shape_only import shape_only_decoder
from systolith.progress import Progress
from systolith_sim.transformer.decoder_reference import KeyValueCache

SHAPE = "layers=2,dim=24,heads=4,kv_heads=2,hidden=40,vocab=300,context=20"


@pytest.mark.parametrize("architecture", ["llama", "microgpt"])
def test_together_as_alone(architecture):
    decoder = shape_only_decoder(architecture, SHAPE, seed=4)
    texts = own_texts.write_together(decoder, [5, 9, 5], 20, Progress())
    for seed, text in enumerate(texts):
        cache = KeyValueCache(len(decoder.layers))
        for place in range(1, 20):
            logits = decoder.logits([text[place - 1]], cache)[-1]
            assert text[place] == own_texts.choose(logits, seed, place)
    assert texts[0][1:] != texts[2][1:], "seeds make texts"


def test_texts_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    monkeypatch.setattr(own_texts, "LONGEST", 12)
    model = load_language_model("stories-260k")
    texts = own_texts.own_texts(model)
    assert len(texts) == 16 and all(len(text) == 12 and text[0] == 0 for text in texts)

    def fail(*_):
        raise AssertionError("written again")

    monkeypatch.setattr(own_texts, "write_together", fail)
    assert own_texts.own_texts(model) == texts
    monkeypatch.setattr(own_texts, "LONGEST", 13)
    with pytest.raises(AssertionError, match="written again"):
        own_texts.own_texts(model)
