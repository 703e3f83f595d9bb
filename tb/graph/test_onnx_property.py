"""Random small ONNX graphs: executor and rewrites against onnxruntime."""

import numpy as np
import pytest

from systolith.graph import RUNTIMES
from systolith.graph.executor import run
from systolith.graph.onnx_reader import onnx_graph
from systolith.graph.optimise import optimise

onnx = pytest.importorskip("onnx", reason="the extra systolith[onnx] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra systolith[onnx] is not installed")
helper = onnx.helper

UNARY = ("Relu", "Tanh", "Sigmoid", "Erf", "Neg", "Abs", "Softplus", "Floor", "Identity", "Sin",
         "Elu", "LeakyRelu")  # fmt: skip
SHAPE_KEPT = ("HardSwish", "Selu", "Celu", "Softsign", "HardSigmoid", "ThresholdedRelu", "Sinh",
              "Atan", "Asinh", "LpNormalization")  # fmt: skip
"""Operators that are for onnxruntime."""

BINARY = ("Add", "Sub", "Mul", "Max", "Min")
MOST = 4096
"""Elements of a tensor, so that nothing explodes."""


class Writer:
    """A random ONNX graph under construction.

    Attributes
    ----------
    pool : list of (name, array)
        Floats so far, with a value that only gives their shapes.
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants = [], []
        self.pool = [("x", np.zeros((2, 4, 6), np.float32))]

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operator, *inputs, count=1, **attributes):
        outputs = [f"t{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs if count > 1 else outputs[0]

    def step(self):
        """Append an operator of a tensor of the pool."""
        name, value = self.pool[int(self.rng.integers(max(0, len(self.pool) - 3), len(self.pool)))]
        made = getattr(self, str(self.rng.choice(STEPS)))(name, value)
        self.pool += [(one, shape) for one, shape in made if shape.size and shape.size <= MOST]

    def axis(self, value):
        return int(self.rng.integers(-value.ndim, value.ndim))

    def unary(self, name, value):
        return [(self.node(str(self.rng.choice(UNARY)), name), value)]

    def binary(self, name, value):
        others = [one for one, other in self.pool if other.shape == value.shape]
        other = str(self.rng.choice(others))
        if self.rng.random() < 0.5:
            other = self.constant(self.rng.normal(size=value.shape[-1:]).astype(np.float32))
        return [(self.node(str(self.rng.choice(BINARY)), name, other), value)]

    def linear(self, name, value):
        k, n = value.shape[-1], int(self.rng.integers(1, 8))
        weights = self.constant(self.rng.normal(0, 0.5, (k, n)).astype(np.float32))
        y = self.node("MatMul", name, weights)
        bias = self.constant(self.rng.normal(size=n).astype(np.float32))
        return [(self.node("Add", *self.rng.permutation([y, bias]).tolist()),
                 np.zeros((*value.shape[:-1], n), np.float32))]  # fmt: skip

    def product(self, name, value):
        order = [*range(value.ndim - 2), value.ndim - 1, value.ndim - 2]
        turned = self.node("Transpose", name, perm=order)
        return [(self.node("MatMul", name, turned), value @ value.transpose(order))]

    def transpose(self, name, value):
        order = self.rng.permutation(value.ndim).tolist()
        return [(self.node("Transpose", name, perm=order), value.transpose(order))]

    def reshape(self, name, value):
        shape = [[-1, value.shape[-1]], [0, -1], [1, *value.shape], [-1, 2]]
        choice = shape[int(self.rng.integers(len(shape) - (value.size % 2)))]
        sizes = [value.shape[0] if size == 0 else size for size in choice]
        y = self.node("Reshape", name, self.constant(np.array(choice, np.int64)))
        return [(y, value.reshape(sizes))] if value.ndim < 4 else [(name, value)]

    def reduce(self, name, value):
        axis, kind = self.axis(value), str(self.rng.choice(["Mean", "Max", "Min"]))
        y = self.node(f"Reduce{kind}", name, axes=[axis], keepdims=1)
        return [(y, value.max(axis=axis, keepdims=True))]

    def total(self, name, value):
        axis = self.axis(value)
        y = self.node("ReduceSum", name, self.constant(np.array([axis])), keepdims=1)
        return [(y, value.sum(axis=axis, keepdims=True))]

    def soft(self, name, value):
        return [(self.node("Softmax", name, axis=self.axis(value)), value)]

    def norm(self, name, value):
        n = value.shape[-1]
        parts = [self.constant(self.rng.normal(size=n).astype(np.float32)) for _ in range(2)]
        return [(self.node("LayerNormalization", name, *parts, axis=-1, epsilon=1e-2), value)]

    def concat(self, name, value):
        axis = self.axis(value)
        return [(self.node("Concat", name, name, axis=axis), np.concatenate([value] * 2, axis))]

    def cut(self, name, value):
        axis, end = self.axis(value), int(self.rng.integers(1, 4))
        parts = [self.constant(np.array([number])) for number in (0, end, axis)]
        index = [slice(None)] * value.ndim
        index[axis] = slice(0, end)
        return [(self.node("Slice", name, *parts), value[tuple(index)])]

    def halves(self, name, value):
        axis = self.axis(value)
        if value.shape[axis] % 2:
            return []
        size = value.shape[axis] // 2
        sizes = self.constant(np.array([size, size]))
        parts = np.split(value, 2, axis=axis)
        return list(zip(self.node("Split", name, sizes, count=2, axis=axis), parts, strict=True))

    def gather(self, name, value):
        axis = self.axis(value)
        indices = self.rng.integers(-value.shape[axis], value.shape[axis], 3)
        return [(self.node("Gather", name, self.constant(indices), axis=axis),
                 np.take(value, indices, axis))]  # fmt: skip

    def choose(self, name, value):
        test = self.node("Greater", name, self.constant(np.float32(0.1)))
        other = self.node("Mul", name, self.constant(np.float32(-0.5)))
        return [(self.node("Where", test, name, other), value)]

    def clip(self, name, value):
        ends = [self.constant(np.float32(end)) for end in (-0.5, 1.5)]
        return [(self.node("Clip", name, *ends), value)]

    def whole(self, name, value):
        y = self.node("Cast", self.node("Clip", name, *[self.constant(np.float32(end))
                                                        for end in (-9, 9)]), to=6)  # fmt: skip
        return [(self.node("Cast", y, to=1), value)]

    def pad(self, name, value):
        pads = self.constant(np.array([0] * (value.ndim - 1) + [1] + [0] * value.ndim))
        widths = [(0, 0)] * (value.ndim - 1) + [(1, 0)]
        return [(self.node("Pad", name, pads), np.pad(value, widths))]

    def add_axis(self, name, value):
        if value.ndim > 3:
            return []
        return [(self.node("Unsqueeze", name, self.constant(np.array([1]))), value[:, None])]

    # -- for onnxruntime -----------------------------------------------------------------------

    def foreign(self, name, value):
        kind = str(self.rng.choice(SHAPE_KEPT))
        return [(self.node(kind, name), value)]

    def foreign_reduce(self, name, value):
        axis, kind = self.axis(value), str(self.rng.choice(["L1", "LogSumExp", "SumSquare"]))
        y = self.node(f"Reduce{kind}", name, axes=[axis], keepdims=1)
        return [(y, value.max(axis=axis, keepdims=True))]

    def window(self, name, value):
        if value.ndim < 3:
            return []
        kind, rank = str(self.rng.choice(["MaxPool", "AveragePool", "LpPool"])), value.ndim - 2
        y = self.node(kind, name, kernel_shape=[2] * rank, pads=[1] * 2 * rank)
        return [(y, np.pad(value, [(0, 0)] * 2 + [(0, 1)] * rank))]

    def convolve(self, name, value):
        if value.ndim < 3:
            return []
        rank, channels = value.ndim - 2, int(self.rng.integers(1, 5))
        shape = (channels, value.shape[1], *[3] * rank)
        weights = self.constant(self.rng.normal(0, 0.3, shape).astype(np.float32))
        y = self.node("Conv", name, weights, pads=[1] * 2 * rank)
        return [(y, np.zeros((len(value), channels, *value.shape[2:]), np.float32))]

    def batch_norm(self, name, value):
        if value.ndim < 2:
            return []
        parts = [self.constant(self.rng.uniform(0.5, 2, value.shape[1]).astype(np.float32))
                 for _ in range(4)]  # fmt: skip
        return [(self.node("BatchNormalization", name, *parts), value)]

    def recurrent(self, name, value):
        if value.ndim != 3:
            return []
        kind, gates = [("LSTM", 4), ("GRU", 3), ("RNN", 1)][int(self.rng.integers(3))]
        tokens, batch, features = value.shape
        parts = [self.constant(self.rng.normal(0, 0.4, (1, 5 * gates, n)).astype(np.float32))
                 for n in (features, 5)]  # fmt: skip
        y, last = self.node(kind, name, *parts, count=2, hidden_size=5)
        return [(y, np.zeros((tokens, 1, batch, 5), np.float32)),
                (last, np.zeros((1, batch, 5), np.float32))]  # fmt: skip

    def top(self, name, value):
        axis = self.axis(value)
        y, place = self.node("TopK", name, self.constant(np.array([1])), count=2, axis=axis)
        self.node("Cast", place, to=1)
        return [(y, value.max(axis=axis, keepdims=True))]

    def mirror(self, name, value):
        if value.shape[-1] < 2:
            return []
        pads = self.constant(np.array([0] * (value.ndim - 1) + [1] + [0] * value.ndim))
        widths = [(0, 0)] * (value.ndim - 1) + [(1, 0)]
        return [(self.node("Pad", name, pads, mode="reflect"), np.pad(value, widths))]

    def running(self, name, value):
        axis = self.constant(np.array(self.axis(value)))
        kind = {str(self.rng.choice(["reverse", "exclusive"])): 1}
        return [(self.node("CumSum", name, axis, **kind), value)]

    def crop(self, name, value):
        if value.shape[-1] < 3:
            return []
        pads = self.constant(np.array([0] * (2 * value.ndim - 1) + [-1]))
        return [(self.node("Pad", name, pads), value[..., :-1])]

    def finish(self):
        """Return the model; all that nobody takes comes out."""
        taken = {name for node in self.nodes for name in node.input}
        made = [name for node in self.nodes for name in node.output]
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (2, 4, 6))
        outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
                   for name in made if name not in taken]  # fmt: skip
        graph = helper.make_graph(self.nodes, "random", [x], outputs, self.constants)
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)


STEPS = [name for name in vars(Writer) if name not in
         ("constant", "node", "step", "axis", "finish") and not name.startswith("_")]  # fmt: skip


def check(seed):
    """Compare a random graph, as read and as rewritten, with onnxruntime."""
    writer = Writer(seed)
    for _ in range(int(writer.rng.integers(5, 14))):
        writer.step()
    model = writer.finish()
    x = writer.rng.normal(size=(2, 4, 6)).astype(np.float32)
    session = runtime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    want = dict(zip(names, session.run(None, {"x": x}), strict=True))
    graph = onnx_graph(model)
    for one in (graph, optimise(graph, verify=True)):
        got = run(one, {"x": x})
        for name in names:
            size = float(np.abs(want[name]).max(initial=1e-3))
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-4 * size,
                                       err_msg=f"seed {seed}, {name}")  # fmt: skip


@pytest.mark.parametrize("part", range(4))
def test_random_graphs(part):
    for seed in range(50 * part, 50 * part + 50):
        check(seed)


def test_operators_of_both_kinds_are_drawn():
    """What is compared above has nodes for numpy and nodes for onnxruntime."""
    kinds = set()
    for seed in range(200):
        writer = Writer(seed)
        for _ in range(int(writer.rng.integers(5, 14))):
            writer.step()
        kinds |= {(node.operator in RUNTIMES, node.kind) for node in onnx_graph(
            writer.finish()).nodes}  # fmt: skip
    assert sum(foreign for foreign, _ in kinds) > 20
    assert sum(not foreign for foreign, _ in kinds) > 30
