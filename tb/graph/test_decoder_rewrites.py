"""Language models are recognised in any spelling, and what is none is left."""

from typing import ClassVar

import numpy as np
import pytest

from systolith.graph import GraphError
from systolith.graph.decoder_part import find_decoder
from systolith.graph.executor import run
from systolith.graph.optimise import optimise
from systolith.graph.optimise.identities import drop_identities

from .graph_bench import Builder, operators, same
from .llama_bench import LlamaBuilder, decoder_of, llama

F = np.float32
WHOLE = ["Gather", "DecoderLayer", "DecoderLayer", "RMSNormalization", "Linear"]


@pytest.mark.parametrize("turning, tables, mask", [
    ("halves", False, "added"), ("halves", True, "chosen"), ("pairs", False, "triangle"),
    ("pairs", True, "added"),
])  # fmt: skip
def test_spellings(turning, tables, mask, seed):
    graph = llama(seed, turning=turning, tables=tables, mask=mask, base=500000.0)
    after = optimise(graph, verify=True)
    assert operators(after) == WHOLE and same(graph, after)
    layer = after.nodes[1].attributes
    assert (layer["heads"], layer["key_heads"], layer["rotary_base"]) == (4, 2, 500000.0)
    assert layer["scale"] == 8**-0.5


def test_weights_give_the_same_logits(seed):
    graph = llama(seed)
    after = optimise(graph)
    tokens = np.random.default_rng(seed).integers(0, 40, (1, 20))
    model = decoder_of(after)
    want = run(graph, {"ids": tokens})[graph.outputs[0]][0]
    np.testing.assert_allclose(model.logits(tokens[0]), want, atol=2e-5)


class OneProjection(LlamaBuilder):
    """Queries, keys and values come out of one matrix."""

    def causal_attention(self, x, name):
        parts = [self.tensors[f"{name}.{one}_proj.weight"].T for one in "qkv"]
        both = self.add("MatMul", x, np.concatenate(parts, axis=1))
        ends = np.array([part.shape[1] for part in parts])
        self.parts = iter(self.add("Split", both, ends, count=3, axis=2))
        return super().causal_attention(x, name)

    def matrix(self, x, name):
        taken = name.endswith(("q_proj", "k_proj", "v_proj"))
        return next(self.parts) if taken else super().matrix(x, name)


class OneKeyHead(LlamaBuilder):
    """Heads of queries share the only one of keys without its being repeated."""

    def __init__(self, tensors, heads, features, **spelling):
        for name in tensors:
            if name.endswith(("k_proj.weight", "v_proj.weight")):
                tensors[name] = tensors[name][:features]
        super().__init__(tensors, heads, features, **spelling)

    def repeat(self, x, share):
        return x


class ScaledQueries(LlamaBuilder):
    """Scores are multiplied by another factor, in the queries."""

    def turn(self, x):
        self.number = getattr(self, "number", 0) + 1
        return super().turn(self.add("Mul", x, F(3)) if self.number % 2 else x)


@pytest.mark.parametrize("builder", [OneProjection, OneKeyHead, ScaledQueries])
def test_other_ways_to_heads(builder):
    graph = llama(builder=builder)
    after = optimise(graph, verify=True)
    assert operators(after) == WHOLE
    model = decoder_of(after)
    assert model.key_heads == (1 if builder is OneKeyHead else 2)
    tokens = [[1, 5, 39, 0, 7]]
    want = run(graph, {"ids": np.array(tokens)})[graph.outputs[0]][0]
    np.testing.assert_allclose(model.logits(tokens[0]), want, atol=2e-5)


class Stretched(LlamaBuilder):
    """Low frequencies are lower than those of any base, as for longer contexts."""

    def __init__(self, *args, **spelling):
        super().__init__(*args, **spelling)
        self.frequencies[2:] /= 8


class Backwards(LlamaBuilder):
    def __init__(self, *args, **spelling):
        super().__init__(*args, **spelling)
        self.frequencies *= -1


