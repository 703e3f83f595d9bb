"""Plans of matrix products: the machine gives exactly what numpy gives."""

import re

import numpy as np
import pytest

from systolith.compiler.layout import WordRuns
from systolith.compiler.matmul import plan_matmul
from systolith.compiler.quantize import (
    choose_format,
    dequantize,
    quantize_activations,
    quantize_weights,
    scale_entries,
)
from systolith_hw.config import ConfigError
from systolith_hw.isa import Opcode
from systolith_hw.presets import PRESETS
from systolith_sim.dma.pages import page_bytes
from systolith_sim.machine import Machine
from systolith_sim.machine.scheduler import Scheduler

from .machine_bench import CONFIGS, TINY, instructions, random_product

SHAPES = [(1, 1, 1), (2, 13, 9), (5, 16, 16), (11, 40, 33)]


def random_shapes(name, count):
    rng = np.random.default_rng(len(name))
    config = CONFIGS[name]
    slot = config.memory.operand_tiles // config.tiles_per_group
    longest = min(120, slot * config.array.rows)
    return [tuple(int(rng.integers(1, high)) for high in (24, longest, 90)) for _ in range(count)]


@pytest.mark.parametrize("operands", ["stream", "onchip"])
@pytest.mark.parametrize("out", ["memory", "wide", "activation"])
@pytest.mark.parametrize("name", CONFIGS)
def test_machine_equals_numpy(name, out, operands):
    """Any shape that fits, in one block or many, with rings that wrap and scales in turns."""
    done = 0
    for seed, shape in enumerate(SHAPES + random_shapes(name, 10)):
        try:
            product = random_product(CONFIGS[name], *shape, seed=seed, out=out, operands=operands)
        except ConfigError as error:
            assert "memory." in str(error), error
            continue
        machine = product.machine()
        counts = product.run(machine)
        product.check(machine)
        tiling = product.plan.tiling
        results = tiling.m * tiling.output_tiles
        assert counts["ARRAY_BUSY"] == results * tiling.steps
        assert counts["VECTOR_BUSY"] == results * product.plan.config.beats_per_result
        assert counts["SATURATIONS"] == product.saturations
        assert counts["FLUSHES"] == product.flushes
        done += 1
    assert done >= 2


def test_every_way_of_streaming_is_met():
    """The shapes above would be worth little if all of them fitted."""
    met = set()
    for name, config in CONFIGS.items():
        for shape in SHAPES + random_shapes(name, 10):
            plan = plan_matmul(config, *shape, out="memory")
            tiling = plan.tiling
            met |= {
                ("blocks", len(plan.blocks) > 1),
                ("ring wraps", plan.slots < tiling.groups),
                ("ring wraps in blocks", len(plan.blocks) > 1 and plan.slots < tiling.groups),
                ("resident in blocks", len(plan.blocks) > 1 and plan.slots == tiling.groups),
                ("scales in turns", len(plan.chunks) > 2),
                ("small last group", 0 < tiling.tiles_last < tiling.tiles),
                ("ragged k", shape[1] % config.write_rows > 0),
            }
    assert {name for name, there in met if there} == {name for name, _ in met}


def test_too_many_tokens_to_count():
    """More tokens than a semaphore counts are loaded before the weights."""
    config = TINY.replace({
        "sequencer.semaphore_bits": 3, "memory.activation_words": 20, "memory.operand_tiles": 9
    })  # fmt: skip
    for k, n in ((3, 7), (3, 60)):
        product = random_product(config, 25, k, n, out="memory")
        assert len(product.plan.blocks[0]) > 7
        machine = product.machine()
        product.run(machine)
        product.check(machine)


@pytest.mark.parametrize("queue_depth", [1, 2, 16])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_short_rings_and_queues(queue_depth, slots):
    """No plan blocks, however little hardware there is."""
    config = TINY.replace({
        "sequencer.queue_depth": queue_depth, "memory.operand_tiles": slots * 6 + 1,
        "memory.scale_words": 25,
    })  # fmt: skip
    product = random_product(config, 7, 11, 50, out="memory")
    assert product.plan.slots == slots
    machine = product.machine()
    product.run(machine)
    product.check(machine)


