"""Language models as modules of PyTorch, with the structure and names of Hugging Face's Llama."""

from typing import Any

import numpy as np
import pytest

import systolith
from systolith.graph.onnx_reader import read_onnx
from systolith.graph.optimise import optimise

from .llama_bench import LlamaBuilder, decoder_of, llama_tensors
from .test_language_program import ONCHIP, PROMPT, TOKENS, WHOLE

torch = pytest.importorskip("torch", reason="the extra systolith[torch] is not installed")
torch_reader = pytest.importorskip("systolith.graph.torch_reader")
nn: Any = torch.nn
Module: Any = nn.Module

HEADS, KEY_HEADS, FEATURES, DIM = 4, 2, 8, 32


class Norm(Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))

    def forward(self, x):
        wide = x.to(torch.float32)
        root = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)
        return self.weight * (wide * root).to(x.dtype)


def turn_halves(x, cosine, sine):
    one, two = x[..., : FEATURES // 2], x[..., FEATURES // 2 :]
    return x * cosine + torch.cat((-two, one), dim=-1) * sine


def turn_pairs(x, cosine, sine):
    even, odd = x[..., 0::2], x[..., 1::2]
    cosine, sine = cosine[..., : FEATURES // 2], sine[..., : FEATURES // 2]
    turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1)
    return turned.flatten(-2)


def attend_by_hand(query, key, value):
    """Keys and values are repeated, and an upper triangle is added."""
    share, tokens = HEADS // KEY_HEADS, query.shape[2]

    def repeat(x):
        batch = x.shape[0]
        x = x[:, :, None].expand(batch, KEY_HEADS, share, tokens, FEATURES)
        return x.reshape(batch, HEADS, tokens, FEATURES)

    scores = query @ repeat(key).transpose(2, 3) / FEATURES**0.5
    hidden = torch.full((tokens, tokens), -torch.inf).triu(1)
    return torch.softmax(scores + hidden, dim=-1, dtype=torch.float32) @ repeat(value)


def attend_masked(query, key, value):
    key, value = (x.repeat_interleave(HEADS // KEY_HEADS, dim=1) for x in (key, value))
    tokens = query.shape[2]
    seen = torch.tril(torch.ones(tokens, tokens))
    scores = query @ key.transpose(2, 3) * FEATURES**-0.5
    return scores.masked_fill(seen == 0, -torch.inf).softmax(-1) @ value


def attend_at_once(query, key, value):
    attend = nn.functional.scaled_dot_product_attention
    return attend(query, key, value, is_causal=True, enable_gqa=True)


class Attention(Module):
    def __init__(self, turn, attend):
        super().__init__()
        self.q_proj = nn.Linear(DIM, HEADS * FEATURES, bias=False)
        self.k_proj = nn.Linear(DIM, KEY_HEADS * FEATURES, bias=False)
        self.v_proj = nn.Linear(DIM, KEY_HEADS * FEATURES, bias=False)
        self.o_proj = nn.Linear(HEADS * FEATURES, DIM, bias=False)
        self.turn, self.attend = turn, attend

    def forward(self, x, cosine, sine):
        batch, tokens, _ = x.shape
        query, key, value = (
            project(x).view(batch, tokens, -1, FEATURES).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = self.turn(query, cosine, sine), self.turn(key, cosine, sine)
        context = self.attend(query, key, value).transpose(1, 2)
        return self.o_proj(context.reshape(batch, tokens, -1))


class Gated(Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(DIM, 48, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(48, DIM, bias=False)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(Module):
    def __init__(self, *kinds):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn, self.mlp = Attention(*kinds), Gated()

    def forward(self, x, *turns):
        x = x + self.self_attn(self.input_layernorm(x), *turns)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(Module):
    def __init__(self, turn=turn_halves, attend=attend_by_hand, *, tied=False):
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(40, DIM)
        self.model.layers = nn.ModuleList(Layer(turn, attend) for _ in range(2))
        self.model.norm = Norm()
        self.lm_head = nn.Linear(DIM, 40, bias=False)
        tensors = {name: torch.from_numpy(value) for name, value in llama_tensors().items()}
        self.load_state_dict(tensors)
        if tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        inverse = 5000.0 ** (-torch.arange(0, FEATURES, 2) / FEATURES)
        self.register_buffer("inv_freq", inverse, persistent=False)

    def forward(self, ids):
        angles = torch.outer(torch.arange(ids.shape[1]).float(), self.inv_freq)
        angles = torch.cat((angles, angles), dim=-1)
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, angles.cos(), angles.sin())
        return self.lm_head(self.model.norm(x))


def ids(tokens=9, batch=2):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 40, (batch, tokens)))


@pytest.mark.parametrize("turn", [turn_halves, turn_pairs])
@pytest.mark.parametrize("attend", [attend_by_hand, attend_masked, attend_at_once])
def test_spellings(turn, attend):
    """What is recognised computes what torch does, also for other texts than the example."""
    model = Llama(turn, attend)
    after = optimise(torch_reader.read_torch(model, ids()), verify=True)
    assert [node.operator for node in after.nodes] == WHOLE
    decoder = decoder_of(after)
    assert (decoder.rotary_base, decoder.key_heads) == (5000.0, KEY_HEADS)
    text = ids(tokens=25, batch=1)
    want = model(text)[0].detach().numpy()
    np.testing.assert_allclose(decoder.logits(text[0].tolist()), want, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("turn, attend", [
    (turn_halves, attend_masked), (turn_pairs, attend_by_hand),
])  # fmt: skip
def test_files_that_torch_exports(turn, attend, tmp_path):
    model, path = Llama(turn, attend).eval(), tmp_path / "llama.onnx"
    torch.onnx.export(
        model, (ids(),), path, dynamo=False, input_names=["ids"], opset_version=17,
        dynamic_axes={"ids": {0: "batch", 1: "tokens"}},
    )  # fmt: skip
    after = optimise(read_onnx(path), verify=True)
    assert [node.operator for node in after.nodes] == WHOLE
    text = ids(tokens=25, batch=1)
    want = model(text)[0].detach().numpy()
    np.testing.assert_allclose(decoder_of(after).logits(text[0].tolist()), want, atol=2e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_the_programs_are_those_of_the_same_onnx_model(tied):
    model, tensors = Llama(tied=tied), llama_tensors()
    if tied:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    one = systolith.compile(model, ids(), config=ONCHIP, tokens=TOKENS, strict=True)
    graph = LlamaBuilder(tensors, HEADS, FEATURES).model()
    other = systolith.compile(graph, ids(), config=ONCHIP, tokens=TOKENS, strict=True)
    assert one.language.text.parts == other.language.text.parts
    engine = systolith.InferenceEngine(one)
    logits = engine(ids())
    assert isinstance(logits, torch.Tensor) and logits.shape == (2, 9, 40)
    made = engine.generate(torch.tensor(PROMPT), 4)
    assert made == systolith.InferenceEngine(other).generate(PROMPT, 4)
