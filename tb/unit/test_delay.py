"""Delay against a list."""

import numpy as np
import pytest

from systolith_hw.vector.delay import Delay

from .test_requantizer import stream_through


@pytest.mark.parametrize("bits, cycles", [(32, 8), (1, 2), (7, 16), (5, 11), (3, 3)])
def test_comes_back_later(bits, cycles):
    dut = Delay(bits, cycles)
    assert dut.latency == cycles
    values = np.random.default_rng(bits).integers(0, 1 << bits, 60).tolist()
    seen = stream_through(dut, [(dut.i, values)], [dut.o], len(values) + cycles)
    assert seen[cycles:] == [[value] for value in values]


@pytest.mark.parametrize("cycles", [0, 1, 17, 32])
def test_neither_shorter_nor_longer(cycles):
    with pytest.raises(ValueError, match=f"cycles must be 2 to 16, not {cycles}"):
        Delay(8, cycles)
