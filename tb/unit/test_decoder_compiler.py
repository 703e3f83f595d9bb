"""The compiler of language models: what fits, what is refused, and images."""

import numpy as np
import pytest

from systolith.compiler.decoder_fit import plan_decoder
from systolith.compiler.decoder_shape import DecoderShape
from systolith.compiler.token_list import PENDING, Header, TokenList
from systolith.image import ImageError
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.model_image import ModelImage
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset

from .language_bench import golden_tokens, random_model

CONFIG = preset("ulx3s").replace({"vector.rows": 64, "memory.operand_tiles": 200})
MODEL = random_model(CONFIG, layers=1)


def test_as_many_tokens_as_fit():
    """A layer of 68 tiles and a head of 10; 6 tiles for each 16 tokens."""
    plan = plan_decoder(CONFIG, MODEL)
    assert plan.tokens == plan.shape.context == 64
    assert plan.operand_need == 68 + 10 + 4 * 6
    small = CONFIG.replace({"memory.operand_tiles": 101})
    assert plan_decoder(small, MODEL).tokens == 48
    sentence = "operand_tiles must be at least 102, 1 more than it is; lower the context to 48, or"
    with pytest.raises(ConfigError, match=sentence):
        plan_decoder(small, MODEL, context=49)
    sentence = r"for 2 tokens .* 84, 4 more than it is; raise memory.* \(--operands stream\)"
    with pytest.raises(ConfigError, match=sentence):
        plan_decoder(CONFIG.replace({"memory.operand_tiles": 80}), MODEL)


@pytest.mark.parametrize("memory, need", [
    ("activation_words", 21), ("wide_words", 29), ("scale_words", 53),
])  # fmt: skip
def test_every_memory_is_looked_at(memory, need):
    """Of 30 tokens, for which there are 32 places."""
    plan = plan_decoder(CONFIG, MODEL, context=30)
    assert getattr(plan, memory.replace("_words", "_need")) == need
    plan_decoder(CONFIG.replace({f"memory.{memory}": need}), MODEL, context=30)
    with pytest.raises(ConfigError, match=f"memory.{memory} must be at least {need}, 1 more"):
        plan_decoder(CONFIG.replace({f"memory.{memory}": need - 1}), MODEL, context=30)


@pytest.mark.parametrize("changes, words", [
    ({"vector.rows": 2}, "vector.rows must be at least 4, one for each head, not 2"),
    ({"vector.rows": 0}, "each head, not 0; without a row unit a core only multiplies"),
    ({"vector.rows": 4, "vector.deferred_norms": True},
     "vector.rows must be at least 5, one for each head and one for norms, not 4"),
    ({"array.max_k": 32}, "array.max_k must be at least 48, not 32"),
    ({"sequencer.loop_depth": 3}, "sequencer.loop_depth must be at least 4, not 3"),
    ({"vector.lanes": 1}, "vector.lanes must be at least 2 for rotary positions"),
])  # fmt: skip
def test_cores_that_will_not_do(changes, words):
    config = CONFIG.replace(changes)
    model = random_model(config) if config.vector.deferred_norms else MODEL
    with pytest.raises(ConfigError, match=words):
        plan_decoder(config, model)


def test_whose_norms_have_gammas():
    """They would need scale entries of each norm; a model that is streamed brings them."""
    with pytest.raises(ConfigError, match="norms of this language model have gammas, so it is one"):
        plan_decoder(CONFIG, random_model(CONFIG, "int8", "llama", True))


def test_whose_norms_are_deferred():
    """The model says so: a core that can also takes one whose norms are whole."""
    able = CONFIG.replace({"vector.deferred_norms": True})
    deferred = random_model(able)
    assert deferred.norm.deferred
    assert not random_model(able, "int8", "llama", True).norm.deferred
    with pytest.raises(ConfigError, match="vector.deferred_norms must be true, since its norms"):
        plan_decoder(CONFIG, deferred)
    made = [MachineDecoder(CompiledDecoder.compile(able, model)).run([1, 2, 3], 4)
            for model in (deferred, MODEL)]  # fmt: skip
    assert made == [golden_tokens(model, [1, 2, 3], 4) for model in (deferred, MODEL)]


