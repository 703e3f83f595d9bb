"""Small language models whose weights are streamed to a prompt, on a core that tests share."""

import numpy as np

from systolith.bench_prefill import chunked
from systolith_hw.presets import preset
from systolith_sim.transformer.decoder import advance
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

from .language_bench import streamed_model

# As in ``tb/test_encoders.py``, which has it compiled.
FLAT = preset("small").replace({
    "memory.operand_tiles": 160, "memory.activation_words": 1000, "memory.scale_words": 200,
    "memory.wide_words": 600, "memory.program_instructions": 256, "vector.rows": 64, "device": "",
    "array.rows": 4, "array.columns": 16, "bus.data_bytes": 16, "array.mantissa_bits": 11,
    "array.window": 20,
})  # fmt: skip
TALL = preset("ulx3s").replace({
    "memory.operand_tiles": 128, "memory.activation_words": 420, "memory.wide_words": 700,
    "bus.data_bytes": 16, "vector.rows": 16,
})  # fmt: skip
CONFIGS = {"flat": FLAT, "tall": TALL}
SIZES = {
    "flat": {"dim": 64, "heads": 2, "kv_heads": 1, "hidden": 64},
    "tall": {"dim": 128, "heads": 4, "kv_heads": 2, "hidden": 96},
}


def prefill_model(name: str, *, layers: int = 2, seed: int = 0) -> DecoderModel:
    """Return a model of random weights for a configuration of that name."""
    return chunked(streamed_model(CONFIGS[name], layers=layers, seed=seed, **SIZES[name]))


def random_residual(model: DecoderModel, tokens: int, seed: int = 0) -> np.ndarray:
    """Return fixed point (S, N)."""
    size = tokens, model.norm.features
    values = np.random.default_rng(seed).standard_normal(size)
    return np.rint(np.ldexp(values, model.fraction)).astype(np.int64)


def one_by_one(model: DecoderModel, residual: np.ndarray) -> np.ndarray:
    """Return the residual behind all layers, computed token by token in golden integers."""
    assert model.rotary is not None
    caches, rows = KeyValueCache(len(model.layers)), []
    for token in range(len(residual)):
        row, place = residual[token : token + 1], slice(token, token + 1)
        angles = model.rotary[0][place], model.rotary[1][place]
        for number, layer in enumerate(model.layers):
            row = advance(model.array, layer, row, caches, number, angles)
        rows.append(row)
    return np.concatenate(rows)
