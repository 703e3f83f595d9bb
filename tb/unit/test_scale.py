"""Scale memory: one writer, two reading addresses."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import Config, MemoryConfig
from systolith_hw.memory.scale import ScaleMemory

WORDS = 13
LANES = Config().vector.lanes


@pytest.mark.parametrize("short, latency", [(False, 2), (True, 1)])
def test_against_model(short, latency):
    config = Config(memory=MemoryConfig(scale_words=WORDS), short_pipelines=short)
    dut = ScaleMemory(config)
    rng = np.random.default_rng(2)
    memory: dict[int, list[dict[str, int]]] = {}

    def some_word():
        return [
            {"scale": int(rng.integers(1 << 16)), "shift": int(rng.integers(1 << 7)),
             "bias": int(rng.integers(-(2**31), 2**31))}
            for _ in range(LANES)
        ]  # fmt: skip

    async def bench(ctx):
        asked: list = [(None, None)] * latency
        for _ in range(400):
            address, word = int(rng.integers(WORDS)), some_word()
            write = rng.random() < 0.5
            ctx.set(dut.write.valid, write)
            ctx.set(dut.write.payload, {"address": address, "data": word})
            known = sorted(set(memory) - ({address} if write else set()))
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
            if write:
                memory[address] = word
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
