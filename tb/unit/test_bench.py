"""What is measured and compared, without the hardware: the machine stands in for it."""

import dataclasses
import time

import numpy as np
import pytest

from systolith import bench, workload
from systolith.bench import bench_matmul, expected_cycles, measure, predict, read_result
from systolith.compiler.matmul import plan_matmul
from systolith.product import Product, Result
from systolith.progress import Progress
from systolith.watched_device import WatchedDevice
from systolith_hw.config import ConfigError
from systolith_hw.presets import PRESETS, preset
from systolith_hw.registers import COUNTERS
from systolith_sim.device.device import Device


def product_of(config, m, k, n, seed=0):
    rng = np.random.default_rng(seed)
    return Product.quantize(
        config, rng.normal(size=(m, k)), rng.normal(size=(k, n)),
        rng.normal(size=n) * (not config.memory.bias_words),
    )


def counters(**known: int) -> dict[str, int]:
    return {counter.name: 0 for counter in COUNTERS} | known


@pytest.mark.parametrize("operands", ["onchip", "stream"])
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (3, 17, 11), (5, 64, 33), (1, 70, 40)])
def test_machine_equals_golden_models(name, operands, m, k, n):
    config = preset(name)
    product = product_of(config, m, k, n)
    plan = plan_matmul(config, m, k, n, operands=operands,
                       exponent_base=product.output.exponent_base)  # fmt: skip
    result = read_result(plan, predict(plan, product))
    assert result.equals(product.expected(plan))


@pytest.mark.parametrize("operands", ["onchip", "stream"])
def test_real_numbers_come_back(operands):
    """Quantised weights and activations cost less than a fiftieth of the signal."""
    rng = np.random.default_rng(1)
    x, weights, bias = rng.normal(size=(4, 96)), rng.normal(size=(96, 40)), rng.normal(size=40)
    config = preset("small")
    product = Product.quantize(config, x, weights, bias)
    plan = plan_matmul(config, 4, 96, 40, operands=operands,
                       exponent_base=product.output.exponent_base)  # fmt: skip
    got = product.to_real(product.expected(plan))
    exact = x @ weights + bias
    assert got.shape == exact.shape
    assert np.linalg.norm(got - exact) < 0.02 * np.linalg.norm(exact)


def test_one_wrong_bit_is_seen():
    config = preset("tiny")
    product = product_of(config, 2, 9, 5)
    for operands in ("onchip", "stream"):
        plan = plan_matmul(config, 2, 9, 5, operands=operands)
        result = product.expected(plan)
        wrong = result.mantissas.copy()
        wrong[-1, 0] ^= 1
        assert result.equals(product.expected(plan))
        assert not result.equals(dataclasses.replace(result, mantissas=wrong))
        if result.exponents is not None:
            assert not result.equals(dataclasses.replace(result, exponents=result.exponents + 1))
            assert not result.equals(Result(result.mantissas))


def test_numbers_that_multipliers_limit():
    config = preset("small")  # 64 multipliers, 8 bytes a cycle
    plan = plan_matmul(config, 64, 384, 1536, operands="stream")
    cycles = 600_000
    values = measure(
        plan, counters(CYCLES=cycles, LOAD_BEATS=80_000, STORE_BEATS=14_000, FETCH_BEATS=100), True
    )
    assert values.macs == 64 * 384 * 1536
    assert values.ideal_cycles == 64 * 48 * 192 == values.roofline_cycles
    assert values.utilization == pytest.approx(values.macs / 64 / cycles)
    assert values.bytes == 8 * 94_100
    assert values.bandwidth_utilization == pytest.approx(94_100 / cycles)
    assert values.first_panel_cycles == 384
    assert values.roofline_utilization == pytest.approx(64 * 48 * 192 / (cycles - 384))


def test_numbers_that_the_port_limits():
    config = preset("small")
    plan = plan_matmul(config, 1, 384, 1536, operands="stream")
    values = measure(plan, counters(CYCLES=80_000), False)
    # Weights, scales, one token in (48 words of 8, with exponents) and out (192 words).
    compulsory = 384 * 1536 + 8 * 1536 + (384 + 48) + (1536 + 192)
    assert values.roofline_cycles == compulsory / 8
    assert values.roofline_utilization == pytest.approx(compulsory / 8 / 80_000)
    assert not values.bit_exact


def test_operands_on_chip_need_no_first_panel():
    plan = plan_matmul(preset("small"), 8, 64, 64, operands="onchip")
    values = measure(plan, counters(CYCLES=600), True)
    assert values.first_panel_cycles == 0
    assert values.operands == values.results == "onchip"
    assert values.utilization == values.roofline_utilization == pytest.approx(512 / 600)


def test_results_that_do_not_fit_on_chip_are_told():
    plan = plan_matmul(preset("small"), 1000, 16, 64, operands="onchip")
    values = measure(plan, counters(CYCLES=20_000), True)
    assert (values.operands, values.results) == ("onchip", "memory")


@pytest.mark.parametrize("shape, sentence", [
    ((0, 1, 1), "m must be at least 1, not 0"), ((1, 4097, 1), "k 4097 is .* lower k to 4096"),
    ((10**8, 1, 1), "m 100000000 is .* take 2500000008 bytes, .* most 268435456; lower m to 107"),
    ((20_000, 1, 20_000), "m 20000 and n 20000 are .* most 268435456; lower m to 119.* or measure"),
    ((1, 4096, 64), "k 4096 and n 64 are too large: memory.operand_tiles .* k to 512 or n to 8"),
])  # fmt: skip
def test_shapes_are_refused_before_anything_is_built(shape, sentence, monkeypatch):
    monkeypatch.setattr(workload, "open_device", None)
    with pytest.raises(ConfigError, match=sentence):
        bench_matmul(preset("small"), *shape, operands="onchip")


