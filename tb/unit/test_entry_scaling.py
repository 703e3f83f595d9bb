"""EntryScaling against its golden model, and that against exact products."""

import numpy as np
import pytest

from systolith_hw.vector.entry_scaling import EntryScaling
from systolith_sim.vector.row import multiply_entries

from .row_bench import row_config
from .test_requantizer import stream_through

SCALES = (0, 1 << 15, (1 << 15) + 1, 46340, 46341, (1 << 16) - 1)
"""With the least that two of them are too small for 32 bits, and the least that fill them."""


def some(rng, shape):
    """Return scales, zero or with bit 15 set."""
    return np.where(
        rng.random(shape) < 0.4, rng.choice(SCALES, shape), rng.integers(1 << 15, 1 << 16, shape)
    )


@pytest.mark.parametrize("lanes", [1, 4])
def test_entry_scaling(lanes, count=800, seed=0):
    rng = np.random.default_rng(seed)
    scale, shift = some(rng, (count, lanes)), rng.integers(0, 128, (count, lanes))
    factor_scale = np.maximum(some(rng, count), 1 << 15)
    factor_shift, scaled = rng.integers(16, 48, count), rng.integers(0, 2, count)
    products = multiply_entries(scale, shift, factor_scale[:, None], factor_shift[:, None])
    choose = scaled[:, None] == 1
    wanted = np.where(choose, products[0], scale) | np.where(choose, products[1] & 127, shift) << 16
    dut = EntryScaling(row_config(lanes))
    entries = [[{"scale": a, "shift": b} for a, b in zip(*row, strict=True)]
               for row in zip(scale.tolist(), shift.tolist(), strict=True)]  # fmt: skip
    pairs = zip(factor_scale.tolist(), factor_shift.tolist(), strict=True)
    factors = [{"scale": a, "shift": b} for a, b in pairs]
    seen = stream_through(
        dut, [(dut.entries, entries), (dut.factor, factors), (dut.scaled, scaled.tolist())],
        [dut.o[lane].as_value() for lane in range(lanes)], count + dut.latency,
    )  # fmt: skip
    np.testing.assert_array_equal(np.array(seen[dut.latency :]).reshape(count, lanes), wanted)


def test_products_keep_their_error():
    rng = np.random.default_rng(1)
    scale, factor = (np.maximum(some(rng, 5000), 1 << 15) for _ in range(2))
    got, shift = multiply_entries(scale, 40, factor, 20)
    assert (got >= 1 << 15).all() and (got < 1 << 16).all()
    error = np.ldexp(got.astype(float), -shift) / np.ldexp(scale * factor.astype(float), -44) - 1
    assert -(2**-15) < error.min() < -(2**-16) and error.max() == 0
