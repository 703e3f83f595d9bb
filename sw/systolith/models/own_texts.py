"""Texts that a language model writes itself, to measure it with: nobody else's text is needed."""

import json
import math
import os
import tempfile
import typing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import (
    FloatDecoder,
    FloatDecoderLayer,
    hidden,
    rotary_rows,
    rotate,
)
from systolith_sim.verilator import cache_directory

from ..progress import Progress
from .fingerprint import fingerprint

if typing.TYPE_CHECKING:  # a model alone needs no tokenizers
    from .language_model import LanguageModel

__all__ = ["choose", "own_texts", "write_together"]

TEXTS = 16
LONGEST = 256
"""How many texts are written, and of how many tokens at most."""

CANDIDATES = 64
"""Likeliest tokens among which each is chosen."""

FIRST_LETTER = "A"
LETTERS = 26
"""Of the first text of a model that has no token to begin with, and how many there are."""


def own_texts(
    model: "LanguageModel", progress: Progress | None = None, *, count: int | None = None
) -> list[list[int]]:
    """Return texts that the model writes at temperature 1, :data:`TEXTS` unless ``count`` says so.

    They are kept, since a large model takes minutes. A model that has no token to begin with gets a
    letter, for each text the next one.
    """
    progress = progress or Progress()
    count = count or TEXTS
    name = f"{fingerprint(model.decoder)}-{count}-{LONGEST}.json"
    path = cache_directory() / "texts" / name
    if path.is_file():
        return json.loads(path.read_text())
    progress(f"letting {model.name} write, once, to measure it")
    letters = [chr(ord(FIRST_LETTER) + number % LETTERS) for number in range(count)]
    first = [(model.opening or model.tokenizer.encode(letter))[0] for letter in letters]
    texts = write_together(model.decoder, first, min(LONGEST, model.decoder.context), progress)
    _keep(path, texts)
    return texts


def write_together(
    decoder: FloatDecoder, first: Sequence[int], length: int, progress: Progress
) -> list[list[int]]:
    """Return texts of ``length`` tokens, one behind each of the ``first`` tokens.

    All get their next tokens at once, so that weights are read once for all of them.
    """
    texts = [[token] for token in first]
    together = _Together(decoder, len(texts), length)
    for place in range(1, length):
        progress.reached(place, length)
        logits = together.logits([text[-1] for text in texts], place - 1)
        for seed, (text, row) in enumerate(zip(texts, logits, strict=True)):
            text.append(choose(row, seed, place))
    return texts


class _Together:
    """Several texts of one length that go through a model, a token of each at once.

    Parameters
    ----------
    decoder : FloatDecoder
    count : int
        B, how many there are.
    length : int
        T, how long they get.
    """

    def __init__(self, decoder: FloatDecoder, count: int, length: int) -> None:
        self.decoder = decoder
        features = decoder.layers[0].key.shape[1] // decoder.key_heads
        shape = len(decoder.layers), count, decoder.key_heads, length, features
        self.keys, self.values = (np.empty(shape, np.float32) for _ in range(2))

    def logits(self, tokens: list[int], place: int) -> NDArray[np.floating]:
        """Return logits (B, V) behind the tokens at the next place."""
        decoder = self.decoder
        x = decoder.embedding[tokens]
        if decoder.positions is not None:
            x = x + decoder.positions[place]
        for number, layer in enumerate(decoder.layers):
            normal = decoder.normalize(x, layer.attention_norm)
            x = x + self._attend(layer, normal, number, place) @ layer.output
            x = x + hidden(layer, decoder.normalize(x, layer.hidden_norm)) @ layer.down
        return decoder.normalize(x, decoder.norm) @ decoder.head.T

    def _attend(
        self, layer: FloatDecoderLayer, x: NDArray[np.floating], number: int, place: int
    ) -> NDArray[np.floating]:
        """Return the context of all heads, (B, H * D), as :meth:`FloatDecoder.attend` does."""
        decoder = self.decoder
        query: NDArray[np.floating]
        key: NDArray[np.floating]
        query, key, value = (  # each (B, heads, D)
            (x @ matrix).reshape(len(x), heads, -1)
            for matrix, heads in ((layer.query, decoder.heads), (layer.key, decoder.key_heads),
                                  (layer.value, decoder.key_heads))
        )  # fmt: skip
        if decoder.rotary_base is not None:
            features = key.shape[-1]
            rows = rotary_rows(np.full(len(x), place), features, decoder.rotary_base)
            query, key = rotate(query, *rows), rotate(key, *rows)
        self.keys[number, :, :, place] = key
        self.values[number, :, :, place] = value
        keys, values = (one[number, :, :, : place + 1] for one in (self.keys, self.values))
        grouped = query.reshape(*keys.shape[:2], -1, keys.shape[-1])  # (B, G, H / G, D)
        scores = grouped @ keys.swapaxes(-1, -2) / math.sqrt(keys.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return (weights @ values).reshape(len(x), -1)


def choose(logits: NDArray[np.floating], seed: int, position: int) -> int:
    """Return one of the likeliest tokens, with the probabilities of softmax.

    By noise of its own: weights are rounded with these texts, which another way of choosing tokens
    on the hardware must not change.
    """
    candidates = _likeliest(logits)
    bits = np.random.Philox(key=seed, counter=[0, 0, position, 0]).random_raw(len(logits))
    uniform = ((bits[candidates] >> np.uint64(11)) + 0.5) * 2.0**-53  # never 0, never 1
    noise = -np.log(-np.log(uniform))
    return int(candidates[np.argmax(logits[candidates] + noise)])


def _likeliest(logits: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the numbers of the candidates, the likeliest first, of equal ones the first first."""
    count = min(CANDIDATES, len(logits))
    least = np.partition(logits, -count)[-count]
    enough = np.flatnonzero(logits >= least)
    return enough[np.argsort(-logits[enough], kind="stable")[:count]]


def _keep(path: Path, texts: list[list[int]]) -> None:
    """Write a file that is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(texts, file)
    os.replace(file.name, path)
