"""``systolith run minilm``: all of MiniLM on the functional machine."""

import json
import re

import pytest

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from systolith import sentences
from systolith.models.errors import FetchError
from systolith.models.minilm import MiniLM
from systolith.models.quantized import MINILM_NAME
from systolith_hw.presets import preset

from .test_cli import refused, run


@pytest.fixture(scope="module", autouse=True)
def model():
    try:
        return MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))


def test_sentences_on_the_machine(model):
    """Three sentences in one pass over the weights, as close to float as ever."""
    texts = ["A man is eating food.", "A man is eating a piece of bread.", "Reset my password!"]
    result = run("run", "minilm", *texts, "--backend", "machine", "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["texts"] == texts
    assert values["tokens"] == [len(model.tokenize(text)) for text in texts]
    assert values["cosine_worst"] >= 0.998
    assert values["similarity"][0][1] == pytest.approx(0.755, abs=0.01)
    assert values["runs"] == 1
    assert 10_000_000 < values["dram_bytes"] < 12_000_000


def test_float():
    result = run("run", "minilm", "Hello", "Good morning", "--backend", "float", "--json")
    values = json.loads(result.stdout)
    assert values["cosine_mean"] == pytest.approx(1, abs=1e-6)
    assert (values["backend"], values["dram_bytes"]) == ("float", 0)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["word " * 300], "the text has 302 tokens, and at most 256 are possible; .* --truncate"),
        (["one two", "--tokens", "3"], "the text has 4 tokens, and at most 3 are possible"),
        (["word", "--backend", "machine", "--report", "page.html"],
         "tell what the hardware does; give --backend rtl"),
        (["word", "--trace", "/nonexistent/t.json"], "there is no folder /nonexistent"),
        (["word", "--preset", "tiny"], "sequencer.queue_depth of at least 4"),
        (["word", "--set", "memory.program_instructions=16"],
         "memory.program_instructions must be at least 128, not 16$"),
        (["word", "--preset", "small", "--tokens", "200"], "lower the tokens to 131"),
    ],
)
def test_refusals(words, sentence):
    assert re.search(sentence, refused(2, "run", "minilm", *words))


def test_a_damaged_image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"SLTM" + bytes(60))
    sentence = refused(2, "run", "minilm", "text", "--image", str(path))
    assert str(path) in sentence and "format 0 and instruction set 0" in sentence


def test_an_image_for_another_number_of_tokens(model, tmp_path):
    path = tmp_path / "image"
    encoder = sentences.compile_minilm(model, preset("ulx3s"), longest=3)
    encoder.image(MINILM_NAME).save(path)
    words = ("run", "minilm", "text", "--backend", "machine", "--image", str(path))
    sentence = refused(2, *words, "--tokens", "64")
    assert f"--tokens is 64, but the image {path} is for 32; leave --tokens out" in sentence
    assert run(*words, "--tokens", "32").exit_code == 0
    long = refused(2, *words, "word " * 40)
    assert "the text has 42 tokens, and at most 32 are possible" in long


@pytest.mark.parametrize(
    "name, longest, tokens",
    [
        ("ulx3s", 3, 32), ("ulx3s", 65, 128), ("ulx3s", 129, 143), ("ulx3s", 144, 256),
        ("small", 65, 71), ("small", 72, 128), ("small", 129, 131), ("small", 200, 200),
    ],
)  # fmt: skip
def test_programs_are_for_a_few_lengths(model, name, longest, tokens):
    """None is for more than what fits, unless nothing does; and the input moves only if it must."""
    assert sentences.least_tokens(model, preset(name), longest) == tokens


def test_as_many_sentences_in_a_run_as_fit():
    class Encoder:
        class plan:  # noqa: N801
            tokens, segments = 10, 3

    lengths = [4, 6, 1, 1, 1, 7, 9]
    groups = sentences.batches([[0] * length for length in lengths], Encoder)  # type: ignore
    assert [[len(item) for item in group] for group in groups] == [[4, 6], [1, 1, 1], [7], [9]]
