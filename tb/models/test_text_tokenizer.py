"""Text to tokens and back, whole and piece by piece."""

import numpy as np
import pytest

from systolith.models.errors import TextError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from language_models import bytewise_tokenizer
from systolith.models.library import STORIES
from systolith.models.text_tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def bytewise():
    return bytewise_tokenizer()


TEXT = "né — 中文 🙂, end"


def test_streams_whole_characters(bytewise):
    tokens = bytewise.encode(TEXT)
    assert len(tokens) == len(TEXT.encode())
    stream = bytewise.stream()
    pieces = [stream.push(token) for token in tokens]
    assert [piece for piece in pieces if piece] == list(TEXT)
    assert stream.flush() == ""


def test_what_is_cut_off_comes_out_at_the_end(bytewise):
    stream = bytewise.stream()
    tokens = bytewise.encode("a🙂")[:-1]
    assert [stream.push(token) for token in tokens] == ["a", "", "", ""]
    assert set(stream.flush()) == {"\ufffd"}


def test_bytes_that_are_no_character_do_not_hold_up(bytewise):
    stream = bytewise.stream()
    lone = bytewise.encode("é")[1]
    pieces = [stream.push(token) for token in [lone] * 5 + bytewise.encode("ok")]
    assert "".join(pieces).strip("\ufffd") == "ok"


def test_random_text_in_pieces(bytewise):
    rng = np.random.default_rng(5)
    for _ in range(50):
        text = "".join(rng.choice(list("ab é中🙂\n"), size=20))
        tokens, stream = bytewise.encode(text), bytewise.stream()
        assert "".join(map(stream.push, tokens)) + stream.flush() == text == bytewise.decode(tokens)


def test_special_tokens(bytewise):
    tokens = bytewise.encode("a<|end|>")
    assert tokens[-1] == 256 == bytewise.vocabulary - 1
    assert bytewise.decode(tokens) == "a"
    assert bytewise.stream().push(256) == ""


def test_lost_characters_are_named():
    stories = TextTokenizer.load(STORIES / "tokenizer.json", 512)
    assert stories.decode(stories.encode("Lily's cat, Tom!\n")) == "Lily's cat, Tom!\n"
    with pytest.raises(TextError, match="the character 'ö' of the text is not in the model's voc"):
        stories.encode("A böse cat")
