"""The host link's endpoint against its golden model, in Amaranth's simulator."""

import random

import pytest

from systolith_hw.link_protocol import Operation

from .link_bench import link_config, random_junk, random_request, request, talk

STALLS: dict[str, dict[str, float]] = {
    "never": {},
    "line": {"p_line": 0.3},
    "memory": {"p_memory": 0.3},
    "all": {"p_line": 0.5, "p_out": 0.3, "p_memory": 0.3},
}


def random_talk(config, burst_bytes, stalls, seed, *, frames=12):
    """Send requests and junk; in the end ask how much of that was dropped."""
    rng = random.Random(seed)
    chunks = [rng.choice([random_request, random_request, random_junk])(rng, 64)
              for _ in range(frames)]  # fmt: skip
    chunks.append(request(Operation.WAIT, length=4))
    talk(config, chunks, seed=seed, burst_bytes=burst_bytes, irq=rng.random() < 0.5, **stalls)


@pytest.mark.parametrize("data_bytes, burst_bytes, stalls", [(1, 1, "all"), (16, 64, "never")])
def test_random(data_bytes, burst_bytes, stalls, seed):
    random_talk(link_config(data_bytes), burst_bytes, STALLS[stalls], seed, frames=6)
