"""Signal to noise layer by layer: of the golden models, and so of what an engine gives."""

import dataclasses

import numpy as np
import pytest

import systolith
from systolith.accuracy import Accuracy, LayerSignal, Signal
from systolith.graph.optimise import optimise

from .graph_bench import encoder
from .test_engine import CONFIG, example


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_last_layer_is_what_an_engine_gives(norm_first, seed):
    """Layers add noise to that of those before; the first one has none but its own."""
    inputs = example(seed)
    graph = encoder(norm_first=norm_first, seed=seed)
    program = systolith.compile(graph, inputs, config=CONFIG)
    engine = systolith.InferenceEngine(program)
    engine(**inputs)
    report = engine.report()
    first, last = report.accuracy.layers
    assert last.decibels == pytest.approx(report.signals[0].decibels, abs=1e-3)
    assert last.cosine == pytest.approx(report.signals[0].cosine, abs=1e-7)
    assert first.own == pytest.approx(first.decibels, abs=0.02)  # states are rounded, too
    assert 35 < last.decibels < last.own < 80
    assert f"{last.name}: {last.decibels:.1f} dB, alone {last.own:.1f} dB" in str(report)


def test_the_worst_layer_is_named(seed):
    """One with an input whose weights are a hundred times the others': steps are coarse."""
    graph = optimise(encoder(layers=3, seed=seed))
    layers = [node for node in graph.nodes if node.operator == "EncoderLayer"]
    up = layers[1].inputs[10]
    graph.constants[up] = graph.constants[up].copy()
    graph.constants[up][3] *= 100
    program = systolith.compile(graph, example(seed), config=CONFIG)
    worst = program.accuracy.worst
    assert worst is not None and worst.name == f"layer 1 ({layers[1].output})"
    assert f"most noise is added by {worst.name}" in str(program.accuracy)


def test_no_noise_and_no_layers():
    perfect = Signal.measure("y", np.ones((2, 3)), np.ones((2, 3)))
    assert perfect.decibels == np.inf and perfect.to_dict()["decibels"] is None
    layer = LayerSignal(name="layer 0", decibels=np.inf, own=40.0, cosine=1.0)
    accuracy = Accuracy([layer, dataclasses.replace(layer, own=30.0)])
    assert Accuracy.from_dict(accuracy.to_dict()) == accuracy
    lost = Signal.measure("y", np.array([[0.0, 0], [1, 1]]), np.ones((2, 2)))
    assert lost.cosine == 0 and abs(lost.decibels - 10 * np.log10(2)) < 1e-9
    hidden = Signal.measure("y", np.array([[0.0, 0], [1, 1]]), np.array([[0.0, 0], [1, 1]]))
    assert hidden.cosine > 1 - 1e-9 and hidden.decibels == np.inf
    assert Accuracy().worst is None and str(Accuracy()) == "no layers on the core"
    assert Accuracy().to_dict() == {"layers": [], "worst_layer": None}
