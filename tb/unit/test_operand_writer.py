"""OperandWriter behind BlockNormalizer against the machine: what the memories hold in the end."""

import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, Signature, connect, flipped
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, MemoryConfig, VectorConfig
from systolith_hw.isa import DrainKind, Unit
from systolith_hw.vector.block_normalizer import BlockNormalizer
from systolith_hw.vector.exact_exponent import block_beat
from systolith_hw.vector.operand_writer import OperandWriter, mantissa_write
from systolith_sim.machine.machine import Machine
from systolith_sim.machine.races import CLOCKS
from systolith_sim.machine.run import Run
from systolith_sim.machine.vector.destinations import write_values
from systolith_sim.machine.vector.part import Part

SHAPES = [(4, 4, 4, 8), (8, 4, 2, 8), (2, 8, 2, 8), (4, 2, 1, 11)]


class Joined(Component):
    """The normaliser, and the writer behind it."""

    i: stream.Interface
    write: data.View
    coming: Signal
    ending: Signal

    def __init__(self, config):
        self.normalizer = BlockNormalizer(config)
        self.writer = OperandWriter(config)
        outputs = ("words", "rows", "exponents")
        members = {name: self.writer.signature.members[name] for name in outputs}
        super().__init__(Signature({
            "i": In(stream.Signature(block_beat(config), always_ready=True)),
            "write": In(mantissa_write(config)), "coming": Out(1), "ending": Out(1), **members,
        }))  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.normalizer, m.submodules.writer = self.normalizer, self.writer
        connect(m, flipped(self.i), self.normalizer.i)
        connect(m, self.normalizer.words, self.writer.word)
        connect(m, self.normalizer.rows, self.writer.row)
        for name in ("words", "rows", "exponents"):
            connect(m, getattr(self.writer, name), flipped(getattr(self, name)))
        m.d.comb += [
            self.writer.write.eq(self.write),
            self.coming.eq(self.normalizer.coming),
            self.ending.eq(self.normalizer.ending),
        ]
        return m