@pytest.mark.parametrize("out", ["memory", "wide", "activation"])
@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_needs_a_queue(name, out, monkeypatch):
    """No plan blocks where a unit takes an instruction only when it has ended the one before."""
    issue, done = Scheduler._issue, 0

    def issue_to_idle(scheduler, job):
        worker = scheduler._workers.get(job.unit)
        return (worker is None or worker.idle) and issue(scheduler, job)

    monkeypatch.setattr(Scheduler, "_issue", issue_to_idle)
    for seed, shape in enumerate(SHAPES + random_shapes(name, 10)):
        try:
            product = random_product(CONFIGS[name], *shape, seed=seed, out=out)
        except ConfigError:
            continue
        machine = product.machine()
        product.run(machine)
        product.check(machine)
        done += 1
    assert done >= 2


def test_onchip_main_is_minimal():
    config = PRESETS["small"]
    plan = plan_matmul(config, 3, 100, 70, operands="onchip")
    opcodes = [opcode for opcode, _ in instructions(plan.programs["main"])]
    assert plan.out == "wide"
    assert opcodes == [Opcode.MATMUL, Opcode.DRAIN, Opcode.END]
    large = plan_matmul(config, 64, 64, 512, operands="onchip")
    assert large.out == "memory"
    opcodes = [opcode for opcode, _ in instructions(large.programs["main"])]
    assert opcodes == [Opcode.MATMUL, Opcode.DRAIN, Opcode.STORE, Opcode.END]


@pytest.mark.parametrize("m", [1, 8, 64])
@pytest.mark.parametrize("name", ["small", "ulx3s"])
@pytest.mark.parametrize("port", [2, 8, 32])
def test_streaming_moves_little_more_than_it_must(name, m, port):
    """What is moved stays within 1 % of what must be: the bar is 94 % of the roofline."""
    config = PRESETS[name].replace({"bus.data_bytes": port})
    plan = plan_matmul(config, m, 384, 1536)
    beats = sum(
        fields["rows"] * fields["beats"]
        for opcode, fields in instructions(plan.programs["main"])
        if opcode in (Opcode.LOAD, Opcode.STORE)
    )
    assert beats * port <= 1.01 * plan.compulsory_bytes
    assert len(plan.blocks) == 1
    assert plan.slots >= 4


def test_roofline():
    plan = plan_matmul(PRESETS["small"], 8, 384, 1536)
    words = 8 * 384 * 9 // 8 + 8 * 1536 * 9 // 8
    assert plan.compulsory_bytes == 384 * 1536 + 8 * 1536 + words
    assert plan.roofline_cycles == plan.compulsory_bytes / 8
    plan = plan_matmul(PRESETS["small"], 64, 384, 1536)
    assert plan.roofline_cycles == 64 * 384 * 1536 / 64


def test_regions_do_not_overlap():
    plan = plan_matmul(TINY, 9, 30, 41)
    regions = sorted(plan.regions.values(), key=lambda region: region.address)
    for before, after in zip(regions, regions[1:], strict=False):
        assert before.end <= after.address
        assert after.address % 32 == 0


