"""Models by name and by path."""

import pytest

from systolith_hw.config import ConfigError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

import hashlib

from language_models import write_llama
from systolith.models.errors import TextError
from systolith.models.language_model import require_tokens
from systolith.models.library import MODELS, STORIES, load_language_model


def test_unknown_names_get_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        load_language_model("gpt5")
    assert str(caught.value).startswith("there is no model gpt5; known are stories-260k, smollm2")
    assert all(name in str(caught.value) for name in MODELS)


def test_a_folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    model = load_language_model(str(write_llama(folder)))
    assert (model.name, len(model.decoder.layers)) == ("mine", 2)


def test_the_shipped_model_is_that_of_its_card():
    digest = hashlib.sha256((STORIES / "model.safetensors").read_bytes()).hexdigest()
    card = (STORIES / "README.md").read_text()
    assert digest in card and "Apache-2.0" in card
    decoder = load_language_model("stories-260k").decoder
    matrices = ("query", "key", "value", "output", "gate", "up", "down")
    count = decoder.embedding.size + decoder.norm.size
    for layer in decoder.layers:
        count += sum(getattr(layer, name).size for name in matrices)
        count += layer.attention_norm.size + layer.hidden_norm.size
    assert f"{count:,} parameters" in card


def test_prompts_have_their_limits(tmp_path):
    model = load_language_model(str(write_llama(tmp_path)))
    assert model.prompt("") == [0]
    assert len(model.prompt("\n" * 30)) == 31
    with pytest.raises(TextError, match="prompt has 32 tokens, and at most 31 .* context of .* 32"):
        model.prompt("\n" * 31)
    headless = load_language_model(str(write_llama(tmp_path, bos_token_id=None)))
    with pytest.raises(TextError, match="the prompt is empty"):
        headless.prompt("")


@pytest.mark.parametrize("tokens", [[0, 512], [-1]])
def test_tokens_outside_of_the_vocabulary(tokens):
    with pytest.raises(TextError, match="not in the vocabulary, whose tokens are 0 to 511"):
        require_tokens(tokens, 512)
