"""ONNX files: what is read, and what is refused by name."""

import numpy as np
import pytest

import systolith
from systolith.graph import GraphError
from systolith.graph.executor import run
from systolith.graph.onnx_reader import read_onnx
from systolith.graph.optimise import optimise

onnx = pytest.importorskip("onnx", reason="the extra systolith[onnx] is not installed")
helper = onnx.helper
FLOAT, INT8, STRING = (getattr(onnx.TensorProto, kind) for kind in ("FLOAT", "INT8", "STRING"))


def save(path, nodes, constants=(), *, shape=("batch", 6), kind=FLOAT, opset=17, external=False):
    """Write a model of one input x and one output y."""
    x = helper.make_tensor_value_info("x", kind, shape)
    y = helper.make_tensor_value_info("y", FLOAT, None)
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants]
    graph = helper.make_graph(nodes, "test", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, path, save_as_external_data=external, size_threshold=0, location="weights")
    return path


def node(operator, *inputs, output="y", **attributes):
    return helper.make_node(operator, inputs, [output], name=f"a {operator}", **attributes)


WEIGHTS = np.arange(18, dtype=np.float32).reshape(6, 3)


def test_weights_of_eight_bits_with_scales(tmp_path):
    """As others write them: cast, multiplied by a scale, then the product."""
    nodes = [node("Cast", "q", output="f", to=FLOAT), node("Mul", "f", "s", output="w"),
             node("MatMul", "x", "w")]  # fmt: skip
    constants = [("q", WEIGHTS.astype(np.int8)), ("s", np.full((1, 3), 0.5, np.float32))]
    graph = read_onnx(save(tmp_path / "m.onnx", nodes, constants))
    x = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(run(graph, {"x": x})["y"], x @ (WEIGHTS / 2))
    assert [one.operator for one in optimise(graph).nodes] == ["Linear"]


def test_dense_layers_as_tensorflow_exports_them(tmp_path):
    """Weights transposed, batch first, product and sum apart, a Constant among the nodes."""
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 6]),
        node("Transpose", "wt", output="w", perm=[1, 0]),
        node("Reshape", "x", "shape", output="flat"),
        node("MatMul", "flat", "w", output="p"), node("Add", "p", "b"),
    ]  # fmt: skip
    constants = [("wt", WEIGHTS.T.copy()), ("b", np.ones(3, np.float32))]
    graph = read_onnx(save(tmp_path / "m.onnx", nodes, constants, shape=("n", 2, 3)))
    x = np.ones((4, 2, 3), np.float32)
    want = x.reshape(4, 6) @ WEIGHTS + 1
    np.testing.assert_allclose(run(graph, {"x": x})["y"], want)
    after = optimise(graph, verify=True)
    assert [one.operator for one in after.nodes] == ["Reshape", "Linear"]


def test_weights_beside_the_file(tmp_path):
    path = save(tmp_path / "m.onnx", [node("MatMul", "x", "w")], [("w", WEIGHTS)], external=True)
    np.testing.assert_array_equal(read_onnx(path).constants["w"], WEIGHTS)
    (tmp_path / "weights").write_bytes(b"123")
    with pytest.raises(GraphError, match="tensor w needs 72 bytes from byte 0 .* is shorter"):
        read_onnx(path)
    (tmp_path / "weights").unlink()
    with pytest.raises(GraphError, match=r"w has its values in .*weights', which is missing"):
        read_onnx(path)


@pytest.mark.parametrize("nodes, settings, words", [
    ([node("Neg", "x")], {"opset": 12}, "opset 12; export it with one of 13 to"),
    ([node("Neg", "x")], {"shape": None}, "input x has no shape, not even a rank"),
    ([node("Neg", "x")], {"kind": STRING}, "input x is of ONNX's type 8, which is not supported"),
    ([node("RandomNormalLike", "x")], {}, r"a RandomNormalLike .* draws random numbers"),
    ([node("Cast", "x", to=STRING)], {}, r"node a Cast \(Cast\) is of ONNX's type 8"),
    ([node("If", "x", then_branch=helper.make_graph([], "g", [], []),
           else_branch=helper.make_graph([], "g", [], []))], {},
     r"node a If \(If\) has an attribute .* control flow that depends on data"),
    ([node("Neg", "z")], {}, r"node a Neg \(Neg\) takes z, which nothing before it makes"),
])  # fmt: skip
def test_refusals_name_the_node(tmp_path, nodes, settings, words):
    with pytest.raises(GraphError, match=words):
        read_onnx(save(tmp_path / "m.onnx", nodes, **settings))


