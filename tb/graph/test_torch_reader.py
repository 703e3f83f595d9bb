"""Modules of PyTorch: read, recognised, and run; and what is refused."""

from typing import Any

import numpy as np
import pytest

import systolith
from systolith.graph import GraphError
from systolith.graph.executor import run
from systolith.graph.optimise import optimise

from .test_engine import CONFIG

torch = pytest.importorskip("torch", reason="the extra systolith[torch] is not installed")
nn: Any = torch.nn
Module: Any = nn.Module


def padded(batch=3, tokens=10, features=64):
    """Return states, and what says which tokens are padding."""
    hidden = torch.zeros(batch, tokens, dtype=torch.bool)
    hidden[1, 6:] = True
    return torch.randn(batch, tokens, features), hidden


def decibels(got, want):
    return 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum())


@pytest.mark.parametrize("norm_first, batch_first", [
    (False, True), pytest.param(True, True, marks=pytest.mark.slow),
    pytest.param(True, False, marks=pytest.mark.slow),
])  # fmt: skip
def test_encoders_with_defaults(norm_first, batch_first):
    """Two layers, a batch of three with padding: 35 dB, everything on the core."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 256, norm_first=norm_first, batch_first=batch_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x, hidden = padded()
    inputs = {"src": x if batch_first else x.transpose(0, 1), "src_key_padding_mask": hidden}
    program = systolith.compile(model, inputs, config="ulx3s", strict="matrices")
    assert len(program.stacks) == 1 and program.parts.core_share == 1
    engine = systolith.InferenceEngine(program)
    got, want = engine(**inputs), model(**inputs).detach()
    assert isinstance(got, torch.Tensor)
    if not batch_first:
        got, want = got.transpose(0, 1), want.transpose(0, 1)
    seen = (~hidden).numpy()
    assert decibels(got.numpy()[seen], want.numpy()[seen]) > 35


class Classifier(Module):
    """Embeddings, attention of torch's own in a layer of one's own, and a head."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 32)
        self.places = nn.Parameter(torch.randn(1, 16, 32))
        self.attention = nn.MultiheadAttention(32, 2, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(2))
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, words):
        x = self.words(words) + self.places[:, : words.shape[1]]
        y, _ = self.attention(x, x, x, need_weights=False)
        x = self.norms[0](x + y)
        x = self.norms[1](x + self.down(nn.functional.gelu(self.up(x))))
        return self.head(x.mean(dim=1))


def test_a_classifier(seed):
    torch.manual_seed(seed)
    model, words = Classifier().eval(), torch.randint(0, 50, (3, 9))
    program = systolith.compile(model, words, config=CONFIG)
    assert len(program.stacks) == 1 and program.parts.core_share > 0.99
    got, want = systolith.InferenceEngine(program)(words), model(words)
    assert decibels(got.numpy(), want.detach().numpy()) > 30


def test_exported_programs():
    """What torch.export made needs no example, and is compiled as the module is."""
    torch.manual_seed(0)
    model, words = Classifier().eval(), torch.randint(0, 50, (3, 9))
    program = systolith.compile(torch.export.export(model, (words,)), config=CONFIG)
    assert len(program.stacks) == 1
    got, want = systolith.InferenceEngine(program)(words), model(words)
    assert decibels(got.numpy(), want.detach().numpy()) > 30


class Spelt(Module):
    """What is not in the modules of torch's own."""

    def forward(self, x, mask):
        parts = x.chunk(2, dim=-1)
        y = torch.stack([parts[0], parts[1] * 2], dim=1).flatten(2)
        y = torch.cat([y, torch.zeros_like(y)], dim=1).clamp(min=-1.0)
        scores = nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
        scores = scores.masked_fill(mask.unsqueeze(-1), 0.5).softmax(-1).tril()
        rest = torch.arange(x.shape[1]).to(torch.float32) * x.sum(-1) / x.pow(2).mean(-1).rsqrt()
        return y.permute(2, 0, 1), 1 - scores, rest[:, 1:], x.transpose(1, 2).unbind(1)[3]


def test_operators():
    from systolith.graph.torch_reader import read_torch

    x, hidden = padded(features=10)
    graph = read_torch(Spelt(), {"x": x, "mask": hidden})
    x, hidden = padded(batch=4, tokens=12, features=10)
    want = Spelt()(x, hidden)
    for one in (graph, optimise(graph, verify=True)):
        got = run(one, {"x": x.numpy(), "mask": hidden.numpy()})
        for name, value in zip(one.outputs, want, strict=True):
            np.testing.assert_allclose(got[name], value.numpy(), rtol=1e-4, atol=1e-5)


class Deciding(Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Branching(Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x.clone(), (x,))


@pytest.mark.parametrize("model, words", [
    (Deciding(), "Deciding cannot be exported by torch.export .* control flow that depends on"),
    (Branching(), r"node cond \(cond\): only torch's own operators run on the host"),
    (nn.Linear(4, 4).to(torch.bfloat16), "cannot be exported|tensor weight is of torch.bfloat16"),
])  # fmt: skip
def test_refusals(model, words):
    with pytest.raises(GraphError, match=words):
        systolith.compile(model, torch.randn(4, 4))
    with pytest.raises(GraphError, match="needs example_inputs"):
        systolith.compile(model)


class Applied(Module):
    """A function as a module, with a buffer and a part that trains."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("count", torch.zeros(4))
        self.frozen, self.trained = nn.Dropout().eval(), nn.Dropout()

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize("function, words", [
    (lambda _, x: torch.cat(x.split(4, 1)[::-1], 1), "not what the module computes when tokens"),
    (lambda _, x: x.index_fill(1, torch.arange(x.shape[1] // 8), 0)
     if x.shape[1] <= 8 else x, "not what the module computes when tokens, axis 1 of x, is 9"),
    (lambda self, x: x + self.count.add_(1), "the module changes count"),
    (lambda _, x: x.add_(1) * 2, "the module changes x"),
])  # fmt: skip
def test_graphs_that_are_not_the_module(function, words):
    """What was read is compared with the module, also for another size; nothing is dropped."""
    from systolith.graph.torch_reader import read_torch

    with pytest.raises(GraphError, match=words):
        read_torch(Applied(function), torch.randn(3, 8, 4))


def test_sizes_are_rounded_down():
    """As Python does, also those below zero."""
    from systolith.graph.torch_reader import read_torch

    model = Applied(lambda _, x: (x.sum(1) * ((3 - x.shape[1]) // 2), x[:, (-x.shape[1]) // 2 :],
                                  x[:, : x.shape[1] - x.shape[1] % 4]))  # fmt: skip
    graph = read_torch(model, torch.randn(3, 8, 4))
    x = torch.randn(2, 11, 4)
    got = run(graph, {"x": x.numpy()})
    for name, want in zip(graph.outputs, model(x), strict=True):
        np.testing.assert_allclose(got[name], want.numpy(), rtol=1e-5, atol=1e-5)


def test_modules_stay_in_their_modes():
    from systolith.graph.torch_reader import read_torch

    model = Applied(lambda self, x: self.trained(self.frozen(x)))
    read_torch(model, torch.randn(3, 8, 4))
    assert model.training and model.trained.training and not model.frozen.training
