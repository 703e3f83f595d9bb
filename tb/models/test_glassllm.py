"""glassllm's models: the package's own answers, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from systolith.models.errors import CheckpointError, FetchError, TextError

pytest.importorskip("tokenizers")

from systolith.models.fetch import fetch
from systolith.models.glassllm import read_glassllm
from systolith.models.library import GLASSLLM, load_language_model
from systolith_sim.transformer.decoder_reference import KeyValueCache


@pytest.fixture(scope="module")
def folder():
    try:
        return fetch(GLASSLLM)
    except FetchError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "name, prompt, tokens, said",
    [
        (
            "glassllm-en",
            "Alice was beginning to",
            [494, 160, 729, 633, 111],
            " the\nQueen to the Queen, and she found it was saying to herself, and\nshe was",
        ),
        ("glassllm-pt", "O homem", [45, 576], "\n\nAssim\n\nAssim, apezar de um modo"),
    ],
)
def test_known_text(folder, name, prompt, tokens, said):
    """Tokens and the likeliest text, as the package itself gives them."""
    model = load_language_model(name)
    got = model.prompt(prompt)
    cache, feed, text = KeyValueCache(4), got, ""
    while len(text) < len(said):
        feed = [int(model.decoder.logits(feed, cache)[-1].argmax())]
        text += model.tokenizer.decode(feed)
    assert text == said
    assert got == tokens


def test_newlines_and_rows_of_spaces(folder):
    """As the package's own tokenizer has it."""
    tokenizer, text = load_language_model("glassllm-en").tokenizer, "She said:\n“No,  dear!”"
    assert tokenizer.encode(text) == [45, 93, 151, 24, 4, 556, 761, 91, 752, 153]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    with pytest.raises(TextError, match="the character '€' of the text is not in the model's"):
        tokenizer.encode("5 €")


def test_shape(folder):
    decoder = load_language_model("glassllm-en").decoder
    layer = decoder.layers[0]
    assert layer.gate is not None
    assert (layer.query.shape, layer.key.shape, layer.gate.shape) == (
        (128, 128), (128, 64), (128, 341),
    )  # fmt: skip
    assert (decoder.context, decoder.heads, decoder.key_heads) == (128, 4, 2)


@pytest.fixture
def spoil(folder, tmp_path):
    """Return who writes a copy of which some arrays are other ones."""

    def write(**changes):
        arrays = dict(np.load(folder / "en.npz")) | changes
        arrays = {name: array for name, array in arrays.items() if array is not None}
        np.savez(tmp_path / "en.npz", **arrays)
        shutil.copy(folder / "en.tokenizer.json", tmp_path)
        return tmp_path / "en.npz"

    return write


def test_arrays_that_cannot_be_run(spoil):
    cases: list[tuple[dict, str]] = [
        ({"blocks.2.attn.W_Q": None}, "has no tensor blocks.2.attn.W_Q"),
        ({"blocks.0.ffn.W1": None}, "has no matrix blocks.0.ffn.W1"),
        ({"norm_f.gamma": np.ones(7)}, r"norm_f.gamma has shape \(7,\), but must have \(128,\)"),
        ({"E": np.zeros((1024, 128), np.int32)}, "E has numbers of type int32"),
        ({"blocks.9.ffn.W1": np.ones(1)}, "has a tensor blocks.9.ffn.W1, for which"),
        ({"__config__": None}, "has no array __config__"),
        ({"__config__": np.array("{")}, "__config__ is not JSON"),
        ({"__config__": np.array(json.dumps({"d_model": 128, "n_heads": 0}))}, "n_heads is 0; it"),
    ]
    for changes, sentence in cases:
        with pytest.raises(CheckpointError, match=sentence):
            read_glassllm(spoil(**changes), "spoilt")


def test_damaged_files(spoil, tmp_path):
    path = spoil()
    whole = path.read_bytes()
    for raw in (whole[: len(whole) // 2], b"", b"garbage"):
        path.write_bytes(raw)
        with pytest.raises(CheckpointError, match="damaged, or no npz file"):
            read_glassllm(path, "spoilt")
    path.write_bytes(whole)
    (tmp_path / "en.tokenizer.json").write_text('{"alphabet": 3, "merges": [["a"]]}')
    with pytest.raises(CheckpointError, match="the tokenizer cannot be read"):
        read_glassllm(path, "spoilt")
    with pytest.raises(CheckpointError, match="there is no .*pt.npz"):
        read_glassllm(tmp_path / "pt.npz", "none")
