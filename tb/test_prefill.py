"""Layers of a language model for a whole prompt on the Verilated core, against the golden model."""

import numpy as np
import pytest

from systolith.bench_prefill import bench_prefill, prefill_workload
from systolith.compiler.decoder_shape import DecoderShape
from systolith.compiler.prefill_plan import plan_prefill
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from unit.estimates import assert_near
from unit.prefill_bench import CONFIGS, one_by_one, prefill_model, random_residual


@pytest.mark.parametrize("name", ["flat", pytest.param("tall", marks=pytest.mark.slow)])
def test_as_token_by_token(name, seed):
    """A batch has the bits of tokens that come one by one, with pauses on the bus."""
    config = CONFIGS[name]
    model = prefill_model(name, seed=seed)
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(config, memory_bytes=1 << 20, pauses=pauses) as device:
        for tokens in (1, 9, 12):
            residual = random_residual(model, tokens, seed)
            plan = plan_prefill(config, DecoderShape.of(model), tokens)
            layout, work = prefill_workload(plan, model, residual)
            outcome, machine = work.execute(device), work.predict()
            got = layout.unpack(outcome.memory)
            np.testing.assert_array_equal(got, layout.unpack(machine.memory))
            np.testing.assert_array_equal(got, one_by_one(model, residual))
            assert outcome.counters["CYCLES"] > 0
            counted = {name: outcome.counters.get(name, count)
                       for name, count in machine.counters.items()}  # fmt: skip
            assert counted == machine.counters


def test_hardly_anybody_waits():
    """The array is busy most of the time, even with few tokens and small matrices."""
    values = bench_prefill(prefill_model("flat", layers=1), CONFIGS["flat"], 12)
    assert values.bit_exact and values.cycles
    assert values.counters["ARRAY_BUSY"] > 0.7 * values.cycles
    assert_near(values.estimated_cycles, values.cycles)


@pytest.mark.slow
def test_a_layer_of_smollm2():
    """64 tokens on ``ulx3s``, by the sizes of the layer: at least 94 % of the multipliers."""
    from systolith.models.quantized_shape import quantize_shape
    from systolith.models.shape_only import layer_dimensions

    config = preset("ulx3s").replace({"bus.data_bytes": 16})
    count, dimensions = layer_dimensions("smollm2", 1, 64)
    model = quantize_shape("llama", dimensions, config, streamed=True)
    values = bench_prefill(model, config, 64, model_layers=count)
    assert values.bit_exact and (values.utilization or 0) > 0.94
    assert_near(values.estimated_cycles, values.cycles)
