"""all-MiniLM-L6-v2 in float32 numpy: what the hardware's results are measured against."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm, encode

from ..progress import Progress
from .checkpoint_settings import CheckpointSettings
from .errors import CheckpointError, TextError
from .fetch import MINILM, fetch

__all__ = ["MiniLM", "require_text", "unit_mean"]

MAX_TOKENS = 256
"""Longest input that the model was trained for."""

FLOAT32 = "F32"
"""What safetensors call it."""

Floats = NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]


def require_text(text: str) -> None:
    """Raise :class:`TextError` if there is nothing in ``text`` to run on."""
    if not text.strip():
        raise TextError("the text is empty; give at least one word")


def unit_mean(states: NDArray[np.number]) -> NDArray[np.floating]:
    """Return the unit vector (features,) of a sentence: the mean of its tokens' states."""
    mean = states.mean(axis=0)
    return mean / np.linalg.norm(mean)


class MiniLM:
    """A BERT encoder of 6 layers, 384 features and 12 heads, read from its safetensors.

    Parameters
    ----------
    folder : Path
        Folder with ``model.safetensors``, ``tokenizer.json`` and ``config.json``.

    Raises
    ------
    CheckpointError
        If a file is damaged, or a tensor is missing, of another type or not finite, or does not
        have the shape that config.json promises.
    """

    def __init__(self, folder: Path) -> None:
        settings = CheckpointSettings.load(folder / "config.json")
        settings.only("model_type", "bert")
        settings.only("hidden_act", "gelu")
        settings.only("position_embedding_type", "absolute", default="absolute")
        self.layers = settings.count("num_hidden_layers")
        self.heads = settings.count("num_attention_heads")
        self.epsilon = settings.number("layer_norm_eps")
        self.features = settings.count("hidden_size")
        self.hidden = settings.count("intermediate_size")
        self.vocabulary = settings.count("vocab_size")
        self.longest = settings.count("max_position_embeddings")
        with _readable(folder / "model.safetensors") as path:
            self._tensors = safe_open(str(path), framework="numpy")
        with _readable(folder / "tokenizer.json") as path:
            self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._check_sizes()
        self._check(types=settings.count("type_vocab_size"))

    @classmethod
    def fetch(cls, progress: Progress | None = None) -> "MiniLM":
        """Return the model, downloading it the first time."""
        return cls(fetch(MINILM, progress))

    def tokenize(self, text: str, *, limit: int = MAX_TOKENS, truncate: bool = False) -> list[int]:
        """Return the token numbers of ``text``, with those that open and close it.

        With ``truncate`` at most ``limit`` of them: the text is cut.

        Raises
        ------
        TextError
            If the text is empty, or has more than ``limit`` tokens and may not be cut.
        """
        require_text(text)
        tokens = list(self._tokenizer.encode(text).ids)
        if len(tokens) <= limit:
            return tokens
        if not truncate:
            raise TextError(
                f"the text has {len(tokens)} tokens, and at most {limit} are possible; shorten "
                "it, or give --truncate to use its beginning"
            )
        return [*tokens[: limit - 1], tokens[-1]]

    def layer(self, number: int) -> FloatLayer:
        """Return the parameters of one encoder layer."""
        prefix = f"encoder.layer.{number}"
        return FloatLayer(
            heads=self.heads,
            query=self._linear(f"{prefix}.attention.self.query"),
            key=self._linear(f"{prefix}.attention.self.key"),
            value=self._linear(f"{prefix}.attention.self.value"),
            output=self._linear(f"{prefix}.attention.output.dense"),
            up=self._linear(f"{prefix}.intermediate.dense"),
            down=self._linear(f"{prefix}.output.dense"),
            attention_norm=self._norm(f"{prefix}.attention.output.LayerNorm"),
            output_norm=self._norm(f"{prefix}.output.LayerNorm"),
        )

    @property
    def words(self) -> Floats:
        """Embeddings of the vocabulary, (tokens, features)."""
        return self._tensor("embeddings.word_embeddings.weight")

    @property
    def positions(self) -> Floats:
        """Embeddings of positions, with that of the sentence type, (positions, features)."""
        kind = self._tensor("embeddings.token_type_embeddings.weight")[0]
        return self._tensor("embeddings.position_embeddings.weight") + kind

    @property
    def embedding_norm(self) -> FloatNorm:
        """The norm of the sum of both embeddings."""
        return self._norm("embeddings.LayerNorm")

    def embedding(self, tokens: Sequence[int]) -> Floats:
        """Return the input of layer 0, (tokens, features)."""
        return self.embedding_norm(self.words[list(tokens)] + self.positions[: len(tokens)])

    def embed(self, text: str) -> Floats:
        """Return the sentence's unit vector: the mean of the last layer's tokens."""
        return self.embed_tokens(self.tokenize(text))

    def embed_tokens(self, tokens: Sequence[int]) -> Floats:
        """Return the unit vector of a sentence of token numbers."""
        x = self.embedding(tokens)
        for number in range(self.layers):
            x = encode(self.layer(number), x)
        return unit_mean(x)

    def _check_sizes(self) -> None:
        """Compare config.json with itself, and with the tokenizer."""
        if self.features % self.heads:
            raise CheckpointError(
                f"config.json: num_attention_heads is {self.heads}; it must divide hidden_size, "
                f"{self.features}"
            )
        words = self._tokenizer.get_vocab_size()
        if words > self.vocabulary:
            raise CheckpointError(
                f"config.json: vocab_size is {self.vocabulary}, but the tokenizer has {words} "
                "tokens; they are of different models"
            )

    def _check(self, types: int) -> None:
        """Compare the tensors with what config.json promises."""
        features, hidden = self.features, self.hidden
        shapes: Shapes = {
            "embeddings.word_embeddings.weight": (self.vocabulary, features),
            "embeddings.position_embeddings.weight": (self.longest, features),
            "embeddings.token_type_embeddings.weight": (types, features),
            **_vectors("embeddings.LayerNorm", features),
        }  # fmt: skip
        for number in range(self.layers):
            prefix = f"encoder.layer.{number}"
            for name in ("attention.self.query", "attention.self.key", "attention.self.value",
                         "attention.output.dense"):  # fmt: skip
                shapes |= _matrix(f"{prefix}.{name}", features, features)
            shapes |= _matrix(f"{prefix}.intermediate.dense", features, hidden)
            shapes |= _matrix(f"{prefix}.output.dense", hidden, features)
            for name in ("attention.output", "output"):
                shapes |= _vectors(f"{prefix}.{name}.LayerNorm", features)
        present = set(self._tensors.keys())
        more = [name for name in present - set(shapes) if name.startswith("encoder.layer.")]
        if more:
            raise CheckpointError(
                f"the checkpoint has a tensor {min(more)}, which a model of {self.layers} layers "
                "(num_hidden_layers) has no use for"
            )
        for name, shape in shapes.items():
            if name not in present:
                raise CheckpointError(f"the checkpoint has no tensor {name}")
            got = tuple(self._tensors.get_slice(name).get_shape())
            if got != shape:
                raise CheckpointError(
                    f"the checkpoint's tensor {name} has shape {got}, but must have {shape}"
                )
            self._check_numbers(name)

    def _check_numbers(self, name: str) -> None:
        """Refuse a tensor whose numbers are not those of a model in float32."""
        kind = self._tensors.get_slice(name).get_dtype()
        if kind != FLOAT32:
            raise CheckpointError(
                f"the checkpoint's tensor {name} has numbers of type {kind}, but must have "
                f"{FLOAT32}; convert it"
            )
        if not np.isfinite(self._tensor(name)).all():
            raise CheckpointError(
                f"the checkpoint's tensor {name} has values that are infinite or no number"
            )

    def _linear(self, name: str) -> FloatLinear:
        return FloatLinear(self._tensor(f"{name}.weight").T, self._tensor(f"{name}.bias"))

    def _norm(self, name: str) -> FloatNorm:
        return FloatNorm(
            self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias"), self.epsilon
        )

    def _tensor(self, name: str) -> Floats:
        return self._tensors.get_tensor(name)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Turn whatever a library says of a file that it cannot read into a sentence."""
    try:
        yield path
    except Exception as error:  # tokenizers raises nothing more special
        raise CheckpointError(
            f"{path} is damaged, or missing ({error}); delete its folder, so that the model is "
            "fetched again"
        ) from error


def _matrix(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _vectors(name: str, features: int) -> Shapes:
    return {f"{name}.weight": (features,), f"{name}.bias": (features,)}
