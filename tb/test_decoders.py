"""Language models on the Verilated core, token by token, against the golden model."""

import json

import numpy as np
import pytest

from systolith.bench_decode import BIN_CYCLES, bench_decode
from systolith.device_language import DeviceDecoder
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.progress import Progress
from systolith.sampling import GREEDY, Sampling
from systolith.workload import open_device
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from unit.estimates import assert_near
from unit.language_bench import MICROGPT, golden_tokens, random_model
from unit.test_cli import run

SMALL = {
    "vector.rows": 64, "memory.operand_tiles": 600, "memory.activation_words": 200,
    "memory.wide_words": 300, "memory.scale_words": 400, "memory.bias_words": 8,
    "memory.program_instructions": 128, "device": "",
}  # fmt: skip
CYCLES = 1736
"""Of a token of a small model, two layers, on the chip of a core that also has candidates."""
MICROGPT_CYCLES = {"tiny": 670, "quick": 541}
"""Of a token of the smallest one, whose array waits from one product to the next."""

BETWEEN = 487
"""Of these, from its head to the next one's first matrix."""

DEFERRED = SMALL | {
    "vector.candidates": 16, "vector.deferred_norms": True, "memory.program_instructions": 256,
}  # fmt: skip
CONFIGS = {
    "small": preset("small").replace(SMALL),
    "ulx3s": preset("ulx3s").replace(DEFERRED),
    "wide": preset("wide").replace(SMALL),
    "tiny": preset("small").replace({
        "array.columns": 4, "vector.deferred_norms": True, "sequencer.queue_depth": 8,
        "bus.data_bytes": 16,
    }),
}
CONFIGS["quick"] = CONFIGS["tiny"].replace({
    "array.numbered": True, "array.stage_rows": 8, "vector.factor_steps": 8,
})  # fmt: skip


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("small", "wide")]


@pytest.mark.parametrize("name", ["ulx3s", *SLOW])
def test_texts(name, seed):
    """Texts of all lengths, by themselves, with pauses on the bus; sizes are no multiples.

    Prompts are shorter than a block, as long, longer, and several blocks. Where a core can, tokens
    are also chosen by chance, and logits are stored.
    """
    config = CONFIGS[name]
    sizes = {"dim": 40, "heads": 2, "kv_heads": 1, "hidden": 50, "vocab": 27}
    model = random_model(config, seed=seed, context=40, down_chunk=32, **sizes)
    end = golden_tokens(model, [1, 2], 6)[5]
    compiled = CompiledDecoder.compile(config, model, ends=(end,))
    ways = [GREEDY]
    if config.vector.candidates:
        ways.append(Sampling(temperature=1.5, top_k=9, seed=seed))
    rng = np.random.default_rng(seed)
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(
        config, memory_bytes=1 << 20, pauses=pauses, activity=BIN_CYCLES
    ) as device:
        for sampling in ways:
            runner = DeviceDecoder(compiled, device, sampling)
            machine = MachineDecoder(compiled, sampling)
            block = compiled.block
            assert block > 1
            lengths = (1, 4), (2, 38), (block - 1, 2), (block, 1), (block + 1, 3), (39, 1)
            for length, count in lengths:
                prompt = [1, 2] if length == 2 else rng.integers(0, 27, length).tolist()
                made = list(runner.generate(prompt, count))
                assert made == golden_tokens(model, prompt, count, (end,), sampling)
                assert made == machine.run(prompt, count)
                counted = {name: runner.counters.get(name, count)
                           for name, count in machine.counters.items()}  # fmt: skip
                assert counted == machine.counters
        storing = CompiledDecoder.compile(config, model, logits=True)
        runner = DeviceDecoder(storing, device, ways[-1])
        made = runner.run([1, 2], 5)
        assert made == golden_tokens(model, [1, 2], 5, sampling=ways[-1])
        assert np.array_equal(runner.read_logits(6), model.logits([1, 2, *made[:-1]]))


def test_cycles():
    """A token takes as many cycles as ever, which are counted from its program and nothing else.

    The array works in some of them, and what it waits for in each other one is known.
    """
    sizes = {"dim": 64, "heads": 4, "kv_heads": 2, "hidden": 96, "vocab": 64}
    model = random_model(CONFIGS["ulx3s"], context=40, **sizes)
    measured = bench_decode(model, CONFIGS["ulx3s"], 20)
    assert measured.bit_exact
    assert measured.cycles_per_token == CYCLES
    assert_near(measured.estimated_cycles, CYCLES)
    array = measured.array_cycles or {}
    assert sum(array.values()) == CYCLES
    assert array["busy"] == measured.counters["ARRAY_BUSY"]
    assert array["between tokens"] == BETWEEN


