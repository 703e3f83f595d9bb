"""MiniLM in integers. Rounding its weights takes a minute or two, so the result is kept.

No text is needed: random tokens show how inputs of each matrix go together.
"""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.encoder import EncoderLayer, Linear, Words, to_words
from systolith_sim.transformer.model import EncoderModel
from systolith_sim.verilator import cache_directory

from ..compiler.encoder_quantizer import (
    measure_grams,
    quantize_layer,
    quantize_norm,
    score_shift,
    word_base,
)
from ..progress import Progress
from ..whole_file import whole_file
from .fetch import MINILM
from .minilm import MiniLM

__all__ = ["MINILM_NAME", "quantize_minilm", "random_sentence"]

MINILM_NAME = f"{MINILM.name} {MINILM.version}"

METHOD = 2
"""Number of the way that weights are rounded; kept results of another one are not used."""

SENTENCES = 64
LONGEST = 32
OPEN, CLOSE, ORDINARY = 101, 102, 999
"""BERT's tokens that open and close a text, and the first one that is not special."""

LINEARS = ("query", "key", "value", "output", "up", "down")


def quantize_minilm(
    model: MiniLM, config: Config, progress: Progress | None = None
) -> EncoderModel:
    """Return the model for words of a configuration."""
    progress = progress or Progress()
    base = word_base(config)
    path = cache_directory() / "quantized" / f"{MINILM.sha256[:12]}-{base}-{METHOD}.npz"
    layers = _load(path, model, config) or _round(path, model, config, progress)
    progress("rounding MiniLM's embeddings")
    return EncoderModel(
        _embeddings(config, model.words), _embeddings(config, model.positions),
        quantize_norm(model.embedding_norm), base, layers,
    )  # fmt: skip


def random_tokens(count: int, vocabulary: int) -> list[list[int]]:
    """Return sentences of random tokens, always the same."""
    rng = np.random.default_rng(0)
    return [random_sentence(rng, int(rng.integers(3, LONGEST)), vocabulary) for _ in range(count)]


def random_sentence(rng: np.random.Generator, length: int, vocabulary: int) -> list[int]:
    """Return so many random tokens, between those that open and close a text."""
    ordinary = rng.integers(ORDINARY, vocabulary, max(0, length - 2))
    return [OPEN, *ordinary.tolist(), CLOSE][:length]


def _round(path: Path, model: MiniLM, config: Config, progress: Progress) -> list[EncoderLayer]:
    """Round all layers, and keep them."""
    progress("measuring MiniLM on random tokens, once")
    floats = [model.layer(number) for number in range(model.layers)]
    words, positions, norm = model.words, model.positions, model.embedding_norm
    sentences = [
        norm(words[tokens] + positions[: len(tokens)])
        for tokens in random_tokens(SENTENCES, len(words))
    ]
    grams = measure_grams(floats, sentences)
    progress("rounding MiniLM's weights, once")
    layers = []
    for number, (layer, gram) in enumerate(zip(floats, grams, strict=True)):
        progress.reached(number, len(floats))
        head = len(layer.query.bias) // layer.heads
        layers.append(quantize_layer(config, layer, gram, output_chunk=head, down_chunk=head))
    arrays = {
        f"{number}.{name}.{part}": value.astype(np.int8) if part == "weights" else value
        for number, layer in enumerate(layers)
        for name in LINEARS
        for part, value in vars(getattr(layer, name)).items()
    }
    with whole_file(path) as file:
        np.savez(file, **arrays)
    return layers


def _load(path: Path, model: MiniLM, config: Config) -> list[EncoderLayer] | None:
    """Return the layers that were kept, or None if there are none that can be read."""
    try:
        with np.load(path) as arrays:
            return [_rebuild(arrays, number, model, config) for number in range(model.layers)]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _rebuild(arrays, number: int, model: MiniLM, config: Config) -> EncoderLayer:
    """Return a layer of kept matrices; the rest costs no time."""
    floats = model.layer(number)
    linears: dict[str, Any] = {
        name: Linear(**{
            field.name: arrays[f"{number}.{name}.{field.name}"].astype(np.int64)
            for field in dataclasses.fields(Linear)
        })
        for name in LINEARS
    }  # fmt: skip
    head = len(floats.query.bias) // floats.heads
    base = word_base(config)
    return EncoderLayer(
        heads=floats.heads, **linears, attention_norm=quantize_norm(floats.attention_norm),
        output_norm=quantize_norm(floats.output_norm), score_shift=score_shift(base), base=base,
        output_chunk=head, down_chunk=head,
    )  # fmt: skip


def _embeddings(config: Config, values: NDArray[np.floating]) -> Words:
    """Return rows of embeddings as words, in no more memory than needed."""
    fixed = np.rint(np.ldexp(values.astype(np.float64), FRACTION)).astype(np.int64)
    words = to_words(config.array, fixed, word_base(config))
    return Words(words.mantissas.astype(np.int16), words.exponents.astype(np.int16))
