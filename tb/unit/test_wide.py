"""Wide memory: two writers, one or two readers."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import WIDE_BANK_WORDS, Config, MemoryConfig, VectorConfig
from systolith_hw.memory.wide import WideMemory

WORDS = 11
DEEP = 2 * WIDE_BANK_WORDS + 5
"""Of a memory of three banks."""
LANES = Config().vector.lanes


def some_word(rng):
    return rng.integers(-(2**31), 2**31, LANES).tolist()


@pytest.mark.parametrize("short", [False, True])
def test_against_model(short):
    """Random writes and reads: the vector unit wins, data hold until the next read's."""
    dut = WideMemory(Config(memory=MemoryConfig(wide_words=WORDS), short_pipelines=short))
    rng = np.random.default_rng(1)
    memory: dict[int, list[int]] = {}
    # What `data` must be, this cycle first.
    history: list[list[int] | None] = [None] * dut.config.wide_latency

    async def bench(ctx):
        waiting = None
        yielded = 0
        fresh: set[int] = set()  # on their way
        came: dict[int, list[int]] = {}  # what the vector unit wrote a cycle ago
        for _ in range(600):
            vector = rng.random() < 0.4
            if waiting is None and rng.random() < 0.6:
                waiting = int(rng.integers(WORDS)), some_word(rng)
            ctx.set(dut.vector.valid, vector)
            ctx.set(dut.load.valid, waiting is not None)
            update = {}
            if vector:
                update = {int(rng.integers(WORDS)): some_word(rng)}
                (address, word), = update.items()
                ctx.set(dut.vector.payload, {"address": address, "data": word})
            if waiting is not None:
                ctx.set(dut.load.payload, {"address": waiting[0], "data": waiting[1]})
            if not short:
                update, came = came, update
            assert ctx.get(dut.load.ready) == (not update)
            if waiting is not None and not update:
                update = {waiting[0]: waiting[1]}
                waiting = None
            elif waiting is not None:
                yielded += 1
            written = set(update) | set(came)
            known = sorted(set(memory) - written - fresh)
            enable = bool(known) and rng.random() < 0.5
            ctx.set(dut.read.enable, enable)
            if enable:
                address = int(rng.choice(known))
                ctx.set(dut.read.address, address)
                coming: list[int] | None = memory[address]
            else:
                ctx.set(dut.read.address, int(rng.integers(WORDS)))
                coming = history[-1]
            if history[0] is not None:
                assert [ctx.get(dut.read.data[lane]) for lane in range(LANES)] == history[0]
            history.append(coming)
            del history[0]
            memory.update(update)
            fresh = set() if short else written
            await ctx.tick()
        assert yielded > 50

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("depth", [WORDS, DEEP])
@pytest.mark.parametrize("p_first", [0.0, 0.4, 0.9])
def test_two_readers(p_first, depth):
    """The vector unit reads whenever it likes, STORE in between; STORE's word stays."""
    config = Config(memory=MemoryConfig(wide_words=depth), vector=VectorConfig(rows=2))
    dut = WideMemory(config)
    rng = np.random.default_rng(3)
    # The same places of all banks.
    places = [place for first in range(0, depth, WIDE_BANK_WORDS)
              for place in range(first, min(depth, first + WORDS))]  # fmt: skip
    words = {place: some_word(rng) for place in places}
    # What `data` of each must be, this cycle first.
    first: list[list[int] | None] = [None] * config.wide_latency
    then: list[list[int] | None] = [None] * config.wide_latency
    delays = []

    async def bench(ctx):
        for address, word in words.items():
            ctx.set(dut.vector.payload, {"address": address, "data": word})
            ctx.set(dut.vector.valid, 1)
            await ctx.tick()
        ctx.set(dut.vector.valid, 0)
        await ctx.tick().repeat(3)

        waiting, since = None, 0
        for cycle in range(600):
            ready = ctx.get(dut.read.ready)
            assert ready == (waiting is None)
            reads = rng.random() < p_first
            asks = ready and rng.random() < 0.7
            address, other = (int(place) for place in rng.choice(places, 2))
            ctx.set(dut.first.enable, reads)
            ctx.set(dut.first.address, address)
            ctx.set(dut.read.enable, asks)
            ctx.set(dut.read.address, other)
            for port, history in ((dut.first, first), (dut.read, then)):
                if history[0] is not None:
                    assert [ctx.get(port.data[lane]) for lane in range(LANES)] == history[0]
            first.append(words[address] if reads else None)
            if waiting is not None and not reads:
                then.append(words[waiting])
                delays.append(cycle + config.wide_latency - since)
                waiting = None
            else:
                then.append(then[-1])
            del first[0], then[0]
            if asks:
                waiting, since = other, cycle
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    assert min(delays) == config.store_latency
    assert (max(delays) > config.store_latency) == (p_first > 0)
    assert len(delays) > 30
