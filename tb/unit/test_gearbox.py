"""Splitter, joiner and packer as streams of bytes, over all widths."""

import random

import pytest
from amaranth.sim import Simulator

from systolith_hw.dma.gearbox import Joiner, Packer, Splitter

from .dma_bench import Held

WIDTHS = [1, 2, 4, 8, 16, 32, 64, 128]


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
@pytest.mark.parametrize("beat", WIDTHS)
def test_packer(beat, p):
    """Runs of words of two kinds come out as their bytes, padded to a beat."""
    rng = random.Random(beat)
    words = (rng.choice(WIDTHS[:6]), rng.choice(WIDTHS[:6]))
    items, expected = [], []
    for _ in range(8):
        kind = rng.randrange(2)
        raw = b""
        count = rng.randrange(1, 6)
        for index in range(count):
            word = rng.randbytes(words[kind])
            raw += word
            items.append({"data": int.from_bytes(word, "little"), "kind": kind,
                          "last": index == count - 1})  # fmt: skip
        beats = -(-len(raw) // beat)
        raw = raw.ljust(beats * beat, b"\0")
        expected += [
            (int.from_bytes(raw[at * beat : (at + 1) * beat], "little"), at == beats - 1)
            for at in range(beats)
        ]  # fmt: skip
    received, cycles = run(Packer(words, beat), items, len(expected), seed=beat, p=p)
    assert [(item.data, item.last) for item in received] == expected
    if p == 1.0:
        parts = (max(words) > beat) + (min(words) < beat)
        assert cycles[-1] <= max(len(items), len(expected)) * (1 + (parts == 2)) + parts


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


def test_joiner_rate():
    """A beat per cycle when pieces are beats, also right after a word cut short."""
    dut = Joiner([2, 8], 8)
    items = [{"data": 0x1111, "kind": 0, "last": 1}] + [
        {"data": value, "kind": 1, "last": 0} for value in range(5)
    ]
    received, cycles = run(dut, items, 6)
    assert [item.data for item in received] == [0x1111, 0, 1, 2, 3, 4]
    assert cycles == [1, 2, 3, 4, 5, 6]
