"""Embeddings of sentences by MiniLM: which are alike, and how close the hardware comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_sim.verilator import cache_directory

from .compiler.encoder_fit import plan_encoder
from .compiler.encoder_shape import EncoderShape
from .encoder import CompiledEncoder, MachineEncoder, compiler_version
from .model_image import ModelImage
from .models.minilm import MAX_TOKENS, MiniLM
from .models.quantized import MINILM_NAME, quantize_minilm
from .progress import Progress

__all__ = ["Similarity", "compare", "compile_minilm", "least_tokens"]

SEGMENTS = 4
"""Sentences of a run, if that many fit."""

FEWEST_TOKENS = 32
"""Programs are compiled for this many tokens, or for a power of two times as many."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """What some sentences' embeddings say.

    Parameters
    ----------
    texts : list of str
    tokens : list of int
        Of each sentence.
    backend : str
        Who computed the embeddings.
    similarity : list of list of float
        Cosine of each sentence to each.
    cosine : list of float
        Of each embedding to float32's.
    cosine_mean, cosine_worst : float
    dram_bytes : int
        Loaded and stored by all runs, of which there are ``runs``.
    """

    texts: list[str]
    tokens: list[int]
    backend: str
    similarity: list[list[float]]
    cosine: list[float]
    cosine_mean: float
    cosine_worst: float
    runs: int = 0
    dram_bytes: int = 0


def least_tokens(longest: int) -> int:
    """Return how many tokens a program should be for, so that ``longest`` fit."""
    tokens = FEWEST_TOKENS
    while tokens < longest:
        tokens *= 2
    return tokens


def compile_minilm(
    model: MiniLM, config: Config, *, tokens: int, path: Path | None = None,
    progress: Progress | None = None,
) -> CompiledEncoder:  # fmt: skip
    """Return the model for runs of at most ``tokens``, compiling it the first time.

    Parameters
    ----------
    model : MiniLM
    config : Config
    tokens : int
    path : Path
        Its image; by default one in the cache.
    progress : Progress

    Raises
    ------
    ConfigError
        If it does not fit.
    ImageError
        If the image is damaged, or not for this configuration.
    """
    progress = progress or Progress()
    name = f"minilm-{config.hash:08x}-{tokens}-{compiler_version()[:8]}.sltm"
    path = path or cache_directory() / "images" / name
    if path.exists():
        return CompiledEncoder.from_image(ModelImage.load(path, config), config, MINILM_NAME)
    shape = EncoderShape(
        features=model.features, heads=model.heads, hidden=model.hidden, layers=model.layers,
        vocabulary=model.vocabulary, positions=model.longest,
    )  # fmt: skip
    plan_encoder(config, shape, tokens=tokens, segments=SEGMENTS)  # refuses before the long work
    integers = quantize_minilm(model, config, progress)
    progress(f"compiling MiniLM for {tokens} tokens")
    encoder = CompiledEncoder.compile(config, integers, tokens=tokens, segments=SEGMENTS)
    encoder.image(MINILM_NAME).save(path)
    return encoder


def compare(
    model: MiniLM, texts: Sequence[str], *, encoder: CompiledEncoder | None = None,
    truncate: bool = False, progress: Progress | None = None,
) -> Similarity:  # fmt: skip
    """Compare sentences with each other, by the machine if there is an ``encoder``, or in float.

    Raises
    ------
    TextError
        If a text is empty or too long.
    """
    progress = progress or Progress()
    limit = min(MAX_TOKENS, encoder.plan.tokens) if encoder else MAX_TOKENS
    sentences = [model.tokenize(text, limit=limit, truncate=truncate) for text in texts]
    progress("computing in float")
    exact = np.stack([model.embed_tokens(tokens) for tokens in sentences])
    vectors, runs, dram_bytes = exact, 0, 0
    if encoder:
        batches = _batches(sentences, encoder)
        machine, parts = MachineEncoder(encoder), []
        progress("running on the functional machine")
        for batch in batches:
            progress.reached(runs, len(batches))
            result = machine.run(batch)
            parts.append(result.embeddings)
            beats = result.counts["LOAD_BEATS"] + result.counts["STORE_BEATS"]
            dram_bytes += beats * encoder.plan.config.bus.data_bytes
            runs += 1
        vectors = np.concatenate(parts)
    cosine = [float(got @ want) for got, want in zip(vectors, exact, strict=True)]
    return Similarity(
        texts=list(texts), tokens=[len(sentence) for sentence in sentences],
        backend="machine" if encoder else "float",
        similarity=[[float(value) for value in row] for row in vectors @ vectors.T],
        cosine=cosine, cosine_mean=float(np.mean(cosine)), cosine_worst=min(cosine),
        runs=runs, dram_bytes=dram_bytes,
    )  # fmt: skip


def _batches(
    sentences: Sequence[list[int]], encoder: CompiledEncoder
) -> list[list[list[int]]]:
    """Cut sentences into runs, in their order, as many in each as fit."""
    batches: list[list[list[int]]] = []
    for sentence in sentences:
        last = batches[-1] if batches else []
        room = encoder.plan.tokens - sum(map(len, last))
        if last and len(sentence) <= room and len(last) < encoder.plan.segments:
            last.append(sentence)
        else:
            batches.append([sentence])
    return batches
