"""Every rewrite finds its pattern, leaves what is another, and changes no output."""

import numpy as np
import pytest

from systolith.graph import GraphError, Node
from systolith.graph.optimise import Witness, optimise
from systolith.graph.optimise.activation import fuse_activation
from systolith.graph.optimise.attention import fuse_attention
from systolith.graph.optimise.constants import fold_constants
from systolith.graph.optimise.dead_code import drop_dead_code
from systolith.graph.optimise.duplicates import merge_duplicates
from systolith.graph.optimise.identities import drop_identities
from systolith.graph.optimise.linear import fuse_linear
from systolith.graph.optimise.normalization import fuse_normalization

from .graph_bench import Builder, encoder, operators, same

F = np.float32


def rewritten(graph, *passes):
    """Return the graph behind some rewrites, which must compute the same."""
    after = graph.copy()
    for one in (*passes, drop_dead_code):
        one(after)
    assert same(graph, after)
    return after


def states():
    build = Builder()
    return build, build.input("x", "batch", "tokens", 12)


def test_constants_are_computed():
    build, x = states()
    weights = build.add("Cast", np.full((12, 3), 2, np.int8), to=np.dtype(F))
    size = build.add("Gather", build.add("Shape", x), np.array([2]))
    graph = build.finish(build.add("MatMul", x, build.add("Mul", weights, F(0.5))),
                         build.add("Add", x, build.add("Cast", size, to=np.dtype(F))))  # fmt: skip
    after = rewritten(graph, fold_constants)
    assert operators(after) == ["Shape", "Gather", "MatMul", "Cast", "Add"]
    part = build.add("Shape", x, start=2)
    graph = build.finish(build.add("Add", x, build.add("Cast", part, to=np.dtype(F))))
    assert operators(rewritten(graph, fold_constants)) == ["Add"]


def test_what_is_computed_twice_is_computed_once():
    build, x = states()
    one, two = (build.add("Exp", build.add("Mul", x, F(3))) for _ in range(2))
    other = build.add("Exp", build.add("Mul", x, F(2)))
    graph = build.finish(build.add("Sub", one, build.add("Add", two, other)), two)
    after = rewritten(graph, merge_duplicates)
    assert operators(after) == ["Mul", "Exp", "Exp", "Mul", "Exp", "Add", "Sub"]


def test_what_changes_nothing_goes():
    build, x = states()
    y = build.add("Transpose", build.add("Transpose", x, perm=[1, 2, 0]), perm=[2, 0, 1])
    y = build.add("Add", build.add("Identity", y), np.zeros(12, F))
    y = build.add("Neg", build.add("Mul", build.add("Cast", y, to=np.dtype(F)), F(1)))
    kept = build.add("Neg", build.add("Sub", F(0), build.add("Transpose", x, perm=[1, 0, 2])))
    graph = build.finish(y, kept)
    assert operators(rewritten(graph, drop_identities)) == ["Neg", "Transpose", "Sub", "Neg"]


@pytest.mark.parametrize("behind", [[], ["Add"], ["Add", "Mul"], ["Mul", "Add"], ["Div"]])
def test_products_take_up_bias_and_factors(behind):
    build, x = states()
    y = build.add("MatMul", x, build.weights(12, 5))
    for operator in behind:
        y = build.add(operator, y, build.weights(5))
    assert operators(rewritten(build.finish(y), fuse_linear)) == ["Linear"]


def test_gemm_with_weights_transposed():
    build = Builder()
    x = build.input("x", "rows", 12)
    y = build.add("Gemm", x, build.weights(5, 12), build.weights(5), transB=1, alpha=1.0)
    half = build.add("Gemm", x, build.weights(12, 5), alpha=0.5)
    assert operators(rewritten(build.finish(y, half), fuse_linear)) == ["Linear", "Gemm"]


def test_what_is_added_to_all_rows_but_not_alike_is_no_bias():
    build, x = states()
    y = build.add("Add", build.add("MatMul", x, build.weights(12, 5)), build.weights(1, 1, 5) * 0)
    other = Builder()
    z = other.input("x", 3, 12)
    z = other.add("Add", other.add("MatMul", z, other.weights(12, 3)), other.weights(3, 1))
    assert operators(rewritten(build.finish(y), fuse_linear)) == ["Linear"]
    assert operators(rewritten(other.finish(z), fuse_linear)) == ["Linear", "Add"]


