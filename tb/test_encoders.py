"""Attention, layers and encoders on the Verilated core, bit for bit, and how long they take."""

import numpy as np
import pytest

from systolith.bench_attention import bench_attention
from systolith.bench_layer import layer_workload
from systolith.compiler.encoder_choice import choose_encoder
from systolith.compiler.encoder_fit import candidate_plans, plan_encoder
from systolith.compiler.encoder_layout import EncoderLayout
from systolith.compiler.encoder_program import write_encoder
from systolith.compiler.encoder_shape import EncoderShape
from systolith.device_encoder import DeviceEncoder
from systolith.encoder import CompiledEncoder, MachineEncoder
from systolith.model_image import ModelImage
from systolith.progress import Progress
from systolith.workload import open_device
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from unit.encoder_bench import CONFIGS, ROWS, random_model
from unit.estimates import NEAR, assert_near

GATE = {"spilt", "streamed"}
"""Configurations that are tried before each change: every plan. The rest is slow."""


def gated(cases):
    return [case if case in GATE else pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("case", gated(CONFIGS))
def test_one_program_for_all_lengths(case, seed):
    """Sentences of any lengths, alone and together, with pauses on the bus."""
    config, rng = CONFIGS[case], np.random.default_rng(seed)
    model = random_model(config, layers=2, seed=seed)
    encoder = CompiledEncoder.compile(config, model, tokens=37, segments=3)
    pauses = Pauses(probability=0.2, seed=seed)
    with VerilatedDevice(config, memory_bytes=1 << 20, pauses=pauses) as device:
        runner = DeviceEncoder(encoder, device)
        for lengths in ((1,), (37,), (19, 2, 12)):
            sentences = [rng.integers(0, 50, length).tolist() for length in lengths]
            for sentence, state in zip(sentences, runner.run(sentences).states, strict=True):
                np.testing.assert_array_equal(state, model.encode(config.array, sentence))


@pytest.mark.parametrize("case", gated(["ulx3s", "crowded", "spilt", "streamed"]))
def test_a_layer_apart_from_its_embedding(case, seed):
    config = CONFIGS[case]
    model = random_model(config, vocabulary=37, positions=37, seed=seed)
    plan = plan_encoder(config, EncoderShape.of(model), tokens=37)
    encoder, work = layer_workload(plan, model)
    with VerilatedDevice(config, memory_bytes=1 << 20) as device:
        outcome = work.execute(device)
    (states,) = encoder.results([range(37)], outcome.memory)
    np.testing.assert_array_equal(states, model.encode(config.array, range(37)))
    predicted = work.predict().counters
    counted = {name: outcome.counters.get(name, count) for name, count in predicted.items()}
    assert counted == predicted


@pytest.mark.slow
def test_the_plan_that_is_chosen_is_the_fastest(seed):
    """Of a sentence whose scores take the residual's place, in large blocks of rows or small."""
    config, numbers = CONFIGS["ulx3s"], range(64)
    model = random_model(config, vocabulary=64, seed=seed)
    shape = EncoderShape.of(model)
    chosen, choice = choose_encoder(config, shape, tokens=64)
    plans = candidate_plans(config, shape, tokens=64)
    assert chosen != plans[0] and len(plans) == len(choice.candidates) > 1
    cycles = []
    for plan, candidate in zip(plans, choice.candidates, strict=True):
        layout = EncoderLayout(plan)
        program = write_encoder(layout, model)
        address = layout.map.add("program", len(program)).address
        encoder = CompiledEncoder(layout, address, {address: program, **layout.parts(model)})
        with VerilatedDevice(config, memory_bytes=1 << 20) as device:
            result = DeviceEncoder(encoder, device).run([numbers])
        np.testing.assert_array_equal(result.states[0], model.encode(config.array, numbers))
        assert_near(candidate.cycles, result.counts["CYCLES"], 2 * NEAR)
        cycles.append(result.counts["CYCLES"])
    assert cycles[choice.chosen] == min(cycles)


def test_an_encoder_in_both_simulators(sim, seed):
    """Two layers of two sentences, without waiting for a simulator that is slow."""
    config, rng = CONFIGS["small"], np.random.default_rng(seed)
    model = random_model(config, seed=seed)
    encoder = CompiledEncoder.compile(config, model, tokens=12, segments=2)
    sentences = [rng.integers(0, 50, length).tolist() for length in (7, 3)]
    with open_device(config, encoder.size, sim, Progress()) as device:
        states = DeviceEncoder(encoder, device).run(sentences).states
    for sentence, state in zip(sentences, states, strict=True):
        np.testing.assert_array_equal(state, model.encode(config.array, sentence))


SHORT = 1500
"""The array needs so few cycles of a program that is over before it is in full swing."""

ATTENTION = [
    # preset, settings, tokens, heads, features, causal, least use of the array in whole tiles
    pytest.param("wide", {}, 128, 2, 64, False, 0.9, marks=pytest.mark.slow),
    pytest.param("ulx3s", {}, 32, 12, 32, False, 0.9, marks=pytest.mark.slow),
    pytest.param("ulx3s", {}, 37, 12, 32, False, 0.9, marks=pytest.mark.slow),
    pytest.param("ulx3s", {}, 37, 3, 32, True, 0.0, marks=pytest.mark.slow),
    ("small", {}, 20, 2, 16, True, 0.0),
    ("small", {}, 32, 4, 32, False, 0.9),
    pytest.param("ulx3s", {"memory.activation_words": 160, "bus.data_bytes": 16}, 37, 4, 32, True,
                 0.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name, changes, tokens, heads, features, causal, least", ATTENTION)
def test_attention(name, changes, tokens, heads, features, causal, least):
    """Softmax of one head runs beside the products of another."""
    config = preset(name).replace({**ROWS, **changes})
    values = bench_attention(config, tokens, heads=heads, features=features, causal=causal)
    assert values.bit_exact
    assert values.tiling_utilization is not None and values.tiling_utilization >= least
    short = values.ideal_cycles < SHORT
    assert_near(values.estimated_cycles, values.cycles, 2 * NEAR if short else NEAR)


@pytest.mark.slow
def test_attention_of_twelve_heads():
    """No more than 104,000 cycles, of which the multipliers need 98,304."""
    values = bench_attention(preset("wide").replace(ROWS), 128, heads=12, features=64)
    assert values.bit_exact and values.ideal_cycles == 98_304
    assert values.cycles is not None and values.cycles <= 104_000
    assert_near(values.estimated_cycles, values.cycles)


@pytest.fixture
def minilm():
    """Return MiniLM in float."""
    pytest.importorskip("safetensors")
    from systolith.models.errors import FetchError
    from systolith.models.minilm import MiniLM

    try:
        return MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize(
    "tokens, lengths", [(128, (128,)), (128, (50, 70, 8)), (256, (256,)), (256, (100, 90, 60, 6))]
)
def test_all_of_minilm_on_the_machine(minilm, tokens, lengths, tmp_path, seed):
    """One image, read from its file, for one long text or several; golden are the integers."""
    from systolith.models.quantized import MINILM_NAME, quantize_minilm, random_sentence
    from systolith.sentences import compile_minilm

    config, path = preset("ulx3s"), tmp_path / "image"
    compile_minilm(minilm, config, longest=tokens, tokens=tokens, path=path)
    image = ModelImage.load(path, config)
    encoder = CompiledEncoder.from_image(image, config, MINILM_NAME)
    assert encoder.plan.tokens == tokens and encoder.plan.streamed == (tokens == 256)
    rng, integers = np.random.default_rng(seed), quantize_minilm(minilm, config)
    sentences = [random_sentence(rng, length, minilm.vocabulary) for length in lengths]
    states = MachineEncoder(encoder).run(sentences).states
    for sentence, state in zip(sentences, states, strict=True):
        np.testing.assert_array_equal(state, integers.encode(config.array, sentence))


@pytest.mark.slow
@pytest.mark.parametrize(
    "tokens, port_bytes, least", [(128, 16, 0.95), (128, 2, 0.92), (256, 16, 0.95), (256, 2, 0.82)]
)
def test_layer_of_minilm(minilm, tokens, port_bytes, least):
    """How much of what multipliers and port allow a whole layer makes use of."""
    from systolith.bench_layer import bench_layer

    config = preset("ulx3s").replace({**ROWS, "bus.data_bytes": port_bytes})
    values = bench_layer(minilm, config, tokens)
    assert values.bit_exact
    assert values.roofline_utilization is not None and values.roofline_utilization >= least
    assert_near(values.estimated_cycles, values.cycles)
