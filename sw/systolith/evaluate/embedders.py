"""Who turns sentences of token numbers into unit vectors."""

import abc
import concurrent.futures
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ArrayConfig, Config
from systolith_sim.transformer.model import EncoderModel

from ..encoder import MachineEncoder, batches
from ..models.minilm import MiniLM, unit_mean
from ..models.quantized import quantize_minilm
from ..progress import Progress
from ..sentences import compile_minilm

__all__ = ["Embedder", "FloatEmbedder", "GoldenEmbedder", "MachineEmbedder"]

Sentences = Sequence[list[int]]
Floats = NDArray[np.floating]


class Embedder(abc.ABC):
    """Embeds sentences, and tells how far it is."""

    @abc.abstractmethod
    def __call__(self, sentences: Sentences, progress: Progress) -> Floats:
        """Return unit vectors, (sentences, D)."""


class FloatEmbedder(Embedder):
    """float32.

    Parameters
    ----------
    model : MiniLM
    """

    def __init__(self, model: MiniLM) -> None:
        self._model = model

    def __call__(self, sentences: Sentences, progress: Progress) -> Floats:
        """Return unit vectors, (sentences, D)."""
        progress("computing in float")
        vectors = []
        for number, sentence in enumerate(sentences):
            progress.reached(number, len(sentences))
            vectors.append(self._model.embed_tokens(sentence))
        return np.stack(vectors)


class GoldenEmbedder(Embedder):
    """The integers of the hardware from golden models alone: the machine's bits, but faster.

    Parameters
    ----------
    model : MiniLM
    config : Config
    jobs : int
        Processes that share the sentences.
    """

    def __init__(self, model: MiniLM, config: Config, *, jobs: int = 1) -> None:
        self._model = model
        self._config = config
        self._jobs = jobs

    def __call__(self, sentences: Sentences, progress: Progress) -> Floats:
        """Return unit vectors, (sentences, D)."""
        integers = quantize_minilm(self._model, self._config, progress)
        progress("computing in the golden model's integers")
        with concurrent.futures.ProcessPoolExecutor(
            self._jobs, initializer=_begin, initargs=(integers, self._config.array)
        ) as pool:
            vectors = []
            for number, vector in enumerate(pool.map(_embed, sentences)):
                progress.reached(number + 1, len(sentences))
                vectors.append(vector)
        return np.stack(vectors)


class MachineEmbedder(Embedder):
    """The functional machine, which runs the compiled program.

    Parameters
    ----------
    model : MiniLM
    config : Config
    """

    def __init__(self, model: MiniLM, config: Config) -> None:
        self._model = model
        self._config = config

    def __call__(self, sentences: Sentences, progress: Progress) -> Floats:
        """Return unit vectors, (sentences, D)."""
        longest = max(map(len, sentences))
        encoder = compile_minilm(self._model, self._config, longest=longest, progress=progress)
        progress("running on the functional machine")
        machine, groups, vectors = MachineEncoder(encoder), batches(sentences, encoder), []
        for number, group in enumerate(groups):
            progress.reached(number, len(groups))
            vectors.append(machine.run(group).embeddings)
        return np.concatenate(vectors)


_state: tuple[EncoderModel, ArrayConfig]
"""Of a process that a :class:`GoldenEmbedder` started."""


def _begin(model: EncoderModel, array: ArrayConfig) -> None:
    global _state
    _state = model, array


def _embed(sentence: list[int]) -> Floats:
    model, array = _state
    return unit_mean(model.encode(array, sentence))
