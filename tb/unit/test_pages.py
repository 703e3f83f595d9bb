"""The page writer, and the buffer it fills, against the golden model of pages."""

import random

import numpy as np
import pytest

from systolith_hw.dma.page_shape import PageShape
from systolith_hw.dma.pages import PageWriter
from systolith_hw.isa import StoreKind
from systolith_hw.presets import preset
from systolith_sim.dma.pages import pack_pages

from .dma_bench import make_config, simulate


def run(config, words, runs, *, seed=0, p_in=1.0, p_out=1.0, deadline=20_000):
    """Write ``words``; return the bytes of each of ``runs`` runs, and the cycles of words.

    A reader takes beats below the limit, and the end of a run when it has all before it.
    """
    rng = random.Random(seed)
    dut = PageWriter(config)
    shape, beat = PageShape(config), config.bus.data_bytes
    cycles_of_wide = shape.pieces[StoreKind.WIDE]
    ring = [bytearray(rng.randbytes(beat)) for _ in range(shape.depth)]
    finished: list[bytes] = []
    current = bytearray()
    taken: list[int] = []

    def write(enable, address, value, clear):
        if clear:
            assert not enable and not address and not value
        raw, grain = value.to_bytes(beat, "little"), shape.grain_bytes
        for lane in range(beat // grain):
            if enable >> lane & 1:
                ring[address][lane * grain : (lane + 1) * grain] = raw[
                    lane * grain : (lane + 1) * grain]  # fmt: skip

    async def bench(ctx):
        nonlocal current
        todo, offered, left = list(words), False, 0
        read, ends, limit, safe, ended = 0, 0, 0, 0, 0
        for cycle in range(deadline):
            wide = bool(todo) and todo[0]["kind"] == StoreKind.WIDE
            if not offered and todo and rng.random() < p_in:
                # Wide words come when there is room, the last of a run when no end waits.
                free = not todo[0]["last"] or ends == len(finished)
                offered = free and (not wide or bool(ctx.get(dut.room)))
                left = cycles_of_wide
            ctx.set(dut.i.valid, offered)
            if offered:
                for name, value in todo[0].items():
                    ctx.set(dut.i.p[name], value)
            # What the limit says is so from the second cycle on.
            take = read != safe and rng.random() < p_out
            end = ended and read == limit
            ctx.set(dut.read, read)
            ctx.set(dut.end_taken, end)
            safe, limit, ended = limit, ctx.get(dut.limit), ctx.get(dut.ended) & ~end
            _, _, valid, ready, *written = await ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.write.enable, dut.write.address, dut.write.data,
                dut.write.clear)
            write(*written)
            if take:
                current += ring[read]
                read = (read + 1) % shape.depth
            if end:
                finished.append(bytes(current))
                current = bytearray()
            if valid and wide:
                left -= 1
                assert ready == (left == 0), "a wide word had to wait"
            if valid and ready:
                ends += todo.pop(0)["last"]
                offered = False
                taken.append(cycle)
            if len(finished) == runs and not todo:
                return
        raise AssertionError(f"{len(finished)} of {runs} runs after {deadline} cycles")

    simulate(dut, bench)
    return finished, taken


def stream_run(config, rng, count):
    """Return a run of activation words: what goes in and the bytes that come out."""
    array = config.array
    limit = 1 << array.mantissa_bits - 1
    mantissas = rng.integers(-limit, limit, (count, array.rows))
    exponents = rng.integers(0, array.window + 1, count)
    mask = (1 << array.mantissa_bits) - 1
    words = [
        {
            "mantissas": sum((int(value) & mask) << array.mantissa_bits * lane
                             for lane, value in enumerate(mantissas[index])),
            "wide": 0, "exponent": int(exponents[index]), "kind": StoreKind.STREAM,
            "last": index == count - 1,
        }
        for index in range(count)
    ]  # fmt: skip
    return words, pack_pages(config, mantissas, exponents)


def wide_run(config, rng, count):
    size = config.wide_word_bytes
    raw = rng.bytes(count * size)
    words = [
        {"mantissas": 0, "wide": int.from_bytes(raw[at * size : (at + 1) * size], "little"),
         "exponent": 0, "kind": StoreKind.WIDE, "last": at == count - 1}
        for at in range(count)
    ]  # fmt: skip
    return words, raw


def padded(config, raw):
    return raw + bytes(-len(raw) % config.bus.data_bytes)


@pytest.mark.parametrize("p_in, p_out", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.4), (0.5, 0.5)])
@pytest.mark.parametrize("rows, mantissa_bits", [(2, 8), (4, 16), (8, 8), (8, 11), (16, 8)])
@pytest.mark.parametrize("data_bytes", [1, 4, 16, 64])
def test_random(data_bytes, rows, mantissa_bits, p_in, p_out):
    config = make_config(rows=rows, columns=4, lanes=2, mantissa_bits=mantissa_bits,
                         data_bytes=data_bytes)  # fmt: skip
    rng = np.random.default_rng(rows)
    words, expected = [], []
    for _ in range(7):
        part, raw = (stream_run if rng.random() < 0.7 else wide_run)(
            config, rng, int(rng.integers(1, 3 * rows)))  # fmt: skip
        words += part
        expected.append(padded(config, raw))
    finished, _ = run(config, words, 7, seed=rows, p_in=p_in, p_out=p_out)
    assert finished == expected


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_a_page_ahead(name):
    """Pages follow each other at one beat per cycle, exponents included."""
    config = preset(name)
    count = 4 * config.array.rows
    words, raw = stream_run(config, np.random.default_rng(1), count)
    finished, taken = run(config, words, 1)
    assert finished == [raw]
    beats = len(raw) // config.bus.data_bytes
    exponents = beats // (count + 4)
    assert taken[-1] == beats - exponents  # all but the last exponents


def test_shape():
    """Two bursts, a page and the slack fit."""
    for name in ("tiny", "small", "ulx3s", "wide"):
        config = preset(name)
        shape = PageShape(config)
        page = (config.array.rows + 1) * max(1, config.array.word_bytes // config.bus.data_bytes)
        assert shape.depth >= 2 * config.bus.burst_beats + page + shape.slack
        assert shape.depth & (shape.depth - 1) == 0
