"""all-MiniLM-L6-v2 in float32 numpy: what the hardware's results are measured against."""

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from ..progress import Progress
from .errors import TextError
from .fetch import MINILM, fetch

__all__ = ["MiniLM", "require_text"]

MAX_TOKENS = 256
"""Longest input that the model was trained for; longer text is cut."""

Floats = NDArray[np.float32]

_erf = np.vectorize(math.erf, otypes=[np.float32])


def require_text(text: str) -> None:
    """Raise :class:`TextError` if there is nothing in ``text`` to run on."""
    if not text.strip():
        raise TextError("the text is empty; give at least one word")


class MiniLM:
    """A BERT encoder of 6 layers, 384 features and 12 heads, read from its safetensors.

    Parameters
    ----------
    folder : Path
        Folder with ``model.safetensors``, ``tokenizer.json`` and ``config.json``.
    """

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / "config.json").read_text())
        self.layers: int = settings["num_hidden_layers"]
        self.heads: int = settings["num_attention_heads"]
        self.epsilon: float = settings["layer_norm_eps"]
        self._tensors = safe_open(str(folder / "model.safetensors"), framework="numpy")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    @classmethod
    def fetch(cls, progress: Progress | None = None) -> "MiniLM":
        """Return the model, downloading it the first time."""
        return cls(fetch(MINILM, progress))

    def tokenize(self, text: str) -> list[int]:
        """Return the token numbers of ``text``, with those that open and close it.

        Raises
        ------
        TextError
            If the text is empty.
        """
        require_text(text)
        return list(self._tokenizer.encode(text).ids)

    def linear(self, layer: int, name: str) -> tuple[Floats, Floats]:
        """Return weights (inputs, outputs) and bias of one dense layer of encoder ``layer``."""
        prefix = f"encoder.layer.{layer}.{name}"
        return self._tensor(f"{prefix}.weight").T, self._tensor(f"{prefix}.bias")

    def embedding(self, tokens: list[int]) -> Floats:
        """Return the input of layer 0, (tokens, features)."""
        words = self._tensor("embeddings.word_embeddings.weight")[tokens]
        positions = self._tensor("embeddings.position_embeddings.weight")[: len(tokens)]
        kind = self._tensor("embeddings.token_type_embeddings.weight")[0]
        return self._norm("embeddings.LayerNorm", words + positions + kind)

    def attend(self, layer: int, x: Floats) -> Floats:
        """Return ``x`` after the attention block of ``layer``: the feed-forward's input."""
        query, key, value = (
            self._dense(layer, f"attention.self.{name}", x)
            .reshape(len(x), self.heads, -1)
            .transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ value).transpose(1, 0, 2).reshape(len(x), -1)
        mixed = self._dense(layer, "attention.output.dense", mixed)
        return self._norm(f"encoder.layer.{layer}.attention.output.LayerNorm", x + mixed)

    def feed_forward(self, layer: int, x: Floats) -> Floats:
        """Return ``x`` after the feed-forward block of ``layer``."""
        hidden = self._dense(layer, "intermediate.dense", x)
        hidden = hidden * (1 + _erf(hidden / math.sqrt(2))) / 2
        x = x + self._dense(layer, "output.dense", hidden)
        return self._norm(f"encoder.layer.{layer}.output.LayerNorm", x)

    def embed(self, text: str) -> Floats:
        """Return the sentence's unit vector: the mean of the last layer's tokens."""
        x = self.embedding(self.tokenize(text))
        for layer in range(self.layers):
            x = self.feed_forward(layer, self.attend(layer, x))
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)

    def _tensor(self, name: str) -> Floats:
        return self._tensors.get_tensor(name)

    def _dense(self, layer: int, name: str, x: Floats) -> Floats:
        weights, bias = self.linear(layer, name)
        return x @ weights + bias

    def _norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + self.epsilon)
        return centred / deviation * self._tensor(f"{name}.weight") + self._tensor(f"{name}.bias")
