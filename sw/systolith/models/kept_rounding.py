"""Rounded weights of language models, kept: rounding those of a large one takes many minutes."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_sim.dma.codec import GROUP
from systolith_sim.verilator import cache_directory, digest

from ..compiler.decoder_rounding import Rounded
from ..compiler.group_rounding import CodedWeights
from ..sources import meaning, sources
from ..whole_file import whole_file

__all__ = ["Recipe", "kept_rounding"]

METHOD = (
    "systolith.compiler.decoder_rounding",
    "systolith.compiler.decoder_tuning",
    "systolith.compiler.feature_order",
    "systolith.compiler.norm_folding",
    "systolith.models.own_texts",
)
"""Modules on which rounded weights depend: what was kept before one of them began to do something
else is stale. Their comments may change."""

BESIDE_IT = {"systolith", "systolith_hw.config", "systolith_hw.isa", "systolith.models.errors",
             "systolith.progress", "systolith_sim.verilator"}  # fmt: skip
"""Modules that those import, but whose changes do not make other weights (plain sizes, words)."""

Arrays = Mapping[str, NDArray]
Recipe = Mapping[str, int | None]
"""Numbers on which rounded weights depend beside :data:`METHOD`: how many texts, for example."""


def kept_rounding(name: str, recipe: Recipe, make: Callable[[], Rounded]) -> Rounded:
    """Return what is kept under a name that tells models and codecs apart, made by a recipe.

    If there is nothing, or it is stale, of another recipe or damaged, it is made, and kept.
    """
    files = sources(*METHOD)
    version = digest(
        json.dumps(recipe, sort_keys=True),
        *(meaning(path.read_bytes()) for one, path in files.items() if one not in BESIDE_IT),
    )
    path = cache_directory() / "quantized" / f"{name}-{version[:12]}.npz"
    rounded = _load(path)
    if rounded is None:
        rounded = make()
        _keep(path, rounded)
    return rounded


def _keep(path: Path, rounded: Rounded) -> None:
    """Write a file that is there as a whole or not at all."""
    arrays = {"largest": np.array(rounded.largest), "order": rounded.order.astype(np.int32),
              "folded": np.array(rounded.folded), **_arrays("head", rounded.head)}  # fmt: skip
    for number, layer in enumerate(rounded.layers):
        for name, coded in layer.items():
            arrays |= _arrays(f"{number}.{name}", coded)
    with whole_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _load(path: Path) -> Rounded | None:
    """Return what was kept, or None if there is nothing that can be read."""
    try:
        with np.load(path) as arrays:
            names = sorted({name.rpartition(".")[0] for name in arrays if name.endswith(".step")})
            coded = {name: _coded(name, arrays) for name in names}
            largest, folded = float(arrays["largest"]), bool(arrays["folded"])
            order = arrays["order"].astype(np.intp)
        layers: dict[int, dict[str, CodedWeights]] = {}
        for name in names:
            number, dot, matrix = name.partition(".")
            if dot:
                layers.setdefault(int(number), {})[matrix] = coded[name]
        return Rounded([layers[number] for number in range(len(layers))], coded["head"],
                       largest, order, folded)  # fmt: skip
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
    integers = codes = arrays[f"{name}.integers"]
    if len(places) or len(integers) % GROUP:
        codes = arrays[f"{name}.codes"]  # else they are the integers
    parameters = tuple(arrays[f"{name}.parameter{place}"] for place in places)
    return CodedWeights(codes, parameters, arrays[f"{name}.step"], integers)
