"""Entry: who gets in, and what the first row then sees."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.entry import Entry

from .array_bench import small_config


def offer(rng, config):
    """Return random payloads for the four ports."""
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
    }  # fmt: skip


def winners(valid, payload, single_port):
    """Return which ports enter, by the table in the architecture document, and the word that does.

    ``words_vector`` is what the entry sees of it: with a register, what came in the cycle before.
    """
    enter = {"words_vector": valid["words_vector"]}
    enter["words_load"] = valid["words_load"] and not valid["words_vector"]
    word = payload["words_vector" if valid["words_vector"] else "words_load"]
    column = (enter["words_vector"] or enter["words_load"]) and word["operand"]
    entered = enter["words_vector"] or enter["words_load"]
    enter["rows"] = valid["rows"] and not (entered if single_port else column)
    enter["control"] = valid["control"] and not (single_port and (column or enter["rows"]))
    return enter, word


def unpack(number, count):
    """Split into signed bytes."""
    return [((number >> 8 * index) + 128) % 256 - 128 for index in range(count)]


@pytest.mark.parametrize("single_port, short", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("shape, data_bytes", [((4, 4), 4), ((8, 2), 4), ((2, 4), 8)], ids=str)
def test_arbitration(shape, data_bytes, single_port, short):
    config = small_config(*shape, data_bytes=data_bytes, single_port=single_port, short=short)
    rng = np.random.default_rng(3)
    dut = Entry(config)
    seen = set()

    async def bench(ctx):
        came = False, offer(rng, config)["words_vector"]
        for _ in range(600):
            payload = offer(rng, config)
            valid = {name: bool(rng.random() < 0.6) for name in payload}
            # LOAD has one of the two.
            valid["rows" if rng.random() < 0.5 else "words_load"] = False
            for name, value in payload.items():
                ctx.set(getattr(dut, name).payload, value)
                ctx.set(getattr(dut, name).valid, valid[name])
            if not short:
                coming = valid["words_vector"], payload["words_vector"]
                valid["words_vector"], payload["words_vector"] = came
                came = coming
            enter, word = winners(valid, payload, single_port)
            if short:
                await ctx.delay(1e-9)
                ports = (dut.control.ready, dut.rows.ready, dut.words_load.ready)
                control, rows, load = (ctx.get(port) for port in ports)
            else:
                *_, control, rows, load = await ctx.tick().sample(
                    dut.control.ready, dut.rows.ready, dut.words_load.ready)
            readies = {"control": control, "rows": rows, "words_load": load, "words_vector": 1}
            for name in payload:
                assert (valid[name] and readies[name]) == enter[name], name
            seen.add(tuple(enter.values()))

            o, strobe = dut.o, dut.o.strobe
            entered = enter["words_vector"] or enter["words_load"]
            column = bool(entered and word["operand"])
            assert ctx.get(strobe.read) == enter["control"]
            assert ctx.get(strobe.row) == enter["rows"]
            assert ctx.get(strobe.column) == column
            assert ctx.get(strobe.word) == (entered and not word["operand"])
            tile = o.control.operand if single_port else o.tile
            if enter["control"]:
                for field, value in payload["control"].items():
                    assert ctx.get(o.control[field]) == value
            if enter["rows"]:
                assert ctx.get(tile) == payload["rows"]["tile"]
                assert ctx.get(o.group) == payload["rows"]["group"]
                weights = np.array(payload["rows"]["data"]).ravel()
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
