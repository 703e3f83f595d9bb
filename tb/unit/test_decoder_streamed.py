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

from .language_bench import golden_tokens, streamed_layout, streamed_model

SMALL = {
    "vector.rows": 64, "memory.operand_tiles": 160, "memory.activation_words": 400,
    "memory.wide_words": 300, "memory.scale_words": 400, "memory.program_instructions": 128,
    "device": "",
}  # fmt: skip
CONFIGS = {
    "ulx3s": preset("ulx3s").replace(SMALL),
    "square": preset("small").replace(SMALL | {"memory.scale_words": 330}),
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
    "heads of a word": {"dim": 64, "heads": 4, "kv_heads": 2, "hidden": 96, "vocab": 100},
}  # fmt: skip

MANY = 9
"""Chunks of the head: the first two, a loop of three pairs, and the rest."""


@pytest.mark.parametrize("name, sizes", [
    ("ulx3s", "shared"), ("ulx3s", "one head, in no whole tiles"), ("square", "shared"),
    ("square", "many chunks of the head"), ("port of 64 bytes", "one head, in no whole tiles"),
])  # fmt: skip
def test_texts(name, sizes):
    """Tokens are the golden model's, from the first position to where keys and values end."""
    config = CONFIGS[name]
    model = streamed_model(config, seed=1, context=24, **SIZES[sizes])
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    machine, most = MachineDecoder(compiled), compiled.plan.tokens
    assert most == 24
    for prompt, count in (([1], 5), ([1, 2, 3], most - 3)):
        assert machine.run(prompt, count) == golden_tokens(model, prompt, count)
    if "many" in sizes:
        assert len(streamed_layout(compiled).chunks) == MANY


@pytest.mark.parametrize("depth", [2, 3, 4, 8])
def test_a_ring_that_does_not_hold_the_output_matrix(depth):
    """What is loaded behind that matrix does not keep its product out of the array's queue, however
    few instructions wait in front of LOAD."""
    config = preset("small").replace(SMALL | {
        "array.columns": 4, "vector.lanes": 2, "memory.operand_tiles": 128,
        "memory.scale_words": 512,
        "sequencer.queue_depth": depth,
    })  # fmt: skip
    model = streamed_model(
        config, seed=1, context=24, dim=64, heads=4, kv_heads=2, hidden=176, vocab=27
    )  # fmt: skip
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    layout = streamed_layout(compiled)
    output = layout.ring_matrices["output"]
    assert output.slots > layout.plan.slots and output.loads == 2
    assert MachineDecoder(compiled).run([1, 2], 3) == golden_tokens(model, [1, 2], 3)


@pytest.mark.parametrize("name, sizes, weights, block", [
    ("ulx3s", "one head, in no whole tiles", "int8", 8), ("square", "shared", "int8", 8),
    ("square", "many chunks of the head", "int8", 4),
    ("ulx3s", "heads of a word", "int4", 8), ("square", "heads of a word", "int4-exponent", 4),
])  # fmt: skip
def test_prompts_in_blocks(name, sizes, weights, block):
    """Prompts of one token, of less than a block, of blocks, and of one token more than those.

    Tokens, keys and values are the golden model's; weights come once for each block.
    """
    config = CONFIGS[name].replace(
        {"memory.program_instructions": 256, "bus.codecs": weights != "int8"}
    )
    model = streamed_model(config, weights, seed=1, context=24, **SIZES[sizes])
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    assert compiled.block == block
    machine, rng = MachineDecoder(compiled), np.random.default_rng(3)
    beats = {}
    for length in (1, block - 1, block + 1, block + 2, 2 * block + 3):
        prompt = rng.integers(0, 27, length).tolist()
        made = machine.run(prompt, 1)
        assert made == golden_tokens(model, prompt, 1)
        beats[length] = machine.counters["LOAD_BEATS"]
        cache = KeyValueCache(len(model.layers))
        model.advance(prompt, cache)
        pages = cache_pages(streamed_layout(compiled), model.base, cache, range(length))
        assert all(machine.machine.memory.read(address, len(page)) == page
                   for address, page in pages)  # fmt: skip
    assert beats[block + 1] < 2.1 * beats[1] and beats[2 * block + 3] < 4.1 * beats[1]
    # Behind positions that are in memory already.
    assert machine.run(prompt, 1, block + 1) == made