@pytest.mark.parametrize("spelling", ["div", "reciprocal", "power", "multiply"])
@pytest.mark.parametrize("centred", [True, False])
def test_norms_from_their_parts(spelling, centred):
    build, x = states()
    c = build.add("Sub", x, build.add("ReduceMean", x, axes=[-1])) if centred else x
    square = build.add("Mul", c, c) if spelling == "multiply" else build.add("Pow", c, F(2))
    total = build.add("Add", build.add("ReduceMean", square, axes=[2]), F(1e-3))
    if spelling == "power":
        y = build.add("Mul", c, build.add("Pow", total, F(-0.5)))
    elif spelling == "reciprocal":
        y = build.add("Mul", build.add("Div", F(1), build.add("Sqrt", total)), c)
    else:
        y = build.add("Div", c, build.add("Sqrt", total))
    y = build.add("Mul", y, build.weights(12))
    y = build.add("Add", y, build.weights(12)) if centred else y
    after = rewritten(build.finish(y), fuse_normalization)
    assert operators(after) == ["LayerNormalization" if centred else "RMSNormalization"]
    assert after.nodes[0].attributes["epsilon"] == pytest.approx(1e-3)


@pytest.mark.parametrize("operator, power, order", [
    ("Div", 0.5, -1), ("Div", -0.5, 1), ("Mul", 0.5, 1), ("Mul", 0.5, -1),
])  # fmt: skip
def test_what_divides_the_other_way_is_no_norm(operator, power, order):
    build, x = states()
    square = build.add("ReduceMean", build.add("Mul", x, x), axes=[-1])
    root = build.add("Pow", build.add("Add", square, F(1e-3)), F(power))
    graph = build.finish(build.add(operator, *(x, root)[::order]))
    assert operators(rewritten(graph, fuse_normalization)) == operators(graph)


def test_a_mean_over_another_axis_is_no_norm():
    build, x = states()
    c = build.add("Sub", x, build.add("ReduceMean", x, axes=[1]))
    square = build.add("ReduceMean", build.add("Mul", c, c), axes=[1])
    graph = build.finish(build.add("Div", c, build.add("Sqrt", build.add("Add", square, F(1e-5)))))
    assert operators(rewritten(graph, fuse_normalization)) == operators(graph)


def gelu_bent(build, x):
    cube = build.add("Mul", build.add("Pow", x, F(3)), F(0.044715))
    bent = build.add("Tanh", build.add("Mul", build.add("Add", x, cube), F((2 / np.pi) ** 0.5)))
    return build.add("Mul", build.add("Mul", x, F(0.5)), build.add("Add", bent, F(1)))


