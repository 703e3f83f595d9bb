"""The compiler of language models that are streamed: on the machine, against the golden model."""

import numpy as np
import pytest

from systolith.compiler.decoder_pages import cache_pages
from systolith.compiler.decoder_reach import with_reach
from systolith.compiler.decoder_streamed_fit import plan_streamed
from systolith.compiler.layout import two_powers
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.sampling import GREEDY, Sampling
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset
from systolith_sim.transformer.decoder_reference import KeyValueCache

from .language_bench import golden_tokens, random_model, streamed_layout

SMALL = {
    "vector.rows": 64, "memory.operand_tiles": 160, "memory.activation_words": 400,
    "memory.wide_words": 300, "memory.scale_words": 400, "memory.program_instructions": 128,
    "device": "",
}  # fmt: skip
CONFIGS = {
    "ulx3s": preset("ulx3s").replace(SMALL),
    "square": preset("small").replace(SMALL),
    "port of 64 bytes": preset("ulx3s").replace(
        SMALL | {"bus.data_bytes": 64, "bus.burst_beats": 16}
    ),
}
SIZES = {
    "shared": {"dim": 32, "heads": 4, "kv_heads": 2, "hidden": 48, "vocab": 100},
    "one head, in no whole tiles": {
        "dim": 40, "heads": 2, "kv_heads": 1, "hidden": 50, "vocab": 27},
    "many chunks of the head": {
        "dim": 48, "heads": 3, "kv_heads": 3, "hidden": 144, "vocab": 2500, "layers": 1},
}  # fmt: skip


@pytest.mark.parametrize("name, sizes", [
    ("ulx3s", "shared"), ("ulx3s", "one head, in no whole tiles"), ("square", "shared"),
    ("square", "many chunks of the head"), ("port of 64 bytes", "one head, in no whole tiles"),
])  # fmt: skip
def test_texts(name, sizes):
    """Tokens are the golden model's, from the first position to where keys and values end."""
    config = CONFIGS[name]
    model = random_model(config, seed=1, context=24, **SIZES[sizes])
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    machine, most = MachineDecoder(compiled), compiled.plan.tokens
    assert most == 24
    for prompt, count in (([1], 5), ([1, 2, 3], most - 3)):
        assert machine.run(prompt, count) == golden_tokens(model, prompt, count)
    if "many" in sizes:
        assert len(streamed_layout(compiled).chunks) > 4  # the first two, a loop of pairs, the rest


def test_keys_and_values_in_memory():
    """The pages are the golden model's, and with those of others a text goes on anywhere."""
    config = CONFIGS["ulx3s"]
    model = random_model(config, seed=2, context=24)
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    text = np.random.default_rng(5).integers(0, 40, 18).tolist()
    cache = KeyValueCache(len(model.layers))
    model.advance(text[:-1], cache)
    runner = MachineDecoder(compiled)
    memory = runner.machine.memory
    for address, page in cache_pages(streamed_layout(compiled), model.base, cache, range(17)):
        memory.write(address, page)
    made = runner.run(text, 1, 17)
    assert made == [int(model.advance(text[-1:], cache)[-1].argmax())]
    for address, page in cache_pages(streamed_layout(compiled), model.base, cache, range(18)):
        assert memory.read(address, len(page)) == page


@pytest.mark.parametrize("weights", ["int4", "int4-exponent"])
@pytest.mark.parametrize("hidden", [64, 96])
def test_codes(weights, hidden):
    """Weights of 4 bits cross the port as codes, a slot as one run."""
    config = CONFIGS["ulx3s"].replace({"bus.codecs": True})
    sizes = {"dim": 32, "heads": 4, "kv_heads": 2, "hidden": hidden, "vocab": 100}
    model = random_model(config, weights, seed=1, context=24, **sizes)
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    assert MachineDecoder(compiled).run([1, 2], 12) == golden_tokens(model, [1, 2], 12)
    whole = CompiledDecoder.compile(config, random_model(config, context=24, **sizes),
                                    streamed=True)  # fmt: skip
    matrix, of_bytes = (streamed_layout(one).ring_matrices["down"] for one in (compiled, whole))
    assert matrix.size < 0.7 * of_bytes.size


