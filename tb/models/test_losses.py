"""Losses beside float32's, on numbers that are known in advance."""

import math

import numpy as np
import pytest

from systolith.evaluate.losses import compare_losses, token_losses

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from systolith.evaluate.passages import Passage, Text, passages
from systolith.models.errors import FetchError, TextError
from systolith.models.library import load_language_model


class Fixed:
    """Gives the next token of a text as many nats as it is told, of a vocabulary of 4."""

    def __init__(self, lead):
        self.lead = lead

    def logits(self, tokens):
        logits = np.zeros((len(tokens), 4), np.float32)
        logits[:, 1] = self.lead(np.arange(len(tokens)), tokens[0])
        return logits


def loss(lead):
    """Return what predicting token 1 costs."""
    return math.log(math.exp(lead) + 3) - lead


def test_token_losses():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 30, (150, 7)).astype(np.float32)
    wanted = rng.integers(0, 7, 150)
    losses, best = token_losses(logits, wanted)
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(-1, keepdims=True))
    chances = powers[np.arange(150), wanted] / powers.sum(-1)
    np.testing.assert_allclose(np.exp(-losses), chances, rtol=1e-9)
    np.testing.assert_array_equal(best, logits.argmax(-1))


def test_the_difference_and_its_error():
    """Two documents: one token of three is lost by the same in each passage of the second."""
    texts = [Passage("a", [0, 1, 1, 1]), Passage("b", [2, 1, 1]), Passage("b", [2, 1, 1])]
    exact = Fixed(lambda place, first: 2.0)
    worse = Fixed(lambda place, first: np.where((first == 2) & (place == 1), -1.0, 2.0))
    result = compare_losses(exact, worse, texts)
    lost = loss(-1.0) - loss(2.0)
    mean = 2 * lost / 7
    assert (result.documents, result.tokens) == (2, 7)
    assert result.delta_nats == pytest.approx(mean)
    assert result.loss_fp32 == pytest.approx(loss(2.0), rel=1e-6)
    assert result.perplexity == pytest.approx(math.exp(loss(2.0) + mean), rel=1e-6)
    assert result.perplexity_fp32 == pytest.approx(math.exp(loss(2.0)), rel=1e-6)
    sums = np.array([-3 * mean, 2 * lost - 4 * mean])
    assert result.standard_error == pytest.approx(math.sqrt(2 * (sums**2).sum()) / 7)
    assert result.top1_agreement == pytest.approx(5 / 7)


def test_one_document_has_no_error():
    exact = Fixed(lambda place, first: 1.0)
    result = compare_losses(exact, exact, [Passage("a", [0, 1])])
    assert (result.standard_error, result.delta_nats, result.top1_agreement) == (None, 0.0, 1.0)


def test_standard_error_is_that_of_repetition():
    """Many draws of 40 documents: the error that is told is how far their means are apart."""
    rng = np.random.default_rng(11)
    exact = Fixed(lambda place, first: 0.0)
    told, means = [], []
    for _ in range(200):
        shifts = rng.normal(0, 0.5, 40)
        texts = [Passage(str(number), [number, 1, 1, 1]) for number in range(40)]
        other = Fixed(lambda place, first, shifts=shifts: shifts[first])
        result = compare_losses(exact, other, texts)
        told.append(result.standard_error or 0.0)
        means.append(result.delta_nats)
    assert np.mean(told) == pytest.approx(np.std(means), rel=0.15)


@pytest.fixture(scope="module")
def model():
    return load_language_model("stories-260k")


def test_the_card_of_the_stories(model):
    """The loss that the model's card tells, to its last digit, over all its tokens."""
    result = compare_losses(model.decoder, model.decoder, passages(model, Text.HELDOUT))
    assert (result.documents, result.tokens) == (411, 68_900)
    assert result.loss_fp32 == pytest.approx(0.5608, abs=5e-5)


def test_stories_stand_alone(model):
    texts = passages(model, Text.HELDOUT, 500)
    assert sum(len(text.tokens) - 1 for text in texts[:-1]) < 500
    assert sum(len(text.tokens) - 1 for text in texts) >= 500
    for text in texts:
        assert text.tokens[0] == text.tokens[-1] == 0 and 0 not in text.tokens[1:-1]
    assert model.tokenizer.decode(texts[0].tokens).startswith("Once upon a time, there was a quiet")
    with pytest.raises(TextError, match="heldout has 68900 tokens to predict, not 99999"):
        passages(model, Text.HELDOUT, 99_999)


def test_brown_has_something_of_each_genre(model):
    try:
        texts = passages(model, Text.BROWN)
    except FetchError as error:
        pytest.skip(str(error))
    assert sum(len(text.tokens) - 1 for text in texts) >= 8192
    assert len({text.document for text in texts}) == len(texts), "each document once"
    assert {text.document[1] for text in texts} == set("abcdefghjklmnpr")
    assert all(len(text.tokens) == 256 and text.tokens[0] == 0 for text in texts)
