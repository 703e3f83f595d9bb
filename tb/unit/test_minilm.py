"""MiniLM in float: equal to what the model is known to answer."""

import numpy as np
import pytest

from systolith.models.errors import FetchError, TextError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

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


def test_long_text_is_cut(model):
    assert len(model.tokenize("word " * 1000)) == MAX_TOKENS == 256


def test_feed_forward_shapes(model):
    up = model.layer(0).up
    x = encode(model.layer(0), model.embedding(model.tokenize("A sentence.")))
    assert (up.weights.shape, up.bias.shape, x.shape) == ((384, 1536), (1536,), (5, 384))
    assert x.dtype == up.weights.dtype == np.float32


def test_embedding_is_normalised(model):
    assert np.linalg.norm(model.embed("Hello")) == pytest.approx(1, abs=1e-5)
