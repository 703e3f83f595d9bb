"""Models compiled and run on the machine: what the core does, how close, what is refused."""

import numpy as np
import pytest

import systolith
from systolith.graph import GraphError
from systolith.graph.key_mask import visible_tokens
from systolith.graph.model_inputs import named_inputs
from systolith.model_compiler import cut_model
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset

from .graph_bench import Builder, encoder

CONFIG = preset("small").replace({
    "memory.operand_tiles": 160, "memory.activation_words": 400, "memory.scale_words": 200,
    "memory.program_instructions": 256, "vector.rows": 64, "device": "", "memory.wide_words": 600,
})  # fmt: skip


def example(seed, batch=3, tokens=9, n=32):
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, tokens), np.int64)
    mask[1, 5:] = 0
    mask[2, 2] = 0
    return {"x": rng.normal(size=(batch, tokens, n)).astype(np.float32), "mask": mask}


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_batch_with_padding(norm_first, seed):
    """All matrices of layers are on the core; what is close to float is what is seen."""
    graph, inputs = encoder(norm_first=norm_first, seed=seed), example(seed)
    program = systolith.compile(graph, inputs, config=CONFIG)
    engine = systolith.InferenceEngine(program)
    states, classes = engine(**inputs)
    assert states.shape == (3, 9, 32) and classes.shape == (3, 4)
    assert not states[inputs["mask"] == 0].any()
    report = engine.report()
    layers, head = report.signals
    assert layers.decibels > 35 and min(layers.cosine, head.cosine) > 0.999
    assert report.runs == 1 and report.cycles is None and report.moved_bytes > 10_000
    assert 0.99 < report.parts.core_share < 1
    assert r": a matrix outside of encoder layers, 0.1%" in str(report)


def test_larger_batches_take_several_runs(seed):
    graph = encoder(layers=1, masked=False, seed=seed)
    program = systolith.compile(graph, {"x": example(seed)["x"][:1]}, config=CONFIG)
    engine = systolith.InferenceEngine(program)
    x = example(seed + 1)["x"]
    together, _ = engine(x)
    assert engine.report().runs == 3
    np.testing.assert_array_equal(together[1:2], engine(x[1:2])[0])


def test_a_causal_mask_stays_on_the_host():
    build = Builder()
    x = build.input("x", "batch", 6, 32)
    mask = np.triu(np.full((6, 6), -np.inf, np.float32), 1)
    graph = build.finish(build.layer(x, 32, 2, 64, mask))
    program = systolith.compile(graph, {"x": example(0, tokens=6)["x"]}, config=CONFIG)
    assert not program.stacks and program.parts.core_share == 0
    (left,) = program.parts.host
    assert "mask differs between queries" in left.reason and left.macs > 100_000
    y = systolith.InferenceEngine(program)(example(1, tokens=6)["x"])
    assert np.isfinite(y).all()


@pytest.mark.parametrize("strict, words", [
    (True, r"strict, but \d+ nodes are left to the host: node t0.0 \(Cast\), .*: no matrix"),
    ("matrices", r"strict, but 1 nodes with matrices .*: a matrix outside of encoder layers"),
])  # fmt: skip
def test_strict_names_what_is_left(strict, words):
    with pytest.raises(GraphError, match=words):
        systolith.compile(encoder(layers=1), example(0), config=CONFIG, strict=strict)


def test_nothing_is_left():
    build = Builder()
    graph = build.finish(build.layer(build.input("x", "batch", "tokens", 32), 32, 2, 64))
    program = systolith.compile(graph, {"x": example(0)["x"]}, config=CONFIG, strict=True)
    assert program.parts.core_share == 1 and not program.parts.host


def test_heads_that_do_not_fit_say_so():
    graph = encoder(layers=1, heads=8, masked=False)
    program = systolith.compile(graph, {"x": example(0)["x"]}, config=CONFIG)
    reason = next(one.reason for one in program.parts.host if one.node.operator == "EncoderLayer")
    assert "a head of 4 features is no multiple of array.rows 8" in reason


def hidden(seed):
    """Return a batch of whose tokens none is seen."""
    return {**example(seed), "mask": np.zeros((3, 9), np.int64)}


@pytest.mark.parametrize("first, calibration, words", [
    (hidden(0), None, r"no tokens of the example come to .*: the mask t\S+ hides all of them"),
    (hidden(0), [example(1)], "no tokens of the example come"),
    (example(0), [example(1), hidden(2)], "no tokens of batch 2 of calibration come to .*mask"),
    (example(0), [], "calibration has no batches, .*; give one or more, or leave calibration out"),
])  # fmt: skip
def test_nothing_to_round_weights_with(first, calibration, words):
    with pytest.raises(GraphError, match=words):
        systolith.compile(encoder(layers=1), first, config=CONFIG, calibration=calibration)


def test_nothing_to_estimate():
    cut = cut_model(encoder(layers=1), hidden(0), CONFIG)
    with pytest.raises(GraphError, match="no tokens of the example come to .* hides all of them"):
        cut.lengths(cut.parts.stacks[0])


