"""Embeddings of sentences by MiniLM: which are alike, and how close the hardware comes."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_sim.verilator import cache_directory

from .compiler.encoder_fit import plan_encoder
from .compiler.encoder_shape import EncoderShape
from .device_encoder import Simulated, simulate
from .encoder import (
    CompiledEncoder,
    EncoderResult,
    MachineEncoder,
    Sentences,
    batches,
)
from .model_image import ModelImage
from .models.minilm import MAX_TOKENS, MiniLM
from .models.quantized import MINILM_NAME, quantize_minilm
from .progress import Progress
from .sources import compiler_version
from .workload import moved_bytes

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
        All that crosses the port in all runs, of which there are ``runs``; on the machine without
        the program.
    simulated : Simulated or None
        What only the hardware says.
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
    simulated: Simulated | None = None


def least_tokens(model: MiniLM, config: Config, longest: int) -> int:
    """Return how many tokens a program should be for, so that ``longest`` fit.

    It is one of a few numbers, or the most that fit the chip; if fewer do, it is ``longest``, which
    the compiler will refuse. Programs that stream their layers' input are only for what needs it.
    """
    tokens = FEWEST_TOKENS
    while tokens < longest:
        tokens *= 2

    def fits(tokens: int, streamed: bool) -> bool:
        try:
            plan = plan_encoder(config, _shape(model), tokens=tokens, segments=SEGMENTS)
        except ConfigError:
            return False
        return streamed or not plan.streamed

    for streamed in (False, True):
        if fits(longest, streamed):
            more = range(longest, tokens + 1)
            return longest - 1 + bisect.bisect(more, False, key=lambda n: not fits(n, streamed))
    return longest


def compile_minilm(
    model: MiniLM, config: Config, *, longest: int, tokens: int | None = None,
    path: Path | None = None, progress: Progress | None = None,
) -> CompiledEncoder:  # fmt: skip
    """Return the model for runs of at most ``tokens``, compiling it the first time.

    Parameters
    ----------
    model : MiniLM
    config : Config
    longest : int
        Tokens of the longest text.
    tokens : int
        By default enough for that; an image that exists takes as many as it was made for.
    path : Path
        Its image; by default one in the cache.
    progress : Progress

    Raises
    ------
    ConfigError
        If it does not fit, or the image is for another number of tokens than is asked for.
    ImageError
        If the image is damaged, or not for this configuration.
    """
    progress = progress or Progress()
    asked, tokens = tokens, tokens or least_tokens(model, config, longest)
    name = f"minilm-{config.hash:08x}-{tokens}-{SEGMENTS}-{compiler_version()[:8]}.sltm"
    path = path or cache_directory() / "images" / name
    if path.exists():
        image = ModelImage.load(path, config)
        encoder = CompiledEncoder.from_image(image, config, MINILM_NAME)
        if asked not in (None, encoder.plan.tokens):
            raise ConfigError(
                f"--tokens is {asked}, but the image {path} is for {encoder.plan.tokens}; leave "
                f"--tokens out, or give --image a file that does not exist yet"
            )
        return encoder
    # Refuses before the long work.
    plan_encoder(config, _shape(model), tokens=tokens, segments=SEGMENTS)
    integers = quantize_minilm(model, config, progress)
    progress(f"compiling MiniLM for {tokens} tokens")
    encoder = CompiledEncoder.compile(config, integers, tokens=tokens, segments=SEGMENTS)
    encoder.image(MINILM_NAME).save(path)
    return encoder


def _shape(model: MiniLM) -> EncoderShape:
    return EncoderShape(
        features=model.features, heads=model.heads, hidden=model.hidden, layers=model.layers,
        vocabulary=model.vocabulary, positions=model.longest,
    )  # fmt: skip


def compare(
    model: MiniLM, texts: Sequence[str], *, encoder: CompiledEncoder | None = None,
    simulator: str | None = None, clock_mhz: float | None = None, bin_cycles: int = 0,
    truncate: bool = False, progress: Progress | None = None,
) -> Similarity:  # fmt: skip
    """Compare sentences with each other.

    Their embeddings are those of the core in a ``simulator``, or behind a port; without one, of
    the functional machine; and without an ``encoder``, those of float32. With ``bin_cycles`` the
    simulator counts what units do, in bins of so many cycles.

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
    results: list[EncoderResult] = []
    vectors, simulated, dram_bytes = exact, None, 0
    if encoder:
        groups = batches(sentences, encoder)
        if simulator:
            results, simulated = simulate(encoder, groups, simulator=simulator,
                                          clock_mhz=clock_mhz, progress=progress,
                                          bin_cycles=bin_cycles)  # fmt: skip
        else:
            results = _run_on_machine(encoder, groups, progress)
        vectors = np.concatenate([result.embeddings for result in results])
        config = encoder.plan.config
        dram_bytes = sum(moved_bytes(config, result.counts) for result in results)
    cosine = [float(got @ want) for got, want in zip(vectors, exact, strict=True)]
    return Similarity(
        texts=list(texts), tokens=[len(sentence) for sentence in sentences],
        backend="rtl" if simulated else "machine" if encoder else "float",
        similarity=[[float(value) for value in row] for row in vectors @ vectors.T],
        cosine=cosine, cosine_mean=float(np.mean(cosine)), cosine_worst=min(cosine),
        runs=len(results), dram_bytes=dram_bytes, simulated=simulated,
    )  # fmt: skip


def _run_on_machine(
    encoder: CompiledEncoder, groups: Sequence[Sentences], progress: Progress
) -> list[EncoderResult]:
    progress("running on the functional machine")
    machine, results = MachineEncoder(encoder), []
    for number, group in enumerate(groups):
        progress.reached(number, len(groups))
        results.append(machine.run(group))
    return results
