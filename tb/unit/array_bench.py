"""What the tests of the array share: a reference for MATMUL's loops, semaphores, configurations."""

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth import Array, Elaboratable, Module, Signal
from amaranth.sim import Simulator

from systolith_hw.config import (
    ArrayConfig,
    BusConfig,
    Config,
    MemoryConfig,
    SequencerConfig,
    VectorConfig,
)
from systolith_hw.isa import Opcode, encode


def small_config(
    rows=4, columns=4, *, mantissa_bits=8, window=6, max_k=64, tiles=22, words=13, data_bytes=None,
    single_port=False, distributed=False, output_depth=None, lanes=None, short=False, queue_depth=4,
    vector_rows=0, stage_rows=2, numbered=False, activation_rows=1,
) -> Config:  # fmt: skip
    """Return a config whose memories are small and no powers of two."""
    return Config(
        array=ArrayConfig(
            rows=rows, columns=columns, mantissa_bits=mantissa_bits, window=window,
            max_k=max(max_k, rows), stage_rows=stage_rows, numbered=numbered,
            output_depth=output_depth or max(rows + 12, 15, 128 // columns * (vector_rows > 0)),
        ),
        vector=VectorConfig(lanes=lanes or min(rows, columns), rows=vector_rows),
        memory=MemoryConfig(
            operand_tiles=tiles, activation_words=words, operand_single_port=single_port,
            activation_distributed=distributed, activation_rows=activation_rows,
        ),
        bus=BusConfig(data_bytes=data_bytes or columns, burst_beats=16),
        sequencer=SequencerConfig(queue_depth=queue_depth),
        short_pipelines=short,
    )  # fmt: skip


def matmul(config: Config, *, pc=0, **fields) -> int:
    """Return the bits of a MATMUL as the engine receives it; the ring is all tiles unless told."""
    defaults = {
        "ring_end": config.memory.operand_tiles,
        "steps": 1, "tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1,
    }  # fmt: skip
    raw = int.from_bytes(encode(Opcode.MATMUL, **{**defaults, **fields}), "little")
    return raw | pc << 32


@dataclass(frozen=True)
class Word:
    """One control word of the reference, with what it begins and ends."""

    operand: int
    activation: int
    first: bool
    last: bool
    token_first: bool
    token_end: bool
    group_first: bool
    group_end: bool


def control_words(
    *, operand=0, ring_base=0, ring_end, activation=0, activation_stride=0, steps=1, tokens=1,
    groups=1, tiles=1, tiles_last=1, operand_stride=0, numbered=0, number=0, **_,
) -> Iterator[Word]:  # fmt: skip
    """Yield the words of a MATMUL, straight from its definition in the ISA; VECTOR's number."""
    if numbered:
        activation += number << numbered - 1
    for group in range(groups):
        count = tiles_last if group == groups - 1 else tiles
        address = operand
        for token in range(tokens):
            address = operand
            for tile in range(count):
                first = address
                for step in range(steps):
                    ends = tile == count - 1 and step == steps - 1
                    yield Word(
                        operand=address,
                        activation=activation + token * activation_stride + step,
                        first=step == 0,
                        last=step == steps - 1,
                        token_first=tile == 0 and step == 0,
                        token_end=ends,
                        group_first=token == 0 and tile == 0 and step == 0,
                        group_end=token == tokens - 1 and ends,
                    )
                    address = ring_base if address == ring_end - 1 else address + 1
                if operand_stride:
                    address = first + operand_stride
                    address -= (ring_end - ring_base) * (address >= ring_end)
        operand = address


def random_matmul(rng, config: Config, *, tile_range=None, word_range=None) -> dict[str, int]:
    """Return the fields of a legal MATMUL that reads only the tiles and words given."""
    low_tile, high_tile = tile_range or (0, config.memory.operand_tiles)
    low_word, high_word = word_range or (0, config.memory.activation_words)
    longest = min(-(-config.array.max_k // config.array.rows), high_word - low_word)
    steps = int(rng.integers(1, longest + 1)) if rng.random() < 0.6 else 1
    tokens = int(rng.integers(1, 5))
    room = high_word - low_word - steps
    stride = int(rng.integers(0, room // (tokens - 1) + 1)) if tokens > 1 else int(
        rng.integers(0, 65536))  # fmt: skip
    used = (tokens - 1) * stride + steps if tokens > 1 else steps
    ring_base = int(rng.integers(low_tile, high_tile))
    ring_end = int(rng.integers(ring_base + 1, high_tile + 1))
    strided = not config.short_feeder and rng.random() < 0.5
    operand_stride = int(rng.integers(1, ring_end - ring_base + 1)) if strided else 0
    return {
        "operand_stride": operand_stride,
        "operand": int(rng.integers(low_tile, ring_end)),
        "ring_base": ring_base,
        "ring_end": ring_end,
        "activation": int(rng.integers(low_word, high_word - used + 1)),
        "activation_stride": stride,
        "steps": steps,
        "tokens": tokens,
        "groups": int(rng.integers(1, 4)),
        "tiles": int(rng.integers(1, 4)),
        "tiles_last": int(rng.integers(1, 4)),
    }


class Semaphores(Elaboratable):
    """Sixteen counts beside a unit: its waits take, ``give`` of the test gives."""

    def __init__(self, wait):
        self.wait = wait
        self.give = Signal()
        self.give_id = Signal(4)
        self.counts = [Signal(10, name=f"count_{index}") for index in range(16)]

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.wait.ready.eq(Array(self.counts)[self.wait.id] != 0)
        for index, count in enumerate(self.counts):
            take = self.wait.valid & self.wait.ready & (self.wait.id == index)
            m.d.sync += count.eq(count + (self.give & (self.give_id == index)) - take)
        return m


class Around(Elaboratable):
    """A unit with :class:`Semaphores`."""

    def __init__(self, dut):
        self.dut = dut
        self.semaphores = Semaphores(dut.wait)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        m.submodules.semaphores = self.semaphores
        return m


def simulate(dut, *benches, deadline: int) -> None:
    """Run the benches until all are done; fail after ``deadline`` cycles."""

    async def watch(ctx):
        for _ in range(deadline):
            await ctx.tick()
        raise AssertionError(f"not done after {deadline} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    for bench in benches:
        sim.add_testbench(bench, background=getattr(bench, "background", False))
    sim.add_testbench(watch, background=True)
    sim.run()
