"""Turnstile: whole blocks, in turn, and none that could be held up."""

from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, VectorConfig
from systolith_hw.vector.operation import Operation
from systolith_hw.vector.turnstile import Turnstile

CONFIG = Config(
    array=ArrayConfig(rows=8, columns=8, output_depth=32), vector=VectorConfig(lanes=2, rows=16)
)
CREDITS, ADDITION, FLIGHT, NUMBER_FLIGHT, WIDE_FLIGHT = 18, 5, 9, 7, 6
FLIGHTS = {
    "numbers_written": NUMBER_FLIGHT, "row_written": FLIGHT, "wide_written": WIDE_FLIGHT,
}
SHARED_WORDS = 16


def some_blocks(rng, row_unit, count, without_sums=0.0):
    """Return blocks of beats; ``scale`` numbers the beats of a unit.

    So many of VECTOR's that are a single beat take no sums.
    """
    blocks, number = [], 0
    for _ in range(count):
        size = int(rng.choice([1, 2, 4, 64], p=[0.4, 0.25, 0.3, 0.05]))
        centre = int(rng.integers(2)) if row_unit else 0
        flags = {
            "row_unit": row_unit,
            "centre": centre,
            "add": 1 - centre if row_unit else int(rng.integers(2)),
            "to_wide": int(rng.integers(2)),
        }
        shared, room = (0 if row_unit else int(rng.integers(2)) for _ in range(2))
        words = int(rng.integers(1, min(size, SHARED_WORDS) + 1)) if shared else 1
        block: list[dict] = []
        passes = (Operation.STRAIGHT, Operation.ACROSS) if rng.random() < 0.3 else (0,)
        flags["results"] = int(not row_unit and (size > 1 or rng.random() >= without_sums))
        for place in range(size):
            for turn in passes:
                more = int(rng.integers(64)) if block else size - 1
                last = place == size - 1 and turn == passes[-1]
                block.append(flags | {
                    "scale": number % 512, "block_end": last, "more": more, "operation": turn,
                    "shared": shared, "room": room, "to_stream": room & (turn == passes[-1]),
                    "end": turn == passes[-1] and place >= size - words,
                })  # fmt: skip
                number += 1
        blocks.append(block)
    return blocks


def takes_sums(beat):
    """Return whether a beat takes sums: the first of two passes leaves them, SAMPLE has none."""
    return beat["results"] and beat["operation"] != Operation.STRAIGHT


def run(vector, row, *, p_in=1.0, p_ready=1.0, p_sum=1.0, p_free=1.0, seed=0, limit=20_000):
    """Send the blocks through; return what was taken when, and check what holds in every cycle."""
    dut = Turnstile(
        CONFIG, credits=CREDITS, addition=ADDITION, flight=FLIGHT, number_flight=NUMBER_FLIGHT,
        wide_flight=WIDE_FLIGHT,
    )
    rng = np.random.default_rng(seed)
    vector_beats = [(beat, place == 0) for block in vector for place, beat in enumerate(block)]
    row_beats = [beat for block in row for beat in block]
    log = SimpleNamespace(beats=[], cycles=[], waits=[0, 0])

    async def bench(ctx):
        sums = sum(takes_sums(beat) for beat, _ in vector_beats)
        arrived, entered, streams, freed = 0, 0, 0, 0
        at, offering = [0, 0], [False, False]
        adds: set[int] = set()
        last_write = {"numbers_written": -1000, "row_written": -1000, "wide_written": -1000}
        held = None
        for cycle in range(limit):
            for unit, (port, beats) in enumerate(
                ((dut.vector, vector_beats), (dut.row, row_beats))
            ):
                # Blocks do not wait once they have begun.
                begun = at[unit] and not (
                    vector_beats[at[unit] - 1][0] if unit == 0 else row_beats[at[unit] - 1]
                )["block_end"]  # fmt: skip
                offering[unit] = at[unit] < len(beats) and (
                    offering[unit] or begun or rng.random() < p_in
                )
                ctx.set(port.valid, offering[unit])
                if offering[unit]:
                    beat = beats[at[unit]]
                    ctx.set(port.payload, beat[0] if unit == 0 else beat)
            # No more than the array's FIFO holds.
            comes = sums > 0 and arrived - entered < 32 * 4 and rng.random() < p_sum
            frees = freed < streams - 1 and rng.random() < p_free
            ctx.set(dut.arrived, comes)
            ctx.set(dut.freed, frees)
            ctx.set(dut.o.ready, rng.random() < p_ready)
            for name, last in last_write.items():
                flight = FLIGHTS[name]
                if last < cycle <= last + flight:
                    assert not ctx.get(getattr(dut, name))
            log.waits[0] += ctx.get(dut.events.wait_result)
            log.waits[1] += ctx.get(dut.events.wait_store)
            adding = ctx.get(dut.adding)
            assert adding == (cycle - ADDITION in adds)
            if ctx.get(dut.o.valid):
                beat = ctx.get(dut.o.payload)
                assert held in (None, beat.as_bits()), "an offer must not change"
                held = beat.as_bits()
                assert not (beat.centre and adding), "two read wide memory"
                if ctx.get(dut.o.ready):
                    held = None
                    log.beats.append(beat)
                    log.cycles.append(cycle)
                    if beat.add:
                        adds.add(cycle)
                    if beat.to_best or beat.to_sampler:
                        last_write["numbers_written"] = cycle
                    if beat.to_wide:
                        last_write["row_written" if beat.row_unit else "wide_written"] = cycle
            else:
                assert held is None or adding, "an offer must stay"
            if offering[0] and ctx.get(dut.vector.ready):
                beat, first = vector_beats[at[0]]
                if first:
                    enough = arrived - entered > beat["more"] or not beat["results"]
                    assert enough, "sums may not come"
                    words = SHARED_WORDS if beat["shared"] else 1
                    assert not beat["room"] or streams + words - freed <= CREDITS, "no room"
                streams += beat["to_stream"] and beat["end"]
                entered += takes_sums(beat)
                at[0], offering[0] = at[0] + 1, False
            if offering[1] and ctx.get(dut.row.ready):
                at[1], offering[1] = at[1] + 1, False
            arrived, sums, freed = arrived + comes, sums - comes, freed + frees
            if len(log.beats) == len(vector_beats) + len(row_beats):
                break
            await ctx.tick()
        else:
            raise AssertionError(f"{len(log.beats)} beats after {cycle} cycles")
        await ctx.tick()
        ctx.set(dut.freed, 0)
        ctx.set(dut.vector.valid, 0)
        ctx.set(dut.row.valid, 0)
        for _ in range(streams - freed):
            assert not ctx.get(dut.empty)
            ctx.set(dut.freed, 1)
            await ctx.tick()
        ctx.set(dut.freed, 0)
        assert ctx.get(dut.empty)
        await ctx.tick().repeat(FLIGHT + 1)
        assert all(ctx.get(getattr(dut, name)) for name in last_write)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return log