@pytest.mark.parametrize("given, words", [
    ({"x": np.zeros((1, 2, 32), np.float32)}, r"input mask, int64\[batch, tokens\], is not given"),
    ({"y": 1}, "the model has no input y; it has x, mask"),
    ([1, 2, 3], "3 inputs are given, but the model has 2"),
    (None, "no inputs are given; the model has x, mask"),
    ({"x": np.zeros((1, 2, 32), np.float32), "mask": np.full((1, 2), 1 << 63, np.uint64)},
     "mask has numbers of 9223372036854775808 to .*, but int64 has only"),
    ({"x": np.zeros((1, 2, 32), np.int64), "mask": np.ones((1, 2), np.int64)},
     "x must be of float32, not of int64"),
    ({"x": np.zeros((1, 2, 3), np.float32), "mask": np.ones((1, 2), np.int64)},
     r"x must have the shape \(batch, tokens, 32\), not \(1, 2, 3\)"),
    ({"x": np.zeros((1, 2, 32), np.float32), "mask": np.ones((1, 3), np.int64)},
     r"mask must have .* not \(1, 3\), and tokens is 2 in x"),
])  # fmt: skip
def test_inputs_that_do_not_fit(given, words):
    with pytest.raises(GraphError, match=words):
        named_inputs(encoder(layers=1), given)


def test_tokens_must_be_as_many_as_the_example_has():
    """That is said, and nothing goes to the host instead."""
    graph = encoder(layers=1)
    with pytest.raises(ConfigError, match="tokens must be at least 9, .* not 8; raise tokens"):
        systolith.compile(graph, example(0), config=CONFIG, tokens=8)
    assert systolith.compile(graph, example(0), config=CONFIG, tokens=32).stacks


def test_rows_that_the_core_loses_are_noise(monkeypatch, seed):
    """Zeros in place of a token that is seen are no hidden token."""
    program = systolith.compile(encoder(layers=1, seed=seed), example(seed), config=CONFIG)
    engine = systolith.InferenceEngine(program)
    run = engine._run

    def losing(*args):
        states = run(*args)
        states[0][3] = 0
        return states

    monkeypatch.setattr(engine, "_run", losing)
    engine(**example(seed))
    layers, _ = engine.report().signals
    assert layers.cosine == 0 and layers.decibels < 20


def test_numbers_that_are_not_finite():
    graph = encoder(layers=1, masked=False)
    engine = systolith.InferenceEngine(
        systolith.compile(graph, {"x": example(0)["x"][:1]}, config=CONFIG)
    )
    x = example(1)["x"][:1]
    x[0, 2, 3] = np.nan
    with pytest.raises(GraphError, match="has numbers that are not finite"):
        engine(x)


def test_masks():
    hide = np.array([[0, -1e9, 0]], np.float32)[:, None, None]
    np.testing.assert_array_equal(visible_tokens(hide, 2, 3), [[True, False, True]] * 2)
    with pytest.raises(GraphError, match="adds -2 to scores"):
        visible_tokens(hide.clip(-2, 0), 1, 3)


def test_what_is_no_model_and_no_device():
    with pytest.raises(GraphError, match="not a int"):
        systolith.compile(3)
    program = systolith.compile(encoder(layers=1), example(0), config=CONFIG)
    with pytest.raises(ConfigError, match="no device fpga; known are machine, rtl, and serial por"):
        systolith.InferenceEngine(program, device="fpga")
    with pytest.raises(ConfigError, match="has not run yet"):
        systolith.InferenceEngine(program).report()


def test_shapes_that_depend_on_values():
    """Where the core's numbers pick more or less than float's, the report says what it compared."""
    build = Builder()
    y = build.layer(build.input("x", "batch", "tokens", 32), 32, 2, 64)
    positive = build.add("Cast", build.add("Greater", y, np.float32(0)), to=np.dtype(np.int64))
    count = build.add("ReduceSum", build.add("Reshape", positive, np.array([-1])), keepdims=1)
    some = build.add("Slice", build.add("Reshape", y, np.array([-1])), np.array([0]), count)
    graph = build.finish(some, y)
    program = systolith.compile(graph, {"x": example(0)["x"]}, config=CONFIG)
    engine = systolith.InferenceEngine(program)
    uncompared = []
    for seed in range(10):
        engine(example(seed)["x"])
        report = engine.report()
        uncompared += report.uncompared
        named = {one.name for one in report.signals} | set(report.uncompared)
        assert {some, y} <= named and y not in report.uncompared
        for name in report.uncompared:
            assert f"{name}: not compared with float, where it has another shape" in str(report)
    assert set(uncompared) == {some}


def test_a_model_of_the_host_is_compared_with_nothing():
    build = Builder()
    graph = build.finish(build.add("Log", build.input("x", "batch", 8)))
    engine = systolith.InferenceEngine(systolith.compile(graph, {"x": np.ones((2, 8), np.float32)}))
    engine(np.ones((2, 8), np.float32))
    text = str(engine.report())
    assert "not compared; the host computes all of it, in float" in text and "inf dB" not in text
