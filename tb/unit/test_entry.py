"""Entry: who gets in, and what the first row then sees."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.entry import Entry

from .array_bench import small_config


def offer(rng, config):
    """Return random payloads for all ports."""
    array, memory = config.array, config.memory

    def word(operand):
        depth = memory.operand_tiles if operand else memory.activation_words
        return {
            "operand": operand, "address": int(rng.integers(0, depth)),
            "lane": int(rng.integers(0, array.columns)),
            "word": {"mantissas": rng.integers(-128, 128, array.rows).tolist(),
                     "exponent": int(rng.integers(0, array.window + 1))},
        }  # fmt: skip

    return {
        "control": {"operand": int(rng.integers(0, memory.operand_tiles)), "last": 1,
                    "activation": int(rng.integers(0, memory.activation_words))},
        "rows": {"tile": int(rng.integers(0, memory.operand_tiles)),
                 "group": int(rng.integers(0, array.rows // config.write_rows)),
                 "data": rng.integers(-128, 128, (config.write_rows, array.columns)).tolist()},
        "words_load": word(int(rng.integers(0, 2))),
        "words_vector": word(int(rng.integers(0, 2))),
        **({"lane_writes": {
            "tile": int(rng.integers(0, memory.operand_tiles)),
            "row": int(rng.integers(0, array.rows)),
            "part": int(rng.integers(0, config.beats_per_result)),
            "data": rng.integers(-128, 128, config.vector.lanes).tolist(),
        }} if config.vector.rows else {}),
    }  # fmt: skip


def winners(valid, payload, single_port):
    """Return which ports enter, by the table in the architecture document, and the word that does.

    What the vector unit offers is what the entry sees of it: with a register, what came in the
    cycle before.
    """
    lanes = valid.get("lane_writes", False)
    enter = {"words_vector": valid["words_vector"], "lane_writes": lanes}
    enter["words_load"] = valid["words_load"] and not valid["words_vector"] and not lanes
    word = payload["words_vector" if valid["words_vector"] else "words_load"]
    column = (enter["words_vector"] or enter["words_load"]) and word["operand"]
    entered = enter["words_vector"] or enter["words_load"]
    enter["rows"] = valid["rows"] and not lanes and not (entered if single_port else column)
    writes = column or lanes or enter["rows"]
    enter["control"] = valid["control"] and not (single_port and writes)
    return enter, word


def unpack(number, count):
    """Split into signed bytes."""
    return [((number >> 8 * index) + 128) % 256 - 128 for index in range(count)]


def lane_row(config, lanes):
    """Return what the first row sees of the vector unit's lanes."""
    group, slot = divmod(lanes["row"], config.write_rows)
    copies = config.write_rows * config.beats_per_result
    return {"tile": lanes["tile"], "group": group, "data": lanes["data"] * copies}, (
        1 << slot, 1 << lanes["part"])  # fmt: skip


@pytest.mark.parametrize(
    "single_port, short, vector_rows",
    [(False, False, 0), (True, False, 0), (True, True, 0), (False, False, 2), (True, False, 2)],
)
@pytest.mark.parametrize("shape, data_bytes", [((4, 4), 4), ((8, 2), 4), ((2, 4), 8)], ids=str)
def test_arbitration(shape, data_bytes, single_port, short, vector_rows):
    config = small_config(
        *shape, data_bytes=data_bytes, single_port=single_port, short=short, lanes=2,
        vector_rows=vector_rows,
    )  # fmt: skip
    rng = np.random.default_rng(3)
    dut = Entry(config)
    seen = set()

    async def bench(ctx):
        names = ("words_vector", "lane_writes") if vector_rows else ("words_vector",)
        came = {name: (False, value) for name, value in offer(rng, config).items() if name in names}
        for _ in range(600):
            payload = offer(rng, config)
            valid = {name: bool(rng.random() < 0.6) for name in payload}
            # LOAD has one of the two, and so has the vector unit.
            valid["rows" if rng.random() < 0.5 else "words_load"] = False
            if vector_rows:
                valid[str(rng.choice(names))] = False
            for name, value in payload.items():
                ctx.set(getattr(dut, name).payload, value)
                ctx.set(getattr(dut, name).valid, valid[name])
            if not short:
                coming = {name: (valid[name], payload[name]) for name in names}
                for name in names:
                    valid[name], payload[name] = came[name]
                came = coming
            enter, word = winners(valid, payload, single_port)
            if short:
                await ctx.delay(1e-9)
                ports = (dut.control.ready, dut.rows.ready, dut.words_load.ready)
                control, rows, load = (ctx.get(port) for port in ports)
            else:
                *_, control, rows, load = await ctx.tick().sample(
                    dut.control.ready, dut.rows.ready, dut.words_load.ready)
            readies = {"control": control, "rows": rows, "words_load": load}
            readies |= dict.fromkeys(names, 1)
            for name in payload:
                assert (valid[name] and readies[name]) == enter[name], name
            seen.add(tuple(enter.values()))

            o, strobe = dut.o, dut.o.strobe
            entered = enter["words_vector"] or enter["words_load"]
            column = bool(entered and word["operand"])
            assert ctx.get(strobe.read) == enter["control"]
            assert ctx.get(strobe.row) == (enter["rows"] or enter["lane_writes"])
            assert ctx.get(strobe.column) == column
            assert ctx.get(strobe.word) == (entered and not word["operand"])
            tile = o.control.operand if single_port else o.tile
            if enter["control"]:
                for field, value in payload["control"].items():
                    assert ctx.get(o.control[field]) == value
            if enter["rows"] or enter["lane_writes"]:
                row = payload["rows"]
                written = (1 << config.write_rows) - 1, (1 << config.beats_per_result) - 1
                if enter["lane_writes"]:
                    row, written = lane_row(config, payload["lane_writes"])
                if vector_rows:
                    assert (ctx.get(o.slots), ctx.get(o.parts)) == written
                assert ctx.get(tile) == row["tile"]
                assert ctx.get(o.group) == row["group"]
                weights = np.array(row["data"]).ravel()
                assert unpack(ctx.get(o.data), len(weights)) == weights.tolist()
            if column:
                assert ctx.get(tile) == word["address"]
                assert ctx.get(o.lane) == word["lane"]
            if entered:
                mantissas = ctx.get(o.data if single_port else o.mantissas)
                assert unpack(mantissas, shape[0]) == word["word"]["mantissas"]
            if entered and not column:
                assert ctx.get(o.word) == word["address"]
                assert ctx.get(o.exponent) == word["word"]["exponent"]

    sim = Simulator(dut)
    if not short:
        sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    assert len(seen) >= (6 if single_port else 8)
