"""ArrayRow and ExponentRow: banks, both kinds of write, the bus to the next row."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.access import access
from systolith_hw.array.exponent import ExponentRow
from systolith_hw.array.row import ArrayRow

from .array_bench import small_config

CONFIGS = [
    ((4, 4), 1, {}),
    ((4, 2), 0, {"single_port": True}),
    ((4, 2), 3, {"data_bytes": 4}),
    ((2, 4), 1, {"data_bytes": 8, "mantissa_bits": 11}),
    ((8, 2), 5, {"data_bytes": 4, "distributed": True}),
]


def random_access(rng, config, row):
    """Return one cycle's accesses that keep the rules of the entry, as plain data."""
    array, memory = config.array, config.memory
    read, word = rng.random(2) < 0.6
    kind = rng.choice(["row", "column", "none"])
    if memory.operand_single_port and kind != "none":
        read = False
    low = -(1 << array.mantissa_bits - 1)
    fields = {
        "strobe": {"read": int(read), "row": int(kind == "row"), "column": int(kind == "column"),
                   "word": int(word and kind != "column")},
        "control": {"operand": int(rng.integers(0, memory.operand_tiles)),
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
        }
        if not memory.operand_single_port:
            fields["tile"] = int(rng.integers(0, memory.operand_tiles))
    return fields


def pack(values, width):
    return sum((value & (1 << width) - 1) << index * width for index, value in enumerate(values))


def bits(config, row, fields):
    """Return the fields as one number; arrays become the plain bits that they are on the bus."""
    array = config.array
    layout: Any = access(config, row)
    if row < array.rows:
        weights = np.array(fields["data"]).ravel().tolist()
        fields = fields | {
            "data": pack(weights, 8),
            "mantissas": pack(fields["mantissas"], array.mantissa_bits),
        }
    return layout.const(fields).as_value().value


@pytest.mark.parametrize("shape, index, options", CONFIGS, ids=str)
def test_row(shape, index, options):
    config = small_config(*shape, tiles=5, words=6, **options)
    array, memory = config.array, config.memory
    rng = np.random.default_rng(index)
    dut = ArrayRow(config, index)
    weights = np.zeros((memory.operand_tiles, array.columns), int)
    mantissas = np.zeros(memory.activation_words, int)
    expected = []  # per cycle: the products that were read, or None

    async def bench(ctx):
        above = np.zeros(array.columns, int)
        aboves = []
        for cycle in range(600):
            now = random_access(rng, config, index)
            strobe, control = now["strobe"], now["control"]
            written = now.get("tile", control["operand"])
            wrote_tile = strobe["row"] or strobe["column"]
            collides = wrote_tile and written == control["operand"]
            collides |= strobe["word"] and now["word"] == control["activation"]
            defined = strobe["read"] and not collides
            product = weights[control["operand"]] * mantissas[control["activation"]]
            expected.append(product.copy() if defined else None)
            if strobe["row"] and now["group"] == index // config.write_rows:
                weights[written] = now["data"][index % config.write_rows]
            if strobe["column"]:
                weights[written, now["lane"]] = (now["mantissas"][0] + 128) % 256 - 128
            if strobe["word"]:
                mantissas[now["word"]] = now["mantissas"][0]

            ctx.set(dut.i.as_value(), bits(config, index, now))
            if index:
                limit = index << array.product_bits - 2
                above = rng.integers(-limit, limit, array.columns)
                ctx.set(dut.i_sums, above.tolist())
            aboves.append(above)
            await ctx.tick()

            after = {name: value for name, value in now.items()
                     if name in access(config, index + 1).members}  # fmt: skip
            if "mantissas" in after:
                after["mantissas"] = now["mantissas"][1:]
            assert ctx.get(dut.o.as_value()) == bits(config, index + 1, after)
            read = cycle + 1 - ArrayRow.latency
            if read >= 0 and expected[read] is not None:
                sums = [ctx.get(dut.o_sums[column]) for column in range(array.columns)]
                # The sums from above join in the last cycle of the latency.
                assert sums == (expected[read] + aboves[-1]).tolist()

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    assert sum(product is not None for product in expected) > 50


def test_exponents():
    config = small_config(4, 4, words=6, window=11)
    rng = np.random.default_rng(0)
    dut = ExponentRow(config)
    exponents = np.zeros(6, int)
    expected = []

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
            read = cycle + 1 - ExponentRow.latency
            if read >= 0:
                valid, last, exponent = expected[read]
                assert ctx.get(dut.valid) == valid
                assert ctx.get(dut.last) == last
                assert exponent is None or ctx.get(dut.exponent) == exponent

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
