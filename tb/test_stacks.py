"""Stacks of layers, norms first or last, on the Verilated core, bit for bit as on the machine."""

import numpy as np
import pytest

import systolith
from graph.graph_bench import encoder
from graph.test_engine import CONFIG, example
from systolith.compiler.stack_quantizer import quantize_stack
from systolith.device_encoder import DeviceEncoder
from systolith.encoder import MachineEncoder
from systolith.stack import CompiledStack
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from unit.test_stack import CONFIGS, random_layers


@pytest.mark.parametrize("norm_first", [False, True])
def test_engines_agree(norm_first, seed):
    """A padded batch through a model, whose layers both devices run."""
    inputs = example(seed)
    program = systolith.compile(encoder(norm_first=norm_first, seed=seed), inputs, config=CONFIG)
    machine = systolith.InferenceEngine(program)
    with systolith.InferenceEngine(program, device="rtl") as core:
        for got, want in zip(core(**inputs), machine(**inputs), strict=True):
            np.testing.assert_array_equal(got, want)
        cycles = core.report().cycles
    # Attention is short, so the array waits for instructions most of the time.
    least = program.parts.core_macs / (CONFIG.array.rows * CONFIG.array.columns)
    assert cycles is not None and least < cycles < 5 * least


@pytest.mark.parametrize("case", [pytest.param("spilt", marks=pytest.mark.slow), "streamed"])
def test_stacks_in_blocks(case, seed):
    """With pauses on the bus, where residual and input move."""
    config, rng = CONFIGS[case], np.random.default_rng(seed)
    layers = random_layers(2, seed=seed, norm_first=True)
    model = quantize_stack(config, layers, [rng.normal(size=(12, 32))], tokens=37)
    stack = CompiledStack.compile(config, model, tokens=37, segments=3)
    sentences = [rng.normal(size=(length, 32)) for length in (19, 1, 12)]
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(config, memory_bytes=1 << 20, pauses=pauses) as device:
        got = DeviceEncoder(stack, device).run(sentences).states
    for one, other in zip(got, MachineEncoder(stack).run(sentences).states, strict=True):
        np.testing.assert_array_equal(one, other)
