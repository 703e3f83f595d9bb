"""Operators of PyTorch beyond our own: torch computes them, also those of a file."""

import json
from typing import Any

import numpy as np
import pytest

import systolith
from systolith.graph import GraphError, Node
from systolith.graph.executor import run, run_node
from systolith.graph.torch_reader import read_torch

torch = pytest.importorskip("torch", reason="the extra systolith[torch] is not installed")
nn: Any = torch.nn
Module: Any = nn.Module


class Pictures(Module):
    """Convolutions, pooling and a recurrent layer around what is recognised."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.recurrent = nn.LSTM(8, 5, batch_first=True, bidirectional=True)

    def forward(self, x):
        y = nn.functional.hardswish(self.norm(self.convolution(x)))
        y = nn.functional.max_pool2d(y, 2)
        z, _ = self.recurrent(y.mean(-1).transpose(1, 2))
        values, places = z.topk(3, dim=-1)
        return values, places, torch.linalg.det(z[:, :4, :4]), torch.fft.rfft(z).abs()


def test_torch_computes_it(tmp_path):
    """In the compiled model, and in that of a file, with the shares of multiplications."""
    torch.manual_seed(0)
    model, x = Pictures().eval(), torch.randn(3, 3, 12, 10)
    program = systolith.compile(model, x, config="small")
    by = {one.node.kind: one for one in program.parts.host if one.runtime == "torch"}
    assert by["conv2d.default"].macs == 3 * 8 * 27 * 120
    assert by["lstm.input"].macs == 3 * 6 * 2 * 20 * (8 + 5)
    assert by["hardswish.default"].reason == "the core has no hardswish.default, torch computes it"
    program.save(tmp_path / "m.sysl")
    engine = systolith.InferenceEngine(systolith.load(tmp_path / "m.sysl"))
    for got, want in zip(engine(x), model(x), strict=True):
        assert got.dtype == want.dtype
        torch.testing.assert_close(got, want.detach(), rtol=1e-4, atol=1e-5)
    with pytest.raises(GraphError, match=r"conv2d \(conv2d.default\): the core has no conv2d"):
        systolith.compile(model, x, config="small", strict="matrices")


class Numbers(Module):
    """Integers, booleans and floats together, as torch promotes them, and rarer arguments."""

    def forward(self, x, n):
        yes = n > 1
        return (
            n + 0.5, n / 2, n**0.5, n.sqrt(), n > 0.5, n != 1.5, n.clamp(min=0.5), yes + 3, ~n,
            n & 3, 2.5 - n, n.rsqrt(), torch.maximum(n, x[..., 0]), x.add(x, alpha=2),
            torch.div(x, 0.3, rounding_mode="floor"), x.softmax(-1, dtype=torch.float64),
            x.squeeze(1), x.squeeze(), x[:, n[0]], torch.arange(0, 1, 0.25) * x.sum(), x.argmax(),
            x.cumsum(-1), x.sort(-1)[1], x.roll(1, 0), nn.functional.pad(x, (1, -1)), x.std(-1),
            torch.complex(x, x).abs(), torch.where(yes, n, 0), n.float().mean(), x.view(-1)[n],
            nn.functional.dropout(x, training=False), torch.logsumexp(x, 1), x.repeat(2, 1, 1),
        )  # fmt: skip


def test_types_are_those_of_torch():
    torch.manual_seed(1)
    inputs = torch.randn(2, 4, 3), torch.tensor([[0, 1, 2, 3], [2, 0, 3, 1]])
    graph = read_torch(Numbers(), inputs)
    got = run(graph, {"x": inputs[0].numpy(), "n": inputs[1].numpy()})
    for number, (name, want) in enumerate(zip(graph.outputs, Numbers()(*inputs), strict=True)):
        assert got[name].dtype == want.numpy().dtype, number
        np.testing.assert_allclose(got[name], want.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


class Drawing(Module):
    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, x):
        return self.draw(x)


@pytest.mark.parametrize("draw, words", [
    (lambda x: x + torch.rand_like(x), r"rand_like.* draws random numbers"),
    (lambda x: nn.functional.dropout(x, training=True), r"dropout.* draws random numbers"),
    (lambda x: torch.linalg.cholesky(x), r"linalg_cholesky.* is for torch, which cannot compute"),
])  # fmt: skip
def test_refusals(draw, words):
    with pytest.raises(GraphError, match=words):
        systolith.compile(Drawing(draw), torch.randn(4, 4), config="small")


@pytest.mark.parametrize("kind", ["from_file.default", "add_.Tensor", "no_such.default"])
def test_files_cannot_call_anything(kind):
    """Only functions that take tensors and change none are called, whatever a file says."""
    attributes = {"kind": kind, "arguments": '{"args": ["/tmp/x", true, 4], "kwargs": {}}'}
    with pytest.raises(GraphError, match="is for torch, which cannot compute it from"):
        run_node(Node("torch", (), ("y",), attributes), [])


def call(kind, args, values=()):
    arguments = {"args": args, "kwargs": {}}
    names = tuple(f"i{number}" for number in range(len(values)))
    node = Node("torch", names, ("y",), {"kind": kind, "arguments": json.dumps(arguments)}, "n")
    return run_node(node, [np.asarray(value) for value in values])[0]


@pytest.mark.parametrize("kind, args", [
    ("manual_seed.default", [1]), ("set_grad_enabled.default", [False]), ("rand.default", [[2]]),
    ("randperm.default", [4]), ("__class__.mro", []), ("seed.default", []),
    ("rand_like.default", [{"tensor": 0}]), ("bernoulli.default", [{"tensor": 0}]),
    ("dropout.default", [{"tensor": 0}, 0.5, True]), ("resize.default", [{"tensor": 0}, [9999]]),
    ("_backward.default", [{"tensor": 0}, []]),
])  # fmt: skip
def test_files_change_no_state_and_draw_nothing(kind, args):
    """A process that ran a file is what it was: its random numbers, and whether it learns."""
    state, learns = torch.random.get_rng_state(), torch.is_grad_enabled()
    try:
        with pytest.raises(GraphError, match="is for torch, which cannot compute it from"):
            call(kind, args, [np.full(3, 0.5, np.float32)])
        torch.testing.assert_close(torch.random.get_rng_state(), state)
        assert torch.is_grad_enabled() == learns
    finally:
        torch.set_grad_enabled(learns)


def test_what_needs_no_tensor():
    """Tensors of numbers are made; of memory that nobody wrote only zeros come out."""
    np.testing.assert_array_equal(call("arange.default", [4]), np.arange(4))
    assert call("linspace.default", [0.0, 1.0, 5]).shape == (5,)
    np.full(1 << 16, 7, np.float32)  # so that there is something in memory
    assert not call("empty.memory_format", [[1 << 16]]).any()
    assert not call("empty_like.default", [{"tensor": 0}], [np.ones(1 << 16, np.float32)]).any()
    still = call("dropout.default", [{"tensor": 0}, 0.5, False], [np.ones(4, np.float32)])
    np.testing.assert_array_equal(still, 1)
