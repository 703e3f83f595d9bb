"""The page buffer against the golden model of pages."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.dma.pages import PageBuffer, store_element_bytes
from systolith_hw.isa import StoreKind
from systolith_sim.dma.pages import pack_pages

from .dma_bench import Held, make_config


def run(config, words, count, *, seed=0, p_in=1.0, p_out=1.0, deadline=3000):
    """Send ``words`` and return ``count`` elements; ``room`` is obeyed for wide words."""
    rng = random.Random(seed)
    dut = PageBuffer(config)
    received, taken = [], []

    async def bench(ctx):
        todo, offered, held = list(words), False, Held()
        for cycle in range(deadline):
            offered = bool(todo) and (offered or rng.random() < p_in)
            if offered and todo[0]["kind"] == StoreKind.WIDE and not ctx.get(dut.room):
                offered = False
            ctx.set(dut.i.valid, offered)
            if offered:
                for name, value in todo[0].items():
                    ctx.set(dut.i.p[name], value)
            ctx.set(dut.o.ready, rng.random() < p_out)
            *_, valid, ready, o_valid, o_ready, payload = await ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload)
            held(o_valid, o_ready, payload)
            if valid:
                assert ready or todo[0]["kind"] == StoreKind.STREAM, "no room after all"
            if valid and ready:
                todo.pop(0)
                offered = False
                taken.append(cycle)
            if o_valid and o_ready:
                received.append(payload)
            if len(received) == count and not todo:
                return
        raise AssertionError(f"{len(received)} of {count} after {deadline} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return received, taken


def stream_run(config, rng, count):
    """Return a run of activation words: what goes in and the bytes that come out."""
    array = config.array
    limit = 1 << array.mantissa_bits - 1
    mantissas = rng.integers(-limit, limit, (count, array.rows))
    exponents = rng.integers(0, array.window + 1, count)
    mask = (1 << array.mantissa_bits) - 1
    words = [
        {
            "data": sum((int(value) & mask) << array.mantissa_bits * lane
                        for lane, value in enumerate(mantissas[index])),
            "exponent": int(exponents[index]), "kind": StoreKind.STREAM,
            "last": index == count - 1,
        }
        for index in range(count)
    ]  # fmt: skip
    return words, pack_pages(config, mantissas, exponents)


def wide_run(config, rng, count):
    raw = rng.bytes(count * config.wide_word_bytes)
    size = config.wide_word_bytes
    words = [
        {"data": int.from_bytes(raw[at * size : (at + 1) * size], "little"), "exponent": 0,
         "kind": StoreKind.WIDE, "last": at == count - 1}
        for at in range(count)
    ]  # fmt: skip
    return words, raw


@pytest.mark.parametrize("p_in, p_out", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.4), (0.5, 0.5)])
@pytest.mark.parametrize("rows, mantissa_bits", [(2, 8), (4, 16), (8, 8), (8, 11), (16, 8)])
def test_random(rows, mantissa_bits, p_in, p_out):
    config = make_config(rows=rows, columns=4, lanes=2, mantissa_bits=mantissa_bits)
    rng = np.random.default_rng(rows)
    words, runs = [], []
    for _ in range(7):
        stream = rng.random() < 0.7
        part, raw = (stream_run if stream else wide_run)(
            config, rng, int(rng.integers(1, 3 * rows)))  # fmt: skip
        words += part
        runs.append((StoreKind.STREAM if stream else StoreKind.WIDE, raw))
    sizes = store_element_bytes(config)
    count = sum(len(raw) // sizes[kind] for kind, raw in runs)
    received, _ = run(config, words, count, seed=rows, p_in=p_in, p_out=p_out)
    for kind, raw in runs:
        part, received = received[: len(raw) // sizes[kind]], received[len(raw) // sizes[kind] :]
        mask = (1 << sizes[kind] * 8) - 1
        got = b"".join((item.data & mask).to_bytes(sizes[kind], "little") for item in part)
        assert got == raw
        assert [item.kind for item in part] == [kind] * len(part)
        assert [item.last for item in part] == [0] * (len(part) - 1) + [1]


def test_a_page_ahead():
    """With nothing leaving, two pages less their exponents' way out are taken at full rate."""
    config = make_config(rows=8, columns=8)
    words, raw = stream_run(config, np.random.default_rng(1), 24)
    received, taken = run(config, words, 24 + 3, p_out=0.2, seed=3)
    assert len(raw) == (24 + 3) * config.array.word_bytes
    assert taken[7] == 7
    assert len(received) == 27
