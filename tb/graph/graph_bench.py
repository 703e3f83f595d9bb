"""Graphs for tests, written down operator by operator, and a small encoder in several spellings."""

import numpy as np

from systolith.graph import Graph, Node, TensorType
from systolith.graph.executor import run
from systolith.graph.optimise.links import close
from systolith.graph.shapes import infer, probe


class Builder:
    """A graph under construction. Arrays among the inputs become constants."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.graph = Graph({}, [], {}, [])

    def input(self, name, *shape, dtype=np.float32):
        self.graph.inputs[name] = TensorType(np.dtype(dtype), shape)
        return name

    def weights(self, *shape):
        return self.rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32)

    def add(self, operator, *inputs, count=1, **attributes):
        number = len(self.graph.nodes)
        names = [
            one if isinstance(one, str)
            else self.graph.add_constant(f"c{number}", np.asarray(one))
            for one in inputs
        ]  # fmt: skip
        outputs = tuple(f"t{number}.{index}" for index in range(count))
        self.graph.nodes.append(Node(operator, tuple(names), outputs, attributes))
        return outputs[0] if count == 1 else outputs

    def finish(self, *outputs):
        self.graph.outputs = list(outputs)
        infer(self.graph)
        return self.graph

    # -- parts of Transformers ---------------------------------------------------------------

    def linear(self, x, k, n):
        return self.add("Add", self.add("MatMul", x, self.weights(k, n)), self.weights(n))

    def norm(self, x, n, epsilon=1e-5):
        gamma, beta = 1 + self.weights(n) / 3, self.weights(n) / 3
        return self.add("LayerNormalization", x, gamma, beta, axis=-1, epsilon=epsilon)

    def gelu(self, x):
        bent = self.add("Erf", self.add("Div", x, np.float32(2**0.5)))
        return self.add("Mul", self.add("Mul", x, self.add("Add", bent, np.float32(1))),
                        np.float32(0.5))  # fmt: skip

    def heads(self, x, heads, n, order=(0, 2, 1, 3)):
        split = self.add("Reshape", x, np.array([0, 0, heads, n // heads]))
        return self.add("Transpose", split, perm=list(order))

    def attention(self, x, n, heads, mask=None):
        """Attention as exported from Hugging Face's BERT."""
        query, value = (self.heads(self.linear(x, n, n), heads, n) for _ in range(2))
        key = self.heads(self.linear(x, n, n), heads, n, (0, 2, 3, 1))
        scores = self.add("Div", self.add("MatMul", query, key), np.float32((n / heads) ** 0.5))
        if mask is not None:
            scores = self.add("Add", scores, mask)
        context = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        context = self.add("Transpose", context, perm=[0, 2, 1, 3])
        return self.linear(self.add("Reshape", context, np.array([0, 0, n])), n, n)

    def layer(self, x, n, heads, hidden, mask=None, norm_first=False, activation=None):
        activation = activation or self.gelu

        def forward(x):
            return self.linear(activation(self.linear(x, n, hidden)), hidden, n)

        if norm_first:
            x = self.add("Add", x, self.attention(self.norm(x, n), n, heads, mask))
            return self.add("Add", forward(self.norm(x, n)), x)
        x = self.norm(self.add("Add", self.attention(x, n, heads, mask), x), n)
        return self.norm(self.add("Add", forward(x), x), n)

    def token_mask(self):
        """Return what hides the tokens where an integer input is 0."""
        mask = self.input("mask", "batch", "tokens", dtype=np.int64)
        row = self.add("Unsqueeze", self.add("Cast", mask, to=np.dtype(np.float32)),
                       np.array([1, 2]))  # fmt: skip
        return self.add("Mul", self.add("Sub", np.float32(1), row), np.float32(-1e9))


def encoder(layers=2, n=32, heads=2, hidden=64, masked=True, seed=0, **kind):
    """Return layers on states x, with an integer mask of tokens, and a head of 4 classes."""
    build = Builder(seed)
    x = build.input("x", "batch", "tokens", n)
    mask = build.token_mask() if masked else None
    for _ in range(layers):
        x = build.layer(x, n, heads, hidden, mask, **kind)
    pooled = build.add("Gather", x, np.array(0), axis=1)
    return build.finish(x, build.linear(pooled, n, 4))


def operators(graph):
    return [node.operator for node in graph.nodes]


def same(before, after, seed=3):
    """Whether two graphs compute the same of random inputs."""
    want = probe(before, which=1, seed=seed)
    got = run(after, {name: want[name] for name in before.inputs})
    return all(close(got[name], want[name]) for name in before.outputs)