@pytest.mark.parametrize("given, words", [
    (node("Guess", "x"),
     r"node a Guess \(Guess\) is for onnxruntime, which cannot compute it .*registered for Guess"),
    (node("Neg", "x", domain="their.own"), r"node a Neg \(their.own.Neg\) is for onnxruntime"),
    (node("Relu", "x", slope=2.0), r"node a Relu .* Unrecognized attribute: slope"),
    (node("SequenceConstruct", "x"), r"node a SequenceConstruct .* makes a sequence or a map"),
])  # fmt: skip
def test_operators_that_nobody_knows(tmp_path, given, words):
    with pytest.raises(GraphError, match=words):
        systolith.compile(save(tmp_path / "m.onnx", [given], shape=(3, 3)))


def two_inputs(path, first, second):
    """Write a sum of inputs a and b of some sizes."""
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape)
              for name, shape in (("a", first), ("b", second))]  # fmt: skip
    y = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "sum", inputs, [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("first, second, same", [
    ((None, None), (None, None), True),
    (("n", "k"), ("m", "l"), True),
    (("n", 1), ("m", 3), True),
    (("n", 1), (1, "m"), False),
])  # fmt: skip
def test_sizes_with_several_names(tmp_path, first, second, same):
    """Those of one axis are one if they must be, as other exporters leave them."""
    program = systolith.compile(two_inputs(tmp_path / "m.onnx", first, second), config="small")
    a, b = (kind.shape for kind in program.graph.inputs.values())
    assert (a[0] == b[0] or a[1] == b[1]) == same


def test_sizes_that_cannot_be_one(tmp_path):
    path = two_inputs(tmp_path / "m.onnx", ("n",), ("k", "m"))
    with pytest.raises(GraphError, match="inputs' sizes n, k, m are taken to differ: give those"):
        systolith.compile(path)


def test_ranks_that_change(tmp_path):
    nodes = [node("Shape", "x", output="s"), node("Gather", "s", "zero", output="n"),
             node("Expand", "one", "n1", output="r"), node("ConstantOfShape", "r")]  # fmt: skip
    nodes.insert(2, node("Unsqueeze", "n", "axis", output="n1"))
    constants = [("zero", np.array(0)), ("axis", np.array([0])), ("one", np.array([1]))]
    with pytest.raises(GraphError, match="the tensor y has 2 axes for some sizes .* and 3 for"):
        systolith.compile(save(tmp_path / "m.onnx", nodes, constants))


@pytest.mark.parametrize("name", ["m.pt2", "m.pth"])
def test_files_of_pytorch(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(GraphError, match="without unpickling; compile it in Python: systolith"):
        systolith.compile(tmp_path / name)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(GraphError, match="cannot be read: No such file"):
        read_onnx(path)
    path.write_bytes(b"\x80pickle")
    with pytest.raises(GraphError, match="is no ONNX file, or damaged"):
        read_onnx(path)


@pytest.mark.slow
def test_minilm_of_others(seed):
    """Every matrix on the core, and as close to onnxruntime as a cosine of 0.997."""
    runtime = pytest.importorskip("onnxruntime")
    from systolith.models.errors import FetchError
    from systolith.models.fetch import INT8_MINILM, fetch

    try:
        path = fetch(INT8_MINILM) / "model.onnx"
    except FetchError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(seed)
    ids = rng.integers(1000, 30000, (2, 16))
    mask = np.ones_like(ids)
    mask[1, 11:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * ids}
    program = systolith.compile(path, inputs, config="ulx3s", strict="matrices")
    assert program.parts.core_share == 1 and len(program.stacks[0].parts) > 6
    got = systolith.InferenceEngine(program)(**inputs)
    (want,) = runtime.InferenceSession(path).run(None, inputs)
    for one, other, seen in zip(got, want, mask == 1, strict=True):
        a, b = one[seen].mean(axis=0), other[seen].mean(axis=0)
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.997
