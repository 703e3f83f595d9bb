"""SecondFactor against the golden model's second factor."""

import numpy as np
import pytest

from systolith_hw.config import NORMAL_BITS
from systolith_hw.isa import PRODUCT_SHIFT
from systolith_hw.vector.second_factor import SecondFactor
from systolith_sim.vector.requantizer import clip_normal, round_half_even

from .row_bench import row_config
from .test_requantizer import corners, stream_through


@pytest.mark.parametrize("lanes", [1, 4])
def test_second_factor(lanes, count=1500, seed=0):
    """Every tie and what is clipped among values of all sizes, angles between them."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(-(1 << 31), 1 << 31, (count, lanes)) >> rng.integers(0, 32, (count, 1))
    half = 1 << PRODUCT_SHIFT - 1
    ends = [end + step for end in (0, *corners(32), (1 << 24) - half, -(1 << 24) - half)
            for step in (-half, -1, 0, 1, half)]  # fmt: skip
    ends = np.clip(ends, -(1 << 31), (1 << 31) - 1)
    wide = np.where(rng.random(wide.shape) < 0.5, rng.choice(ends, wide.shape), wide)
    angle = rng.integers(0, 2, count)
    above = 64 - NORMAL_BITS
    wanted = np.where(
        angle[:, None], wide << above >> above, clip_normal(round_half_even(wide, PRODUCT_SHIFT))
    )
    dut = SecondFactor(row_config(lanes))
    assert dut.latency == 2
    seen = stream_through(
        dut, [(dut.wide, wide.tolist()), (dut.angle, angle.tolist())],
        [dut.o[lane] for lane in range(lanes)], count + dut.latency,
    )  # fmt: skip
    np.testing.assert_array_equal(np.array(seen[dut.latency :]).reshape(count, lanes), wanted)
