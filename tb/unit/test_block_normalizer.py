"""BlockNormalizer against its golden model: words, keys, values, and what is only measured."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import VALUE_WINDOW, WEIGHT_BITS, ArrayConfig, Config, VectorConfig
from systolith_hw.vector.block_normalizer import BlockNormalizer
from systolith_hw.vector.exact_exponent import block_beats
from systolith_sim.vector.normalizer import normalize

from .test_normalizer import FIXED_MAX, some_words

LATENCY = 9
WORD, KEYS, VALUES, MEASURE, BOTH = "word", "keys", "values", "measure", "both"


def make(rows, columns, lanes, mantissa_bits=8, window=24):
    array = ArrayConfig(rows=rows, columns=columns, mantissa_bits=mantissa_bits,
                        max_k=64, window=window, output_depth=max(rows + 12, 15))  # fmt: skip
    return Config(array=array, vector=VectorConfig(lanes=lanes))


@dataclass
class Block:
    """Values (a multiple of the lanes), their base, and what they are."""

    z: np.ndarray
    base: int
    what: str = WORD
    row_begin: bool = False
    row_end: bool = False


class Bench:
    """Send blocks; note when and what came."""

    def __init__(self, config, blocks, *, heads, stalls=None):
        self.config, self.blocks, self.rng = config, blocks, stalls
        self.dut = BlockNormalizer(config, heads=heads)
        self.now = 0
        self.sent: list[int] = []
        self.words: list[tuple] = []
        self.rows: list[tuple] = []
        self.measured: list[tuple] = []
        self.saturated = self.flushed = 0
        sim = Simulator(self.dut)
        sim.add_clock(10e-9)
        sim.add_testbench(self.watch, background=True)  # first, so that it has counted the cycle
        sim.add_testbench(self.source)
        sim.run()

    async def source(self, ctx):
        dut, free = self.dut, 0
        for block in self.blocks:
            beats = block.z.reshape(-1, self.config.vector.lanes)
            array = self.config.array
            apart = array.columns if block.what == VALUES else array.rows
            kind = {
                "operand": block.what in (KEYS, VALUES), "values": block.what == VALUES,
                "measure": block.what in (MEASURE, BOTH), "unwritten": block.what == MEASURE,
            }  # fmt: skip
            for index, values in enumerate(beats):
                end = index == len(beats) - 1
                ctx.set(dut.i.valid, 0)
                while self.rng is not None and self.rng.random() < 0.3:
                    await ctx.tick()
                while end and self.now < free:
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                # Only the last beat's base and kind count, and whether any begins a row.
                begin = {"row_begin": block.row_begin and index == 0}
                ends = {"row_end": block.row_end} if end else {
                    name: not kind[name] for name in ("values", "measure", "unwritten")
                }  # fmt: skip
                ctx.set(dut.i.payload, {
                    "data": values.tolist(), "base": block.base if end else 31 - block.base,
                    "end": end or not (index + 1) * len(values) % apart, "block_end": end,
                    "kind": {**kind, **begin, **ends},
                })  # fmt: skip
                if end:
                    self.sent.append(self.now)
                    free = self.now + len(beats)
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(dut.latency + block_beats(self.config, heads=dut.heads) + 4)

    async def watch(self, ctx):
        dut = self.dut
        coming = ending = False
        outputs = (dut.words, dut.rows, dut.measured)
        signals = [part for output in outputs for part in (output.valid, output.payload)]
        signals += [dut.coming, dut.ending, dut.saturated, dut.flushed]
        async for *_, is_word, word, is_row, row, is_beat, beat, soon, ends, many, flushed in (
            ctx.tick().sample(*signals)
        ):
            assert coming == (is_word | is_row)
            assert not is_word or ending
            if is_word:
                self.words.append((self.now, list(word.mantissas), word.exponent))
            if is_row:
                self.rows.append((self.now, list(row.mantissas), row.exponent, row.place, ending))
            if is_beat:
                self.measured.append(
                    (self.now, list(beat.mantissas), beat.exponent, beat.first, beat.last)
                )
            coming, ending = soon, ends
            self.saturated += many.bit_count()
            self.flushed += flushed
            self.now += 1


def check(config, blocks, *, heads=True, stalls=None):
    """Run, and compare all that came."""
    array, lanes = config.array, config.vector.lanes
    bench = Bench(config, blocks, heads=heads, stalls=stalls)
    assert bench.dut.latency == LATENCY
    words, rows, measured, counts = [], [], [], np.zeros(2, int)
    for block, sent in zip(blocks, bench.sent, strict=True):
        operand = block.what in (KEYS, VALUES)
        mantissas, exponent, *some = normalize(
            block.z, block.base,
            mantissa_bits=WEIGHT_BITS if operand else array.mantissa_bits,
            window=min(array.window, VALUE_WINDOW) if block.what == VALUES else array.window,
        )  # fmt: skip
        beats = mantissas.reshape(-1, lanes)
        e, last = int(exponent), len(beats) - 1
        if block.what in (WORD, KEYS, BOTH):
            padded = np.pad(mantissas, (0, -len(mantissas) % array.rows)).reshape(-1, array.rows)
            each = array.rows // lanes
            words += [
                (sent + LATENCY + min((index + 1) * each - 1, last), word.tolist(), e)
                for index, word in enumerate(padded)
            ]
        per_tile = array.columns // lanes
        for index, beat in enumerate(beats):
            when = sent + LATENCY + index
            if block.what == VALUES:
                ends = (index + 1) % per_tile == 0
                rows.append((when, beat.tolist(), e, index % per_tile, ends))
            if block.what in (MEASURE, BOTH):
                begin, end = block.row_begin and index == 0, block.row_end and index == last
                measured.append((when, beat.tolist(), e, begin, end))
        if block.what != MEASURE:
            counts += some
    assert bench.words == words
    assert bench.rows == rows
    assert bench.measured == measured
    assert [bench.saturated, bench.flushed] == counts.tolist()


def some_blocks(rng, config, count, kinds):
    """Return blocks of random kinds; keys and values are of several words."""
    array, lanes = config.array, config.vector.lanes
    blocks = []
    whats = rng.choice(kinds, count)
    words = some_words(rng, count, 128, array.mantissa_bits)
    shorter = some_words(rng, count, 128, WEIGHT_BITS)
    for index, what in enumerate(whats):
        if what in (WORD, MEASURE, BOTH):
            length = lanes * int(rng.integers(1, array.rows // lanes + 1))
        else:
            length = array.columns * int(rng.integers(1, 128 // array.columns + 1))
        z = (words if rng.random() < 0.5 else shorter)[index]
        begin, end = rng.random(2) < 0.5
        base = int(rng.choice([0, 1, 2, 3, rng.integers(0, 32)]))
        # Rolled: what is largest may be anywhere.
        z = np.roll(z, rng.integers(128))[:length]
        blocks.append(Block(z, base, str(what), bool(begin), bool(end)))
    return blocks


SHAPES = [
    (2, 2, 1, 8, 24), (4, 8, 4, 8, 24), (8, 4, 2, 8, 20), (16, 8, 8, 12, 7), (8, 8, 4, 16, 16)
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stalls", [False, True])
def test_every_kind(shape, stalls):
    config = make(*shape)
    rng = np.random.default_rng(sum(shape))
    blocks = some_blocks(rng, config, 60, [WORD, KEYS, VALUES, MEASURE, BOTH])
    check(config, blocks, stalls=rng if stalls else None)


@pytest.mark.parametrize("shape", [(4, 4, 4, 8, 24), (16, 8, 8, 8, 24), (8, 8, 2, 12, 9)])
@pytest.mark.parametrize("stalls", [False, True])
def test_words_only(shape, stalls):
    config = make(*shape)
    rng = np.random.default_rng(sum(shape) + 1)
    check(config, some_blocks(rng, config, 80, [WORD]), heads=False,
          stalls=rng if stalls else None)  # fmt: skip


@pytest.mark.parametrize("what", [WORD, KEYS, VALUES])
@pytest.mark.parametrize("mantissa_bits", [8, 11])
def test_rounding_edges(what, mantissa_bits):
    """Around the least magnitude that rounds up to a further bit, of every length and sign."""
    config = make(2, 2, 1, mantissa_bits)
    rng = np.random.default_rng(mantissa_bits)
    edges = []
    for bits in {WEIGHT_BITS, mantissa_bits}:
        for shift in range(-bits, 32 - bits):
            edge = ((1 << bits) - 1) << shift if shift >= 0 else 1 << bits + shift
            edges += [edge + step for step in (-2, -1, 0, 1, 2) if edge + step <= FIXED_MAX]
    z = np.array([[value, sign * (value >> 3)] for value in edges for sign in (1, -1)])
    z = np.concatenate([z, -z, [[-FIXED_MAX - 1, 0], [FIXED_MAX, 1]]])
    flip = rng.random(len(z)) < 0.5
    z[flip] = z[flip, ::-1]
    check(config, [Block(pair, int(rng.choice([0, 0, 1, 5, 20])), what) for pair in z])


def test_full_blocks_without_a_pause():
    """Blocks of the longest kind, the next right behind: the ring is full."""
    config = make(16, 8, 8)
    rng = np.random.default_rng(1)
    z = rng.integers(-(2**31), 2**31, (8, 128)) >> rng.integers(0, 32, (8, 1))
    blocks = [Block(values, 2, KEYS if index % 2 else VALUES) for index, values in enumerate(z)]
    check(config, blocks)
