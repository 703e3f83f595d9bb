"""ArrayRow and ExponentRow: banks, both kinds of write, the bus to the next row."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.access import access
from systolith_hw.array.exponent import ExponentRow
from systolith_hw.array.row import ArrayRow, sums_latency

from .array_bench import small_config

CONFIGS = [
    ((4, 4), 1, {}),
    ((4, 2), 0, {"single_port": True}),
    ((4, 2), 3, {"data_bytes": 4}),
    ((2, 4), 1, {"data_bytes": 8, "mantissa_bits": 11}),
    ((8, 2), 5, {"data_bytes": 4, "distributed": True}),
    ((8, 2), 2, {"short": True}),
    ((8, 2), 5, {"short": True}),
    ((8, 2), 7, {"short": True, "single_port": True}),
    ((4, 4), 2, {"vector_rows": 2, "lanes": 2}),
    ((4, 4), 1, {"vector_rows": 2, "lanes": 1, "data_bytes": 8, "single_port": True}),
    ((8, 2), 6, {"vector_rows": 2, "data_bytes": 8}),
    ((2, 2), 0, {"tiles": 2050}),  # two memories of weights, one above the other
]


def random_access(rng, config, row) -> dict[str, Any]:
    """Return one cycle's accesses that keep the rules of the entry, as plain data."""
    array, memory = config.array, config.memory
    tiles = [*range(min(memory.operand_tiles, 8)), *range(2046, memory.operand_tiles)]
    read, word = rng.random(2) < 0.6
    kind = rng.choice(["row", "column", "none"])
    if memory.operand_single_port and kind != "none":
        read = word = False
    low = -(1 << array.mantissa_bits - 1)
    fields: dict[str, Any] = {
        "strobe": {"read": int(read), "row": int(kind == "row"), "column": int(kind == "column"),
                   "word": int(word and kind != "column")},
        "control": {"operand": int(rng.choice(tiles)),
                    "activation": int(rng.integers(0, memory.activation_words)),
                    "last": int(rng.integers(0, 2))},
        "word": int(rng.integers(0, memory.activation_words)),
        "exponent": int(rng.integers(0, array.window + 1)),
    }  # fmt: skip
    if row < array.rows:
        shape = (config.write_rows, array.columns)
        fields |= {
            "group": int(rng.integers(0, array.rows // config.write_rows)),
            "lane": int(rng.integers(0, array.columns)),
            "data": rng.integers(-128, 128, shape).tolist(),
            "mantissas": rng.integers(low, -low, array.rows - row).tolist(),
            "tile": int(rng.choice(tiles)),
            "slots": int(rng.integers(0, 1 << config.write_rows)),
            "parts": int(rng.integers(0, 1 << config.beats_per_result)),
        }
        if memory.operand_single_port:  # all rows' mantissas, and control's address
            fields["mantissas"] = rng.integers(low, -low, array.rows).tolist()
            fields["tile"] = fields["control"]["operand"]
    return fields


def pack(values, width):
    return sum((value & (1 << width) - 1) << index * width for index, value in enumerate(values))


def bits(config, row, fields):
    """Return the fields as one number; arrays become the plain bits that they are on the bus."""
    layout: Any = access(config, row)
    if row < config.array.rows:
        fields = fields | {
            "data": pack(np.array(fields["data"]).ravel().tolist(), 8),
            "mantissas": pack(fields["mantissas"], config.array.mantissa_bits),
        }
        if config.memory.operand_single_port and not fields["strobe"]["row"]:
            fields["data"] = fields["mantissas"]
    return layout.const({name: fields[name] for name in layout.members}).as_value().value


@pytest.mark.parametrize("shape, index, options", CONFIGS, ids=str)
def test_row(shape, index, options):
    config = small_config(*shape, **{"tiles": 5, "words": 6, **options})
    array, memory = config.array, config.memory
    rng = np.random.default_rng(index)
    dut = ArrayRow(config, index)
    own = index if memory.operand_single_port else 0
    ends_stage = (index + 1) % config.rows_per_stage == 0
    if config.short_pipelines:
        latency = 3 if ends_stage and index < array.rows - 1 else 2
    else:
        latency = 6 if ends_stage else 4
    assert index < array.rows - 1 or latency == sums_latency(config)
    weights = np.zeros((memory.operand_tiles, array.columns), int)
    mantissas = np.zeros(memory.activation_words, int)
    expected = []  # per cycle: the products that were read, or None
    values: dict[str, list] = {"i_products": [], "i_sums": []}  # per cycle: what came from above
    products_join = -1 if config.short_pipelines else -2

    async def bench(ctx):
        for cycle in range(600):
            now = random_access(rng, config, index)
            strobe, control = now["strobe"], now["control"]
            wrote_tile = strobe["row"] or strobe["column"]
            collides = wrote_tile and now["tile"] == control["operand"]
            collides |= strobe["word"] and now["word"] == control["activation"]
            defined = strobe["read"] and not collides
            product = weights[control["operand"]] * mantissas[control["activation"]]
            expected.append(product.copy() if defined else None)
            if strobe["row"] and now["group"] == index // config.write_rows:
                slot = index % config.write_rows
                written = np.ones(array.columns, bool)
                if config.vector.rows:
                    parts = now["parts"] >> np.arange(array.columns) // config.vector.lanes & 1
                    written = (now["slots"] >> slot & parts).astype(bool)
                weights[now["tile"], written] = np.array(now["data"][slot])[written]
            if strobe["column"]:
                weights[now["tile"], now["lane"]] = (now["mantissas"][own] + 128) % 256 - 128
            if strobe["word"]:
                mantissas[now["word"]] = now["mantissas"][own]

            ctx.set(dut.i.as_value(), bits(config, index, now))
            for name in ("i_products",) * (index % 2) + ("i_sums",) * (index % 2 and index > 1):
                limit = 1 << array.product_bits - 2
                values[name].append(rng.integers(-limit, limit, array.columns))
                ctx.set(getattr(dut, name), values[name][-1].tolist())
            await ctx.tick()

            if not memory.operand_single_port:
                now["mantissas"] = now["mantissas"][1:]
            assert ctx.get(dut.o.as_value()) == bits(config, index + 1, now)
            read = cycle + 1 - latency
            if read >= 0 and expected[read] is not None:
                o = dut.o_sums if index % 2 else dut.o_products
                # What comes from above joins in the last cycle of the latency, products in the
                # one before if there is a register.
                above = sum(values["i_sums"][-1:]) + sum(values["i_products"][products_join:][:1])
                sums = [ctx.get(o[column]) for column in range(array.columns)]
                assert sums == (expected[read] + above).tolist()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    assert sum(product is not None for product in expected) > 50


@pytest.mark.parametrize("short", [False, True])
def test_exponents(short):
    config = small_config(4, 4, words=6, window=11, short=short)
    rng = np.random.default_rng(0)
    dut = ExponentRow(config)
    exponents = np.zeros(6, int)
    expected = []
    assert dut.latency == sums_latency(config) == (2 if short else 6)

    async def bench(ctx):
        for cycle in range(300):
            now = random_access(rng, config, config.array.rows)
            strobe, control = now["strobe"], now["control"]
            collides = strobe["word"] and now["word"] == control["activation"]
            expected.append((strobe["read"], control["last"],
                             None if collides else exponents[control["activation"]]))
            if strobe["word"]:
                exponents[now["word"]] = now["exponent"]
            ctx.set(dut.i.as_value(), bits(config, config.array.rows, now))
            await ctx.tick()
            read = cycle + 1 - dut.latency
            if read >= 0:
                valid, last, exponent = expected[read]
                assert ctx.get(dut.valid) == valid
                assert ctx.get(dut.last) == last
                assert exponent is None or ctx.get(dut.exponent) == exponent

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
