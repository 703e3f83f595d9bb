"""Operators of ONNX beyond our own: onnxruntime computes them, and attributes are never ignored."""

import numpy as np
import pytest

import systolith
from systolith.graph import Graph, GraphError, Node
from systolith.graph.executor import run, run_node
from systolith.graph.onnx_reader import onnx_graph
from systolith.graph.partition import HostNode
from systolith.graph.text import graph_text
from systolith.graph.tree import graph_from_tree, graph_tree

onnx = pytest.importorskip("onnx", reason="the extra systolith[onnx] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra systolith[onnx] is not installed")
helper = onnx.helper

from systolith.graph.onnx_native import NATIVE  # noqa: E402

FLOAT = onnx.TensorProto.FLOAT
X = np.random.default_rng(5).normal(size=(2, 3, 6, 6)).astype(np.float32)
W = np.random.default_rng(6).normal(size=(4, 3, 3, 3)).astype(np.float32)


def model(nodes, constants=None, *, opset=17, shape=X.shape, domain="", kind=FLOAT):
    """Return a model of one input x and one output y."""
    x = helper.make_tensor_value_info("x", kind, shape)
    y = onnx.ValueInfoProto(name="y")
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name)
               for name, value in (constants or {}).items()]  # fmt: skip
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    graph = helper.make_graph(nodes, "test", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def node(operator, *inputs, outputs=("y",), **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


CASES = {
    "Conv with pads": (node("Conv", "x", "w", pads=[1, 1, 1, 1]), {"w": W}, 4 * 27 * 72),
    "Conv of groups": (node("Conv", "x", "w", group=3), {"w": W[:3, :1]}, 3 * 9 * 2 * 16),
    "Conv with steps between": (node("Conv", "x", "w", dilations=[2, 2]), {"w": W}, 4 * 27 * 8),
    "ConvTranspose": (node("ConvTranspose", "x", "w"), {"w": W[:3]}, 2 * 3 * 36 * 27),
    "MaxPool": (node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2]), {}, 0),
    "HardSwish": (node("HardSwish", "x"), {}, 0),
    "Det": (node("Det", "x"), {}, 0),
    "Pad by reflection": (
        node("Pad", "x", "p", mode="reflect"), {"p": np.array([0, 0, 1, 1, 0, 0, 2, 0])}, 0
    ),
    "CumSum from behind": (node("CumSum", "x", "a", reverse=1), {"a": np.array(2)}, 0),
    "LayerNormalization with its mean": (
        node("LayerNormalization", "x", "g", outputs=("z", "y")), {"g": np.ones(6, np.float32)}, 0
    ),
    "GatherND in batches": (
        node("GatherND", "x", "i", batch_dims=1), {"i": np.array([[2], [0]])}, 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_it(name, tmp_path):
    """In the model, in the compiled one, and in that of a file; with its reason and its share."""
    one, constants, macs = CASES[name]
    proto = model([one], constants)
    (want,) = runtime.InferenceSession(proto.SerializeToString()).run(["y"], {"x": X})
    graph = onnx_graph(proto)
    np.testing.assert_allclose(run(graph, {"x": X})["y"], want, rtol=1e-4, atol=1e-5)
    program = systolith.compile(graph, X, config="small")
    (left,) = program.parts.host
    assert left.runtime == "onnxruntime" and left.macs == macs
    assert left.reason == f"the core has no {one.op_type}, onnxruntime computes it"
    program.save(tmp_path / "m.sysl")
    again = systolith.load(tmp_path / "m.sysl")
    got = systolith.InferenceEngine(again)(X)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    assert f"{one.op_type}(x" in graph_text(again.graph)


def test_layers_whose_first_output_nobody_takes():
    """As recurrent layers are exported: only the last state is used."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(1, 20, 6)).astype(np.float32),
                 "r": rng.normal(size=(1, 20, 5)).astype(np.float32)}  # fmt: skip
    proto = model([node("LSTM", "x", "w", "r", outputs=("", "y"), hidden_size=5)], constants,
                  shape=(7, "batch", 6))  # fmt: skip
    x = rng.normal(size=(7, 3, 6)).astype(np.float32)
    program = systolith.compile(onnx_graph(proto), x, config="small")
    (want,) = runtime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    np.testing.assert_array_equal(systolith.InferenceEngine(program)(x), want)
    assert program.parts.host_macs == 7 * 3 * 20 * 11


def test_operators_of_other_domains():
    """What they multiply is not known, so they are no model without matrices on the host."""
    weights = np.ones((6, 2), np.float32)
    one = node("FusedMatMul", "x", "w", domain="com.microsoft", alpha=2.0)
    graph = onnx_graph(model([one], {"w": weights}, domain="com.microsoft"))
    program = systolith.compile(graph, X, config="small")
    np.testing.assert_allclose(systolith.InferenceEngine(program)(X), 2 * (X @ weights), rtol=1e-5)
    assert "com.microsoft.FusedMatMul, onnxruntime computes it, multiplications unknown" in str(
        program.parts
    )
    with pytest.raises(systolith.graph.GraphError, match="strict, but 1 nodes with matrices"):
        systolith.compile(graph, X, config="small", strict="matrices")


def test_products_of_integers():
    """As quantised on the fly: within steps of 8 bits, and counted."""
    weights = np.random.default_rng(1).integers(-127, 127, (6, 4)).astype(np.int8)
    nodes = [node("DynamicQuantizeLinear", "x", outputs=("q", "s", "z")),
             node("MatMulInteger", "q", "w", "z", outputs=("p",)),
             node("Cast", "p", outputs=("f",), to=FLOAT), node("Mul", "f", "s")]  # fmt: skip
    proto = model(nodes, {"w": weights})
    program = systolith.compile(onnx_graph(proto), X, config="small", verify=True)
    (want,) = runtime.InferenceSession(proto.SerializeToString()).run(None, {"x": X})
    np.testing.assert_allclose(systolith.InferenceEngine(program)(X), want, rtol=1e-6)
    assert program.parts.host_macs == X.size * 4


def test_functions_of_the_file():
    """Operators that a file defines itself are put in their place."""
    body = [helper.make_node("Mul", ["a", "a"], ["s"]), helper.make_node("Neg", ["s"], ["b"])]
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "MinusSquare", ["a"], ["b"], body, imports)
    proto = model([node("MinusSquare", "x", domain="own")], domain="own")
    proto.functions.append(function)
    np.testing.assert_array_equal(run(onnx_graph(proto), {"x": X})["y"], -(X**2))


def variants(schema):
    """Yield each attribute of an operator with a value that is not its default."""
    kinds = onnx.AttributeProto
    for name, attribute in schema.attributes.items():
        value = onnx.helper.get_attribute_value(attribute.default_value) if (
            attribute.default_value.type != kinds.UNDEFINED) else None  # fmt: skip
        types = onnx.defs.OpSchema.AttrType
        other = {
            types.INT: value + 3 if isinstance(value, int) else 3, types.FLOAT: 3.5,
            types.STRING: "other", types.INTS: [2, 3], types.FLOATS: [3.5],
        }.get(attribute.type)  # fmt: skip
        if other is not None:
            yield name, other


@pytest.mark.parametrize("operator", sorted(NATIVE))
def test_no_attribute_is_ignored(operator):
    """Of all versions of all operators that numpy computes: it is read, or is for onnxruntime."""
    schemas = [schema for schema in onnx.defs.get_all_schemas_with_history()
               if schema.name == operator and not schema.domain]  # fmt: skip
    newest = max(schemas, key=lambda schema: schema.since_version)
    used = [schema for schema in schemas if schema.since_version >= 13]
    for schema in used or [newest]:
        version = max(13, schema.since_version)
        count = max(schema.min_input, min(2, schema.max_input))
        needed = {name: value for name, value in variants(schema)
                  if schema.attributes[name].required}  # fmt: skip
        for name, value in variants(schema):
            one = node(operator, *"xwx"[:count], **{**needed, name: value})
            proto = model([one], {"w": W}, opset=version)
            (read,) = onnx_graph(proto).nodes
            if name not in NATIVE[operator] or operator == "Conv":
                assert HostNode(read, "", 0).runtime == "onnxruntime", (version, name)
            else:
                assert name in read.attributes


def crafted(**fields):
    """Return a node for onnxruntime whose content has more than the reader lets in."""
    attributes = {"kind": "Scan", "domain": "", "version": 17, "opset": 17, "ir": 9, **fields}
    return Node("onnxruntime", ("x",), ("y",), attributes, "n")


def outside(name, place):
    """Return a tensor whose values are in another file."""
    tensor = onnx.TensorProto(name=name, data_type=FLOAT, dims=[8])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


def secrets(place):
    """Return nodes that would give an output what is in a file."""
    value = helper.make_tensor_value_info
    body = helper.make_graph([node("Identity", "w", outputs=("s",))], "body",
                             [value("r", FLOAT, [8])], [value("s", FLOAT, [8])],
                             [outside("w", place)])  # fmt: skip
    scan = helper.make_node("Scan", ["i0"], ["o0"], body=body, num_scan_inputs=1)
    sparse = helper.make_node("Constant", [], ["o0"])
    taken = sparse.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    taken.sparse_tensor.values.CopyFrom(outside("v", place))
    plain = helper.make_node("Constant", [], ["o0"])
    plain.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(
        outside("v", place)
    )
    hidden = onnx.NodeProto()
    hidden.CopyFrom(scan)
    for attribute in hidden.attribute:
        attribute.type = onnx.AttributeProto.INT
    return scan, sparse, plain, hidden


@pytest.mark.parametrize("number", range(4))
def test_files_read_no_other_files(number, tmp_path, monkeypatch):
    """A node of a file is refused when it is read, and when it runs, if it has other files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(bytes(range(32)))
    one = crafted(node=secrets("secret")[number].SerializeToString())
    with pytest.raises(GraphError, match="other files|in another file"):
        run_node(one, [np.zeros((1, 8), np.float32)])
    x = {"dtype": "<f4", "shape": [1, 8]}
    tree = graph_tree(Graph({}, ["y"], {"x": np.zeros(1)}, [one])) | {"inputs": {"x": x}}
    with pytest.raises(GraphError, match=r"node n \(Scan\): its attribute \w+ "):
        graph_from_tree(tree, {})


@pytest.mark.parametrize("fields, words", [
    ({}, "node n for onnxruntime has no node"), ({"kind": 3, "node": b""}, "has no kind"),
    ({"node": b"\xff\xff"}, r"node n \(Scan\): it is damaged"),
])  # fmt: skip
def test_damaged_nodes_of_files(fields, words):
    tree = graph_tree(Graph({}, ["y"], {"x": np.zeros(1)}, [crafted(**fields)]))
    with pytest.raises(GraphError, match=words):
        graph_from_tree(tree, {"x": np.zeros(1)})


NARROW = np.float16


@pytest.mark.parametrize("one, x, near", [
    (node("LayerNormalization", "x", "g", "g"), (X[0, 0] * 600).astype(NARROW), 2e-3),
    (node("ReduceMax", "x", axes=[0]), np.zeros((0, 4), np.float32), 0),
    (node("ReduceMin", "x", axes=[0]), np.zeros((0, 4), np.int32), 0),
    (node("ReduceMax", "x", axes=[1], keepdims=0), np.array([[1, -np.inf], [3, 2]], NARROW), 0),
    (node("Split", "x", outputs=("z", "y"), axis=1), X[0, 0], 0),
])  # fmt: skip
def test_numpy_agrees_where_it_is_easy_to_be_wrong(one, x, near):
    """Statistics of float16, the largest of no numbers, and parts whose outputs say how many."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    proto = model([one], {"g": np.linspace(0.5, 1, 6).astype(x.dtype)}, shape=x.shape, kind=kind)
    (want,) = runtime.InferenceSession(proto.SerializeToString()).run(["y"], {"x": x})
    graph = onnx_graph(proto)
    assert graph.nodes[0].operator == one.op_type
    got = run(graph, {"x": x})["y"]
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, near, near)


def test_rms_of_narrow_numbers():
    """As ONNX defines it: computed in float32, which the version of onnxruntime may not know."""
    x = (X[0, 0] * 600).astype(NARROW)
    one = Node("RMSNormalization", ("x",), ("y",), {"axis": -1, "epsilon": 1e-5})
    (got,) = run_node(one, [x])
    wide = x.astype(np.float32)
    want = wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + 1e-5)
    assert got.dtype == NARROW
    np.testing.assert_allclose(got, want, 2e-3, 2e-3)
