"""Texts that a language model writes itself, to measure it with: nobody else's text is needed."""

import json
import os
import tempfile
import typing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, KeyValueCache, hidden
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
    caches = [KeyValueCache(len(decoder.layers)) for _ in texts]
    for place in range(1, length):
        progress.reached(place, length)
        x = decoder.embedding[[text[-1] for text in texts]]
        if decoder.positions is not None:
            x = x + decoder.positions[place - 1]
        for number, layer in enumerate(decoder.layers):
            normal = decoder.normalize(x, layer.attention_norm)
            context = [
                decoder.attend(layer, normal[one : one + 1], cache, number)
                for one, cache in enumerate(caches)
            ]
            x = x + np.concatenate(context) @ layer.output
            x = x + hidden(layer, decoder.normalize(x, layer.hidden_norm)) @ layer.down
        logits = decoder.normalize(x, decoder.norm) @ decoder.head.T
        for seed, (text, row) in enumerate(zip(texts, logits, strict=True)):
            text.append(choose(row, seed, place))
    return texts


def choose(logits: NDArray[np.floating], seed: int, position: int) -> int:
    """Return one of the likeliest tokens, with the probabilities of softmax.

    By noise of its own: weights are rounded with these texts, which another way of choosing tokens
    on the hardware must not change.
    """
    candidates = np.argsort(-logits, kind="stable")[:CANDIDATES]
    bits = np.random.Philox(key=seed, counter=[0, 0, position, 0]).random_raw(len(logits))
    uniform = ((bits >> np.uint64(11)) + 0.5) * 2.0**-53  # never 0, never 1
    noise = -np.log(-np.log(uniform))[candidates]
    return int(candidates[np.argmax(logits[candidates] + noise)])


def _keep(path: Path, texts: list[list[int]]) -> None:
    """Write a file that is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(texts, file)
    os.replace(file.name, path)
