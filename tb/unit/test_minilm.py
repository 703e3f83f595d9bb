"""MiniLM in float: equal to what the model is known to answer."""

import numpy as np
import pytest

from systolith.models.errors import CheckpointError, FetchError, TextError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from safetensors.numpy import load_file, save_file

from systolith.models.fetch import MINILM, fetch
from systolith.models.minilm import MAX_TOKENS, MiniLM
from systolith_sim.transformer.reference import encode


@pytest.fixture(scope="module")
def model():
    try:
        return MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))


def test_known_similarities(model):
    """The model card's numbers for these pairs, to the digits that are known."""
    food, bread, password, login = (
        model.embed(text)
        for text in (
            "A man is eating food.", "A man is eating a piece of bread.",
            "How do I reset my password?", "I forgot my login credentials.",
        )
    )  # fmt: skip
    assert food @ bread == pytest.approx(0.755, abs=5e-4)
    assert password @ login == pytest.approx(0.637, abs=5e-4)
    assert abs(food @ password) < 0.07


def test_tokens_open_and_close(model):
    tokens = model.tokenize("A sentence.")
    assert (tokens[0], tokens[-1]) == (101, 102)
    assert len(tokens) == 5


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_empty_text_is_refused(model, text):
    with pytest.raises(TextError, match="the text is empty"):
        model.tokenize(text)


def test_long_text_is_cut_if_asked(model):
    text = "word " * 1000
    cut = model.tokenize(text, truncate=True)
    assert len(cut) == MAX_TOKENS == 256
    assert (cut[0], cut[-1]) == (101, 102)
    assert len(model.tokenize(text, limit=9, truncate=True)) == 9
    with pytest.raises(TextError, match="1002 tokens, and at most 256 are .* give --truncate"):
        model.tokenize(text)


def spoilt(folder, tmp_path, change):
    """Return a copy of a model whose tensors ``change`` was applied to."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def test_missing_tensor_is_named(model, tmp_path):
    name = "encoder.layer.3.output.dense.bias"
    folder = spoilt(fetch(MINILM), tmp_path, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=f"the checkpoint has no tensor {name}"):
        MiniLM(folder)


def test_misshapen_tensor_is_named(model, tmp_path):
    name = "encoder.layer.0.intermediate.dense.weight"

    def cut(tensors):
        tensors[name] = tensors[name][:-1].copy()

    with pytest.raises(CheckpointError, match=rf"{name} has shape \(1535, 384\), but must have"):
        MiniLM(spoilt(fetch(MINILM), tmp_path, cut))


def test_feed_forward_shapes(model):
    up = model.layer(0).up
    x = encode(model.layer(0), model.embedding(model.tokenize("A sentence.")))
    assert (up.weights.shape, up.bias.shape, x.shape) == ((384, 1536), (1536,), (5, 384))
    assert x.dtype == up.weights.dtype == np.float32


def test_embedding_is_normalised(model):
    assert np.linalg.norm(model.embed("Hello")) == pytest.approx(1, abs=1e-5)