def test_prompts_that_go_token_by_token():
    """Heads smaller than a word, panels of no whole pages, or beats, short programs, few rows,
    queues in which loads would wait for one another, few semaphores."""
    config = CONFIGS["ulx3s"].replace({"memory.program_instructions": 256, "bus.codecs": True})
    square = CONFIGS["square"].replace({"memory.program_instructions": 256})
    small, sizes = SIZES["shared"], SIZES["one head, in no whole tiles"]
    for changed, weights, shape in (
        (config, "int8", small),
        (config, "int4", {"dim": 48, "heads": 3, "kv_heads": 1, "hidden": 64}),
        (square.replace({"bus.data_bytes": 128, "bus.burst_beats": 32}), "int8", sizes),
        (CONFIGS["square"], "int8", SIZES["many chunks of the head"]),
        (config.replace({"vector.rows": 2}), "int8", sizes),
        (config.replace({"sequencer.semaphores": 12}), "int8", sizes),
        (config.replace({"sequencer.queue_depth": 3}), "int8", sizes),
    ):  # fmt: skip
        model = streamed_model(changed, weights, context=24, **shape)
        compiled = CompiledDecoder.compile(changed, model, streamed=True)
        assert compiled.block == 1
    prompt = list(range(1, 12))
    assert MachineDecoder(compiled).run(prompt, 2) == golden_tokens(model, prompt, 2)


def test_keys_and_values_in_memory():
    """The pages are the golden model's, and with those of others a text goes on anywhere."""
    config = CONFIGS["ulx3s"]
    model = streamed_model(config, seed=2, context=24)
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
    model = streamed_model(config, weights, seed=1, context=24, **sizes)
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    assert MachineDecoder(compiled).run([1, 2], 12) == golden_tokens(model, [1, 2], 12)
    whole = CompiledDecoder.compile(config, streamed_model(config, context=24, **sizes),
                                    streamed=True)  # fmt: skip
    matrix, of_bytes = (streamed_layout(one).ring_matrices["down"] for one in (compiled, whole))
    assert matrix.size < 0.7 * of_bytes.size


@pytest.mark.parametrize("name, sizes", [
    ("ulx3s", "shared"), ("square", "many chunks of the head")
])  # fmt: skip
def test_tokens_by_chance(name, sizes):
    """Candidates are kept over all chunks of the head."""
    config = CONFIGS[name].replace({"vector.candidates": 8})
    model = streamed_model(config, seed=1, context=24, **SIZES[sizes])
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    for sampling in (GREEDY, Sampling(temperature=2.0, top_k=8, seed=3)):
        made = MachineDecoder(compiled, sampling).run([1, 2, 3], 6)
        assert made == golden_tokens(model, [1, 2, 3], 6, sampling=sampling)


def test_end_of_text():
    config = CONFIGS["ulx3s"]
    model = streamed_model(config, seed=3, context=24)
    made = golden_tokens(model, [5, 4], 8)
    end = made[3]
    compiled = CompiledDecoder.compile(config, model, ends=(end,), streamed=True)
    assert MachineDecoder(compiled).run([5, 4], 8) == made[: made.index(end) + 1]


def test_image():
    config = CONFIGS["ulx3s"]
    compiled = CompiledDecoder.compile(
        config, streamed_model(config, layers=1, context=24), streamed=True
    )
    again = CompiledDecoder.from_image(compiled.image("a model"), config, "a model")
    assert again.plan == compiled.plan
    assert streamed_layout(again).places == streamed_layout(compiled).places
    assert MachineDecoder(again).run([1], 2) == MachineDecoder(compiled).run([1], 2)


def test_as_many_tokens_as_fit():
    model = streamed_model(CONFIGS["ulx3s"])
    for tiles, tokens in ((14, 16), (20, 32), (160, 64)):
        config = CONFIGS["ulx3s"].replace({"memory.operand_tiles": tiles})
        plan = plan_streamed(config, model)
        assert plan.operand_need <= tiles
        assert plan.tokens == tokens and plan.slots >= 2