def check(vector, row, log):
    """All beats have come, in their order, and nothing inside another one's block."""
    rest = {0: [block[:] for block in vector], 1: [block[:] for block in row]}
    inside = None
    for beat in log.beats:
        unit = beat.row_unit
        assert inside in (None, unit), "a block was cut"
        wanted = rest[unit][0].pop(0)
        assert {name: beat[name] for name in wanted} == wanted
        inside = None if beat.block_end else unit
        if beat.block_end:
            assert not rest[unit].pop(0)
    assert not rest[0] and not rest[1]


def units(log):
    """Return whose blocks came, V or R for each."""
    return "".join("VR"[beat.row_unit] for beat in log.beats if beat.block_end)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("p_in, p_ready, p_sum, p_free", [
    (1, 1, 1, 1), (0.5, 1, 1, 1), (1, 0.5, 1, 1), (1, 1, 0.3, 1), (1, 1, 1, 0.02),
    (0.6, 0.6, 0.6, 0.1),
])  # fmt: skip
def test_blocks(p_in, p_ready, p_sum, p_free, seed):
    rng = np.random.default_rng(seed)
    vector, row = some_blocks(rng, 0, 60, 0.3), some_blocks(rng, 1, 60)
    log = run(vector, row, p_in=p_in, p_ready=p_ready, p_sum=p_sum, p_free=p_free, seed=seed)
    check(vector, row, log)


def alike(blocks, **changes):
    return [[beat | changes for beat in block] for block in blocks]


def test_in_turn_without_gaps():
    rng = np.random.default_rng(1)
    vector = alike(some_blocks(rng, 0, 40), room=0, to_stream=0, add=0, operation=0)
    row = alike(some_blocks(rng, 1, 40), add=0)
    log = run([block[:1] for block in alike(vector, more=0, block_end=1)], row)
    assert units(log)[:40] == "RV" * 20  # no sums are there at first
    assert np.all(np.diff(log.cycles)[:40] == 1)


@pytest.mark.parametrize("p_sum, urgent", [(1, True), (0.4, False)])
def test_vector_goes_first_where_sums_come_fast(p_sum, urgent):
    """A sum in each cycle fills the array's FIFO if ROW has every other one; then VECTOR goes."""
    rng = np.random.default_rng(3)
    changes = {"add": 0, "room": 0, "to_stream": 0, "more": 0, "block_end": 1, "operation": 0}
    vector = alike([block[:1] for block in some_blocks(rng, 0, 300)], **changes)
    row = alike([block[:1] for block in some_blocks(rng, 1, 250)], **changes)
    log = run(vector, row, p_sum=p_sum)
    check(vector, row, log)
    both = units(log).rstrip("V")
    assert ("VV" in both) == urgent
    assert "VV" not in both[:100]  # it takes some time


@pytest.mark.parametrize("lacks", ["sums", "room"])
def test_waiting_vector_does_not_keep_row(lacks):
    rng = np.random.default_rng(2)
    streams = int(lacks == "room")
    vector = some_blocks(rng, 0, 26 if streams else 8)
    vector = alike(vector, room=streams, to_stream=streams, shared=0)
    vector = [[beat | {"end": beat["block_end"]} for beat in block] for block in vector]
    row = alike(some_blocks(rng, 1, 50), centre=0, add=0)
    slow = {"p_sum": 0.01} if lacks == "sums" else {"p_free": 0.002}
    log = run(vector, row, **slow)
    check(vector, row, log)
    assert log.waits[lacks == "room"] > 100
    rows = [cycle for beat, cycle in zip(log.beats, log.cycles, strict=True) if beat.row_unit]
    # The beats of ROW wait only for whole blocks of VECTOR.
    assert rows[-1] - rows[0] < 2 * sum(map(len, row)) + sum(map(len, vector))


def test_reads_of_wide_memory():
    """A sweep that reads early waits once for the additions of the one before."""
    sweep = {"row_unit": 1, "block_end": 1, "more": 0, "to_wide": 0, "to_stream": 0,
             "operation": 0}  # fmt: skip
    row = [[sweep | {"scale": n, "centre": n // 8 % 2, "add": 1 - n // 8 % 2}] for n in range(32)]
    log = run([], row)
    check([], row, log)
    assert sorted(np.diff(log.cycles)) == [1] * 29 + [ADDITION + 1] * 2
