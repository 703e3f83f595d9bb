"""Modules of PyTorch that mix types, or compute with sizes: as torch does, or refused by name."""

from typing import Any

import numpy as np
import pytest

import systolith
from systolith.graph import GraphError
from systolith.graph.executor import run
from systolith.graph.optimise import optimise

from .test_engine import CONFIG

torch = pytest.importorskip("torch", reason="the extra systolith[torch] is not installed")
from systolith.graph.torch_reader import read_torch  # noqa: E402

Module: Any = torch.nn.Module
attend = torch.nn.functional.scaled_dot_product_attention


class Applied(Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Sums(Module):
    def forward(self, first, *rest):
        return first - sum(rest)


class Named(Module):
    def forward(self, x, **rest):
        return x + rest["y"]


def same(got, want):
    want = want.numpy() if isinstance(want, torch.Tensor) else np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_types_that_numpy_lacks(kind):
    name = str(kind).removeprefix("torch.")
    with pytest.raises(GraphError, match=rf"node _to_copy \(aten.* makes is of {name}, .* float32"):
        read_torch(Applied(lambda x: x.to(kind).float() + 1), torch.randn(4, 6))
    with pytest.raises(GraphError, match=f"the input x is of {name}, which is not supported"):
        read_torch(Applied(lambda x: x.float()), torch.randn(4, 6).to(kind))


@pytest.mark.parametrize("value", [None, 3, 2.5, "text"])
def test_outputs_that_are_no_tensors(value):
    with pytest.raises(GraphError, match=f"output 1 of the module is {value!r}, which is no tenso"):
        read_torch(Applied(lambda x: (x + 1, value)), torch.randn(4, 6))


def test_any_number_of_inputs():
    x = torch.randn(3, 4, 6)
    graph = read_torch(Sums(), tuple(x))
    got = run(graph, dict(zip(graph.inputs, x.numpy(), strict=True)))
    same(got[graph.outputs[0]], Sums()(*x))
    with pytest.raises(GraphError, match=r"takes any input by name, as \*\*rest, .* name each"):
        read_torch(Named(), {"x": x[0], "y": x[1]})


class Mixed(Module):
    """Types that differ, which torch brings together by its own rules."""

    def forward(self, x, n):
        double = torch.tensor(2.0, dtype=torch.float64)
        return (
            torch.cat([x, n], 0), torch.stack([n, x, n > 3]), torch.where(x > 0, x, n),
            torch.where(x > 0, n, 0.5), torch.where(x > 0, x, double), x == n + 2**24, n != x,
            x.masked_fill(n > 3, double), x.clamp(min=n), torch.full((3,), x.sum().item()),
        )  # fmt: skip


def test_types_become_what_torch_makes_of_them():
    x, n = torch.full((4, 6), 2.0**24), torch.arange(24).reshape(4, 6)
    graph = read_torch(Mixed(), (x, n))
    got = run(graph, {"x": x.numpy(), "n": n.numpy()})
    for name, want in zip(graph.outputs, Mixed()(x, n), strict=True):
        same(got[name], want)


@pytest.mark.parametrize("function", [
    lambda x: x[: min(x.shape[0], 3)], lambda x: x.sum() + torch.zeros(max(x.shape[0], 5)),
    lambda x: x * (x.shape[0] / 2), lambda x: x * x.shape[0] ** 0.5, lambda x: x.chunk(2, 0)[1],
    lambda x: x.split(2, 0)[0], lambda x: x.split(x.shape[0] // 2, 0)[1],
    lambda x: x.split([1, x.shape[0] - 1], 0)[1], lambda x: attend(x[None], x[None], x[None]),
    lambda x: (x.sum(), x.shape[0]),
])  # fmt: skip
def test_sizes_in_a_run(function):
    """What is computed of sizes is that of each run, also on paths beside the tensors."""
    model = Applied(function)
    program = systolith.compile(model, torch.randn(4, 6), config=CONFIG)
    for size in (4, 5, 9):
        x = torch.randn(size, 6)
        got, want = systolith.InferenceEngine(program)(x), model(x)
        if not isinstance(want, tuple):
            got, want = (got,), (want,)
        for one, other in zip(got, want, strict=True):
            same(one.numpy(), other)


@pytest.mark.parametrize("function", [
    lambda x: x[: int(x.shape[0] * 0.5)], lambda x: x.split(4)[-1].sum(0),
    lambda x: x[: x.shape[0] // 2] if x.shape[0] < 8 else x,
])  # fmt: skip
def test_sizes_that_torch_takes_for_fixed(function):
    """An exported graph says nothing of these; that it is another far from the example does."""
    with pytest.raises(GraphError, match="not what the module computes when batch, axis 0 of x"):
        read_torch(Applied(function), torch.randn(6, 6))


def seen():
    """Return states, a mask that hides some tokens, and one that hides all of a sentence."""
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[1, 5:] = False
    nothing = mask.clone()
    nothing[2] = False
    return torch.randn(3, 8, 32), mask, nothing


class Masked(Module):
    def __init__(self, spelt):
        super().__init__()
        self.spelt = spelt
        self.project = torch.nn.Linear(32, 32)

    def forward(self, x, mask):
        x = self.project(x).reshape(3, -1, 2, 16).transpose(1, 2)
        mask = mask[:, None, None]
        if self.spelt:
            scores = x @ x.transpose(2, 3) * 0.25
            y = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ x
        else:
            y = attend(x, x, x, attn_mask=mask)
        return y.transpose(1, 2).reshape(3, -1, 32)


@pytest.mark.parametrize("spelt", [True, False])
def test_masks_that_hide_everything(spelt):
    """Where torch has zeros, there are zeros, and where it has no numbers, none, as rewritten."""
    torch.manual_seed(0)
    model, (x, *masks) = Masked(spelt), seen()
    graph = read_torch(model, (x, masks[0]))
    fused = optimise(graph)
    assert [node.operator for node in fused.nodes].count("MultiHeadAttention") == 1
    for mask in masks:
        want = model(x, mask).detach()
        for one in (graph, fused):
            got = run(one, {"x": x.numpy(), "mask": mask.numpy()})[graph.outputs[0]]
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)
    assert want[2].isnan().all() if spelt else (want[2] == 0).all()


def test_the_core_refuses_sentences_of_nothing():
    layer = torch.nn.TransformerEncoderLayer(32, 2, 64, batch_first=True).eval()
    x, mask, nothing = seen()
    hidden = {"src": x, "src_key_padding_mask": ~mask}
    program = systolith.compile(layer, hidden, config=CONFIG)
    assert len(program.stacks) == 1
    with pytest.raises(GraphError, match="hides all tokens of sentence 2 of the batch, .* leave"):
        systolith.InferenceEngine(program)(src=x, src_key_padding_mask=~nothing)
