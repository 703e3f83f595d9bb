"""Graphs: checks, types, text, and runs."""

import re

import numpy as np
import pytest

from systolith.graph import GraphError, Node
from systolith.graph.executor import run, run_node
from systolith.graph.macs import node_macs
from systolith.graph.operators import OPERATORS
from systolith.graph.shapes import infer
from systolith.graph.text import graph_text

from .graph_bench import Builder, encoder


def test_sizes_have_names():
    build = Builder()
    x = build.input("x", "batch", "tokens", 6)
    flat = build.add("Reshape", x, np.array([-1, 3]))
    pair = build.add("Concat", x, x, axis=1)
    more = build.add("Pad", x, np.array([0, 1, 0, 0, 0, 0]))
    graph = build.finish(flat, pair, more)
    shapes = [graph.types[name].shape for name in graph.outputs]
    assert shapes == [("2*batch*tokens", 3), ("batch", "2*tokens", 6), ("batch", "tokens+1", 6)]


def test_text_names_types_and_values():
    text = graph_text(encoder(layers=1))
    assert "input x: float32[batch, tokens, 32]" in text
    assert re.search(r": float32\[batch, 2, tokens, tokens\] = Div\(t\d+.0, 4.0\)\n", text)


@pytest.mark.parametrize("change, words", [
    (lambda g: g.nodes.append(Node("Add", ("x", "nothing"), ("z",), {}, "late")),
     r"node late \(Add\) takes nothing, which nothing before it makes"),
    (lambda g: g.nodes.append(Node("Neg", ("x",), ("x",))), "makes x, which there is already"),
    (lambda g: g.outputs.append("y"), "the model's output y is made by no node"),
    (lambda g: g.nodes.append(Node("Fly", ("x",), (g.outputs.append("y") or "y",))),
     r"node y \(Fly\): there is no operator Fly"),
    (lambda g: g.nodes.append(
        Node("MatMul", ("x", "x"), (g.outputs.append("y") or "y",))),
     r"node y \(MatMul\) cannot be computed from float32\[2, 5, 32\], float32\[2, 5, 32\]"),
])  # fmt: skip
def test_refusals_name_the_node(change, words):
    graph = encoder(layers=1, masked=False)
    change(graph)
    with pytest.raises(GraphError, match=words):
        infer(graph)


def test_a_run_needs_its_inputs():
    with pytest.raises(GraphError, match="takes x, which is neither given nor made"):
        run(encoder(layers=1, masked=False), {})


def test_the_last_of_equal_numbers():
    x = np.array([[1, 3, 3, 0], [5, 5, 5, 5]], np.float32)
    for operator, first, last in (("ArgMax", [1, 0], [2, 3]), ("ArgMin", [3, 0], [3, 3])):
        for attributes, want in (({}, first), ({"select_last_index": 1}, last)):
            got = OPERATORS[operator]({"axis": 1, "keepdims": 0, **attributes}, x)
            np.testing.assert_array_equal(got, want)


def test_multiplications():
    shapes = {"a": (2, 3, 5), "w": (5, 7), "y": (2, 3, 7)}
    assert node_macs(Node("MatMul", ("a", "w"), ("y",)), shapes) == 2 * 3 * 5 * 7
    for equation, macs in [
        ("bsk,kn->bsn", 210), ("...k,kn", 210), ("bsk, kn -> bsnk", 0), ("...k,kn->...n", 210),
        ("bsk,kn->n", 7 * 30),
    ]:
        node = Node("Einsum", ("a", "w"), ("y",), {"equation": equation})
        a, w = np.ones((2, 3, 5)), np.ones((5, 7))
        (y,) = run_node(node, [a, w])
        assert node_macs(node, {**shapes, "y": y.shape}) == macs
    shapes = {"q": (2, 3, 8), "k": (2, 3, 8), "y": (2, 3, 8)}
    assert node_macs(Node("MultiHeadAttention", ("q", "k", "k"), ("y",)), shapes) == 2 * 2 * 9 * 8
