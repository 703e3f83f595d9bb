"""Language models whose products a core without a row unit makes, on the functional machine."""

import numpy as np
import pytest

from systolith.compiler.resident_plan import ResidentPlan
from systolith.compiler.resident_staging import Staging, least_bytes, level_of
from systolith.coprocessor.block import Block
from systolith.coprocessor.hosted_model import with_blocks
from systolith.coprocessor.hosted_run import HostedGenerator
from systolith.coprocessor.product_core import ProductCore
from systolith.generation import ModelGenerator
from systolith.progress import Progress
from systolith.sampling import GREEDY, Sampling
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset
from systolith_sim.transformer.encoder import Words
from systolith_sim.vector.requantizer import requantize

from .language_bench import MICROGPT, random_model
from .machine_device import CYCLES, MachineDevice

BOARD = preset("icebreaker")
OTHER = BOARD.replace({
    "array.columns": 4, "array.mantissa_bits": 10, "vector.lanes": 2, "bus.data_bytes": 8,
    "short_pipelines": False, "sequencer.queue_depth": 4, "vector.deferred_norms": True,
})  # fmt: skip
"""Another core without a row unit: several row writes to a beat, lanes, and norms that leave their
factors to the scales of channels, so that matrices are multiplied in chunks."""

SIZES = {"layers": 1, "dim": 18, "heads": 3, "kv_heads": 1, "hidden": 9, "vocab": 11}
"""K is no multiple of rows, and N none of columns."""


def open_core(config, blocks, memory_bytes):
    """Return a machine with the blocks' weights; it has so many bytes of external memory, or the
    fewest that do."""
    plan = ResidentPlan(config, [block.weights.shape for block in blocks], "a model")
    device = MachineDevice(config, memory_bytes or least_bytes(plan))
    return ProductCore(device, plan, blocks, Progress())


@pytest.mark.parametrize("config, architecture, sizes, memory_bytes", [
    (BOARD, "llama", SIZES, 0), (OTHER, "llama", SIZES | {"layers": 2}, 4096),
    (BOARD, "microgpt", MICROGPT, 2048),
])  # fmt: skip
def test_models(config, architecture, sizes, memory_bytes, seed):
    """Tokens and logits are golden whether the prompt is one token or several."""
    model = random_model(config, "int8", architecture, seed=seed, **sizes)
    hosted, blocks = with_blocks(model)
    core = open_core(config, blocks, memory_bytes)
    for prompt, count in (([1, 2], 2), ([5], 1)):
        golden = ModelGenerator(model, GREEDY, keep_logits=True)
        mine = HostedGenerator(hosted, GREEDY, keep_logits=True, measure=lambda: None)
        assert list(mine.generate(prompt, count)) == list(golden.generate(prompt, count))
        np.testing.assert_array_equal(np.concatenate(mine.logits), np.concatenate(golden.logits))
    assert not any(block.wrong for block in blocks)
    assert sum(block.products for block in blocks) == 4 * len(blocks)
    slices = sum(len(cut) for cut in core._staging.slices)
    assert core.runs == 4 * slices and core.cycles == core.runs * CYCLES
    assert memory_bytes or slices > 5 * len(blocks)


def test_chance_is_the_golden_models(seed):
    """The host chooses, with the hardware's noise; without logits the prompt has no head."""
    model = random_model(BOARD, seed=seed, **SIZES)
    hosted, blocks = with_blocks(model)
    open_core(BOARD, blocks, 2048)
    sampling, looks = Sampling(temperature=2.0, top_k=20, seed=seed), []
    mine = HostedGenerator(
        hosted, sampling, keep_logits=False, measure=lambda: looks.append(blocks[-1].products)
    )
    assert list(mine.generate([1, 2], 2)) == list(
        ModelGenerator(model, sampling).generate([1, 2], 2)
    )
    assert looks == [0, 1, 1, 2]


@pytest.mark.parametrize("config", [BOARD, OTHER], ids=["board", "other"])
def test_sums_of_any_size_requantise_as_exact_ones(config, seed):
    """Also those of more than 32 bits, which clip first; with corners of both ends."""
    rng = np.random.default_rng(seed)
    array, most = config.array, (1 << config.array.mantissa_bits - 1) - 1
    weights = rng.integers(-128, 128, (array.max_k, 4))
    weights[:, 0], weights[:, 1] = -128, 127
    block = Block(weights.astype(np.int8))
    core = open_core(config, [block], 4096)
    steps = array.max_k // array.rows
    for window in (0, 8, 11, array.window):
        mantissas = rng.integers(-most, most + 1, (3, steps, array.rows))
        mantissas[0] = most
        words = Words(mantissas, rng.integers(0, window + 1, (3, steps)))
        words.exponents[0] = window
        entries = rng.integers(1 << 15, 1 << 16, 4), rng.integers(8, 50, 4), np.zeros(4, np.int64)
        mine, golden = block.times(words), words.times(weights)
        np.testing.assert_array_equal(
            requantize(mine, *entries)[0], requantize(golden, *entries)[0]
        )
    assert not block.wrong and block.products == 12
    assert level_of(words.mantissas[0], words.exponents[0]) == 1
    assert core.runs > 12


def test_a_wrong_product_is_seen(seed):
    model = random_model(BOARD, seed=seed, **SIZES)
    _, blocks = with_blocks(model)
    core = open_core(BOARD, blocks, 2048)
    words = Words(np.ones((2, 5, 4), np.int64), np.zeros((2, 5), np.int64))
    blocks[0].times(words)
    assert (blocks[0].products, blocks[0].wrong) == (2, 0)
    core._device.machine.chip.operand[0] ^= 1
    again = Words(words.mantissas, words.exponents)
    blocks[0].times(again)
    assert (blocks[0].products, blocks[0].wrong) == (4, 2)


@pytest.mark.parametrize("changes, shapes, sentence", [
    ({}, [(48, 512), (64, 8192)], "operand_tiles must be at least 68608, not 16384, for 548,864"),
    ({"memory.activation_words": 20}, [(96, 48)],
     "activation_words must be at least 24, not 20, for 96 inputs"),
    ({"array.max_k": 64}, [(96, 48)], "array.max_k must be at least 96, not 64"),
])  # fmt: skip
def test_what_does_not_fit(changes, shapes, sentence):
    with pytest.raises(ConfigError, match=f"a model does not fit: .*{sentence}"):
        ResidentPlan(BOARD.replace(changes), shapes, "a model")


def test_too_little_external_memory():
    plan = ResidentPlan(BOARD, [(96, 48)], "a model")
    least = least_bytes(plan)
    assert Staging(plan, least).slices == [[(tile, 1) for tile in range(24)]]
    with pytest.raises(ConfigError, match=f"needs {least} bytes of external memory, not"):
        Staging(plan, least - 1)


def test_slices_are_of_one_size():
    """So one program does; the last one begins within the one before."""
    plan = ResidentPlan(BOARD, [(48, 600)], "a model")
    assert Staging(plan, 2048).slices == [[(0, 100), (100, 100), (200, 100)]]
    plan = ResidentPlan(BOARD, [(48, 602)], "a model")
    assert Staging(plan, 2048).slices == [[(0, 101), (101, 101), (200, 101)]]