@pytest.mark.parametrize("port", [1, 2, 64])
def test_long_outputs_take_several_runs(port):
    config = PRESETS["tiny"].replace({"bus.data_bytes": port})
    runs = WordRuns(config, 200_000)
    assert sum(runs.counts) == 200_000
    assert len(runs.counts) > 1
    for count in runs.counts:
        assert count <= config.sequencer.largest_count
        assert -(-page_bytes(config, count) // port) <= config.sequencer.largest_count
    assert runs.stride % port == 0
    assert runs.stride >= page_bytes(config, runs.longest)


@pytest.mark.parametrize(
    "shape, settings, options, words",
    [
        ((0, 1, 1), {}, {}, "m must be at least 1, not 0"),
        ((1, 5000, 1), {}, {},
         "k 5000 is too large: array.max_k is 4096; lower k to 4096, or raise array.max_k"),
        ((1, 1, 1), {}, {"operands": "both"}, "operands must be onchip or stream, not both"),
        ((1, 1, 1), {}, {"out": "paper"}, "out must be one of auto, .* not paper"),
        ((8, 64, 520), {}, {"operands": "onchip"},
         ("k 64 and n 520 are too large: memory.operand_tiles must be at least 520 for the "
          "weights, not 512; lower k to 56 or n to 512, or stream the operands, or raise memory.")),
        ((8, 64, 8), {"memory.activation_words": 60}, {"operands": "onchip"},
         ("m 8 and k 64 are too large: memory.activation_words must be at least 64 for 8 of 8 "
          "tokens, not 60; lower m to 7 or k to 56, or stream")),
        ((8, 64, 80), {"memory.scale_words": 10}, {"operands": "onchip"},
         ("n 80 is too large: memory.scale_words must be at least 20 for the scales, not 10; "
          "lower n to 40, or stream")),
        ((8, 64, 80), {"memory.scale_words": 3}, {},
         ("n 80 is too large: memory.scale_words must be at least 4 for the scales of two groups, "
          "not 3; lower n to 8, or raise memory.scale_words")),
        ((1, 1024, 8), {"memory.operand_tiles": 100}, {},
         ("k 1024 is too large: memory.operand_tiles must be at least 128 for one group of "
          "weights, not 100; lower k to 800, or raise memory.operand_tiles")),
        ((64, 8, 512), {"memory.wide_words": 512}, {"out": "wide"},
         ("m 64 and n 512 are too large: memory.wide_words must be at least 8192 for the results, "
          "not 512; lower m to 4 or n to 32, or choose another out")),
        ((64, 8, 512), {}, {"out": "activation"},
         ("memory.activation_words must be at least 4097 for 1 of 64 tokens and all results, not "
          "4096; lower m to 63 or n to 504, or raise")),
        ((1, 60000, 8), {
            "array.max_k": 65536, "array.window": 18, "memory.operand_tiles": 65535,
            "memory.activation_words": 65535, "bus.data_bytes": 2,
         }, {}, "k 60000 is too large: .* 240000 beats, .* at most 65535; lower k to 16383, or"),
        ((1, 1, 100_000_000), {}, {},
         ("n 100000000 is too large: that is 12500000 groups of 8 channels, and a MATMUL has at "
          "most 65535; lower n to 524280, or raise array.columns")),
        ((10**12, 1, 1), {}, {}, "m 1000000000000, k 1, n 1 is too large: inputs needs 1600000000"),
        ((1, 384, 1536), {"bus.address_bits": 16}, {},
         ("m 1, k 384, n 1536 is too large: weights needs 589824 bytes .* bus.address_bits reach "
          "only 65536 bytes; lower one of them, or raise bus.address_bits to 20")),
        ((1, 8, 8), {"sequencer.semaphores": 1}, {},
         "m 1, k 8, n 8 cannot be programmed: .* sequencer.semaphores is 1, .* at least 2"),
    ],
)  # fmt: skip
def test_refusals(shape, settings, options, words):
    with pytest.raises(ConfigError, match=words):
        plan_matmul(PRESETS["small"].replace(settings), *shape, **options)


@pytest.mark.parametrize("operands", ["onchip", "stream"])
@pytest.mark.parametrize("out", ["memory", "wide", "activation"])
@pytest.mark.parametrize("shape", [(9, 200, 90), (90, 60, 200), (70, 900, 20)])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_what_a_refusal_advises_would_do(name, shape, out, operands):
    """The largest m, k or n named gets over that hurdle, and one more does not."""
    config = PRESETS[name].replace({
        "memory.operand_tiles": 150, "memory.activation_words": 90, "memory.scale_words": 24,
    })  # fmt: skip

    def refusal(**sizes):
        try:
            plan_matmul(config, **sizes, operands=operands, out=out)
        except ConfigError as error:
            return str(error)
        return ""

    sizes = dict(zip("mkn", shape, strict=True))
    sentence = refusal(**sizes)
    memory = re.search(r"memory\.\w+ must be at least", sentence)
    for field, value in re.findall(r"([mkn]) to (\d+)", sentence):
        assert memory is not None
        assert f"{field} {sizes[field]}" in sentence
        assert memory[0] not in refusal(**sizes | {field: int(value)})
        assert memory[0] in refusal(**sizes | {field: int(value) + 1})


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small", "fine", "flat"])
def test_golden_against_real_numbers(name):
    """Integer results equal float64 arithmetic on the dequantised operands, but for rounding."""
    config = CONFIGS[name]
    rng = np.random.default_rng(3)
    m, k, n = 6, 45, 37
    x = rng.normal(size=(m, k)) * np.exp2(rng.integers(-3, 9, (1, k)))
    real, bias = rng.normal(size=(k, n)), rng.normal(size=n) * 10
    inputs = quantize_activations(config, x)
    weights, step = quantize_weights(real)
    exact = dequantize(inputs)[:, :k] @ (weights * step) + bias
    result = choose_format(config, float(np.abs(exact).max()))
    scales = scale_entries(step, inputs.format, result.fraction, bias)

    plan = plan_matmul(config, m, k, n, out="memory", exponent_base=result.exponent_base)
    machine = Machine(config, plan.size)
    machine.memory.write(0, plan.image(inputs.mantissas, inputs.exponents, weights, scales))
    counts = machine.run(plan.programs["main"]).counts
    assert counts["SATURATIONS"] == counts["FLUSHES"] == 0

    mantissas, exponents = plan.unpack_words(machine.memory.array)
    values = np.ldexp(mantissas, exponents[..., None] + result.base).reshape(m, -1)[:, :n]
    # Half an LSB of the word, and 2**-16 of the product before the bias.
    words = np.repeat(np.ldexp(1.0, exponents + result.base), config.array.rows, axis=1)[:, :n]
    assert np.all(np.abs(values - exact) <= words / 2 + 2**-15 * np.abs(exact - bias) + 1e-9)
    # And the whole is close to what was asked for.
    error = np.linalg.norm(values - (x @ real + bias)) / np.linalg.norm(x @ real + bias)
    assert error < 0.02


@pytest.mark.parametrize("largest", [1e-6, 0.7, 1.0, 23_000.0, 1e9])
@pytest.mark.parametrize("name", CONFIGS)
def test_format_holds_its_range(name, largest):
    config = CONFIGS[name]
    x = np.array([[largest, -largest, largest / 3]])
    tensor = quantize_activations(config, x)
    assert tensor.exponents.max() <= config.array.window
    np.testing.assert_allclose(dequantize(tensor)[:, :3], x, atol=largest / 120)
    assert tensor.format == choose_format(config, largest)


def test_zero_activations():
    tensor = quantize_activations(PRESETS["small"], np.zeros((2, 9)))
    assert not tensor.mantissas.any() and not tensor.exponents.any()
    assert tensor.mantissas.shape == (2, 2, 8)


def test_weights():
    weights, step = quantize_weights([[1.0, 0.0, -4.0], [-0.5, 0.0, 2.0]])
    np.testing.assert_array_equal(weights, [[127, 0, -127], [-64, 0, 64]])
    np.testing.assert_allclose(step, [1 / 127, 0, 4 / 127])


def test_scales_are_normalised():
    inputs = choose_format(PRESETS["small"], 1.0)
    fraction = 5
    step = np.array([1.0, 0.75, 1 - 2**-20, 3e-9, 1e-60, 0.0])
    scales = scale_entries(step, inputs, fraction, [0, 1, -1, 0, 0, 0.1])
    nonzero = scales.scale[:4]
    assert np.all((nonzero >= 1 << 15) & (nonzero < 1 << 16))
    factor = np.ldexp(step, inputs.base + fraction)
    np.testing.assert_allclose(np.ldexp(nonzero, -scales.shift[:4]), factor[:4], rtol=2**-16)
    assert not scales.scale[4:].any() and not scales.shift[4:].any()
    np.testing.assert_array_equal(scales.bias, [0, 32, -32, 0, 0, 3])


def test_scales_refuse_too_fine_a_fraction():
    inputs = choose_format(PRESETS["small"], 1e9)
    with pytest.raises(ConfigError, match="fraction 40 is too fine: channel 1 .* lower it by"):
        scale_entries([1.0, 5.0], inputs, 40)
    with pytest.raises(ConfigError, match="fraction 20 is too fine for a bias of 5e"):
        scale_entries([1e-3], choose_format(PRESETS["small"], 1.0), 20, 5e5)
