"""MiniLM in float: equal to what the model is known to answer."""

import json

import numpy as np
import pytest

from systolith.models.errors import CheckpointError, FetchError, TextError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from safetensors.numpy import load_file, save_file

from systolith.models.fetch import MINILM, fetch
from systolith.models.minilm import MAX_TOKENS, MiniLM
from systolith_sim.transformer.reference import encode

from .test_cli import refused


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


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda tensor: (tensor * 100).astype(np.int32), "numbers of type I32, but must have F32"),
        (lambda tensor: tensor.astype(np.float16), "numbers of type F16, but must have F32"),
        (lambda tensor: np.where(tensor == tensor.max(), np.nan, tensor), "infinite or no number"),
        (lambda tensor: np.where(tensor == tensor.max(), np.inf, tensor), "infinite or no number"),
    ],
    ids=["int32", "float16", "nan", "infinity"],
)
def test_tensor_of_other_numbers_is_named(model, tmp_path, change, sentence):
    name = "encoder.layer.5.attention.self.key.weight"

    def spoil(tensors):
        tensors[name] = change(tensors[name])

    with pytest.raises(CheckpointError, match=f"tensor {name} has .*{sentence}"):
        MiniLM(spoilt(fetch(MINILM), tmp_path, spoil))


@pytest.mark.parametrize(
    "field, value, sentence",
    [
        ("hidden_act", "relu", 'hidden_act is "relu"; only "gelu" can be run'),
        ("model_type", "roberta", 'model_type is "roberta"; only "bert"'),
        ("position_embedding_type", "relative_key", 'is "relative_key"; only "absolute"'),
        ("num_attention_heads", 7, "num_attention_heads is 7; it must divide hidden_size, 384"),
        ("vocab_size", 1000, "vocab_size is 1000, but the tokenizer has 30522 tokens"),
        ("num_hidden_layers", 5, "tensor encoder.layer.5.* which a model of 5 layers"),
    ],
)
def test_settings_of_other_models_are_named(tmp_path, field, value, sentence):
    for path in fetch(MINILM).iterdir():
        (tmp_path / path.name).symlink_to(path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text()) | {field: value}
    path.unlink()
    path.write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=sentence):
        MiniLM(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", ["half", "garbage", "nothing"])
def test_damaged_file_is_named(model, tmp_path, monkeypatch, name, content):
    """One sentence, which says what to do, from the command line, too."""
    for path in fetch(MINILM).iterdir():
        (tmp_path / path.name).symlink_to(path)
    path = tmp_path / name
    raw = path.read_bytes()
    path.unlink()
    if content != "nothing":
        path.write_bytes(raw[: len(raw) // 2] if content == "half" else b"garbage" * 99)
    with pytest.raises(CheckpointError, match=name):
        MiniLM(tmp_path)
    monkeypatch.setattr("systolith.models.minilm.fetch", lambda *_: tmp_path)
    sentence = refused(2, "run", "minilm", "text", "--backend", "float")
    assert name in sentence


def test_feed_forward_shapes(model):
    up = model.layer(0).up
    x = encode(model.layer(0), model.embedding(model.tokenize("A sentence.")))
    assert (up.weights.shape, up.bias.shape, x.shape) == ((384, 1536), (1536,), (5, 384))
    assert x.dtype == up.weights.dtype == np.float32


def test_embedding_is_normalised(model):
    assert np.linalg.norm(model.embed("Hello")) == pytest.approx(1, abs=1e-5)
