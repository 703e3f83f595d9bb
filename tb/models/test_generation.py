"""Text behind a prompt: where it stops, and that every piece is shown once."""

import dataclasses

import pytest

from systolith.models.errors import TextError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from language_models import bytewise_tokenizer
from systolith.generation import ModelGenerator, Stop, continue_prompt
from systolith.models.library import load_language_model
from systolith.sampling import Sampling

STORY = (
    ", there was a curious boy named Bob. Bob had a friend named Sid. Sid was a sweet boy. "
    "One day, Bob and Sid saw a pretty book at the farm."
)
"""As in the model's card, at temperature 0."""


@pytest.fixture(scope="module")
def model():
    return load_language_model("stories-260k")


class Script:
    """A generator that knows what it will say, and what it was asked for."""

    def __init__(self, tokens):
        self.tokens, self.asked = tokens, []

    def generate(self, prompt, count):
        self.asked.append((list(prompt), count))
        yield from self.tokens[:count]


def test_the_story_of_the_card(model):
    shown: list[str] = []
    result = continue_prompt(
        model, ModelGenerator(model.decoder, Sampling()), model.prompt("Once upon a time"), 60,
        shown.append,
    )  # fmt: skip
    assert result.text.startswith(STORY)
    assert "".join(shown) == result.text == model.tokenizer.decode(result.tokens)
    assert (len(result.tokens), result.stopped) == (60, Stop.TOKENS)


def test_seeds_tell_other_stories(model):
    prompt = model.prompt("Once upon a time")

    def tell(seed):
        generator = ModelGenerator(model.decoder, Sampling(temperature=0.8, seed=seed))
        return continue_prompt(model, generator, prompt, 250, lambda piece: None)

    assert tell(3) == tell(3) != tell(4)
    assert tell(3).stopped == Stop.END and tell(3).tokens[-1] not in model.ends


def test_a_token_that_ends(model):
    script = Script([40, 41, 0, 42])
    result = continue_prompt(model, script, [0, 5], 9, lambda piece: None)
    assert (result.tokens, result.stopped) == ([40, 41], Stop.END)


def test_a_full_context_keeps_the_text(model):
    script = Script([40] * 999)
    result = continue_prompt(model, script, [0] * 250, 64, lambda piece: None)
    assert (len(result.tokens), result.stopped) == (6, Stop.CONTEXT)
    assert result.text == model.tokenizer.decode([40] * 6)
    assert script.asked == [([0] * 250, 6)]
    just = continue_prompt(model, script, [0] * 250, 6, lambda piece: None)
    assert just.stopped == Stop.TOKENS


def test_a_character_that_is_cut_off_comes_last(model):
    bytewise = dataclasses.replace(model, tokenizer=bytewise_tokenizer())
    script = Script(bytewise.tokenizer.encode("a é🙂")[:-1])
    shown: list[str] = []
    result = continue_prompt(bytewise, script, [5], len(script.tokens), shown.append)
    assert result.text == "".join(shown) == "a é\ufffd"


def test_tokens_outside_of_the_vocabulary(model):
    with pytest.raises(TextError, match="token 512 is not in the vocabulary"):
        continue_prompt(model, Script([1]), [0, 512], 3, lambda piece: None)
