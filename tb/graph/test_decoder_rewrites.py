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


class Tiled(LlamaBuilder):
    """Heads of keys are repeated by Tile, as exporters write repeat_interleave."""

    def repeat(self, x, share):
        apart = self.add("Unsqueeze", x, np.array([2]))
        apart = self.add("Tile", apart, np.array([1, 1, share, 1, 1]))
        return self.add("Reshape", apart, np.array([0, 4, -1, 8]))


class InTurn(LlamaBuilder):
    """Heads of keys are repeated all together: what neighbours share is not the same head."""

    def repeat(self, x, share):
        return self.add("Tile", x, np.array([1, share, 1, 1]))


class ScaledQueries(LlamaBuilder):
    """Scores are multiplied by another factor, in the queries."""

    def turn(self, x):
        self.number = getattr(self, "number", 0) + 1
        return super().turn(self.add("Mul", x, F(3)) if self.number % 2 else x)


@pytest.mark.parametrize("builder, key_heads", [
    (OneProjection, 2), (OneKeyHead, 1), (Tiled, 2), (InTurn, 4), (ScaledQueries, 2),
])  # fmt: skip
def test_other_ways_to_heads(builder, key_heads):
    graph = llama(builder=builder)
    after = optimise(graph, verify=True)
    assert operators(after) == WHOLE
    model = decoder_of(after)
    assert model.key_heads == key_heads
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


class Sharp(LlamaBuilder):
    """Queries are turned, keys are not."""

    def turn(self, x):
        self.number = getattr(self, "number", 0) + 1
        return super().turn(x) if self.number % 2 else x


@pytest.mark.parametrize("builder, spelling", [
    (Stretched, {}), (Backwards, {}), (Sharp, {}), (LlamaBuilder, {"mask": "none"}),
])  # fmt: skip
def test_other_attention_is_left(builder, spelling):
    graph = llama(builder=builder, layers=1, **spelling)
    after = optimise(graph, verify=True)
    assert "CausalAttention" not in operators(after) and "Softmax" in operators(after)
    assert find_decoder(after) is None


class LastToken(LlamaBuilder):
    """The head is given the last token's state behind the norm."""

    def head(self, x):
        last = self.add("Gather", self.rms(x, "model.norm"), np.array(-1), axis=1)
        return self.matrix(last, "lm_head")


class LastTokens(LlamaBuilder):
    """The last two tokens are cut out before the norm."""

    def head(self, x):
        ends = np.array([1 << 40])
        return super().head(self.add("Slice", x, np.array([-2]), ends, np.array([1])))


class FirstFeatures(LlamaBuilder):
    """The head is given some features, which is no choice of tokens."""

    def head(self, x):
        x = self.rms(x, "model.norm")
        x = self.add("Slice", x, np.array([0]), np.array([8]), np.array([2]))
        return self.add("MatMul", x, self.weights(8, 40))


@pytest.mark.parametrize("builder, pick", [(LastToken, "Gather"), (LastTokens, "Slice")])
def test_tokens_are_picked_behind_the_head(builder, pick):
    graph = llama(builder=builder)
    after = optimise(graph, verify=True)
    assert operators(after) == [*WHOLE, pick] and same(graph, after)
    assert find_decoder(after) is not None


def test_features_are_not_picked_behind_the_head():
    after = optimise(llama(builder=FirstFeatures), verify=True)
    assert operators(after)[-2:] == ["Slice", "Linear"] and find_decoder(after) is None


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
