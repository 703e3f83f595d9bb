"""Rows of beats for what is computed of a whole row."""

from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, MemoryConfig, VectorConfig


def row_config(lanes, *, mantissa_bits=8, window=24, wide_words=512):
    """Return a config with the given lanes, its rows of at most lanes * wide_words values."""
    side = max(lanes, 2)
    return Config(
        array=ArrayConfig(rows=side, columns=side, mantissa_bits=mantissa_bits, window=window,
                          max_k=16, output_depth=max(side + 12, 15)),
        vector=VectorConfig(lanes=lanes), memory=MemoryConfig(wide_words=wide_words),
    )  # fmt: skip


def run_rows(dut, rows, rng, stalls=True):
    """Send rows, lists of payloads without ends; return "when it ended" and "when, and what came".

    With ``stalls`` there are pauses, with garbage in them.
    """
    sent: list[int] = []
    got: list[tuple] = []
    now = [0]

    async def source(ctx):
        for row in rows:
            for index, payload in enumerate(row):
                ends = {"first": index == 0, "last": index == len(row) - 1}
                for _ in range(int(rng.choice([0, 0, 0, 1, 3])) * stalls):
                    ctx.set(dut.i.valid, 0)
                    ctx.set(dut.i.payload, payload | {"first": 1, "last": 1})
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, payload | ends)
                if ends["last"]:
                    sent.append(now[0])
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(dut.latency + 2)

    async def watch(ctx):
        async for *_, valid, payload in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                got.append((now[0], payload))
            now[0] += 1

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(watch, background=True)  # first, so that it has counted the cycle
    sim.add_testbench(source)
    sim.run()
    assert [cycle for cycle, _ in got] == [cycle + dut.latency for cycle in sent]
    return [payload for _, payload in got]
