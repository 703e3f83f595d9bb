"""Random matrix products on the Verilated core: bits, cycles, and use of the port."""

import numpy as np
import pytest

from systolith.bench import ORDER, START_UP, bench_matmul, measure
from systolith.compiler.layout import pad
from systolith.compiler.matmul import plan_matmul
from systolith.compiler.quantize import Scales
from systolith.compiler.recipes import recipes
from systolith.driver import Driver
from systolith_hw.code_pages import code_pages
from systolith_hw.config import CODE_GROUP, ConfigError
from systolith_hw.isa import LoadKind
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from systolith_sim.machine import Machine
from systolith_sim.timing import is_modelled
from unit.estimates import assert_near

CONFIGS = {
    # R > C, one lane, single-port operands.
    "tiny": preset("tiny"),
    # R = C, rings and blocks of tokens that wrap because memories are small.
    "cramped": preset("small").replace({
        "memory.operand_tiles": 23, "memory.activation_words": 40, "memory.scale_words": 12,
        "sequencer.queue_depth": 1, "vector.rows": 0,
    }),
    # C > R, 16-byte port that writes two rows at once, wide mantissas.
    "broad": preset("small").replace({
        "array.rows": 4, "array.columns": 8, "array.mantissa_bits": 12, "array.window": 18,
        "bus.data_bytes": 16, "memory.operand_tiles": 61, "memory.activation_words": 100,
    }),
    # 4-bit weights, two rows of them in each beat, in a ring that wraps.
    "coded": preset("small").replace({
        "array.rows": 16, "array.columns": 4, "bus.data_bytes": 4, "bus.codecs": True,
        "memory.operand_tiles": 45, "memory.activation_words": 60,
    }),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


def random_integers(config, plan, rng):
    """Return operands from the whole range of their types, extremes and zeros among them."""
    tiling, array = plan.tiling, config.array
    limit = (1 << array.mantissa_bits - 1) - 1
    inputs = rng.integers(-limit, limit + 1, (tiling.m, tiling.steps * array.rows))
    inputs[rng.random(inputs.shape) < 0.1] = limit
    inputs[:, tiling.k :] = 0
    mantissas = inputs.reshape(tiling.m, tiling.steps, array.rows)
    exponents = rng.integers(0, array.window + 1, (tiling.m, tiling.steps))
    weights = random_weights(tiling, rng)
    scales = Scales(
        rng.integers(1 << 15, 1 << 16, tiling.n),
        rng.integers(array.mantissa_bits, array.accumulator_bits - 4, tiling.n),
        rng.integers(-(2**31), 2**31, tiling.n),
    )
    return mantissas, exponents, weights, scales


def random_weights(tiling, rng):
    """Return int8, or recipes of any codes and parameters."""
    if tiling.page is None:
        return rng.integers(-128, 128, (tiling.k, tiling.n)).astype(np.int8)
    groups = -(-tiling.k // CODE_GROUP), tiling.n
    highs = (256, 256) if tiling.kind == LoadKind.OPERAND_AFFINE else (16,)
    codes = rng.integers(0, 16, (tiling.k, tiling.n))
    return recipes(codes, [rng.integers(0, high, groups) for high in highs])


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_random_products(config, pause):
    """Memory and the counts of saturations and flushes are those of the machine."""
    rng = np.random.default_rng([7, int(10 * pause)])
    done = 0
    size = 1 << 18
    with VerilatedDevice(config, memory_bytes=size, pauses=Pauses(probability=pause, seed=3)) as (
        device
    ):
        driver = Driver(device, config)
        for _ in range(24):
            m, k, n = (int(rng.integers(1, high)) for high in (12, 90, 70))
            operands = str(rng.choice(["onchip", "stream"]))
            base = int(rng.integers(0, 24))
            kinds = [LoadKind.OPERAND_ROWS, *code_pages(config)]
            kind = kinds[done % len(kinds)]
            try:
                plan = plan_matmul(config, m, k, n, operands=operands, exponent_base=base,
                                   kind=kind)  # fmt: skip
            except ConfigError:
                continue
            contents = plan.image(*random_integers(config, plan, rng))
            machine = Machine(config, size)
            machine.memory.write(0, contents)
            device.write_memory(0, contents)
            for name in ORDER:
                if name not in plan.programs:
                    continue
                counts = machine.run(plan.programs[name]).counts
                driver.load_program(plan.regions[name].address, plan.programs[name])
                counters = driver.run()
                for counter, count in counts.items():
                    if counter in counters:
                        assert counters[counter] == count, (counter, m, k, n, operands, name)
            found = np.frombuffer(device.read_memory(0, plan.size), np.uint8)
            np.testing.assert_array_equal(found, machine.memory.array[: plan.size])
            done += 1
    assert done >= 8


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 43, 7), (2, 17, 1), (9, 8, 8), (5, 40, 21), (2, 330, 3)]
)
def test_cycles_on_chip(config, shape):
    """Every control word takes a cycle, and nothing else does but a start-up."""
    m, k, n = shape
    rng = np.random.default_rng(shape)
    # A value takes up to 40 cycles where values come one at a time.
    busy = 40 * config.array.columns if config.short_pipelines else config.beats_per_result
    if -(-k // config.array.rows) < busy:
        pytest.skip("the vector unit is too slow for so short a reduction")
    try:
        plan = plan_matmul(config, m, k, n, operands="onchip")
    except ConfigError as error:
        pytest.skip(str(error))
    with VerilatedDevice(config, memory_bytes=pad(plan.size, 4096)) as device:
        device.write_memory(0, plan.image(*random_integers(config, plan, rng)))
        driver = Driver(device, config)
        for name in ORDER:
            if name in plan.programs:
                driver.load_program(plan.regions[name].address, plan.programs[name])
                counters = driver.run()
                if name == "main":
                    measured = measure(plan, counters, True)
    assert measured.counters["ARRAY_BUSY"] == measured.ideal_cycles
    # Where instructions stand they come slot by slot, 130 cycles each, END among them; with short
    # pipelines there are cycles between tiles and tokens, and the vector unit ends late.
    late = 2 * busy if config.short_pipelines else 0
    late += 350 if config.sequencer.instructions_stand else 0
    assert measured.cycles <= measured.ideal_cycles + START_UP + late
    if is_modelled(config):
        assert_near(measured.estimated_cycles, measured.cycles)


@pytest.mark.parametrize("m", [1, 8])
def test_streaming_reaches_the_roofline(m):
    """The weights of a feed-forward layer, four times narrower, at the port's full speed."""
    config = preset("small")
    plan = plan_matmul(config, m, 384, 384)
    rng = np.random.default_rng(m)
    with VerilatedDevice(config, memory_bytes=pad(plan.size, 4096)) as device:
        device.write_memory(0, plan.image(*random_integers(config, plan, rng)))
        driver = Driver(device, config)
        driver.load_program(plan.regions["main"].address, plan.programs["main"])
        measured = measure(plan, driver.run(), True)
    assert measured.roofline_utilization >= 0.92  # 0.94 and more at full length: `bench matmul`
    assert_near(measured.estimated_cycles, measured.cycles)


@pytest.mark.slow
@pytest.mark.parametrize("m", [1, 8, 64])
@pytest.mark.parametrize("port_bytes", [2, 8, 32])
@pytest.mark.parametrize("name", ["small", "ulx3s"])
def test_streaming_at_full_length(name, port_bytes, m):
    config = preset(name).replace({"bus.data_bytes": port_bytes})
    measured = bench_matmul(config, m, 384, 1536, operands="stream")
    assert measured.bit_exact
    assert measured.roofline_utilization >= 0.94
    assert_near(measured.estimated_cycles, measured.cycles)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["int4", "int4-exponent"])
def test_codes_at_full_length(weights):
    """The port is as busy as with weights of 8 bits, so that a product takes little over half."""
    config = preset("ulx3s").replace({"bus.data_bytes": 8})
    measured = bench_matmul(config, 1, 384, 1536, weights=weights, operands="stream")
    assert measured.bit_exact
    assert measured.roofline_utilization >= 0.94
    assert_near(measured.estimated_cycles, measured.cycles)