@pytest.mark.parametrize("name", [pytest.param("tiny", marks=pytest.mark.slow), "quick"])
def test_relu_and_learned_positions(name):
    """The smallest model on 32 multipliers, as docs/decoder.md has it."""
    config = CONFIGS[name]
    model = random_model(config, "int8", "microgpt", context=16, **MICROGPT)
    measured = bench_decode(model, config, 8)
    assert measured.bit_exact
    assert measured.cycles_per_token == MICROGPT_CYCLES[name]
    assert_near(measured.estimated_cycles, MICROGPT_CYCLES[name])
    assert measured.bytes_per_token == 4 * 24


def test_numbers_that_the_array_takes(seed):
    """Texts of a model whose array finds tokens by itself, with pauses, to a token that ends."""
    config = CONFIGS["quick"]
    model = random_model(config, "int8", "microgpt", seed=seed, context=16, **MICROGPT)
    end = golden_tokens(model, [1, 2], 7)[6]
    compiled = CompiledDecoder.compile(config, model, ends=(end,))
    pauses = Pauses(probability=0.3, seed=seed)
    with VerilatedDevice(
        config, memory_bytes=1 << 20, pauses=pauses, activity=BIN_CYCLES
    ) as device:
        runner, machine = DeviceDecoder(compiled, device), MachineDecoder(compiled)
        for text, count in (([1, 2], 13), ([5], 1), ([3, 4, 5], 12), ([7], 15)):
            made = list(runner.generate(text, count))
            assert made == golden_tokens(model, text, count, (end,)) == machine.run(text, count)


def test_codes(seed):
    """A model of 4-bit weights, expanded on their way to the chip; candidates behind a deferred
    norm."""
    config = CONFIGS["ulx3s"]
    model = random_model(config, "int4", seed=seed, context=40, vocab=27)
    compiled = CompiledDecoder.compile(config, model)
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(config, memory_bytes=1 << 20, pauses=pauses) as device:
        made = list(DeviceDecoder(compiled, device).generate([1, 2, 3], 4))
    assert made == golden_tokens(model, [1, 2, 3], 4) == MachineDecoder(compiled).run([1, 2, 3], 4)


@pytest.mark.slow
def test_the_multipliers_are_busy():
    """A token of stories-260k behind 64 others, on ``ulx3s-resident`` as it is."""
    library = pytest.importorskip("systolith.models.library")
    from systolith.models.quantized_language import quantize_language

    config = preset("ulx3s-resident")
    model = quantize_language(library.load_language_model("stories-260k"), config)
    measured = bench_decode(model, config, 64)
    assert measured.bit_exact and (measured.utilization or 0) >= 0.55
    assert_near(measured.estimated_cycles, measured.cycles_per_token)


def test_the_command(tmp_path):
    """A checkpoint's text from ``systolith run``, on the generated Verilog."""
    pytest.importorskip("tokenizers")
    from language_models import write_llama

    words = [word for name, value in DEFERRED.items() for word in ("--set", f"{name}={value}")]
    result = run("run", str(write_llama(tmp_path, eos_token_id=None)), "Once upon", "--tokens", "6",
                 "--preset", "ulx3s", "--operands", "onchip", *words, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["bit_exact"] and len(values["tokens"]) == 6 and values["cycles"] > 6 * 500


@pytest.mark.slow
def test_stories():
    """stories-260k on ``ulx3s-resident``, all of it on the chip; one story ends by itself."""
    library = pytest.importorskip("systolith.models.library")
    from systolith.models.quantized_language import quantize_language

    language = library.load_language_model("stories-260k")
    config = preset("ulx3s-resident")
    model = quantize_language(language, config)
    compiled = CompiledDecoder.compile(config, model, ends=language.ends)
    machine = MachineDecoder(compiled)
    prompts = [language.prompt(text) for text in ("Once upon a time", "The")]
    whole = golden_tokens(model, prompts[1], compiled.plan.tokens - 10, language.ends)
    assert whole[-1] in language.ends
    prompts.append(prompts[1] + whole[:-20])
    with open_device(
        config, compiled.size, "verilator", Progress(), activity=BIN_CYCLES
    ) as device:
        runner = DeviceDecoder(compiled, device)
        for prompt in prompts:
            count = min(64, compiled.plan.tokens - len(prompt))
            made = list(runner.generate(prompt, count))
            assert made == golden_tokens(model, prompt, count, language.ends)
            assert made == machine.run(prompt, count)
    assert made == whole[-20:]
