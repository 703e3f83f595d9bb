"""``systolith eval``: scores, texts, and what the command refuses."""

import json

import numpy as np
import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from systolith.evaluate import evaluation, lee
from systolith.evaluate.embedders import Embedder, FloatEmbedder, GoldenEmbedder
from systolith.evaluate.evaluation import Data, Task, evaluate, load_task, spread
from systolith.evaluate.mail import readable
from systolith.evaluate.scores import linear_head_accuracy, pearson_to_people
from systolith.models.errors import FetchError
from systolith.models.minilm import MiniLM
from systolith_hw.presets import preset

from .test_cli import refused, run


@pytest.fixture(scope="module")
def model():
    try:
        return MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def news(model):
    try:
        return lee.news_sentences()
    except FetchError as error:
        pytest.skip(str(error))


# -- scores ----------------------------------------------------------------------------------


def test_pearson_is_over_the_upper_half():
    angles = np.array([0.0, 0.3, 1.1, 2.0])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)])
    judged = np.triu(3 + 2 * vectors @ vectors.T)
    assert pearson_to_people(vectors, judged) == pytest.approx(1)
    assert pearson_to_people(vectors, -judged) == pytest.approx(-1)


def test_a_linear_head_never_judges_what_it_learnt():
    rng = np.random.default_rng(1)
    labels = (rng.random(200) < 0.5).tolist()
    apart = rng.normal(size=(200, 8)) + np.outer(np.where(labels, 3, -3), np.ones(8))
    assert linear_head_accuracy(apart, labels) == 1
    # With more numbers than texts a head could know all by heart.
    noise = linear_head_accuracy(rng.normal(size=(200, 300)), labels)
    assert 0.35 < noise < 0.65


# -- texts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw, text",
    [
        (b"Subject: Hi\n\nA\n  body.\n", "Hi A body."),
        ((b"Subject: =?utf-8?q?gr=C3=BCn?=\nContent-Type: text/html\n\n<style>a {}</style>"
         b"<p>Click <b>here</b></p>"), "grün Click here"),
        (b"Subject: x\nContent-Type: text/plain; charset=nonsense\n\nb\xe4r", "x bär"),
        ((b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<i>n</i>\n"
         b"--b\nContent-Type: text/plain\n\nyes\n--b--\n"), "yes"),
        (b"Subject: =?wrong?b?!?=\nContent-Type: image/png\n\n\x89", "=?wrong?b?!?="),
        (b"", ""),
    ],
)  # fmt: skip
def test_a_readable_mail(raw, text):
    assert readable(raw) == text


def test_texts_are_taken_evenly():
    assert spread(10, 3) == [0, 3, 6]
    assert spread(3, 5) == spread(3, None) == [0, 1, 2]


def test_news_sentences(news):
    assert len(news) > 1000
    assert all(4 <= len(sentence.split()) <= 24 for sentence in news)
    assert load_task(Data.SENTENCES).texts == [news[len(news) // 24 * k] for k in range(24)]


def test_lees_documents(news):
    task = load_task(Data.LEE50, 5)
    assert (len(task.texts), task.score) == (5, "pearson")
    assert task.judge is not None and -1 <= task.judge(np.eye(5) + 0.1 * np.tri(5)) <= 1


# -- evaluation ------------------------------------------------------------------------------


class Turned(Embedder):
    """Gives every vector but one as it is."""

    def __init__(self, model):
        self._exact = FloatEmbedder(model)

    def __call__(self, sentences, progress):
        vectors = self._exact(sentences, progress)
        vectors[1] *= -1
        return vectors


def test_the_worst_text_is_named(model):
    task = Task(["One.", "Two words.", "Three more words."], "first", lambda vectors: vectors[1, 0])
    result = evaluate(model, Data.LEE50, task, Turned(model), limit=4, truncate=True)
    assert result.worst_text == "Two words."
    assert result.cosine_worst == pytest.approx(-1, abs=1e-5)
    assert result.cosine_mean == pytest.approx(1 / 3, abs=1e-5)
    assert (result.texts, result.truncated, result.tokens) == (3, 2, 12)
    assert result.value is not None and result.value_float is not None
    assert result.value == -result.value_float
    assert result.difference == 2 * result.value


def test_golden_models_are_close(model):
    """In two processes, which must keep the order."""
    config = preset("ulx3s").replace({"vector.rows": 64})
    task = Task(["Mr Howard agreed to talks.", "Snow fell in the hills."])
    result = evaluate(model, Data.SENTENCES, task, GoldenEmbedder(model, config, jobs=2))
    assert result.cosine_worst >= 0.998
    assert result.value is None


# -- the command -----------------------------------------------------------------------------


def test_float(news):
    result = run("eval", "minilm", "--backend", "float", "--limit", "3", "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["cosine_worst"] == pytest.approx(1, abs=1e-6)
    assert (values["data"], values["texts"], values["truncated"]) == ("sentences", 3, 0)
    assert "value" not in values


def test_nothing_is_cut_unasked(news):
    words = ["eval", "minilm", "--backend", "float", "--limit", "2", "--tokens", "8"]
    assert "give --truncate to use its beginning" in refused(2, *words)
    assert "truncated" in run(*words, "--truncate").stdout


def test_data_are_those_of_the_command():
    from systolith.cli import eval as command

    assert list(command.Data) == list(evaluation.Data)