def test_biases_need_a_memory_as_deep_as_that_of_scales():
    config = preset("ulx3s-resident")
    rng = np.random.default_rng(0)
    product = Product.quantize(config, rng.normal(size=(1, 8)), rng.normal(size=(8, 8)), 1.0)
    with pytest.raises(ConfigError, match="with biases needs a memory.bias_words of 0, not 16"):
        predict(plan_matmul(config, 1, 8, 8), product)


def test_random_matrices_on_a_core_with_few_biases(monkeypatch):
    """The benchmark runs there, too: its product is one that the core has biases for."""
    seen = []

    def run_product(plan, product, **_):
        seen.append(read_result(plan, predict(plan, product)).equals(product.expected(plan)))
        return measure(plan, counters(CYCLES=1000), seen[-1]), None

    monkeypatch.setattr(bench, "run_product", run_product)
    for name in ("ulx3s-resident", "small"):
        assert bench_matmul(preset(name), 3, 17, 20).bit_exact
    assert seen == [True, True]


def test_unknown_simulator():
    with pytest.raises(ConfigError, match="there is no simulator vcs; known are verilator"):
        bench_matmul(preset("tiny"), 1, 1, 1, simulator="vcs")


def test_feed_forward_is_close_to_float(monkeypatch):
    """The whole of ``run ffn`` with the machine for the hardware, on every preset's numbers."""
    pytest.importorskip("safetensors")
    from systolith import ffn
    from systolith.models.errors import FetchError
    from systolith.models.minilm import MiniLM

    def run_product(plan, product, **_):
        result = read_result(plan, predict(plan, product))
        exact = result.equals(product.expected(plan))
        return measure(plan, counters(CYCLES=100_000), exact), result

    monkeypatch.setattr(ffn, "run_product", run_product)
    try:
        model = MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))
    for name in PRESETS.keys() - {"icebreaker"}:  # 64 KiB are too few
        config = preset(name).replace({"memory.bias_words": 0})
        values = ffn.run_ffn(model, "A man is eating a piece of bread.", config)
        assert values.bit_exact
        assert (values.m, values.k, values.n) == (values.tokens, 384, 1536)
        assert 0.9998 <= values.cosine_worst <= values.cosine <= 1


class Recorder(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.stages: list[str] = []
        self.marks: list[tuple[float, float]] = []

    def __call__(self, stage):
        self.stages.append(stage)

    def reached(self, done, total):
        self.marks.append((done, total))


class Clock(Device):
    """Interrupts at one cycle, and is slow to wait."""

    def __init__(self, config, interrupt_at, patience=0.0):
        super().__init__(config, 64)
        self.interrupt_at, self.patience = interrupt_at, patience
        self.cycle = 0
        self.pieces: list[int] = []
        self.memory = bytearray(64)

    def wait(self, cycles):
        self.pieces.append(cycles)
        time.sleep(self.patience)
        self.cycle = min(self.cycle + cycles, self.interrupt_at)
        return self.cycle == self.interrupt_at

    def read_register(self, offset):
        return offset + 1

    def write_register(self, offset, value):
        self.pieces.append(value)

    def _read(self, address, count):
        return bytes(self.memory[address : address + count])

    def _write(self, address, data):
        self.memory[address : address + len(data)] = data


def test_watched_device_waits_exactly_as_long():
    clock, progress = Clock(preset("tiny"), 50_000), Recorder()
    watched = WatchedDevice(clock, progress, 20_000)
    assert not watched.wait(30_000)
    assert clock.cycle == 30_000
    assert watched.wait(1 << 20)
    assert clock.cycle == 50_000
    done = [mark[0] for mark in progress.marks]
    assert done == sorted(done) and done[-1] == 20_000, "a guess that was too low is never passed"
    assert {mark[1] for mark in progress.marks} == {20_000}


def test_watched_device_looks_often_enough():
    """Pieces grow until they take long enough, so that neither looking nor waiting is long."""
    clock = Clock(preset("tiny"), 1 << 30)
    WatchedDevice(clock, Progress(), 1).wait(1 << 22)
    assert clock.pieces[:3] == [1 << 10, 1 << 11, 1 << 12] and len(clock.pieces) < 20
    slow = Clock(preset("tiny"), 1 << 30, patience=0.11)
    WatchedDevice(slow, Progress(), 1).wait(5 << 10)
    assert slow.pieces == [1 << 10] * 5


def test_watched_device_is_the_device_otherwise():
    clock = Clock(preset("tiny"), 9)
    watched = WatchedDevice(clock, Progress(), 1)
    watched.write_memory(3, b"abc")
    assert watched.read_memory(2, 5) == b"\0abc\0" == bytes(clock.memory[2:7])
    assert watched.read_register(8) == 9
    watched.write_register(0, 77)
    assert clock.pieces == [77]


@pytest.mark.parametrize("operands, m", [("onchip", 3), ("stream", 1), ("stream", 64)])
def test_expected_cycles_are_about_what_is_measured(operands, m):
    """At least what main needs; on chip, what is loaded before and stored behind it, too."""
    plan = plan_matmul(preset("small"), m, 64, 64, operands=operands)
    expected = expected_cycles(plan)
    assert expected >= max(plan.roofline_cycles, m * 8 * 8)
    assert expected <= max(plan.roofline_cycles, m * 8 * 8) + plan.size / 8