ACTIVATIONS = {
    "Gelu": lambda build, x: build.gelu(x),
    "Gelu tanh": gelu_bent,
    "Silu": lambda build, x: build.add("Mul", build.add("Sigmoid", x), x),
    "Silu exp": lambda build, x: build.add(
        "Div", x, build.add("Add", F(1), build.add("Exp", build.add("Neg", x)))),
    "Relu": lambda build, x: build.add("Max", x, F(0)),
    "Relu clip": lambda build, x: build.add("Clip", x, F(0)),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_any_spelling(name):
    build, x = states()
    graph = build.finish(ACTIVATIONS[name](build, build.add("Neg", x)))
    after = rewritten(graph, fuse_activation)
    assert operators(after) == ["Neg", name.partition(" ")[0]]
    assert bool(after.nodes[1].attributes) == (name == "Gelu tanh")


def test_nearly_an_activation_is_none():
    build, x = states()
    y = build.add("Mul", build.add("Sigmoid", build.add("Mul", x, F(1.702))), x)
    assert "Silu" not in operators(rewritten(build.finish(y), fuse_activation))


def packed(build, x, n, heads):
    """Attention as in torch's module: one projection, tokens first, batch times heads together."""
    x = build.add("Transpose", x, perm=[1, 0, 2])
    both = build.add("Reshape", build.linear(x, n, 3 * n), np.array([0, 0, 3, n]))
    both = build.add("Transpose", build.add("Unsqueeze", both, np.array([0])), perm=[3, 1, 2, 0, 4])
    parts = []
    for index in range(3):
        part = build.add("Gather", both, np.array(index), axis=0)
        part = build.add("Squeeze", part, np.array([2]))
        part = build.add("Reshape", part, np.array([0, -1, n // heads]))
        parts.append(build.add("Transpose", part, perm=[1, 0, 2]))
    query = build.add("Mul", parts[0], F((n / heads) ** -0.5))
    scores = build.add("MatMul", query, build.add("Transpose", parts[1], perm=[0, 2, 1]))
    context = build.add("MatMul", build.add("Softmax", scores, axis=2), parts[2])
    context = build.add("Transpose", context, perm=[1, 0, 2])
    flat = build.add("Reshape", context, np.array([-1, n]))
    return build.linear(flat, n, n)


def fused(graph):
    return rewritten(graph, fold_constants, fuse_linear, drop_dead_code, fuse_attention)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_three_projections(masked):
    build, x = states()
    mask = build.token_mask() if masked else None
    after = fused(build.finish(build.attention(x, 12, 3, mask)))
    node = next(node for node in after.nodes if node.operator == "MultiHeadAttention")
    assert node.attributes == {"heads": 3, "scale": pytest.approx(0.5), "zeros": ""}
    assert len(node.inputs) == 3 + masked and "Softmax" not in operators(after)


def test_attention_with_one_projection():
    build, x = states()
    after = fused(build.finish(packed(build, x, 12, 3)))
    assert operators(after).count("MultiHeadAttention") == 1 and "Softmax" not in operators(after)
    assert operators(after).count("Linear") == 4


def test_layers_with_tokens_first_under_a_mask():
    """The mask is for batch first, in which order layers are found, and follow one another."""
    build = Builder()
    x = build.input("x", "tokens", "batch", 12)
    mask = build.token_mask()
    for _ in range(2):
        turned = build.add("Transpose", x, perm=[1, 0, 2])
        y = build.attention(build.norm(turned, 12), 12, 3, mask)
        x = build.add("Add", x, build.add("Transpose", y, perm=[1, 0, 2]))
        y = build.linear(build.gelu(build.linear(build.norm(x, 12), 12, 8)), 8, 12)
        x = build.add("Add", x, y)
    after = operators(optimise(build.finish(x), verify=True))
    assert after[-4:] == ["Transpose", "EncoderLayer", "EncoderLayer", "Transpose"]
    assert after.count("Transpose") == 2


def test_attention_to_other_tokens_is_left():
    """Scores whose softmax is over the queries are no attention."""
    build, x = states()
    q, v = (build.heads(build.linear(x, 12, 12), 3, 12) for _ in range(2))
    k = build.heads(build.linear(x, 12, 12), 3, 12, (0, 2, 3, 1))
    weights = build.add("Softmax", build.add("MatMul", q, k), axis=2)
    context = build.add("Transpose", build.add("MatMul", weights, v), perm=[0, 2, 1, 3])
    graph = build.finish(build.add("Reshape", context, np.array([0, 0, 12])))
    assert "MultiHeadAttention" not in operators(fused(graph))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_layers(norm_first, activation):
    build, x = states()
    function = build.gelu if activation == "gelu" else lambda x: build.add("Relu", x)
    graph = build.finish(
        build.layer(x, 12, 3, 20, norm_first=norm_first, activation=function)
    )
    after = optimise(graph, verify=True)
    assert operators(after) == ["EncoderLayer"] and same(graph, after)
    assert after.nodes[0].attributes["norm_first"] == norm_first
    assert after.nodes[0].attributes["activation"] == activation.capitalize()


def test_a_layer_whose_residual_is_another_one_is_left():
    build, x = states()
    y = build.norm(build.add("Add", build.attention(x, 12, 3), build.add("Neg", x)), 12)
    y = build.norm(build.add("Add", build.linear(build.gelu(build.linear(y, 12, 8)), 8, 12), y), 12)
    after = optimise(build.finish(y), verify=True)
    assert "EncoderLayer" not in operators(after) and "MultiHeadAttention" in operators(after)


def test_a_whole_encoder():
    graph = encoder(layers=3)
    after = optimise(graph, verify=True)
    assert operators(after).count("EncoderLayer") == 3 and same(graph, after)
    assert not {"Softmax", "MatMul", "Erf"} & set(operators(after))


def test_a_wrong_rewrite_is_found():
    graph = encoder(layers=1)
    after = graph.copy()
    last = after.nodes[-1]
    after.replace(last, [Node("Sub", last.inputs, last.outputs)])
    with pytest.raises(GraphError, match="swap changes the output"):
        Witness(graph).prove(after, "swap")
