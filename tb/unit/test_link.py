"""The host link's endpoint against its golden model, in Amaranth's simulator."""

import random

import pytest

from systolith_fpga.link.compact_endpoint import CompactEndpoint
from systolith_fpga.link.endpoint import LinkEndpoint
from systolith_fpga.link.memory_burst import MemoryBurst
from systolith_hw.link_protocol import END, ESCAPE, Operation

from .link_bench import flood, identity, link_config, random_junk, random_request, request, talk

STALLS: dict[str, dict[str, float]] = {
    "never": {},
    "line": {"p_line": 0.3},
    "memory": {"p_memory": 0.3},
    "all": {"p_line": 0.5, "p_out": 0.3, "p_memory": 0.3},
}


def random_talk(config, burst_bytes, stalls, seed, *, link=LinkEndpoint, frames=12):
    """Send requests and junk; in the end ask how much of that was dropped."""
    rng = random.Random(seed)
    chunks = [rng.choice([random_request, random_request, random_junk])(rng, 64)
              for _ in range(frames)]  # fmt: skip
    chunks.append(request(Operation.WAIT, length=4))
    talk(config, chunks, seed=seed, burst_bytes=burst_bytes, link=link, irq=rng.random() < 0.5,
         **stalls)  # fmt: skip


@pytest.mark.slow
def test_random(seed):
    random_talk(link_config(16), 64, STALLS["all"], seed, frames=5)


def test_registers_are_accessed_once(seed):
    """A repeated frame is answered alike, and counts for none; until another sequence or operation,
    or until the host says who it is anew."""
    get, put = Operation.READ_REGISTER, Operation.WRITE_REGISTER
    frames = [(put, 4, 1), (put, 4, 1), (get, 4, 1), (get, 4, 1), (put, 8, 2), (put, 8, 2),
              (get, 2, 3), (get, 2, 3)]  # fmt: skip
    chunks = [
        request(operation, address, b"abcd" if operation == put else b"", length=4, sequence=number)
        for operation, address, number in frames
    ]
    chunks += [request(Operation.IDENTIFY, length=64), chunks[4]]
    talk(link_config(2), chunks, seed=seed, burst_bytes=64)


def test_compact(seed):
    """The program's way through what is no frame, memory, and escapes."""
    chunks = [bytes([ESCAPE, END]), request(Operation.WRITE, 0x101, bytes([END, ESCAPE])),
              request(Operation.READ, 0x102, length=1)]  # fmt: skip
    talk(link_config(2), chunks, seed=seed, burst_bytes=1, link=CompactEndpoint, p_memory=0.5)


@pytest.mark.slow
def test_flood(seed):
    flood(link_config(2), seed=seed, burst_bytes=64)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("changes, says", [
    ({"memory_bytes": 0}, "memory_bytes must be a multiple of 64 up to 65536, not 0"),
    ({"memory_bytes": 1000}, "memory_bytes must be a multiple of 64 up to 65536, not 1000"),
    ({"memory_bytes": 1 << 17}, "memory_bytes must be a multiple of 64 up to 65536, not 131072"),
    ({"payload_bytes": 32}, "payload_bytes must be a power of two from 64, not 32"),
    ({"payload_bytes": 96}, "payload_bytes must be a power of two from 64, not 96"),
    ({"board": "a board with a long name"}, "board must be up to 16 letters of ASCII, not 'a b"),
])  # fmt: skip
def test_refusals(changes, says):
    config = link_config(2)
    with pytest.raises(ValueError, match=says):
        LinkEndpoint(config, identity(config)._replace(**changes), 64)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("burst_bytes", [2, 24, 1024, 8192])
def test_refused_bursts(burst_bytes):
    config = link_config(4) if burst_bytes < 1024 else link_config(2)
    with pytest.raises(ValueError, match=f"burst_bytes must be .*, not {burst_bytes}"):
        MemoryBurst(config, burst_bytes, range(10))
