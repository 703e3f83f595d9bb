"""What is measured and compared, without the hardware: the machine stands in for it."""

import dataclasses

import numpy as np
import pytest

from systolith import bench
from systolith.bench import bench_matmul, measure, predict, read_result
from systolith.compiler.matmul import plan_matmul
from systolith.product import Product, Result
from systolith_hw.config import ConfigError
from systolith_hw.presets import PRESETS, preset
from systolith_hw.registers import COUNTERS


def product_of(config, m, k, n, seed=0):
    rng = np.random.default_rng(seed)
    return Product.quantize(
        config, rng.normal(size=(m, k)), rng.normal(size=(k, n)), rng.normal(size=n)
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
    assert values.operands == "onchip"
    assert values.utilization == values.roofline_utilization == pytest.approx(512 / 600)


@pytest.mark.parametrize("shape, sentence", [
    ((0, 1, 1), "m must be at least 1, not 0"), ((1, 4097, 1), "k 4097 is .* lower k to 4096"),
    ((1, 4096, 64), "k 4096 and n 64 are too large: memory.operand_tiles .* k to 512 or n to 8"),
])  # fmt: skip
def test_shapes_are_refused_before_anything_is_built(shape, sentence, monkeypatch):
    monkeypatch.setattr(bench, "open_device", None)
    with pytest.raises(ConfigError, match=sentence):
        bench_matmul(preset("small"), *shape, operands="onchip")


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
    for name in PRESETS:
        values = ffn.run_ffn(model, "A man is eating a piece of bread.", preset(name))
        assert values.bit_exact
        assert (values.m, values.k, values.n) == (values.tokens, 384, 1536)
        assert 0.9998 <= values.cosine_worst <= values.cosine <= 1
