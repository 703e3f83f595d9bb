"""The codec of LOAD against its golden model: random runs of codes and weights, random stalls."""

import random

import numpy as np
import pytest
from amaranth import Const
from amaranth.back import verilog
from amaranth.sim import Simulator

from systolith_hw.code_pages import CodePage, code_pages
from systolith_hw.config import ConfigError
from systolith_hw.dma.codec import LATENCY, Codec
from systolith_hw.isa import LoadKind
from systolith_hw.presets import PRESETS
from systolith_sim.dma.codec import EXPAND, GROUP, expand_run, pack_runs

from .dma_bench import Held, make_config

SHAPES = {  # rows, columns, port: row writes of 1, 1, 2, 4, 8, 16 and 32 rows
    "a beat is half an element": (4, 8, 2),
    "smallest": (2, 2, 1),
    "two rows": (8, 8, 8),
    "four rows": (4, 4, 8),
    "eight rows": (16, 8, 32),
    "the whole array": (16, 4, 128),
    "a whole group": (64, 2, 64),
}


def config_of(shape):
    rows, columns, port = SHAPES[shape]
    return make_config(rows=rows, columns=columns, lanes=2, data_bytes=port, codecs=True)


def random_codes(page: CodePage, rows: int, rng):
    """Return codes, parameters and the weights that they stand for; extremes are not rare."""
    columns, groups = page.config.array.columns, -(-rows // GROUP)
    codes = rng.choice([0, 15, *range(16)], (rows, columns))
    size = groups, columns
    if page.kind == LoadKind.OPERAND_EXPONENT:
        parameters = [rng.integers(0, 16, size)]
    else:
        parameters = [rng.choice([0, 255, *range(256)], size),
                      rng.choice([-128, 127, *range(-128, 128)], size)]  # fmt: skip
    wide = (np.repeat(parameter, GROUP, axis=0)[:rows] for parameter in parameters)
    return codes, parameters, EXPAND[page.kind](codes, *wide)


def packed(page, codes, parameters) -> bytes:
    """Return one run."""
    return pack_runs(page, codes[None], [part[None] for part in parameters]).tobytes()


def placed(config, part: bytes, other: bytes) -> bytes:
    """Return an element whose one half is ``part``: the last of its two, if beats are no more."""
    return other + part if config.bus.data_bytes <= len(part) else part + other


def random_run(config, rng, kind, elements):
    """Return what enters of a run, (bits, mark), and the weights (elements, W, C) that leave."""
    shape = elements, config.write_rows, config.array.columns
    if kind == LoadKind.OPERAND_ROWS:
        weights = rng.integers(-128, 128, shape)
        raw = weights.astype(np.int8).reshape(elements, -1)
        return [(row.tobytes(), {}) for row in raw], weights
    page = code_pages(config)[kind]
    codes, parameters, weights = random_codes(page, elements * config.write_rows, rng)
    raw = packed(page, codes, parameters)
    assert len(raw) == page.run_bytes(elements)
    size = page.element_bytes
    name = "affine" if kind == LoadKind.OPERAND_AFFINE else "exponent"
    entering = []
    for index in range(len(raw) // size):
        header = index % (page.header + page.elements) < page.header
        # What the other half holds is of no account.
        other = rng.integers(0, 256, size).astype(np.uint8).tobytes()
        part = raw[index * size : (index + 1) * size]
        entering.append((placed(config, part, other), {name: 1, "header": int(header)}))
    return entering, weights.reshape(shape)


def stream(config, seed, runs):
    """Return what enters, and what must leave: (bits of the row, inner post, outer post)."""
    rng = np.random.default_rng(seed)
    entering, leaving = [], []
    kinds = [LoadKind.OPERAND_ROWS, *code_pages(config)]
    for _ in range(runs):
        kind = kinds[rng.integers(3)]
        pages = code_pages(config).get(kind)
        most = 3 * pages.elements if pages else 8
        part, weights = random_run(config, rng, kind, int(rng.integers(1, most + 1)))
        rows = iter(weights)
        for raw, mark in part:
            posts = rng.integers(0, 32, 2).tolist()
            tile, group = int(rng.integers(0, 41)), int(rng.integers(0, 2))
            entering.append((int.from_bytes(raw, "little"), mark, tile, group, posts))
            if not mark.get("header"):
                leaving.append((next(rows).tolist(), tile, group, posts))
    return entering, leaving


def run(config, entering, seed, p_valid, p_ready, deadline=20_000):
    """Send elements through a Codec; return (cycle, row) of what leaves, and cycles of entering."""
    rng = random.Random(seed)
    dut = Codec(config)
    left, accepted = [], []
    held = Held()

    async def bench(ctx):
        todo = list(entering)
        offered, cycle = False, 0
        while todo or ctx.get(dut.busy):
            offered = bool(todo) and (offered or rng.random() < p_valid)
            ctx.set(dut.i.valid, offered)
            if offered:
                data, mark, tile, group, (inner, outer) = todo[0]
                row = dut.i.p.row
                ctx.set(row.data.as_value(), data)
                ctx.set(row.tile, tile)
                ctx.set(row.group, group)
                for name in ("affine", "exponent", "header"):
                    ctx.set(dut.i.p.mark[name], mark.get(name, 0))
                ctx.set(dut.i.p.mark.post_inner.as_value(), inner)
                ctx.set(dut.i.p.mark.post_outer.as_value(), outer)
            ctx.set(dut.o.ready, rng.random() < p_ready)
            *_, enters, valid, ready, row, inner_valid, inner, outer_valid, outer = (
                await ctx.tick().sample(
                    dut.i.valid & dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload,
                    dut.posted_inner.valid, dut.posted_inner.id,
                    dut.posted_outer.valid, dut.posted_outer.id,
                )
            )  # fmt: skip
            if enters:
                todo.pop(0)
                accepted.append(cycle)
                offered = False
            held(valid, ready, row)
            if valid and ready:
                rows = [list(weights) for weights in row.data]
                posts = [(inner_valid, inner), (outer_valid, outer)]
                left.append((cycle, rows, row.tile, row.group, posts))
            else:
                assert not inner_valid and not outer_valid, "a post without a write"
            cycle += 1
            assert cycle < deadline, f"not done after {deadline} cycles"

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return left, accepted


def check(left, leaving):
    assert len(left) == len(leaving)
    for (_, rows, tile, group, posts), (weights, *place, fields) in zip(left, leaving, strict=True):
        assert rows == weights
        assert [tile, group] == place
        for (valid, number), field in zip(posts, fields, strict=True):
            assert valid == field >> 4
            assert not valid or number == field & 15


def random_streams(shape, p_valid, p_ready, seed, runs=6):
    config = config_of(shape)
    entering, leaving = stream(config, seed, runs)
    left, _ = run(config, entering, seed, p_valid, p_ready)
    check(left, leaving)


@pytest.mark.parametrize("p_valid, p_ready", [(1, 1), (0.5, 1), (1, 0.4), (0.6, 0.5)])
@pytest.mark.parametrize("shape", SHAPES)
def test_random(shape, p_valid, p_ready):
    random_streams(shape, p_valid, p_ready, len(shape))


@pytest.mark.parametrize("shape", ["a beat is half an element", "two rows"])
def test_rate_and_latency(shape):
    """An element per cycle; headers are the only gaps."""
    config = config_of(shape)
    entering, leaving = stream(config, 1, 6)
    left, accepted = run(config, entering, 1, 1, 1)
    assert accepted == list(range(accepted[0], accepted[0] + len(entering)))
    written = [cycle for cycle, (_, mark, *_) in zip(accepted, entering, strict=True)
               if not mark.get("header")]  # fmt: skip
    assert [cycle for cycle, *_ in left] == [cycle + LATENCY for cycle in written]
    assert len(left) == len(leaving)


@pytest.mark.parametrize("kind", [LoadKind.OPERAND_AFFINE, LoadKind.OPERAND_EXPONENT])
def test_every_product(kind):
    """All codes with all parameters: 16 of 32 rows hold each code, columns each slope."""
    config = make_config(rows=16, columns=16, lanes=2, data_bytes=8, codecs=True)
    page = code_pages(config)[kind]
    rng = np.random.default_rng(3)
    entering, leaving = [], []
    for _ in range(8):
        rows = 2 * GROUP
        codes = np.arange(rows)[:, None].repeat(16, axis=1) % 16
        size = (2, 16)
        parameters = ((rng.integers(0, 16, size),) if kind == LoadKind.OPERAND_EXPONENT else
                      (rng.integers(0, 256, size), rng.integers(-128, 128, size)))  # fmt: skip
        raw = packed(page, codes, parameters)
        expected = expand_run(page, raw, rows // config.write_rows)
        size_bytes, name = page.element_bytes, kind.name.split("_")[1].lower()
        for index in range(len(raw) // size_bytes):
            header = index % (page.header + page.elements) < page.header
            part = raw[index * size_bytes : (index + 1) * size_bytes]
            bits = int.from_bytes(placed(config, part, bytes(size_bytes)), "little")
            entering.append((bits, {name: 1, "header": int(header)}, 0, 0, [0, 0]))
        leaving += [(row.tolist(), 0, 0, [0, 0])
                    for row in expected.reshape(-1, config.write_rows, 16)]  # fmt: skip
    left, _ = run(config, entering, 0, 1, 1)
    check(left, leaving)


@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_of_pages(shape):
    """Parameters fill whole elements, and no bit is lost."""
    config = config_of(shape)
    for page in code_pages(config).values():
        assert page.rows % GROUP == 0
        assert page.elements * config.write_rows == page.rows
        size = page.run_bytes(page.elements)
        weights = page.rows * config.array.columns
        bits = 4.5 if page.kind == LoadKind.OPERAND_AFFINE else 4.125
        assert size * 8 == bits * weights
        assert page.run_bytes(1) == (page.header + 1) * page.element_bytes


@pytest.mark.parametrize("settings", [{"short_pipelines": True}, {"sequencer.queue_depth": 1}])
def test_small_cores_have_none(settings):
    config = PRESETS["small"].replace({"vector.rows": 0})
    with pytest.raises(ConfigError, match="bus.codecs must be false with short_pipelines or a"):
        config.replace({**settings, "bus.codecs": True})
    assert code_pages(config) == {}


def test_emits_without_multipliers():
    dut = Codec(PRESETS["small"].replace({"bus.codecs": True}))
    ports = [
        value.as_value() if hasattr(value, "as_value") else value
        for _, _, value in dut.signature.flatten(dut) if not isinstance(value, Const)
    ]  # fmt: skip
    text = verilog.convert(dut, name="codec", ports=ports, emit_src=False)
    assert "module codec" in text and " * " not in text
