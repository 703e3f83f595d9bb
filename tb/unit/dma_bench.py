"""What the tests of LOAD and STORE share: configurations, a memory, one loop over the cycles."""

import random
from collections import deque

import numpy as np
from amaranth.sim import Simulator

from systolith_hw.config import (
    ArrayConfig,
    BusConfig,
    Config,
    MemoryConfig,
    SequencerConfig,
    VectorConfig,
)
from systolith_hw.isa import encode


def make_config(
    *, rows=4, columns=4, lanes=2, mantissa_bits=8, window=24, data_bytes=4, burst_beats=8,
    outstanding=4, address_bits=16, tiles=41, words=37, wide=29, scale=23, queue_depth=3,
    vector_rows=0, codecs=False,
) -> Config:  # fmt: skip
    """Return a config whose memories are small and no powers of two."""
    return Config(
        array=ArrayConfig(
            rows=rows, columns=columns, mantissa_bits=mantissa_bits, window=window, max_k=rows,
            output_depth=max(rows + 12, 15, 128 // columns * (vector_rows > 0)),
        ),
        vector=VectorConfig(lanes=lanes, rows=vector_rows),
        memory=MemoryConfig(
            operand_tiles=tiles, activation_words=words, wide_words=wide, scale_words=scale
        ),
        bus=BusConfig(
            data_bytes=data_bytes, address_bits=address_bits, burst_beats=burst_beats,
            outstanding=outstanding, codecs=codecs,
        ),
        sequencer=SequencerConfig(queue_depth=queue_depth),
    )  # fmt: skip


def random_config(rng: random.Random, data_bytes: int, **more) -> Config:
    """Return a config around a port of ``data_bytes``, with everything else random."""
    rows, columns = rng.choice([2, 4, 8, 16]), rng.choice([2, 4, 8, 16])
    lanes = rng.choice([n for n in (1, 2, 4, 8) if n <= min(rows, columns)])
    settings = {
        "rows": rows, "columns": columns, "lanes": lanes,
        "mantissa_bits": rng.choice([8, 11, 16]), "window": rng.choice([1, 9, 24]),
        "burst_beats": rng.choice([n for n in (1, 2, 8, 32) if n * data_bytes <= 4096]),
        "outstanding": rng.choice([1, 2, 4]), "queue_depth": rng.choice([1, 2, 4]),
    }  # fmt: skip
    settings |= more
    if settings.get("codecs"):  # a core whose instructions stand expands none
        settings["queue_depth"] = max(2, settings["queue_depth"])
    settings.setdefault("vector_rows", rng.choice([0, 2]) if settings["queue_depth"] > 1 else 0)
    return make_config(data_bytes=data_bytes, **settings)


def instruction(opcode, *, pc=0, **fields) -> int:
    """Return the bits of an instruction as a unit receives it."""
    return int.from_bytes(encode(opcode, **fields), "little") | pc << 32


def external_memory(config: Config, seed: int) -> np.ndarray:
    """Return random bytes for the whole address space."""
    size = 1 << config.bus.address_bits
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def check_burst(config: Config, address: int, beats: int) -> None:
    """Assert that a burst is aligned to the port, short enough, and inside 4096 bytes."""
    size = config.bus.data_bytes
    assert address % size == 0
    assert 1 <= beats <= config.bus.burst_beats
    assert address // 4096 == (address + beats * size - 1) // 4096


def bursts_of(config: Config, address: int, beats: int) -> list[tuple[int, int]]:
    """Return the bursts of a run: cut at each multiple of the longest."""
    size, longest = config.bus.data_bytes, config.bus.burst_beats
    bursts = []
    while beats:
        count = min(beats, longest - address // size % longest)
        bursts.append((address, count))
        address += count * size
        beats -= count
    return bursts


class ReadMemory:
    """A memory behind a ReadPort: in order, ``latency`` cycles, ``outstanding`` bursts."""

    def __init__(self, config: Config, content, rng, *, latency=3, p=1.0, errors=()):
        self.config, self.content, self.rng = config, content, rng
        self.latency, self.p, self.errors = latency, p, set(errors)
        self.pending: deque[tuple[int, int, bool]] = deque()
        self.bursts: list[tuple[int, int]] = []
        self.now = 0
        self.asking = self.offered = False

    def drive(self, ctx, bus):
        """Set inputs for the coming cycle."""
        room = sum(end for *_, end in self.pending) < self.config.bus.outstanding
        ctx.set(bus.request.ready, room and self.rng.random() < self.p)
        self.offered = bool(self.pending) and self.pending[0][0] <= self.now and (
            self.offered or self.rng.random() < self.p
        )  # fmt: skip
        ctx.set(bus.data.valid, self.offered)
        if self.offered:
            address = self.pending[0][1]
            size = self.config.bus.data_bytes
            raw = self.content[address : address + size].tobytes()
            ctx.set(bus.data.p.data, int.from_bytes(raw, "little"))
            ctx.set(bus.data.p.error, address in self.errors)
        else:
            ctx.set(bus.data.p.data, self.rng.getrandbits(8))

    def observe(self, request, data):
        """Take what happened: ``request`` (valid & ready, address, last), ``data`` accepted."""
        size = self.config.bus.data_bytes
        accepted, address, last = request
        if accepted:
            check_burst(self.config, address, last + 1)
            self.bursts.append((address, last + 1))
            for beat in range(last + 1):
                self.pending.append(
                    (self.now + self.latency + beat, address + beat * size, beat == last)
                )
        if data:
            self.pending.popleft()
            self.offered = False
        self.now += 1


def simulate(dut, bench) -> None:
    """Run one bench; it counts its cycles itself."""
    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


class Held:
    """A stream that is offered and not accepted stays as it is."""

    def __init__(self):
        self.last = None

    def __call__(self, valid, ready, payload):
        if self.last is not None:
            assert valid, "an offer was withdrawn"
            assert payload == self.last, "an offer changed"
        self.last = payload if valid and not ready else None