@pytest.mark.parametrize("name, sizes", [
    ("ulx3s", "shared"), ("square", "many chunks of the head")
])  # fmt: skip
def test_tokens_by_chance(name, sizes):
    """Candidates are kept over all chunks of the head."""
    config = CONFIGS[name].replace({"vector.candidates": 8})
    model = random_model(config, seed=1, context=24, **SIZES[sizes])
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    for sampling in (GREEDY, Sampling(temperature=2.0, top_k=8, seed=3)):
        made = MachineDecoder(compiled, sampling).run([1, 2, 3], 6)
        assert made == golden_tokens(model, [1, 2, 3], 6, sampling=sampling)


def test_end_of_text():
    config = CONFIGS["ulx3s"]
    model = random_model(config, seed=3, context=24)
    made = golden_tokens(model, [5, 4], 8)
    end = made[3]
    compiled = CompiledDecoder.compile(config, model, ends=(end,), streamed=True)
    assert MachineDecoder(compiled).run([5, 4], 8) == made[: made.index(end) + 1]


def test_image():
    config = CONFIGS["ulx3s"]
    compiled = CompiledDecoder.compile(
        config, random_model(config, layers=1, context=24), streamed=True
    )
    again = CompiledDecoder.from_image(compiled.image("a model"), config, "a model")
    assert again.plan == compiled.plan
    assert streamed_layout(again).places == streamed_layout(compiled).places
    assert MachineDecoder(again).run([1], 2) == MachineDecoder(compiled).run([1], 2)


def test_as_many_tokens_as_fit():
    model = random_model(CONFIGS["ulx3s"])
    for tiles, tokens in ((14, 16), (20, 32), (160, 64)):
        config = CONFIGS["ulx3s"].replace({"memory.operand_tiles": tiles})
        plan = plan_streamed(config, model)
        assert plan.operand_need <= tiles
        assert plan.tokens == tokens and plan.slots >= 2


def test_logits_stay():
    config = CONFIGS["ulx3s"]
    with pytest.raises(ConfigError, match="logits of a streamed model stay on the chip"):
        CompiledDecoder.compile(
            config, random_model(config, layers=1), streamed=True, logits=True
        )


@pytest.mark.parametrize("changes, sizes, sentence", [
    ({"memory.operand_tiles": 16}, {}, "memory.operand_tiles must be at least"),
    ({"memory.scale_words": 40}, {}, "memory.scale_words must be at least"),
    ({"array.columns": 32}, {}, "array.columns must be at most array.rows, 16"),
    ({}, {"down_chunk": 16}, "its output_chunk and down_chunk must be all inputs, not 64 and 16"),
    ({"bus.address_bits": 16}, {"vocab": 1000}, "raise bus.address_bits to 17"),
])  # fmt: skip
def test_what_does_not_fit(changes, sizes, sentence):
    config = CONFIGS["ulx3s"].replace(changes)
    model = random_model(config, context=24, **sizes)
    with pytest.raises(ConfigError, match=sentence):
        CompiledDecoder.compile(config, model, streamed=True, context=24)


def test_reach():
    """The core reaches as far as it must, and no less than it did."""
    narrow = CONFIGS["ulx3s"].replace({"bus.address_bits": 16})
    model = random_model(narrow, context=24, vocab=1000)
    wider = with_reach(narrow, model)
    compiled = CompiledDecoder.compile(wider, model, streamed=True)
    assert compiled.size <= 1 << wider.bus.address_bits < 4 * compiled.size
    assert with_reach(CONFIGS["ulx3s"], model) == CONFIGS["ulx3s"]


def test_two_powers():
    powers = [1 << bit for bit in range(12)]
    sums = {high + low for high in powers for low in (0, *powers)}
    for size in range(1, 1000):
        for step in (1, 8, 128):
            wanted = min(number for number in sums if number >= size and number % step == 0)
            assert two_powers(size, step) == wanted
