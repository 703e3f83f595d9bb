"""What is known of a value among which one is chosen, and what the choice is made with."""

from amaranth import signed
from amaranth.lib import data

from ..config import FIXED_BITS, MOST_CANDIDATES, Config
from ..isa import SLOT_BITS
from ..memory.scale import scale_factor

__all__ = ["NOISE_BITS", "WORD_BITS", "candidate", "noisy", "random", "sampler_beat", "task"]

WORD_BITS = 32
"""Of a seed, a position, and a random number."""

NOISE_BITS = 23
"""Of -log2(-log2(w)), w having 33 bits, with LSB 2**-16 and a sign."""


def candidate() -> data.StructLayout:
    """Return the shape of a value and its channel's number."""
    return data.StructLayout({"value": signed(FIXED_BITS), "number": SLOT_BITS})


def random() -> data.StructLayout:
    """Return the shape of a candidate with its random bits."""
    return data.StructLayout({"candidate": candidate(), "bits": WORD_BITS})


def noisy() -> data.StructLayout:
    """Return the shape of a candidate with its noise."""
    return data.StructLayout({"candidate": candidate(), "noise": signed(NOISE_BITS)})


def task() -> data.StructLayout:
    """Return the shape of an instruction that begins.

    ``gathers``: CANDIDATES, whose first channel has number ``channel``; if ``anew``, nothing is
    kept any more, and ``most`` values are from now on. ``samples``: SAMPLE, with its seed, position
    and sharpness.
    """
    return data.StructLayout({
        "gathers": 1, "anew": 1, "channel": SLOT_BITS, "most": MOST_CANDIDATES.bit_length(),
        "samples": 1, "seed": WORD_BITS, "position": WORD_BITS, "sharpness": scale_factor(),
    })  # fmt: skip


def sampler_beat(config: Config) -> data.StructLayout:
    """Return the shape of L values, of which those of ``keep`` are there; or with ``sample`` of
    SAMPLE, behind all values that it chooses among."""
    lanes = config.vector.lanes
    return data.StructLayout({
        "values": data.ArrayLayout(signed(FIXED_BITS), lanes), "keep": lanes, "sample": 1,
    })  # fmt: skip
