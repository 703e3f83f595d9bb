"""ONNX files that are damaged, or of nodes that are none: errors that name what is wrong."""

import numpy as np
import pytest

import systolith
from systolith.graph import GraphError
from systolith.graph.onnx_reader import onnx_graph, read_onnx

onnx = pytest.importorskip("onnx", reason="the extra systolith[onnx] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra systolith[onnx] is not installed")
helper = onnx.helper

FLOAT = onnx.TensorProto.FLOAT


def node(operator, *inputs, outputs=("y",), **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


def array(name, *values, kind=np.int64):
    return onnx.numpy_helper.from_array(np.array(values, kind), name)


def model(nodes, tensors=(), *, opset=17, shape=(2, 6), inputs=("x",), outputs=("y",)):
    graph = helper.make_graph(
        nodes, "test", [helper.make_tensor_value_info(name, FLOAT, shape) for name in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs], list(tensors),
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def weights(change=None, **external):
    """Return a tensor of (6, 2) that was changed, or lies in another file."""
    tensor = onnx.numpy_helper.from_array(np.ones((6, 2), np.float32), "w")
    if change:
        change(tensor)
    if external:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in external.items():
            tensor.external_data.add(key=key, value=value)
    return tensor


def cut(tensor):
    tensor.raw_data = tensor.raw_data[:-5]


def enlarge(tensor):
    tensor.dims[0] = 1 << 60


def turn(tensor):
    tensor.dims[0] = -1


@pytest.mark.parametrize("tensor, words", [
    (weights(cut), r"tensor w has 43 bytes of values, but float32\[6, 2\] takes 48"),
    (weights(enlarge), "tensor w has 48 bytes of values, but"),
    (weights(turn), r"tensor w has the shape \[-1, 2\], with a size below zero"),
    (weights(lambda tensor: tensor.ClearField("raw_data")), "tensor w has other values than"),
    (weights(location="w.bin", offset="abc"), "tensor w has the offset 'abc' in another file"),
    (weights(location="w.bin", offset="-4"), "tensor w has the offset '-4' in another file"),
    (weights(location="w.bin", offset="8"), "tensor w needs 48 bytes from byte 8 of"),
    (weights(location="w.bin", length="8"), "tensor w has its values in 8 bytes of another file"),
    (weights(location="a\0b"), r"tensor w has its values in .*a\\x00b', which is missing"),
    (weights(location="a" * 5000), "tensor w has its values in '.*a+', which is missing"),
    (weights(offset="0"), "tensor w has its values in '.*', which is missing"),
])  # fmt: skip
def test_damaged_tensors(tensor, words, tmp_path):
    (tmp_path / "w.bin").write_bytes(np.ones(12, np.float32).tobytes())
    proto = model([node("MatMul", "x", "w")], [tensor])
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(GraphError, match=words):
        read_onnx(tmp_path / "m.onnx")


def test_values_in_another_file(tmp_path):
    (tmp_path / "w.bin").write_bytes(np.arange(14, dtype=np.float32).tobytes())
    tensor = weights(location="w.bin", offset="8", length="48")
    proto = model([node("MatMul", "x", "w")], [tensor])
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    got = read_onnx(tmp_path / "m.onnx").constants["w"]
    np.testing.assert_array_equal(got, np.arange(2, 14).reshape(6, 2))


WRONG = {
    "Conv without weights": ([node("Conv", "x")], r"node y \(Conv\) is wrong: .* input size 1"),
    "Conv with a gap": ([node("Conv", "x", "")], r"node y \(Conv\) is wrong: .*input 1 is marked"),
    "Cast to nothing": ([node("Cast", "x")], r"node y \(Cast\) is wrong: Required attribute 'to'"),
    "Cast to a word": ([node("Cast", "x", to="s")], r"node y \(Cast\) is wrong: Mismatched attrib"),
    "empty Constant": ([node("Constant", outputs=("c",)), node("Add", "x", "c")],
                       r"node c \(Constant\) has 0 values and 1 outputs"),
    "Constant for nobody": ([node("Constant", outputs=(), value_int=1), node("Relu", "x")],
                            r"node number 0 \(Constant\) has 1 values and 0 outputs"),
    "more inputs": ([node("Add", "x", "x", "x")], r"node y \(Add\) is wrong: .* input size 3"),
    "own attribute": ([node("Relu", "x", foo=3)], r"node y \(Relu\) is wrong: Unrecognized attri"),
    "Split with a gap": ([node("Split", "x", outputs=("", "y"))], r"\(Split\) leaves out a part"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_nodes_that_are_none(name):
    nodes, words = WRONG[name]
    with pytest.raises(GraphError, match=words):
        onnx_graph(model(nodes))


@pytest.mark.parametrize("sizes, opset, given, words", [
    (5, 13, {}, r"node z \(Split\) cannot .*: 5 cannot be cut in 2 equal parts"),
    (5, 18, {"num_outputs": 2}, ""),
    (6, 18, {}, r"node z \(Split\) has neither sizes of its parts nor num_outputs"),
    (6, 18, {"num_outputs": 3}, r"node z \(Split\) makes 3 tensors, but has 2 outputs"),
    (6, 13, [2, 2], r"node z \(Split\) cannot .*: parts of \[2, 2\] are not the 6"),
    (6, 13, [-2, 8], r"node z \(Split\) cannot .*: parts of \[-2, 8\]"),
    (6, 13, [2, 2, 2], r"node z \(Split\) makes 3 tensors, but has 2 outputs"),
    (6, 13, [0, 6], ""),
])  # fmt: skip
def test_parts_are_those_of_onnxruntime(sizes, opset, given, words):
    """It gives the same, or refuses them, too."""
    inputs, attributes = (("x",), given) if isinstance(given, dict) else (("x", "s"), {})
    one = node("Split", *inputs, outputs=("z", "y"), axis=1, **attributes)
    tensors = [] if isinstance(given, dict) else [array("s", *given)]
    proto = model([one], tensors, opset=opset, shape=(2, sizes))
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    x = np.random.default_rng(0).normal(size=(2, sizes)).astype(np.float32)

    def theirs():
        session = runtime.InferenceSession(proto.SerializeToString(), options)
        return session.run(None, {"x": x})[0]

    if words:
        with pytest.raises(Exception, match=r"Split|split"):
            theirs()
        with pytest.raises(GraphError, match=words):
            systolith.compile(onnx_graph(proto), x, config="small")
    else:
        program = systolith.compile(onnx_graph(proto), x, config="small")
        np.testing.assert_array_equal(systolith.InferenceEngine(program)(x), theirs())


def test_models_without_ends():
    constant = model([node("Neg", "w")], [weights()], inputs=())
    with pytest.raises(GraphError, match="the model has no inputs"):
        systolith.compile(onnx_graph(constant), config="small")
    with pytest.raises(GraphError, match="the model has no outputs"):
        systolith.compile(onnx_graph(model([node("Neg", "x")], outputs=())), config="small")
    with pytest.raises(GraphError, match="the model's input x is there twice"):
        onnx_graph(model([node("Neg", "x")], inputs=("x", "x")))
    with pytest.raises(GraphError, match="operators of opset 999; export it with one of 13 to"):
        onnx_graph(model([node("Neg", "x")], opset=999))


@pytest.mark.parametrize("one, tensors", [
    (node("ConstantOfShape", "s"), [array("s", 1 << 40, 1 << 20)]),
    (node("Expand", "x", "s"), [array("s", 1 << 40, 2, 6)]),
    (node("Tile", "x", "s"), [array("s", 1 << 40, 1)]),
    (node("Pad", "x", "s"), [array("s", 1 << 40, 0, 0, 0)]),
])  # fmt: skip
def test_sizes_that_no_memory_has(one, tensors):
    graph = onnx_graph(model([one], tensors))
    with pytest.raises(GraphError, match=rf"y \({one.op_type}\) cannot be .* or has more than"):
        systolith.compile(graph, config="small")
    with pytest.raises(GraphError, match="the input x, .* has more than"):
        systolith.compile(onnx_graph(model([node("Neg", "x")], shape=(1 << 50,))), config="small")


def whole(rng):
    """Return a model with nodes for numpy, for onnxruntime, and for nobody."""
    tensors = [array(name, *rng.normal(size=shape), kind=np.float32)
               for name, shape in (("w", (4, 6)), ("b", 6), ("k", (2, 3, 1)))]  # fmt: skip
    nodes = [
        node("MatMul", "x", "w", outputs=("a",)), node("Add", "a", "b", outputs=("c",)),
        node("Split", "c", outputs=("d", "e"), axis=1), node("Mul", "d", "e", outputs=("f",)),
        node("Cast", "f", outputs=("g",), to=1),
        node("Constant", outputs=("s",), value=array("", 0, 3, 1)),
        node("Reshape", "g", "s", outputs=("h",)),
        node("Conv", "h", "k", outputs=("m",), kernel_shape=[1], pads=[0, 1]),
        node("Gather", "m", "j", outputs=("p",), axis=1),
        node("TopK", "p", "j", outputs=("y", "z"), axis=-1),
    ]  # fmt: skip
    return model(nodes, [*tensors, array("j", 1)], shape=("batch", 4))


def test_whatever_byte_is_another(seed, tmp_path):
    """It compiles still, or is refused; nothing else comes, and nothing takes long."""
    rng, path = np.random.default_rng(seed), tmp_path / "m.onnx"
    content, counts = whole(rng).SerializeToString(), {True: 0, False: 0}
    for number in range(300):
        damaged = bytearray(content)
        if number % 4 == 0:
            del damaged[rng.integers(len(damaged)) :]
        else:
            damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            with np.errstate(all="ignore"):
                systolith.compile(path, config="small")
            counts[True] += 1
        except GraphError:
            counts[False] += 1
    assert min(counts.values()) > 10
