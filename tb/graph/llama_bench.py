"""Small language models of Llama's family in several spellings, of primitive operators."""

from typing import ClassVar

import numpy as np

from systolith.graph.decoder_part import find_decoder, float_decoder

from .graph_bench import Builder

F = np.float32
LONGEST = 32
"""Rows of tables."""


def llama_tensors(dim=32, heads=4, key_heads=2, hidden=48, vocabulary=40, layers=2, seed=0):
    """Return random tensors by Hugging Face's names."""
    rng = np.random.default_rng(seed)
    width, keys = dim, dim // heads * key_heads
    shapes = {"model.embed_tokens": (vocabulary, dim), "lm_head": (vocabulary, dim)}
    for number in range(layers):
        layer = f"model.layers.{number}"
        shapes |= {
            f"{layer}.self_attn.q_proj": (width, dim), f"{layer}.self_attn.k_proj": (keys, dim),
            f"{layer}.self_attn.v_proj": (keys, dim), f"{layer}.self_attn.o_proj": (dim, width),
            f"{layer}.mlp.gate_proj": (hidden, dim), f"{layer}.mlp.up_proj": (hidden, dim),
            f"{layer}.mlp.down_proj": (dim, hidden),
        }  # fmt: skip
    norms = ["model.norm", *(f"model.layers.{number}.{name}" for number in range(layers)
             for name in ("input_layernorm", "post_attention_layernorm"))]  # fmt: skip
    weights = {f"{name}.weight": rng.normal(0, shape[1] ** -0.5, shape)
               for name, shape in shapes.items()}  # fmt: skip
    weights |= {f"{name}.weight": 1 + rng.normal(0, 0.25, dim) for name in norms}
    return {name: value.astype(F) for name, value in weights.items()}