class InTurn(LlamaBuilder):
    """Heads of keys are repeated all together: neighbours do not share one."""

    def repeat(self, x, share):
        return self.add("Tile", x, np.array([1, share, 1, 1]))


class Sharp(LlamaBuilder):
    """Queries are turned, keys are not."""

    def turn(self, x):
        self.number = getattr(self, "number", 0) + 1
        return super().turn(x) if self.number % 2 else x


@pytest.mark.parametrize("builder, spelling", [
    (Stretched, {}), (Backwards, {}), (InTurn, {}), (Sharp, {}), (LlamaBuilder, {"mask": "none"}),
])  # fmt: skip
def test_other_attention_is_left(builder, spelling):
    graph = llama(builder=builder, layers=1, **spelling)
    after = optimise(graph, verify=True)
    assert "CausalAttention" not in operators(after) and "Softmax" in operators(after)
    assert find_decoder(after) is None


class Biased(LlamaBuilder):
    def matrix(self, x, name):
        y = super().matrix(x, name)
        return self.add("Add", y, self.weights(32) + F(1)) if name.endswith("q_proj") else y


class Bent(LlamaBuilder):
    silu = Builder.gelu


class Parallel(LlamaBuilder):
    """The feed-forward's norm takes the layer's input, not what attention has added to."""

    def decoder_layer(self, x, name):
        y = self.rms(x, f"{name}.post_attention_layernorm")
        gate = self.silu(self.matrix(y, f"{name}.mlp.gate_proj"))
        y = self.add("Mul", gate, self.matrix(y, f"{name}.mlp.up_proj"))
        y = self.add("Add", x, self.matrix(y, f"{name}.mlp.down_proj"))
        normal = self.rms(x, f"{name}.input_layernorm")
        return self.add("Add", y, self.causal_attention(normal, f"{name}.self_attn"))


@pytest.mark.parametrize("builder", [Biased, Bent, Parallel])
def test_other_layers_are_left(builder):
    """Their attention is recognised, whatever stands around it."""
    after = optimise(llama(builder=builder, layers=1), verify=True)
    assert operators(after).count("CausalAttention") == 1
    assert "DecoderLayer" not in operators(after) and find_decoder(after) is None


class TwoBases(LlamaBuilder):
    """Layers' positions have different bases."""

    def decoder_layer(self, x, name):
        self.frequencies = (3.0 + int(name[-1])) ** (-np.arange(0, 8, 2) / 8)
        self.turns = self.angles()
        return super().decoder_layer(x, name)


class BiasedHead(LlamaBuilder):
    def matrix(self, x, name):
        y = super().matrix(x, name)
        return self.add("Add", y, self.weights(40)) if name == "lm_head" else y


class OtherNorm(LlamaBuilder):
    epsilons: ClassVar[dict[str, float]] = {"model.norm": 1e-3}


@pytest.mark.parametrize("builder, words", [
    (OtherNorm, "layers must have one epsilon, but there are 1e-05 and 0.001"),
    (TwoBases, "layers must have one rotary_base, but there are 3.0 and 4.0"),
    (BiasedHead, "adds a bias to logits"),
])  # fmt: skip
def test_what_the_core_cannot_do_says_so(builder, words):
    after = optimise(llama(builder=builder), verify=True)
    assert operators(after) == WHOLE
    with pytest.raises(GraphError, match=words):
        decoder_of(after)


def test_whole_slices_go():
    build = Builder()
    x = build.input("x", "batch", "tokens", 4)
    whole = build.add("Slice", x, np.array([0]), np.array([1 << 40]), np.array([1]))
    turned = build.add("Slice", whole, np.array([-1]), np.array([-(1 << 40)]), np.array([1]),
                       np.array([-1]))  # fmt: skip
    graph = build.finish(build.add("Neg", turned))
    after = graph.copy()
    drop_identities(after)
    assert same(graph, after) and operators(after)[-2:] == ["Slice", "Neg"]
    assert after.nodes[-2].inputs[0] == "x"
