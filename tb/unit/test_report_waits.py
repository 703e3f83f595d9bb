"""What the array waits for in a language model's program, from made-up counts of its steps."""

import numpy as np

from systolith.language import CompiledDecoder
from systolith.report.waits import BETWEEN, array_waits, causes
from systolith_hw.presets import preset
from systolith_sim.device.activity import Activity

from .language_bench import random_model

CONFIG = preset("ulx3s").replace({"vector.deferred_norms": True})
NOTHING = {
    name: np.zeros(0, np.int64)
    for name in ("ARRAY_BUSY", "ARRAY_WAIT_SEMAPHORE", "ARRAY_WAIT_OUTPUT", "ARRAY_WAIT_WRITE")
}

NAMES = ["layer before", "queries", "scores and softmax", "context", "output matrix",
         "hidden values", "last layer"]  # fmt: skip


def model_program():
    compiled = CompiledDecoder.compile(CONFIG, random_model(CONFIG))
    return compiled.parts[compiled.program]


def looked(rows, cycles):
    """Return what is seen behind rows of (begin, address, busy, wait for a semaphore, for room)."""
    begins, addresses, *counts = (np.array(column) for column in zip(*rows, strict=True))
    steps = NOTHING | dict(zip(
        ("ARRAY_BUSY", "ARRAY_WAIT_SEMAPHORE", "ARRAY_WAIT_OUTPUT"), counts, strict=True
    ))  # fmt: skip
    steps["ARRAY_WAIT_WRITE"] = 0 * begins
    return Activity(cycles, begins, {}, begins, addresses, steps)


def test_every_product_has_a_cause():
    """In the order of a token, whose last products are those of the program."""
    named = causes(model_program())
    assert set(named.values()) == set(NAMES)
    token = list(dict.fromkeys(list(named.values())[::-1]))[::-1]
    assert token == NAMES


def test_all_cycles_are_told_of_once():
    named = causes(model_program())
    place = {name: address for address, name in named.items()}
    head, keys, scores = (place[name] for name in ("last layer", "layer before", "queries"))
    rows = [(0, head, 50, 3, 0), (100, keys, 20, 10, 5)]
    more = [(0, head, 50, 3, 0), (100, keys, 30, 12, 5), (160, scores, 7, 8, 0),
            (190, keys, 40, 9, 1), (250, head, 80, 6, 0), (350, keys, 10, 4, 0)]  # fmt: skip
    before, after = looked(rows, 140), looked(more, 375)
    assert array_waits(model_program(), before, after) == {
        "busy": 10 + 7 + 40 + 80 + 10,
        # Twice keys follow a head: the first row goes on, as if it were one of them.
        BETWEEN: 2 + (100 - 80 - 6) + 4 + (25 - 14),
        "queries": (20 - 12) + 8, "layer before": (30 - 15) + 10, "last layer": (60 - 50) + 6,
    }  # fmt: skip
    assert sum(array_waits(model_program(), before, after).values()) == 375 - 140
