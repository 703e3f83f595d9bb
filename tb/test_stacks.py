"""Stacks of layers, norms first or last, on the Verilated core, bit for bit as on the machine."""

import dataclasses

import numpy as np
import pytest

import systolith
from graph.graph_bench import encoder
from graph.test_engine import CONFIG, example
from systolith.compiler.encoder_quantizer import quantize_norm
from systolith.compiler.stack_quantizer import quantize_stack
from systolith.device_encoder import DeviceEncoder
from systolith.encoder import CompiledEncoder, MachineEncoder
from systolith.estimate.encoder import estimate_stacks
from systolith.stack import CompiledStack
from systolith.workload import CLOCK_MHZ
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from systolith_sim.transformer.encoder import to_words
from unit.estimates import assert_near
from unit.test_stack import CONFIGS, random_layers


@pytest.mark.parametrize("norm_first", [False, True])
def test_engines_agree(norm_first, seed):
    """A padded batch through a model, whose layers both devices run; in no more time than BERT."""
    inputs = example(seed)
    program = systolith.compile(encoder(norm_first=norm_first, seed=seed), inputs, config=CONFIG)
    machine = systolith.InferenceEngine(program)
    with systolith.InferenceEngine(program, device="rtl") as core:
        for got, want in zip(core(**inputs), machine(**inputs), strict=True):
            np.testing.assert_array_equal(got, want)
        cycles = core.report().cycles
    assert cycles is not None and cycles <= 1.02 * cycles_by_hand(norm_first, seed)
    assert_near(estimate_stacks(CONFIG, program.stacks, [9, 5, 8], CLOCK_MHZ).cycles, cycles)


def test_short_programs_take_what_is_estimated(seed):
    """The first run of a program of one layer, whose fetch is as long as what it does, too."""
    rng = np.random.default_rng(seed)
    program = systolith.compile(encoder(layers=1, seed=seed), example(seed), config=CONFIG)
    (stack,) = program.stacks
    for lengths in ([5], [9]):
        want = estimate_stacks(CONFIG, program.stacks, lengths, CLOCK_MHZ).cycles
        with VerilatedDevice(CONFIG, memory_bytes=1 << 20) as device:
            core = DeviceEncoder(stack, device)
            for _ in range(2):
                sentences = [rng.normal(size=(length, 32)) for length in lengths]
                assert_near(want, core.run(sentences).counts["CYCLES"])


def cycles_by_hand(norm_first, seed):
    """Return those of an encoder of the same sizes with embeddings, for as many tokens."""
    rng = np.random.default_rng(seed)
    layers = random_layers(2, seed=seed, norm_first=norm_first)
    model = quantize_stack(CONFIG, layers, [rng.normal(size=(12, 32))], tokens=32)
    rows = to_words(CONFIG.array, rng.integers(-65536, 65536, (32, 32)), model.base)
    norm = quantize_norm(layers[0].output_norm)
    model = dataclasses.replace(model, words=rows, positions=rows, norm=norm)
    encoder = CompiledEncoder.compile(CONFIG, model, tokens=32, segments=3)
    with VerilatedDevice(CONFIG, memory_bytes=1 << 20) as device:
        sentences = [range(9), range(5), range(8)]
        return DeviceEncoder(encoder, device).run(sentences).counts["CYCLES"]


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
