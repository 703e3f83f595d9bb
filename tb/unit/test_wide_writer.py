"""WideWriter: values at once, numbers of the best channel between them, and semaphores behind."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.vector.wide_writer import LAG, WideWriter

from .row_bench import row_config

SEMAPHORES = 16


def some_beats(rng, lanes, writes, count=40):
    """Yield instructions of BEST: for each beat whether it ends a group.

    None is a beat of something else that writes; as many as ``writes`` of the others follow some.
    """
    for _ in range(count):
        groups = [int(rng.integers(1, 4)) for _ in range(rng.integers(1, 7))]
        beats: list[bool | None] = []
        for size in groups:
            for place in range(size):
                beats += [None] * int(rng.random() < writes) * int(rng.integers(1, 4))
                beats.append(place == size - 1)
        beats += [None] * int(rng.integers(0, 12))
        yield beats


def semaphore(rng):
    return {"id": int(rng.integers(SEMAPHORES)), "present": int(rng.integers(2))}


@pytest.mark.parametrize("pause", [0.0, 0.3])
@pytest.mark.parametrize("writes", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("lanes", [1, 4])
def test_writes(lanes, writes, pause):
    rng = np.random.default_rng([lanes, int(10 * writes), int(10 * pause)])
    config = row_config(lanes)
    dut = WideWriter(config)

    async def bench(ctx):
        cycle, owed, told = 0, 0, 0
        posts: dict[int, dict] = {}
        best, number, last = None, 0, [0]

        async def step(payload=None, write=None):
            """Go on by a cycle; ``write``: address and values of a beat that is to be written."""
            nonlocal cycle, owed, told
            ctx.set(dut.i.valid, payload is not None)
            if payload is not None:
                ctx.set(dut.i.payload, payload)
            given = posts.pop(cycle, {"post_inner": None, "post_outer": None})
            for name, wanted in given.items():
                post = getattr(dut, name)
                assert ctx.get(post.valid) == (wanted is not None)
                assert wanted is None or ctx.get(post.id) == wanted
            written = None
            if ctx.get(dut.wide.valid):
                word = ctx.get(dut.wide.payload)
                written = word.address, list(word.data)
            told_by = None
            if write is not None:
                assert written == write
                told_by = payload
            elif written is not None:
                assert owed > 0 and written[0] == place
                # Those of later beats may be known already; the last one is exact.
                assert written[1][0] in numbers and not any(written[1][1:])
                owed, last[:] = owed - 1, [written[1][0]]
                told_by = ends
            if told_by is not None:
                posts[cycle + LAG] = {
                    name: told_by[name]["id"] if told_by[name]["present"] else None
                    for name in ("post_inner", "post_outer")
                }
                told = cycle + LAG
            await ctx.tick()
            cycle += 1

        for beats in some_beats(rng, lanes, writes):
            while not ctx.get(dut.settled):
                await step()
            assert owed == 0 and last == [number] == [ctx.get(dut.number)]
            channel, place = int(rng.integers(1 << 16)), int(rng.integers(512))
            best, number, numbers = None, channel, {channel}
            ends = {"post_inner": semaphore(rng), "post_outer": semaphore(rng)}
            ctx.set(dut.begin, {"valid": 1, "anew": 1, "channel": channel})
            await step()
            ctx.set(dut.begin.valid, 0)
            for beat in beats:
                while rng.random() < pause:
                    await step()
                data = rng.integers(-(1 << 31), 1 << 31, lanes).tolist()
                if beat is None:
                    address = int(rng.integers(512))
                    payload = {"to_wide": 1, "to_best": 0, "row_end": 1, "wide": address,
                               "data": data, "keep": 0, "post_inner": semaphore(rng),
                               "post_outer": semaphore(rng)}  # fmt: skip
                    await step(payload, (address, data))
                    continue
                kept = int(rng.integers(lanes + 1))
                for lane, value in enumerate(data[:kept]):
                    if best is None or value > best:
                        best, number = value, channel + lane & 0xFFFF
                numbers.add(number)
                channel += lanes
                owed += beat
                nothing = {name: {"id": 3, "present": 0} for name in ends}
                await step({
                    "to_wide": 0, "to_best": 1, "row_end": int(beat), "wide": place, "data": data,
                    "keep": (1 << kept) - 1, **(ends if beat else nothing),
                })  # fmt: skip
        while not ctx.get(dut.empty):
            await step()
            assert cycle < 20_000
        assert owed == 0 and last == [number] and cycle == told + 1 and ctx.get(dut.settled)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
