"""Normalizer against its golden model."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.vector.normalizer import Normalizer
from systolith_sim.vector.normalizer import normalize

FIXED_MIN, FIXED_MAX = -(2**31), 2**31 - 1


def make(rows, lanes, mantissa_bits=8, window=24):
    array = ArrayConfig(rows=rows, columns=max(lanes, 2), mantissa_bits=mantissa_bits,
                        max_k=64, window=window, output_depth=max(rows + 12, 15))  # fmt: skip
    return Config(array=array, vector=VectorConfig(lanes=lanes))


def some_words(rng, count, rows, mantissa_bits):
    """Return words of all magnitudes, many of them at a rounding edge."""
    words = rng.integers(-(2**31), 2**31, (count, rows)) >> rng.integers(0, 32, (count, 1))
    words >>= rng.integers(0, 8, (count, rows))
    for index in rng.choice(count, count // 2, replace=False):
        # mantissa_bits ones, or nearly so, from some bit on: rounding may need a larger exponent.
        ones = (1 << mantissa_bits) - 1
        shift = rng.integers(0, 32 - mantissa_bits)
        edge = (ones << shift) + rng.integers(-2, 3)
        words[index] = np.clip(words[index], -abs(edge), abs(edge))
        words[index, rng.integers(rows)] = min(edge, FIXED_MAX) * rng.choice([1, -1])
    words[0], words[1], words[2] = 0, FIXED_MIN, FIXED_MAX
    words[3], words[4], words[5] = 0, -1, 1
    words[3, 0], words[5, -1] = 1 << 30, FIXED_MIN
    words[6] = 0  # after a large one
    return words


def run(config, words, lengths, bases, gaps):
    """Send the first ``lengths`` beats of each word; return words, when, and counts."""
    dut = Normalizer(config)
    lanes = config.vector.lanes
    sent: list[int] = []
    got: list[tuple] = []
    counts = [0, 0]

    async def source(ctx):
        ready_at = 0
        for word, length, base in zip(words, lengths, bases, strict=True):
            for beat in range(length):
                end = beat == length - 1
                ctx.set(dut.i.valid, 0)
                for _ in range(gaps(len(sent), beat)):
                    await ctx.tick()
                while end and len(sent) and ready_at > now[0]:
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                values = word[beat * lanes : (beat + 1) * lanes]
                # Only the last beat's base counts.
                ctx.set(dut.i.payload, {
                    "data": values.tolist(), "end": end, "base": base if end else 31 - base
                })  # fmt: skip
                if end:
                    sent.append(now[0])
                    ready_at = now[0] + length
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(dut.latency + 4)

    now = [0]

    async def watch(ctx):
        coming = False
        async for *_, valid, payload, next_coming, saturated, flushed in ctx.tick().sample(
            dut.o.valid, dut.o.payload, dut.coming, dut.saturated, dut.flushed
        ):
            assert valid == coming
            coming = next_coming
            if valid:
                mantissas = [payload.mantissas[row] for row in range(config.array.rows)]
                got.append((now[0], mantissas, payload.exponent))
            counts[0] += saturated.bit_count()
            counts[1] += flushed
            now[0] += 1

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(watch, background=True)  # first, so that it has counted the cycle
    sim.add_testbench(source)
    sim.run()
    return sent, got, counts


SHAPES = [(2, 1), (4, 1), (4, 4), (8, 4), (16, 8), (32, 2)]


@pytest.mark.parametrize("rows, lanes", SHAPES)
@pytest.mark.parametrize("full", [True, False])
def test_matches_golden(rows, lanes, full):
    mantissa_bits, window = {4: (8, 24), 8: (8, 24), 16: (12, 7)}.get(rows, (16, 16))
    config = make(rows, lanes, mantissa_bits, window)
    rng = np.random.default_rng(rows * lanes)
    count = 60
    words = some_words(rng, count, rows, mantissa_bits)
    beats = rows // lanes
    lengths = np.full(count, beats) if full else rng.integers(1, beats + 1, count)
    bases = rng.integers(0, 32, count) if not full else rng.integers(0, 6, count)
    gaps = (lambda sent, beat: 0) if full else (lambda sent, beat: int(rng.choice([0, 0, 0, 2])))
    sent, got, counts = run(config, words, lengths.tolist(), bases.tolist(), gaps)

    assert len(got) == count
    totals = np.zeros(2, int)
    for index, (cycle, mantissas, exponent) in enumerate(got):
        z = words[index].copy()
        z[lengths[index] * lanes :] = 0
        wanted, e, *some = normalize(
            z, int(bases[index]), mantissa_bits=mantissa_bits, window=window
        )
        totals += some
        assert (mantissas, exponent) == (wanted.tolist(), e), index
        assert cycle - sent[index] == lengths[index] + 8
    assert counts == totals.tolist()
    if full:
        assert np.all(np.diff(sent) == beats)


def test_every_bit_length_and_base():
    """One value alone: every length, all ones or a one and zeros, at every base."""
    config = make(2, 1, mantissa_bits=8, window=20)
    rng = np.random.default_rng(5)
    z = [value for bit in range(32) for value in ((1 << bit), (1 << bit + 1) - 1)]
    words = np.array([[min(value, FIXED_MAX), 0] for value in z] * 4)
    words[rng.random(len(words)) < 0.5] *= -1
    bases = np.repeat(rng.permutation(32)[:4], 64)
    _, got, counts = run(config, words, [2] * len(words), bases.tolist(), lambda *_: 0)
    totals = np.zeros(2, int)
    for word, base, (_, mantissas, exponent) in zip(words, bases, got, strict=True):
        wanted, e, *some = normalize(word, int(base), mantissa_bits=8, window=20)
        totals += some
        assert (mantissas, exponent) == (wanted.tolist(), e), (word, base)
    assert counts == totals.tolist()
