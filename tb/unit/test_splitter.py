"""The splitter as a stream of bytes."""

import random

import pytest
from amaranth.sim import Simulator

from systolith_hw.dma.splitter import Splitter

from .dma_bench import Held


def run(dut, items, count, *, seed=0, p=1.0, deadline=2000, late_kind=None):
    """Send ``items`` (fields of ``i``) and return ``count`` payloads of ``o`` with their cycles."""
    rng = random.Random(seed)
    received, cycles = [], []

    async def bench(ctx):
        todo, offered, held = list(items), False, Held()
        for cycle in range(deadline):
            offered = bool(todo) and (offered or rng.random() < p)
            ctx.set(dut.i.valid, offered)
            if offered:
                for name, value in todo[0].items():
                    ctx.set(dut.i.p[name], value)
            ctx.set(dut.o.ready, rng.random() < p)
            if late_kind is not None:
                ctx.set(dut.kind, late_kind)
            *_, taken, valid, ready, payload = await ctx.tick().sample(
                dut.i.valid & dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload)
            held(valid, ready, payload)
            if taken:
                todo.pop(0)
                offered = False
            if valid and ready:
                received.append(payload)
                cycles.append(cycle)
            if len(received) == count and not todo:
                return
        raise AssertionError(f"{len(received)} of {count} after {deadline} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return received, cycles


@pytest.mark.parametrize("p", [1.0, 0.5])
@pytest.mark.parametrize("word, piece", [(8, 2), (8, 8), (128, 1), (4, 2)])
def test_bytes(word, piece, p):
    rng = random.Random(word)
    raw = rng.randbytes(6 * word)
    items = [{"data": int.from_bytes(raw[at : at + word], "little"), "tag": at & 255}
             for at in range(0, len(raw), word)]  # fmt: skip
    received, _ = run(Splitter([word], [piece], 8), items, len(raw) // piece, seed=word, p=p)
    assert b"".join(item.data.to_bytes(piece, "little") for item in received) == raw


@pytest.mark.parametrize("word, piece", [(8, 2), (8, 8), (128, 1), (4, 2)])
def test_splitter_rate(word, piece):
    items = [{"data": value << 8 | value, "tag": value} for value in (3, 250, 17)]
    dut = Splitter([word], [piece], 8)
    received, cycles = run(dut, items, 3 * word // piece)
    assert cycles == list(range(1, 1 + 3 * word // piece))
    assert [item.tag for item in received[:: word // piece]] == [3, 250, 17]
    assert [item.last for item in received] == ([0] * (word // piece - 1) + [1]) * 3


def test_splitter_kinds():
    """The kind decides at the output, word by word."""
    items = [{"data": 0x0403_0201, "tag": 0}]
    for kind, expected in enumerate(([1, 2, 3, 4], [0x201, 0x403], [0x0403_0201])):
        dut = Splitter([4, 4, 4], [1, 2, 4], 1)
        received, _ = run(dut, items, len(expected), late_kind=kind)
        masks = (0xFF, 0xFFFF, 0xFFFF_FFFF)
        assert [item.data & masks[kind] for item in received] == expected
