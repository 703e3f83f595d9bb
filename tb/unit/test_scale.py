"""Scale memory: a writer of words, one of single channels, two reading addresses."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from scale_parts import scale_parts
from systolith_hw.config import BusConfig, Config, MemoryConfig, VectorConfig
from systolith_hw.memory.scale import ScaleMemory

WORDS = 13
LANES = Config().vector.lanes


def some_entry(rng):
    return {"scale": int(rng.integers(1 << 16)), "shift": int(rng.integers(1 << 7)),
            "bias": int(rng.integers(-(2**31), 2**31))}  # fmt: skip


@pytest.mark.parametrize("few", [0, 2, 8])
@pytest.mark.parametrize("short, register, latency", [
    (False, False, 2), (False, True, 3), (True, False, 1)
])  # fmt: skip
def test_against_model(short, register, latency, few):
    memories = MemoryConfig(scale_words=WORDS, bias_words=few)
    config = Config(memory=memories, short_pipelines=short)
    dut = ScaleMemory(config, output_register=register)
    rng = np.random.default_rng(2)
    memory: dict[int, list[dict[str, int]]] = {}

    def some_word():
        return [some_entry(rng) for _ in range(LANES)]

    async def bench(ctx):
        asked: list = [(None, None)] * latency
        address, word = 0, some_word()
        parts: list[dict] = []
        for _ in range(800):
            if not parts and rng.random() < 0.7:
                address, word = int(rng.integers(WORDS)), some_word()
                parts = scale_parts(config, address, word)
            write = bool(parts) and rng.random() < 0.7
            ctx.set(dut.write.valid, write)
            if write:
                ctx.set(dut.write.payload, parts.pop(0))
            known = sorted(set(memory) - ({address} if write or parts else set()))
            wanted: list = [None, None]
            if known:
                factor, bias = (int(known[index]) for index in rng.integers(len(known), size=2))
                ctx.set(dut.factor_address, factor)
                ctx.set(dut.bias_address, bias)
                wanted = [memory[factor], memory[bias]]
            factors, biases = asked[0]
            for lane in range(LANES):
                if factors:
                    assert ctx.get(dut.factors[lane].scale) == factors[lane]["scale"]
                    assert ctx.get(dut.factors[lane].shift) == factors[lane]["shift"]
                if biases:
                    assert ctx.get(dut.biases[lane]) == biases[lane]["bias"]
            asked = [*asked[1:], wanted]
            if write and not parts:
                memory[address] = word
                if few and address >= few - 1:
                    memory[address] = [{**entry, "bias": 0} for entry in word]
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("lanes, port", [(1, 8), (4, 8), (8, 16)])
def test_single_channels_win(lanes, port):
    """Words wait for channels; what was taken is read as early as the memory says."""
    config = Config(
        memory=MemoryConfig(scale_words=WORDS), vector=VectorConfig(lanes=lanes, rows=2),
        bus=BusConfig(data_bytes=port),
    )  # fmt: skip
    at_once = config.scale_write_lanes
    dut = ScaleMemory(config)
    rng = np.random.default_rng(4)
    cells = [[some_entry(rng) for _ in range(lanes)] for _ in range(WORDS)]
    coming: list[tuple[int, list]] = []  # cycle from which on a word may be read, and its channels
    yielded = 0

    async def bench(ctx):
        nonlocal yielded
        for address, word in enumerate(cells):
            for part in scale_parts(config, address, word):
                ctx.set(dut.write.payload, part)
                ctx.set(dut.write.valid, 1)
                await ctx.tick().until(dut.write.ready)
        ctx.set(dut.write.valid, 0)
        await ctx.tick().repeat(2)

        offered = None
        asked: list = [None, None]
        for cycle in range(800):
            if offered is None and rng.random() < 0.6:
                word = [some_entry(rng) for _ in range(lanes)]
                parts = scale_parts(config, int(rng.integers(WORDS)), word)
                offered = parts[rng.integers(len(parts))]
            ctx.set(dut.write.valid, offered is not None)
            if offered is not None:
                ctx.set(dut.write.payload, offered)
            address, lane = int(rng.integers(WORDS)), int(rng.integers(lanes))
            entry = some_entry(rng)
            single = rng.random() < 0.4
            ctx.set(dut.entries.valid, single)
            ctx.set(dut.entries.payload, {"address": address, "lane": lane, "entry": entry})
            if single:
                coming.append((cycle + 3, [(address, lane, entry)]))
            if offered is not None and ctx.get(dut.write.ready):
                first = offered["part"] * at_once
                coming.append((cycle + 2, [
                    (offered["address"], *pair) for pair in enumerate(offered["data"], first)
                ]))  # fmt: skip
                offered = None
            elif offered is not None:
                yielded += 1

            for due, channels in [item for item in coming if item[0] == cycle]:
                coming.remove((due, channels))
                for place, index, value in channels:
                    cells[place][index] = value
            busy = {place for _, channels in coming for place, *_ in channels}
            known = sorted(set(range(WORDS)) - busy)
            factor, bias = (int(rng.choice(known)) for _ in range(2))
            ctx.set(dut.factor_address, factor)
            ctx.set(dut.bias_address, bias)
            if asked[0]:
                for index in range(lanes):
                    factors = dut.factors[index]
                    got = ctx.get(factors.scale), ctx.get(factors.shift), ctx.get(dut.biases[index])
                    assert got == asked[0][index]
            asked = [asked[1], [
                (one["scale"], one["shift"], other["bias"])
                for one, other in zip(cells[factor], cells[bias], strict=True)
            ]]  # fmt: skip
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    assert yielded > 100
