"""RowStatistics against the golden models, rows of all kinds at once."""

import numpy as np
import pytest

from .row_statistics_bench import Bench


@pytest.mark.parametrize("pause", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("lanes", [1, 8])
def test_rows(lanes, pause, seed=0):
    """References, factors and records are there in time; semaphores are given behind factors."""
    Bench(lanes, np.random.default_rng([seed, lanes, int(10 * pause)]), pause).run()