@pytest.mark.parametrize("tokens", [1, 65])
def test_texts_that_are_none(tokens):
    with pytest.raises(ConfigError, match=f"context must be 2 to 64 tokens, .* not {tokens}"):
        plan_decoder(CONFIG, MODEL, context=tokens)


def test_models_that_will_not_do():
    plain = type(MODEL)(**vars(MODEL) | {"rotary": None})
    with pytest.raises(ConfigError, match="its positions must be rotary or learned"):
        plan_decoder(CONFIG, plain)
    for chunk, words in (("output_chunk", "a multiple of 32, or all 64, not 48"),
                         ("down_chunk", "a multiple of 16, or all 48, not 24")):  # fmt: skip
        layer = type(MODEL.layers[0])(**vars(MODEL.layers[0]) | {chunk: int(words[-2:])})
        with pytest.raises(ConfigError, match=f"its {chunk} must be {words}"):
            plan_decoder(CONFIG, type(MODEL)(**vars(MODEL) | {"layers": [layer]}))


def test_program_memory_that_is_too_small():
    with pytest.raises(ConfigError, match=r"cannot be programmed: LOOP.body must be in 1..32"):
        CompiledDecoder.compile(CONFIG.replace({"memory.program_instructions": 32}), MODEL)


def test_useful_multiplications():
    shape = DecoderShape.of(MODEL)
    matrices = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 32 * 40
    assert shape.macs(0) == matrices + 2 * 32
    assert shape.macs(9) == matrices + 2 * 32 * 10


# -- the list of tokens ----------------------------------------------------------------------


def test_list():
    """The host writes counts and a prompt; what is to come is no token yet, nor half of one."""
    tokens = TokenList(CONFIG, DecoderShape.of(MODEL), 8, 64)
    words = np.frombuffer(tokens.pack([7, 8, 9], 4, 1), "<u4").reshape(-1, 8)
    assert words[0, Header.POSITIONS] == 5 and words[0, Header.PROMPT] == 2
    assert words[1:, 0].tolist() == [7, 8, 9, *[PENDING] * 5]
    assert tokens.entry(3) == 64 + 4 * 32
    assert tokens.token(words[3].tobytes()) == 9
    assert tokens.token(words[4].tobytes()) is None
    assert tokens.token((0xFFFF0003).to_bytes(4, "little")) is None


@pytest.mark.parametrize("prompt, count, words", [
    ([], 1, "a prompt must have at least 1 tokens, not 0"),
    ([1], 0, "the tokens to generate must be at least 1, not 0"),
    ([1] * 5, 4, "5 tokens and 4 behind them are too many: the program takes 8 altogether"),
    ([1, 40], 1, "token 40 is not in the vocabulary, whose tokens are 0 to 39"),
    ([-1], 1, "token -1 is not in the vocabulary"),
])  # fmt: skip
def test_texts_that_cannot_be(prompt, count, words):
    tokens = TokenList(CONFIG, DecoderShape.of(MODEL), 8, 0)
    with pytest.raises(ConfigError, match=words):
        tokens.pack(prompt, count)


# -- images ----------------------------------------------------------------------------------


def test_image(tmp_path):
    """What is read back computes the same; other models, versions and cores are refused."""
    path = tmp_path / "model.bin"
    compiled = CompiledDecoder.compile(CONFIG, MODEL, ends=(3,), context=20)
    compiled.image("random").save(path)
    image = ModelImage.load(path, CONFIG)
    again = CompiledDecoder.from_image(image, CONFIG, "random")
    assert again.plan == compiled.plan and again.ends == (3,) and again.parts == compiled.parts
    assert MachineDecoder(again).run([1, 2], 2) == golden_tokens(MODEL, [1, 2], 2, (3,))
    with pytest.raises(ImageError, match="the image is of random, not of other"):
        CompiledDecoder.from_image(image, CONFIG, "other")
    old = ModelImage({**image.manifest, "compiler": "old"}, image.parts, image.config_hash)
    with pytest.raises(ImageError, match="another version's"):
        CompiledDecoder.from_image(old, CONFIG, "random")
    with pytest.raises(ImageError, match="compile the model again"):
        ModelImage.load(path, CONFIG.replace({"array.output_depth": 40}))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ImageError, match="checksum"):
        ModelImage.load(path, CONFIG)
