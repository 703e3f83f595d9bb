"""BeatStepper against the golden models: every value, every word, and the cycles they take."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from scale_parts import scale_parts
from systolith_hw.config import ArrayConfig, Config, MemoryConfig, VectorConfig
from systolith_hw.vector.stepper import BeatStepper
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import normalize_significand, requantize

from .test_normalizer import some_words
from .test_requantizer import FIXED_MAX, FIXED_MIN, corners

BEATS = 256
"""As many as there are scale words: each has its own."""


def make(rows, lanes, mantissa_bits=8, max_k=1024, window=15):
    return Config(
        array=ArrayConfig(rows=rows, columns=max(lanes, 2), mantissa_bits=mantissa_bits,
                          max_k=max_k, window=window, output_depth=28),
        vector=VectorConfig(lanes=lanes),
        memory=MemoryConfig(scale_words=BEATS),
        short_pipelines=True,
    )  # fmt: skip


def run(config, beats, x, scale, shift, bias, *, p_ready=1.0):
    """Send beats; return for each the cycles it took, what was written, and counts.

    ``beats`` are fields of a drain_beat; those that are ``wide`` write their values.
    """
    dut = BeatStepper(config)
    rng = np.random.default_rng(0)
    lanes = config.vector.lanes
    seen = []

    async def bench(ctx):
        for address in range(len(x)):
            word = [
                {"scale": int(scale[address, lane]), "shift": int(shift[address, lane]),
                 "bias": int(bias[address, lane])}
                for lane in range(lanes)
            ]  # fmt: skip
            ctx.set(dut.scale_writes.valid, 1)
            for part in scale_parts(config, address, word):
                ctx.set(dut.scale_writes.payload, part)
                await ctx.tick()
        ctx.set(dut.scale_writes.valid, 0)
        ctx.set(dut.results.valid, 1)
        for address, beat in enumerate(beats):
            ctx.set(dut.beats.valid, 1)
            ctx.set(dut.beats.payload, {"scale": address, **beat})
            ctx.set(dut.results.payload, x[address].tolist())
            written: object = None
            cycles, counts, ready = 0, np.zeros(2, int), 0
            while not ready:
                assert cycles < 2000
                ctx.set(dut.stream.ready, rng.random() < p_ready)
                if ctx.get(dut.wide.valid):
                    written = [ctx.get(dut.wide.payload.data[lane]) for lane in range(lanes)]
                for output in (dut.words, dut.stream):
                    if ctx.get(output.valid):
                        word = ctx.get(output.payload if output is dut.stream
                                       else output.payload.word)  # fmt: skip
                        mantissas = [word.mantissas[row] for row in range(config.array.rows)]
                        written = mantissas, word.exponent
                counts += ctx.get(dut.saturations), ctx.get(dut.flushes)
                ready = ctx.get(dut.beats.ready)
                await ctx.tick()
                cycles += 1
            seen.append((cycles, written, counts.tolist()))

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return seen


def steps(distance):
    """Return the cycles of a shift."""
    return distance // 4 + distance % 4


@pytest.mark.parametrize(
    "lanes, max_k, window", [(1, 4, 1), (1, 1024, 15), (2, 1024, 16), (4, 4096, 24)]
)
def test_values(lanes, max_k, window):
    config = make(4, lanes, max_k=max_k, window=window)
    bits = config.array.accumulator_bits
    rng = np.random.default_rng(lanes)
    shape = (BEATS, lanes)
    x = rng.integers(-(1 << bits - 1), 1 << bits - 1, shape) >> rng.integers(0, bits, shape)
    x = np.where(rng.random(shape) < 0.5, x, rng.choice(corners(bits), shape))
    scale = rng.integers(2**15, 2**16, shape)
    scale[rng.random(shape) < 0.1] = 0
    scale[rng.random(shape) < 0.2] = 0xFFFF
    # Mostly shifts that bring the value near 32 bits, some anywhere.
    shift = np.clip(rng.integers(-8, 45, shape) + bits - 20, 0, 127)
    shift = np.where(rng.random(shape) < 0.2, rng.integers(0, 128, shape), shift)
    bias = rng.choice([0, 1, -1, FIXED_MIN, FIXED_MAX, 2**30, -(2**30), 77], shape)
    x[0], scale[0], shift[0], bias[0] = 65537, 0xFFFF, 1, -5  # rounds up beyond 32 bits
    x[1], scale[1], shift[1], bias[1] = -1, 0x8000, 0, 0
    kept = rng.choice([lanes, rng.integers(0, lanes + 1)], BEATS)
    beats = [{"wide": 1, "end": 1, "lanes": int(count)} for count in kept]
    wanted, _ = requantize(x, scale, shift, bias)
    significand = np.maximum(normalize_significand(x)[1], 0)
    for index, (cycles, z, (saturations, _)) in enumerate(
        run(config, beats, x, scale, shift, bias)
    ):
        own = np.arange(lanes) < kept[index]
        assert z == np.where(own, wanted[index], 0).tolist(), index
        few = slice(kept[index])
        count = requantize(x[index, few], scale[index, few], shift[index, few], bias[index, few])
        assert saturations == count[1], index
        if not saturations:
            rest = np.maximum(shift[index] - significand[index], 0)
            each = np.where(own, 5 + steps(significand[index]) + steps(rest), 3)
            assert cycles == each.sum(), index


def word_cycles(values, rows, base, mantissa_bits, window):
    """Return the cycles of an activation word, once its values are there and none is clipped."""
    alone = [
        int(normalize(np.array([value]), base, mantissa_bits=mantissa_bits, window=window)[1])
        for value in values
    ]
    total, exponent, raised = 1, 0, True
    while raised:
        raised = False
        total += 1 + rows - len(values)
        for index, own in enumerate(alone):
            total += 3 + steps(base + exponent) + max(own - exponent, 0)
            raised |= own > exponent and index > 0
            exponent = max(own, exponent)
    return total


@pytest.mark.parametrize("p_ready", [1.0, 0.3])
@pytest.mark.parametrize("rows, lanes", [(4, 1), (2, 1), (8, 4), (16, 2), (4, 4)])
def test_words(rows, lanes, p_ready):
    """Values that are biases alone; words of any length, into memory or into the stream."""
    mantissa_bits, window = {4: (8, 15), 8: (8, 9), 16: (12, 7)}.get(rows, (16, 14))
    config = make(rows, lanes, mantissa_bits, window=window)
    full = rows // lanes
    count = BEATS // full
    rng = np.random.default_rng(rows + lanes)
    words = some_words(rng, count, rows, mantissa_bits)
    for index in range(count // 4, count // 2):  # looks shorter than it is; ties that round up
        words[index] = rng.choice([-1, -(1 << mantissa_bits - 1), -(1 << mantissa_bits)], rows)
        if index % 2:
            words[index, 0] = -((1 << mantissa_bits) - 1) << rng.integers(0, 8)
    lengths = rng.integers(1, full + 1, count)
    bases = (rng.integers(0, 32, count) * (rng.random(count) < 0.7)).tolist()
    stream = rng.integers(0, 2, count).tolist()
    beats, biases, ends = [], [], []
    for index, length in enumerate(lengths):
        words[index, length * lanes :] = 0
        for place in range(length):
            biases.append(words[index, place * lanes : (place + 1) * lanes])
            beats.append({"index": place, "end": int(place == length - 1), "base": bases[index],
                          "stream": stream[index], "lanes": lanes})  # fmt: skip
        ends.append(len(beats) - 1)
    bias = np.array(biases)
    zero = np.zeros_like(bias)
    seen = run(config, beats, zero, zero, zero, bias, p_ready=p_ready)
    for index, end in enumerate(ends):
        cycles, word, counts = seen[end]
        mantissas, exponent, *events = normalize(
            words[index], bases[index], mantissa_bits=mantissa_bits, window=window
        )
        assert word == (mantissas.tolist(), exponent), index
        assert counts == events, index
        if not events[0] and (p_ready == 1 or not stream[index]):
            values = words[index, : int(lengths[index]) * lanes]
            wanted = word_cycles(values, rows, bases[index], mantissa_bits, window)
            assert cycles == 5 * lanes + wanted, index
    assert {cycles for index, (cycles, *_) in enumerate(seen) if index not in ends} <= {5 * lanes}


def test_every_bit_length_and_base():
    """One value alone: every length, all ones or a one and zeros, at every base."""
    config = make(2, 1, window=15)
    z = [value for bit in range(32) for value in ((1 << bit), (1 << bit + 1) - 1)] * 4
    rng = np.random.default_rng(5)
    bias = np.array([[min(value, FIXED_MAX)] for value in z])
    bias[rng.random(len(bias)) < 0.5] *= -1
    bases = np.repeat(rng.permutation(32)[:4], 64).tolist()
    beats = [{"end": 1, "base": base, "lanes": 1} for base in bases]
    zero = np.zeros_like(bias)
    seen = run(config, beats, zero, zero, zero, bias)
    for value, base, (_, word, counts) in zip(bias[:, 0], bases, seen, strict=True):
        mantissas, exponent, *events = normalize(
            np.array([value, 0]), base, mantissa_bits=8, window=15
        )
        assert word == (mantissas.tolist(), exponent), (value, base)
        assert counts == events