def random_fields(rng, config, kind):
    """Return a DRAIN of ``kind``, inside all memories."""
    array = config.array
    tiles = int(rng.integers(1, 24 // array.columns + 1))
    tokens, groups = int(rng.integers(1, 2 * array.rows)), int(rng.integers(1, 3))
    lanes = array.columns if kind == DrainKind.KEYS else array.rows
    return {
        "kind": kind, "tokens": tokens, "groups": groups, "tiles": tiles,
        "destination": int(rng.integers(8)), "token_stride": int(rng.integers(10, 20)),
        "group_stride": 512, "exponent_base": int(rng.integers(6)),
        "offset": int(rng.integers(128)), "columns_last": int(rng.integers(lanes)),
        "entries": int(rng.integers(9)), "tiles_last": tokens + int(rng.integers(5)),
    }  # fmt: skip


def blocks_of(config, f, z):
    """Yield values and writes of each block, as the loops of DRAIN are to make them."""
    array, keys = config.array, f["kind"] == DrainKind.KEYS
    lanes = array.columns if keys else array.rows
    channels = f["tiles"] * array.columns
    each = array.rows if keys else array.columns
    for turn, values in enumerate(z):
        group, token = divmod(turn, f["tokens"])
        wraps, lane = divmod(f["columns_last"] + token, lanes)
        tile = f["destination"] + group * f["group_stride"]
        tile += wraps * (f["token_stride"] if keys else 1)
        step = 1 if keys else f["token_stride"]
        count = -(-channels // each)
        yield values, each, [
            {
                "to_words": 0, "to_keys": keys, "to_values": not keys,
                "block_end": index == count - 1, "address": tile + index * step, "lane": lane,
                "entry": f["entries"] + group * f["tiles_last"] + token, "offset": f["offset"],
            }
            for index in range(count)
        ]  # fmt: skip


def run(dut, config, instructions, machine, rng):
    """Send the blocks of ``instructions`` (fields, values); write what comes into ``machine``."""
    chip, writes, now = machine.chip, [], [0]
    lanes = config.vector.lanes

    async def source(ctx):
        free = 0
        for f, z in instructions:
            keys = f["kind"] == DrainKind.KEYS
            for values, each, places in blocks_of(config, f, z):
                beats = values.reshape(-1, lanes)
                for index, beat in enumerate(beats):
                    end = index == len(beats) - 1
                    ctx.set(dut.i.valid, 0)
                    while rng.random() < 0.2 or (end and now[0] < free):
                        await ctx.tick()
                    ctx.set(dut.i.valid, 1)
                    ctx.set(dut.i.payload, {
                        "data": beat.tolist(), "base": f["exponent_base"], "block_end": end,
                        "end": end or not (index + 1) * lanes % each,
                        "kind": {"operand": 1, "values": not keys},
                    })  # fmt: skip
                    if end:
                        writes.extend(places)
                        free = now[0] + len(beats)
                    await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(200)

    async def sink(ctx):
        outputs = (dut.words, dut.rows, dut.exponents)
        signals = [part for output in outputs for part in (output.valid, output.payload)]
        async for *_, is_word, word, is_row, row, is_entry, entry, coming, ending in (
            ctx.tick().sample(*signals, dut.coming, dut.ending)
        ):
            if is_word:
                assert word.operand
                low = np.array(list(word.word.mantissas))
                chip.operand[word.address, :, word.lane] = low
            if is_row:
                at = row.part * lanes
                chip.operand[row.tile, row.row, at : at + lanes] = list(row.data)
            if is_entry:
                place = entry.address, entry.lane
                chip.scale[place], chip.shift[place] = entry.entry.scale, entry.entry.shift
                chip.bias[place] = entry.entry.bias
            if coming:
                ctx.set(dut.write, writes.pop(0) if ending else writes[0])
            now[0] += 1

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(sink, background=True)
    sim.add_testbench(source)
    sim.run()
    assert not writes


@pytest.mark.parametrize("shape", SHAPES)
def test_operands_and_exponents(shape):
    rows, columns, lanes, mantissa_bits = shape
    config = Config(
        array=ArrayConfig(rows=rows, columns=columns, mantissa_bits=mantissa_bits, max_k=64),
        vector=VectorConfig(lanes=lanes),
        memory=MemoryConfig(operand_tiles=1200, scale_words=64),
    )
    rng = np.random.default_rng(rows * columns)
    wanted, got = Machine(config, 4096), Machine(config, 4096)
    for machine in (wanted, got):
        machine.chip.operand[:], machine.chip.shift[:], machine.chip.bias[:] = 99, 99, 99
    state = Run(config, wanted.chip, wanted.memory)
    instructions = []
    for kind in [DrainKind.KEYS, DrainKind.VALUES] * 3:
        f = random_fields(rng, config, kind)
        turns = f["groups"] * f["tokens"]
        shape = (turns, f["tiles"] * columns)
        z = rng.integers(-(2**31), 2**31, shape) >> rng.integers(0, 32, (turns, 1))
        results = turns * f["tiles"]
        part = Part(
            f, np.arange(turns), f["tiles"], np.zeros((results, columns), np.int64),
            np.zeros((results, CLOCKS), np.int64),
        )  # fmt: skip
        state.lines[Unit.VECTOR].begin(0, bytes(32))
        write_values(state, part, z)
        instructions.append((f, z))
    run(Joined(config), config, instructions, got, rng)
    for name in ("operand", "scale", "shift", "bias"):
        np.testing.assert_array_equal(getattr(got.chip, name), getattr(wanted.chip, name), name)


def test_words_pass():
    """Activation words keep all bits; what goes to STORE is not written."""
    config = Config(vector=VectorConfig(lanes=2))
    dut = OperandWriter(config)

    async def bench(ctx):
        word = {"mantissas": list(range(-4, 4)), "exponent": 7}
        for to_words, to_keys in ((1, 0), (0, 1), (0, 0)):
            ctx.set(dut.write, {
                "to_words": to_words, "to_keys": to_keys, "address": 300, "lane": 3,
                "block_end": 1, "entry": 21, "offset": 2,
            })  # fmt: skip
            ctx.set(dut.word.payload, word)
            ctx.set(dut.word.valid, 1)
            assert ctx.get(dut.words.valid) == to_words | to_keys
            out = ctx.get(dut.words.payload)
            assert (out.operand, out.address, out.lane) == (to_keys, 300, 3)
            assert (list(out.word.mantissas), out.word.exponent) == (word["mantissas"], 7)
            await ctx.tick()
            assert ctx.get(dut.exponents.valid) == ctx.get(dut.of_key) == to_keys
            entry = ctx.get(dut.exponents.payload)
            assert not to_keys or (entry.address, entry.lane, entry.entry.shift) == (10, 1, 123)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
