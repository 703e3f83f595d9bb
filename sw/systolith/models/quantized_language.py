"""A language model in integers, chosen with the help of text that the model itself writes.

Rounding the weights of a large model takes many minutes, so they are kept.
"""

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder
from systolith_sim.verilator import cache_directory, digest

from ..compiler.decoder_quantizer import quantize_decoder
from ..compiler.decoder_rounding import Rounded, round_decoder
from ..compiler.decoder_tuning import tune_codes
from ..compiler.group_rounding import CodedWeights
from ..compiler.weight_codecs import CODECS
from ..progress import Progress
from ..sources import sources
from .fingerprint import fingerprint
from .language_model import LanguageModel
from .own_texts import own_texts

__all__ = ["quantize_language"]

METHOD = (
    "systolith.compiler.decoder_rounding",
    "systolith.compiler.decoder_tuning",
    "systolith.compiler.feature_order",
    "systolith.compiler.norm_folding",
    "systolith.models.own_texts",
)
"""Modules on which rounded weights depend: what was kept before one of them changed is stale."""

BESIDE_IT = {"systolith", "systolith_hw.config", "systolith_hw.isa", "systolith.models.errors",
             "systolith.progress", "systolith_sim.verilator"}  # fmt: skip
"""Modules that those import, but whose changes do not make other weights (plain sizes, words)."""

SMALL = 200_000
"""A model of fewer weights has none to spare: 4-bit codes are tuned on texts of the whole model."""

TUNING_TEXTS = 400
ROUNDING_TEXTS = 100

Arrays = Mapping[str, NDArray]


def quantize_language(
    model: LanguageModel, config: Config, weights: str = "int8", progress: Progress | None = None,
    *, streamed: bool = False,
) -> DecoderModel:  # fmt: skip
    """Return the model for words of a configuration, its weights in a codec of ``CODECS``, and on
    the chip unless ``streamed``."""
    progress = progress or Progress()
    files = sources(*METHOD)
    version = digest(*(files[name].read_bytes() for name in files if name not in BESIDE_IT))
    name = f"{fingerprint(model.decoder)}-{weights}-{version[:12]}.npz"
    path = cache_directory() / "quantized" / name
    rounded = _load(path)
    if rounded is None:
        rounded = _round(model, weights, progress)
        _keep(path, rounded)
    progress(f"quantising {model.name}")
    return quantize_decoder(config, model.decoder, rounded, streamed=streamed)


def _round(model: LanguageModel, weights: str, progress: Progress) -> Rounded:
    """Return the model's weights in a codec."""
    codec = CODECS[weights]
    tuned = weights != "int8" and _weights(model.decoder) < SMALL
    texts = own_texts(model, progress, count=TUNING_TEXTS if tuned else None)
    progress(f"rounding the weights of {model.name}, once")
    rounded = round_decoder(model.decoder, texts[:ROUNDING_TEXTS], codec, codec)
    if tuned:
        progress(f"tuning the codes of {model.name}, once")
        rounded = tune_codes(model.decoder, texts, rounded, codec, codec,
                             progress=progress.reached)  # fmt: skip
    return rounded


def _weights(model: FloatDecoder) -> int:
    """Return how many weights all layers have."""
    matrices = (vars(layer).values() for layer in model.layers)
    return sum(matrix.size for parts in matrices for matrix in parts if matrix is not None)


def _keep(path: Path, rounded: Rounded) -> None:
    """Write a file that is there as a whole or not at all."""
    arrays = {"largest": np.array(rounded.largest), "order": rounded.order.astype(np.int32),
              **_arrays("head", rounded.head)}  # fmt: skip
    for number, layer in enumerate(rounded.layers):
        for name, coded in layer.items():
            arrays |= _arrays(f"{number}.{name}", coded)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(file.name, path)


def _load(path: Path) -> Rounded | None:
    """Return what was kept, or None if there is nothing that can be read."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
        names = sorted({name.rpartition(".")[0] for name in arrays if name.endswith(".step")})
        coded = {name: _coded(name, arrays) for name in names}
        layers: dict[int, dict[str, CodedWeights]] = {}
        for name in names:
            number, dot, matrix = name.partition(".")
            if dot:
                layers.setdefault(int(number), {})[matrix] = coded[name]
        return Rounded([layers[number] for number in range(len(layers))], coded["head"],
                       float(arrays["largest"]), arrays["order"].astype(np.intp))  # fmt: skip
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _arrays(name: str, coded: CodedWeights) -> dict[str, NDArray]:
    """Return a matrix in types as small as its numbers allow."""
    return {
        f"{name}.codes": coded.codes.astype(np.int8),
        f"{name}.integers": coded.integers.astype(np.int8),
        f"{name}.step": coded.step,
        **{f"{name}.parameter{place}": parameter.astype(np.int16)
           for place, parameter in enumerate(coded.parameters)},
    }  # fmt: skip


def _coded(name: str, arrays: Arrays) -> CodedWeights:
    places = range(sum(key.startswith(f"{name}.parameter") for key in arrays))
    return CodedWeights(
        arrays[f"{name}.codes"].astype(np.int64),
        tuple(arrays[f"{name}.parameter{place}"].astype(np.int64) for place in places),
        arrays[f"{name}.step"],
        arrays[f"{name}.integers"].astype(np.int64),
    )
