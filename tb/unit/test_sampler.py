"""The parts of the sampler against their golden models, with random pauses on every side."""

import math
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith.compiler.encoder_quantizer import factor
from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.gumbel_tables import LOGARITHM, RARE
from systolith_hw.sampling.candidate_heap import CandidateHeap
from systolith_hw.sampling.gumbel_noise import GumbelNoise
from systolith_hw.sampling.sampler import Sampler
from systolith_hw.sampling.serial_line import SerialLine
from systolith_hw.sampling.speck_mixer import SpeckMixer
from systolith_sim.vector.function import interpolate
from systolith_sim.vector.row import Factor
from systolith_sim.vector.sampler import choose_among, gumbel, keep_largest, mix

WORD = 1 << 32
EDGES = [0, 1, 2, 3, WORD // 2 - 1, WORD // 2, WORD - 2, WORD - 1]


def some_words(rng, count):
    """Return random words of all lengths, and the ends of the range."""
    words = (2 ** rng.uniform(0, 32, count)).astype(np.int64)
    flip = np.where(rng.random(count) < 0.5, WORD - 1, 0)
    return [*EDGES, *map(int, words ^ flip)]


def some_candidate(rng):
    return {"value": int(rng.integers(-(1 << 31), 1 << 31)), "number": int(rng.integers(1 << 16))}


def transform(dut, payloads, rng, p_in, p_out, longest, **settings):
    """Send payloads through a component; return what comes out, each within ``longest`` cycles."""
    got: list[Any] = []

    async def source(ctx):
        for name, value in settings.items():
            ctx.set(getattr(dut, name), value)
        for payload in payloads:
            while rng.random() > p_in:
                await ctx.tick()
            ctx.set(dut.i.payload, payload)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        while len(got) < len(payloads):
            waited = 0
            while not ctx.get(dut.o.valid):
                waited += bool(ctx.get(~dut.i.ready))
                assert waited <= longest, "nothing comes"
                await ctx.tick()
            while rng.random() > p_out:
                await ctx.tick()
                assert ctx.get(dut.o.valid)
            got.append(ctx.get(dut.o.payload))
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(source, background=True)
    sim.add_testbench(sink)
    sim.run()
    return got


STALLS = [(1, 1), (0.1, 1), (1, 0.1)]


@pytest.mark.parametrize("p_in, p_out", STALLS)
def test_mixer(p_in, p_out, count=15):
    rng = np.random.default_rng([int(10 * p_in), int(10 * p_out)])
    dut = SpeckMixer()
    seed, position = (int(rng.integers(WORD)) for _ in range(2))
    candidates = [some_candidate(rng) for _ in range(count)]
    got = transform(
        dut, candidates, rng, p_in, p_out, dut.latency, seed=seed, position=position
    )
    for candidate, one in zip(candidates, got, strict=True):
        assert one.candidate.value == candidate["value"]
        assert one.candidate.number == candidate["number"]
        assert one.bits == int(mix(seed, position, candidate["number"]))


@pytest.mark.parametrize("p_in, p_out", STALLS)
def test_noise(p_in, p_out, count=50):
    rng = np.random.default_rng([int(10 * p_in), int(10 * p_out)])
    dut = GumbelNoise()
    inputs = [{"candidate": some_candidate(rng), "bits": bits} for bits in some_words(rng, count)]
    got = transform(dut, inputs, rng, p_in, p_out, dut.longest)
    assert [one.noise for one in got] == gumbel([one["bits"] for one in inputs]).tolist()
    for wanted, one in zip(inputs, got, strict=True):
        assert one.candidate.value == wanted["candidate"]["value"]
        assert one.candidate.number == wanted["candidate"]["number"]


def test_line(count=60):
    rng = np.random.default_rng(1)
    dut = SerialLine()

    async def bench(ctx):
        for place in some_words(rng, count):
            rare = int(rng.integers(2))
            table = RARE if rare else LOGARITHM
            segment, rest = np.array([place >> 25]), np.array([place & (1 << 25) - 1])
            wanted = interpolate(table, segment, rest, 25)[0]
            ctx.set(dut.start, 1)
            ctx.set(dut.place, place)
            ctx.set(dut.rare, rare)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.place, int(rng.integers(WORD)))
            for cycle in range(1, dut.latency + 1):
                assert ctx.get(dut.done) == (cycle == dut.latency)
                if cycle < dut.latency:
                    await ctx.tick()
            assert ctx.get(dut.result) == wanted

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("pause", [0, 0.5])
@pytest.mark.parametrize("capacity", [4, 64])
def test_heap(capacity, pause, rounds=5):
    """The largest of many, whatever came before, and how long it takes."""
    rng = np.random.default_rng([capacity, int(10 * pause)])
    dut = CandidateHeap(capacity)

    async def idle(ctx, most_cycles):
        for _ in range(most_cycles):
            if ctx.get(dut.idle):
                return
            await ctx.tick()
        raise AssertionError("the heap does not come to rest")

    async def look(ctx, most):
        found = []
        for node in range(1, most + 1):
            ctx.set(dut.node, node)
            await ctx.tick()
            if ctx.get(dut.found):
                entry = ctx.get(dut.entry)
                found.append((entry.value, entry.number))
        return sorted(found, key=lambda one: one[1])

    async def bench(ctx):
        for turn in range(rounds):
            most = [1, capacity, *rng.integers(1, capacity + 1, rounds)][turn]
            spread = rng.choice([3, 1000, 1 << 31])
            values = rng.integers(-spread, spread, int(rng.integers(1, 4 * capacity)))
            first = int(rng.choice([0, 1 << 15, (1 << 16) - 7]))
            numbers = first + np.arange(len(values)) & 0xFFFF
            ctx.set(dut.clear, 1)
            ctx.set(dut.most, int(most))
            await ctx.tick()
            ctx.set(dut.clear, 0)
            await idle(ctx, capacity // 2 + 1)
            assert ctx.get(dut.size) == most
            for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
                while rng.random() < pause:
                    await ctx.tick()
                await idle(ctx, dut.longest)
                ctx.set(dut.i.payload, {"value": value, "number": number})
                ctx.set(dut.i.valid, 1)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
            await idle(ctx, dut.longest)
            kept = keep_largest(values, numbers, most)
            wanted = list(zip(*(part.tolist() for part in kept), strict=True))
            assert await look(ctx, most) == wanted

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


def sampling_config(capacity, lanes):
    return Config(
        array=ArrayConfig(rows=8, columns=8),
        vector=VectorConfig(lanes=lanes, rows=4, candidates=capacity),
    )


SHARPNESS = [factor(math.log2(math.e)), factor(40.0), Factor(0, 0)]


def some_texts(rng, capacity, lanes, count):
    """Yield beats of CANDIDATES, as instructions of values, and what SAMPLE is asked for."""
    for _ in range(count):
        spread = rng.choice([1, 1 << 17, 1 << 31])
        first, instructions = int(rng.integers(1 << 15)), []
        for _ in range(rng.integers(1, 4)):
            beats = rng.integers(-spread, spread, (int(rng.choice([1, 8, 40])), lanes))
            if rng.random() < 0.5:  # each is kept at first, and the last ones to the end
                beats = np.sort(beats, axis=None).reshape(beats.shape)
            missing = int(rng.integers(lanes))
            instructions.append((first, beats, missing))
            first += beats.size + int(rng.integers(5))
        settings = {
            "most": int(rng.choice([1, capacity, rng.integers(1, capacity + 1)])),
            "seed": int(rng.integers(WORD)), "position": int(rng.integers(WORD)),
        }  # fmt: skip
        if rng.random() < 0.4:
            yield level(instructions, settings), settings, Factor(1 << 15, 15)
        else:
            yield instructions, settings, SHARPNESS[rng.integers(3)]


def level(instructions, settings):
    """Return the same with values that, where noise is small, make up for it: all sums are zero."""
    changed = []
    for first, beats, missing in instructions:
        numbers = first + np.arange(beats.size)
        noise = gumbel(mix(settings["seed"], settings["position"], numbers))
        values = np.where(np.abs(noise) < 1 << 17, -noise, -(1 << 24))
        changed.append((first, values.reshape(beats.shape), missing))
    return changed


def wanted_choice(instructions, settings, sharpness):
    """Return the golden model's choice."""
    values, numbers = [], []
    for first, beats, missing in instructions:
        count = beats.size - missing
        values.append(beats.ravel()[:count])
        numbers.append(first + np.arange(count))
    kept = keep_largest(np.concatenate(values), np.concatenate(numbers), settings["most"])
    return choose_among(
        *kept, sharpness, seed=settings["seed"], position=settings["position"]
    )


@pytest.mark.parametrize("pause", [0, 0.6])
@pytest.mark.parametrize("capacity, lanes", [(4, 1), (16, 8)])
def test_sampler(capacity, lanes, pause, count=4):
    """Whole texts of instructions, from beats to a number; the beats only where there is room."""
    rng = np.random.default_rng([capacity, int(10 * pause)])
    dut = Sampler(sampling_config(capacity, lanes))

    async def rest(ctx):
        for _ in range(2000):
            if ctx.get(dut.empty):
                return
            await ctx.tick()
        raise AssertionError("the sampler does not come to rest")

    async def send(ctx, payload):
        """Send a beat; it comes some cycles after room was taken for it."""
        for _ in range(2000):
            if ctx.get(dut.room) and rng.random() >= pause:
                break
            await ctx.tick()
        assert ctx.get(dut.room)
        ctx.set(dut.spent, 1)
        await ctx.tick()
        ctx.set(dut.spent, 0)
        await ctx.tick().repeat(int(rng.integers(1, 5)))
        ctx.set(dut.i.payload, payload)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)

    async def begin(ctx, **values):
        await rest(ctx)
        ctx.set(dut.begin, values)
        await ctx.tick()
        ctx.set(dut.begin, {"gathers": 0, "samples": 0, "seed": 5, "position": 6, "most": 1})

    async def bench(ctx):
        for instructions, settings, sharpness in some_texts(rng, capacity, lanes, count):
            for number, (first, beats, missing) in enumerate(instructions):
                await begin(
                    ctx, gathers=1, anew=int(number == 0), channel=first, most=settings["most"]
                )
                for place, beat in enumerate(beats):
                    keep = (1 << lanes) - 1 >> missing * (place == len(beats) - 1)
                    await send(ctx, {"values": beat.tolist(), "keep": keep, "sample": 0})
            await begin(
                ctx, samples=1, seed=settings["seed"], position=settings["position"],
                sharpness={"scale": sharpness.scale, "shift": sharpness.shift},
            )  # fmt: skip
            await send(ctx, {"values": [7] * lanes, "keep": 0, "sample": 1})
            for _ in range(100 * capacity + 200):
                if ctx.get(dut.o.valid) and rng.random() >= pause:
                    break
                await ctx.tick()
            assert ctx.get(dut.o.valid) and not ctx.get(dut.empty)
            assert ctx.get(dut.o.payload) == wanted_choice(instructions, settings, sharpness)
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)
        await rest(ctx)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
