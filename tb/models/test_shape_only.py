"""Models that are only a shape."""

import numpy as np
import pytest

from systolith.models.shape_only import shape_only_decoder
from systolith_hw.config import ConfigError

SHAPE = "layers=1,dim=24,heads=4,hidden=96,vocab=27"


def test_llama():
    decoder = shape_only_decoder("llama", "layers=2,dim=24,heads=4,kv_heads=2,hidden=40,vocab=27")
    layer = decoder.layers[1]
    assert layer.gate is not None and layer.gate.shape == (24, 40)
    assert (layer.key.shape, decoder.embedding.shape) == ((24, 12), (27, 24))
    assert decoder.head is decoder.embedding and decoder.positions is None
    assert decoder.logits([1, 2, 26]).shape == (3, 27)


def test_microgpt():
    decoder = shape_only_decoder("microgpt", f"{SHAPE},context=9")
    assert decoder.rotary_base is None and decoder.layers[0].gate is None
    assert decoder.positions is not None and decoder.positions.shape == (9, 24)
    logits = decoder.logits([3, 3, 3])
    assert not np.allclose(logits[0], logits[2]), "positions make a difference"


def test_the_seed_decides():
    one, same, other = (shape_only_decoder("llama", SHAPE, seed).logits([1]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    "architecture, dimensions, sentence",
    [
        ("bert", SHAPE, "no architecture bert; known are llama, microgpt"),
        ("llama", "layers=1", "the dimension dim is missing; add dim=N"),
        ("llama", f"{SHAPE},depth=3", "no dimension depth; known are layers, dim"),
        ("llama", f"{SHAPE},dim=3", "the dimension dim is given twice"),
        ("llama", SHAPE.replace("24", "0"), "dim must be an integer of at least 1, not 0"),
        ("llama", SHAPE.replace("=24", ""), "dim must be an integer of at least 1, not nothing"),
        ("llama", SHAPE.replace("24", "2.5"), "dim must be an integer of at least 1, not 2.5"),
        ("llama", SHAPE.replace("24", "26"), "dim is 26, but must be a multiple of heads, 4"),
        ("llama", SHAPE.replace("24", "12"), "dim / heads is 3, but must be a multiple of 2"),
        ("llama", f"{SHAPE},kv_heads=3", "heads is 4, but must be a multiple of kv_heads, 3"),
        ("llama", "", "no dimension ; known are"),
    ],
)
def test_impossible_dimensions(architecture, dimensions, sentence):
    with pytest.raises(ConfigError, match=sentence):
        shape_only_decoder(architecture, dimensions)