class LlamaBuilder(Builder):
    """A language model under construction.

    Parameters
    ----------
    tensors : dict of arrays
        By Hugging Face's names.
    heads, features : int
    base : float
    turning : str
        "halves", or "pairs" for features side by side.
    tables : bool
        Cosines and sines are cut out of tables, not computed.
    mask : str
        "added" from a table, "triangle" made for each length, "chosen" by booleans, or "none".
    """

    epsilons: ClassVar[dict[str, float]] = {}
    """Of norms for which it is not 1e-5."""

    def __init__(self, tensors, heads, features, *, base=5000.0, turning="halves", tables=False,
                 mask="added"):  # fmt: skip
        super().__init__()
        self.tensors, self.heads_count, self.features = tensors, heads, features
        self.base, self.turning, self.tables, self.masking = base, turning, tables, mask
        self.frequencies = base ** (-np.arange(0, features, 2) / features)
        self.ids = self.input("ids", "batch", "tokens", dtype=np.int64)
        self.length = self.add("Shape", self.ids, start=1, end=2)

    def model(self, layers=2):
        """Return the graph, from ids to logits."""
        self.turns, self.mask = self.angles(), self.hidden_tokens()
        x = self.add("Gather", self.tensors["model.embed_tokens.weight"], self.ids)
        for number in range(layers):
            x = self.decoder_layer(x, f"model.layers.{number}")
        return self.finish(self.head(x))

    def head(self, x):
        return self.matrix(self.rms(x, "model.norm"), "lm_head")

    def matrix(self, x, name):
        return self.add("MatMul", x, np.ascontiguousarray(self.tensors[f"{name}.weight"].T))

    def rms(self, x, name):
        """RMSNorm as Hugging Face's Llama has it, with conversions for other types of numbers."""
        x = self.add("Cast", x, to=np.dtype(F))
        mean = self.add("ReduceMean", self.add("Pow", x, F(2)), axes=[-1], keepdims=1)
        root = self.add("Sqrt", self.add("Add", mean, F(self.epsilons.get(name, 1e-5))))
        normal = self.add("Mul", x, self.add("Reciprocal", root))
        normal = self.add("Cast", normal, to=np.dtype(F))
        return self.add("Mul", self.tensors[f"{name}.weight"], normal)

    # -- positions ---------------------------------------------------------------------------

    def angles(self):
        """Return cosines and sines (tokens, D), or (tokens, D / 2) for neighbours."""
        repeat = 2 if self.turning == "halves" else 1
        if self.tables:
            angles = np.tile(np.arange(LONGEST)[:, None] * self.frequencies, repeat)
            return [self.cut(table(angles).astype(F)) for table in (np.cos, np.sin)]
        one = self.add("Squeeze", self.length, np.array([0]))
        places = self.add("Range", np.array(0), one, np.array(1))
        places = self.add("Cast", places, to=np.dtype(F))
        frequencies = np.tile(self.frequencies, repeat).astype(F)
        angles = self.add("Einsum", places, frequencies, equation="i,j->ij")
        return [self.add(function, angles) for function in ("Cos", "Sin")]

    def cut(self, table, axes=(0,)):
        """Return a table's first rows, and maybe columns, as many as there are tokens."""
        ends = self.length
        if len(axes) > 1:
            ends = self.add("Concat", self.length, self.length, axis=0)
        return self.add("Slice", table, np.zeros(len(axes), np.int64), ends, np.array(axes))

    def turn(self, x):
        """Return heads (batch, heads, tokens, D) at their positions."""
        cosine, sine = self.turns
        size = self.features
        if self.turning == "halves":
            one, two = self.add("Split", x, np.array([size // 2] * 2), count=2, axis=3)
            other = self.add("Concat", self.add("Neg", two), one, axis=3)
            return self.add("Add", self.add("Mul", x, cosine), self.add("Mul", other, sine))
        pairs = self.add("Reshape", x, np.array([0, 0, 0, size // 2, 2]))
        even, odd = (self.add("Gather", pairs, np.array(place), axis=4) for place in range(2))
        real = self.add("Sub", self.add("Mul", even, cosine), self.add("Mul", odd, sine))
        other = self.add("Add", self.add("Mul", odd, cosine), self.add("Mul", even, sine))
        parts = [self.add("Unsqueeze", part, np.array([4])) for part in (real, other)]
        return self.add("Reshape", self.add("Concat", *parts, axis=4), np.array([0, 0, 0, size]))

    # -- layers ------------------------------------------------------------------------------

    def hidden_tokens(self):
        """Return what is added to scores, or the booleans that choose them."""
        if self.masking == "added":
            table = np.triu(np.full((LONGEST, LONGEST), -1e9, F), 1)
            return self.cut(table, (0, 1))
        square = self.add("Concat", self.length, self.length, axis=0)
        if self.masking == "chosen":
            ones = self.add("ConstantOfShape", square, value=np.ones(1, np.int64))
            return self.add("Cast", self.add("Trilu", ones, upper=0), to=np.dtype(np.bool))
        far = self.add("ConstantOfShape", square, value=np.full(1, -np.inf, F))
        return self.add("Trilu", far, np.array(1), upper=1)

    def split_heads(self, x):
        split = self.add("Reshape", x, np.array([0, 0, -1, self.features]))
        return self.add("Transpose", split, perm=[0, 2, 1, 3])

    def repeat(self, x, share):
        """Return each head of keys or values ``share`` times."""
        apart = self.add("Unsqueeze", x, np.array([2]))
        apart = self.add("Expand", apart, np.array([1, 1, share, 1, 1]))
        return self.add("Reshape", apart, np.array([0, self.heads_count, -1, self.features]))

    def causal_attention(self, x, name):
        query, key, value = (self.split_heads(self.matrix(x, f"{name}.{one}_proj"))
                             for one in "qkv")  # fmt: skip
        share = self.heads_count * self.features // len(self.tensors[f"{name}.k_proj.weight"])
        query, key = self.turn(query), self.turn(key)
        key, value = self.repeat(key, share), self.repeat(value, share)
        scores = self.add("MatMul", query, self.add("Transpose", key, perm=[0, 1, 3, 2]))
        scores = self.add("Mul", scores, F(self.features**-0.5))
        if self.masking == "chosen":
            scores = self.add("Where", self.mask, scores, F(-np.inf))
        elif self.masking != "none":
            scores = self.add("Add", scores, self.mask)
        context = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        context = self.add("Transpose", context, perm=[0, 2, 1, 3])
        size = self.heads_count * self.features
        flat = self.add("Reshape", context, np.array([0, 0, size]))
        return self.matrix(flat, f"{name}.o_proj")

    def silu(self, x):
        return self.add("Mul", x, self.add("Sigmoid", x))

    def decoder_layer(self, x, name):
        normal = self.rms(x, f"{name}.input_layernorm")
        x = self.add("Add", x, self.causal_attention(normal, f"{name}.self_attn"))
        y = self.rms(x, f"{name}.post_attention_layernorm")
        gate = self.silu(self.matrix(y, f"{name}.mlp.gate_proj"))
        y = self.add("Mul", gate, self.matrix(y, f"{name}.mlp.up_proj"))
        return self.add("Add", x, self.matrix(y, f"{name}.mlp.down_proj"))


def llama(seed=0, builder=LlamaBuilder, layers=2, **spelling):
    """Return a model of four heads that share two of keys."""
    return builder(llama_tensors(layers=layers, seed=seed), 4, 8, **spelling).model(layers)


def decoder_of(graph, context=32):
    """Return the weights of a graph whose layers have been recognised."""
    part = find_decoder(graph)
    assert part is not None
    return float_decoder(graph, part, context)


def tensors_of(decoder):
    """Return a decoder's tensors by Hugging Face's names."""
    tensors = {"model.embed_tokens": decoder.embedding, "lm_head": decoder.head,
               "model.norm": decoder.norm}  # fmt: skip
    places = {
        **{f"self_attn.{name[0]}_proj": name for name in ("query", "key", "value", "output")},
        **{f"mlp.{name}_proj": name for name in ("gate", "up", "down")},
        "input_layernorm": "attention_norm", "post_attention_layernorm": "hidden_norm",
    }  # fmt: skip
    for number, layer in enumerate(decoder.layers):
        for place, name in places.items():
            tensors[f"model.layers.{number}.{place}"] = getattr(layer, name).T
    return {f"{name}.weight": value for name, value in tensors.items()}
