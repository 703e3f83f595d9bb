"""InstructionQueue: instructions come out whole and in order."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from systolith_hw.config import Config, SequencerConfig, VectorConfig
from systolith_hw.isa import INSTRUCTIONS, Opcode
from systolith_hw.limits import queues
from systolith_hw.sequencer.queue import InstructionQueue

OPCODES = [*queues(Config(vector=VectorConfig(rows=2))).values()]


def make(depth, opcodes=(Opcode.LOAD,)):
    return InstructionQueue(Config(sequencer=SequencerConfig(queue_depth=depth)), *opcodes)


def run(dut, words, *, rng, p_valid=1.0, p_ready=1.0, limit=3000):
    """Send ``words``; return instructions, the cycles of words, and those of offers."""
    received: list[int] = []
    accepted: list[int] = []
    offered: list[int] = []
    cycle = 0

    async def source(ctx):
        for word in words:
            while rng.random() >= p_valid:
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            while not ctx.get(dut.i.ready):
                await ctx.tick()
            await ctx.tick()
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        nonlocal cycle
        held = None
        while len(received) < len(words) // 4:
            ctx.set(dut.o.ready, rng.random() < p_ready)
            *_, word, valid, ready, payload, empty = await ctx.tick().sample(
                dut.i.valid & dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload.as_value(),
                dut.empty,
            )  # fmt: skip
            cycle += 1
            accepted.extend([cycle - 1] * word)
            assert cycle < limit, f"{len(received)} instructions after {limit} cycles"
            assert not (valid and empty)
            if held is not None:
                assert valid and payload == held, "an offer was taken back"
            held = payload if valid and not ready else None
            if valid:
                offered.append(cycle - 1)
            if valid and ready:
                received.append(payload)
        ctx.set(dut.o.ready, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.empty)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(source)
    sim.add_testbench(sink)
    sim.run()
    return received, accepted, offered


def whole(words):
    return [
        sum(word << 64 * part for part, word in enumerate(words[first : first + 4]))
        for first in range(0, len(words), 4)
    ]


@pytest.mark.parametrize("p_valid, p_ready", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.1), (0.6, 0.3)])
@pytest.mark.parametrize("depth", [2, 3, 16])
def test_order_with_stalls(depth, p_valid, p_ready):
    rng = random.Random(depth)
    words = [rng.getrandbits(64) for _ in range(4 * 25)]
    received, *_ = run(make(depth), words, rng=rng, p_valid=p_valid, p_ready=p_ready)
    assert received == whole(words)


@pytest.mark.parametrize("depth", [2, 4])
def test_latency_and_throughput(depth):
    rng = random.Random(1)
    words = [rng.getrandbits(64) for _ in range(40)]
    _, accepted, offered = run(make(depth), words, rng=rng)
    assert offered[0] - accepted[3] == 3
    assert {b - a for a, b in zip(offered, offered[1:], strict=False)} == {5}


@pytest.mark.parametrize("depth", [2, 4])
def test_holds_as_many_instructions_as_it_says(depth):
    dut = make(depth)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        taken = 0
        for _ in range(depth * 4 + 20):
            taken += ctx.get(dut.i.ready)
            await ctx.tick()
        assert taken == 4 * depth
        assert ctx.get(dut.o.valid)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("depth", [2, 4])
def test_part_of_an_instruction_is_not_empty(depth):
    dut = make(depth)

    async def bench(ctx):
        assert ctx.get(dut.empty)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(10):
            assert not ctx.get(dut.empty)
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("opcodes", OPCODES)
def test_fields(opcodes):
    """All fields of all instructions that wait there are where they belong."""
    dut = make(2, opcodes)
    bits = random.Random(3).getrandbits(256)
    fields = [
        field for opcode in opcodes for field in INSTRUCTIONS[opcode].all_fields
        if "patch" not in field.name
    ]  # fmt: skip

    async def bench(ctx):
        for part in range(4):
            ctx.set(dut.i.payload, bits >> 64 * part & (1 << 64) - 1)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.o.payload.pc) == bits >> 32 & 0xFFFF
        for field in fields:
            value = bits >> field.offset & (1 << field.width) - 1
            got = ctx.get(dut.o.payload[field.name])
            assert got & (1 << field.width) - 1 == value, field.name

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    verilog.convert(dut)
