"""What tells models apart, whatever they are called."""

import hashlib

import numpy as np

from systolith_sim.transformer.decoder_reference import FloatDecoder

__all__ = ["fingerprint"]

DIGITS = 16


def fingerprint(decoder: FloatDecoder) -> str:
    """Return digits that change with every parameter of a model."""
    scalars = (decoder.heads, decoder.key_heads, decoder.epsilon, decoder.rotary_base,
               decoder.context)  # fmt: skip
    digest = hashlib.sha256(repr(scalars).encode())
    arrays = [decoder.embedding, decoder.positions, decoder.norm, decoder.head]
    for layer in decoder.layers:
        arrays += vars(layer).values()
    for array in arrays:
        # Transposed matrices are read as they lie in memory; nothing is copied.
        if array is not None:
            lying = array if array.flags.c_contiguous else array.T
            digest.update(repr((array.shape, array.dtype)).encode())
            digest.update(np.ascontiguousarray(lying).data)
    return digest.hexdigest()[:DIGITS]
