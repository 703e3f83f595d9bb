"""Language models that are streamed, on the Verilated core, against machine and golden model."""

import numpy as np
import pytest

from systolith.bench_decode_streamed import bench_decode_streamed
from systolith.compiler.decoder_pages import cache_pages
from systolith.compiler.decoder_reach import with_reach
from systolith.device_language import DeviceDecoder
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.progress import Progress
from systolith.workload import open_device
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from systolith_sim.transformer.decoder_reference import KeyValueCache
from test_decoders import CONFIGS
from unit.estimates import assert_near
from unit.language_bench import golden_tokens, streamed_layout, streamed_model

SHARE = 0.9
"""Of what the port could move in the time of a token of a small model."""


@pytest.mark.parametrize("name", ["ulx3s", pytest.param("small", marks=pytest.mark.slow)])
def test_texts(name, seed):
    """Texts that cross the borders of tiles, with pauses on the bus; sizes are no multiples.

    The longer prompt goes in blocks, but for its last two tokens. Keys and values in memory are the
    golden model's, too.
    """
    config = CONFIGS[name]
    sizes = {"dim": 40, "heads": 4, "kv_heads": 2, "hidden": 50, "vocab": 7000}
    model = streamed_model(config, seed=seed, context=40, **sizes)
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    assert len(streamed_layout(compiled).chunks) > 3 and compiled.block > 1
    rng = np.random.default_rng(seed)
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(config, memory_bytes=1 << 22, pauses=pauses) as device:
        runner, machine = DeviceDecoder(compiled, device), MachineDecoder(compiled)
        for length, count in ((1, 1), (18, 2)):
            prompt = rng.integers(0, 7000, length).tolist()
            made = list(runner.generate(prompt, count))
            assert made == golden_tokens(model, prompt, count)
            assert made == machine.run(prompt, count)
            counted = {name: runner.counters.get(name, count)
                       for name, count in machine.counters.items()}  # fmt: skip
            assert counted == machine.counters
        cache = KeyValueCache(len(model.layers))
        model.advance([*prompt, *made[:-1]], cache)
        written = range(19)
        for address, page in cache_pages(streamed_layout(compiled), model.base, cache, written):
            assert device.read_memory(address, len(page)) == page


def test_codes(seed):
    """Weights of 4 bits are expanded on their way into the ring, also for a block of tokens; logits
    are stored, too."""
    config, prompt = CONFIGS["ulx3s"], [1, 2, 3, 4, 5, 6]
    model = streamed_model(config, "int4", seed=seed, context=40, dim=64, vocab=100, hidden=96)
    compiled, storing = (
        CompiledDecoder.compile(config, model, streamed=True, logits=logits)
        for logits in (False, True)
    )
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(config, memory_bytes=1 << 20, pauses=pauses) as device:
        made = list(DeviceDecoder(compiled, device).generate(prompt, 4))
        runner = DeviceDecoder(storing, device)
        assert runner.run(prompt, 4) == made
        assert np.array_equal(runner.read_logits(9), model.logits([*prompt, *made[:-1]]))
    assert compiled.block > 1 == storing.block
    assert made == golden_tokens(model, prompt, 4) == MachineDecoder(compiled).run(prompt, 4)


def test_share_of_the_port():
    """A token of a small model takes little more time than its bytes do."""
    config = CONFIGS["ulx3s"]
    sizes = {"dim": 64, "heads": 4, "kv_heads": 2, "hidden": 192, "vocab": 512}
    model = streamed_model(config, context=40, **sizes)
    measured = bench_decode_streamed(model, config, 20)
    assert measured.bit_exact
    assert measured.bandwidth_utilization is not None
    assert measured.bandwidth_utilization > SHARE
    assert_near(measured.estimated_cycles, measured.cycles_per_token)


@pytest.mark.slow
def test_share_of_the_port_of_smollm2():
    """Of layers of its sizes, and a part of its vocabulary, behind 64 other tokens."""
    sizes = {"dim": 576, "heads": 9, "kv_heads": 3, "hidden": 1536, "vocab": 8192, "layers": 4}
    config = preset("ulx3s").replace({"bus.data_bytes": 8})
    model = streamed_model(config, context=2048, **sizes)
    measured = bench_decode_streamed(model, with_reach(config, model), 64)
    assert measured.bit_exact
    assert measured.bandwidth_utilization is not None
    assert measured.bandwidth_utilization >= 0.94
    assert_near(measured.estimated_cycles, measured.cycles_per_token)


@pytest.mark.slow
def test_smollm2():
    """SmolLM2-135M on ``ulx3s``, all of it in external memory: it knows the capital of France."""
    library = pytest.importorskip("systolith.models.library")
    from systolith.models.quantized_language import quantize_language

    language = library.load_language_model("smollm2")
    config = preset("ulx3s").replace({"bus.data_bytes": 128, "bus.burst_beats": 32})
    model = quantize_language(language, config)
    config = with_reach(config, model)
    compiled = CompiledDecoder.compile(config, model, ends=language.ends, streamed=True)
    prompt = language.prompt("The capital of France is")
    with open_device(config, compiled.size, "verilator", Progress()) as device:
        runner = DeviceDecoder(compiled, device)
        made = list(runner.generate(prompt, 4))
    assert language.tokenizer.decode(made).startswith(" Paris")
    assert made == golden_tokens(model, prompt, 4) == MachineDecoder(compiled).run(prompt, 4)
    assert runner.counters["CYCLES"] < 8 * 1_250_000
