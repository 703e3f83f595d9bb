"""Models that are only a shape: random weights, always the same, to measure speed with."""

import math

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ConfigError
from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

__all__ = ["ARCHITECTURES", "layer_dimensions", "shape_only_decoder"]

ARCHITECTURES = ("llama", "microgpt")
"""``microgpt`` has learned positions, ReLU between two matrices, and a head of its own."""

LAYERS = {"smollm2": (30, "dim=576,heads=9,kv_heads=3,hidden=1536")}
"""How many there are, and their sizes, by the name of a model of llama's architecture."""

NEEDED = ("layers", "dim", "heads", "hidden", "vocab")
DEFAULTS = {"llama": 2048, "microgpt": 16}
"""Of ``context``."""

VOCABULARY = 64
"""Of models whose layers alone are of interest."""

GAMMA_SPREAD, NEGATIVE = 0.25, 1 / 16
"""Of the gammas of norms, and how many of them are negative."""

ROTARY_BASE = 10000.0
EPSILON = 1e-5


def shape_only_decoder(architecture: str, dimensions: str, seed: int = 0) -> FloatDecoder:
    """Return a model of random weights.

    Parameters
    ----------
    architecture : str
        One of :data:`ARCHITECTURES`.
    dimensions : str
        ``layers=1,dim=24,heads=4,hidden=96,vocab=27``; ``kv_heads`` and ``context`` may be added.
    seed : int

    Raises
    ------
    ConfigError
        If a dimension is unknown, missing or impossible.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"there is no architecture {architecture}; known are {', '.join(ARCHITECTURES)}"
        )
    sizes = _parse(dimensions)
    features, heads, context = sizes["dim"], sizes["heads"], sizes.get("context")
    context = DEFAULTS[architecture] if context is None else context
    key_heads = sizes.get("kv_heads", heads)
    _require_multiple("dim", features, "heads", heads)
    _require_multiple("heads", heads, "kv_heads", key_heads)
    head_features = features // heads
    llama = architecture == "llama"
    if llama:
        _require_multiple("dim / heads", head_features, "2, since rotary positions turn pairs", 2)

    rng, gains = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def gamma() -> NDArray[np.float32]:
        """Return gammas about one, some of them negative."""
        sign = np.where(gains.random(features) < NEGATIVE, -1, 1)
        return (sign * gains.normal(1, GAMMA_SPREAD, features)).astype(np.float32)

    def matrix(inputs: int, outputs: int) -> NDArray[np.float32]:
        return (rng.standard_normal((inputs, outputs)) / math.sqrt(inputs)).astype(np.float32)

    hidden = sizes["hidden"]
    layers = [
        FloatDecoderLayer(
            attention_norm=gamma(), query=matrix(features, features),
            key=matrix(features, key_heads * head_features),
            value=matrix(features, key_heads * head_features),
            output=matrix(features, features), hidden_norm=gamma(),
            gate=matrix(features, hidden) if llama else None,
            up=matrix(features, hidden), down=matrix(hidden, features),
        )
        for _ in range(sizes["layers"])
    ]  # fmt: skip
    embedding = matrix(features, sizes["vocab"]).T
    return FloatDecoder(
        heads=heads, key_heads=key_heads, epsilon=EPSILON,
        rotary_base=ROTARY_BASE if llama else None, context=context, embedding=embedding,
        positions=None if llama else matrix(features, context).T, layers=layers, norm=gamma(),
        head=embedding if llama else matrix(features, sizes["vocab"]).T,
    )  # fmt: skip


def layer_dimensions(model: str, layers: int, context: int) -> tuple[int, str]:
    """Return how many layers a model has, and the dimensions of a model of some of them.

    Their vocabulary is a small one.

    Raises
    ------
    ConfigError
        If there is no such model, or it has fewer layers.
    """
    if model not in LAYERS:
        raise ConfigError(f"there are no sizes of {model}; known are {', '.join(LAYERS)}")
    count, sizes = LAYERS[model]
    if layers > count:
        raise ConfigError(f"the layers of {model} must be at most {count}, not {layers}")
    return count, f"layers={layers},{sizes},vocab={VOCABULARY},context={context}"


def _parse(text: str) -> dict[str, int]:
    """Return the sizes of ``name=size,name=size``."""
    known = (*NEEDED, "kv_heads", "context")
    sizes: dict[str, int] = {}
    for item in text.split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in known:
            raise ConfigError(f"there is no dimension {name}; known are {', '.join(known)}")
        if name in sizes:
            raise ConfigError(f"the dimension {name} is given twice; give it once")
        if not value.isdecimal() or int(value) < 1:
            raise ConfigError(
                f"the dimension {name} must be an integer of at least 1, not {value or 'nothing'}"
            )
        sizes[name] = int(value)
    missing = [name for name in NEEDED if name not in sizes]
    if missing:
        raise ConfigError(f"the dimension {missing[0]} is missing; add {missing[0]}=N")
    return sizes


def _require_multiple(name: str, value: int, of: str, factor: int) -> None:
    if value % factor:
        what = of if of.startswith(str(factor)) else f"{of}, {factor}"
        raise ConfigError(f"the dimension {name} is {value}, but must be a multiple of {what}")