@pytest.mark.parametrize("tiles, sizes, sentence", [
    (10, {"hidden": 96}, "memory.operand_tiles must be at least 12, for 2 slots .* not 10"),
    (16, {"heads": 8, "kv_heads": 8, "dim": 128}, "raise memory.operand_tiles, or choose another"),
])  # fmt: skip
def test_models_without_a_ring(tiles, sizes, sentence):
    config = CONFIGS["ulx3s"].replace({"memory.operand_tiles": tiles})
    model = streamed_model(config, layers=1, **sizes)
    with pytest.raises(ConfigError, match=f"cannot be streamed: .*{sentence}"):
        plan_streamed(config, model)


@pytest.mark.parametrize("name, sizes, weights", [
    ("ulx3s", "shared", "int8"), ("square", "many chunks of the head", "int8"),
    ("port of 64 bytes", "one head, in no whole tiles", "int8"), ("ulx3s", "shared", "int4"),
])  # fmt: skip
def test_logits(name, sizes, weights):
    """Those of all positions, the prompt's too, beside the tokens that are chosen by chance."""
    config = CONFIGS[name].replace({
        "vector.candidates": 8, "bus.codecs": weights == "int4",
        "memory.program_instructions": 256,
    })  # fmt: skip
    changes = {"hidden": 64} if weights == "int4" else {}
    model = streamed_model(config, weights, seed=1, context=24, **SIZES[sizes] | changes)
    compiled = CompiledDecoder.compile(config, model, streamed=True, logits=True)
    if "many" in sizes:
        assert len(streamed_layout(compiled).chunks) == MANY
    sampling = Sampling(temperature=2.0, top_k=8, seed=3)
    machine = MachineDecoder(compiled, sampling)
    made = machine.run([1, 2, 3], 4)
    assert made == golden_tokens(model, [1, 2, 3], 4, sampling=sampling)
    assert np.array_equal(machine.read_logits(6), model.logits([1, 2, 3, *made[:-1]]))
    assert np.array_equal(machine.logits([5, 4]), model.logits([5, 4]))


def test_logits_of_an_image():
    config = CONFIGS["ulx3s"]
    model = streamed_model(config, layers=1, context=24)
    compiled = CompiledDecoder.compile(config, model, streamed=True, logits=True)
    again = CompiledDecoder.from_image(compiled.image("a model"), config, "a model")
    assert np.array_equal(MachineDecoder(again).logits([1]), model.logits([1]))


def test_logits_that_have_no_room():
    config = CONFIGS["port of 64 bytes"].replace({"bus.data_bytes": 128})
    with pytest.raises(ConfigError, match="logits cannot be stored with a bus.data_bytes of 128"):
        CompiledDecoder.compile(
            config, streamed_model(config, layers=1, dim=64, hidden=24), streamed=True,
            logits=True,
        )


@pytest.mark.parametrize("changes, sizes, sentence", [
    ({"memory.operand_tiles": 16}, {}, "memory.operand_tiles must be at least"),
    ({"memory.scale_words": 40}, {}, "memory.scale_words must be at least"),
    ({"array.columns": 32}, {}, "array.columns must be at most array.rows, 16"),
    ({}, {"down_chunk": 16}, "its output_chunk and down_chunk must be all inputs, not 64 and 16"),
    ({"bus.address_bits": 16}, {"vocab": 1000}, "raise bus.address_bits to 17"),
    ({"sequencer.semaphores": 11, "memory.program_instructions": 256},
     SIZES["one head, in no whole tiles"],
     "this language model cannot be programmed: no semaphore is left .* must be at least 12"),
])  # fmt: skip
def test_what_does_not_fit(changes, sizes, sentence):
    config = CONFIGS["ulx3s"].replace(changes)
    model = streamed_model(config, context=24, **sizes)
    with pytest.raises(ConfigError, match=sentence):
        CompiledDecoder.compile(config, model, streamed=True, context=24)


def test_reach():
    """The core reaches as far as it must, and no less than it did."""
    narrow = CONFIGS["ulx3s"].replace({"bus.address_bits": 16})
    model = streamed_model(narrow, context=24, vocab=1000)
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
