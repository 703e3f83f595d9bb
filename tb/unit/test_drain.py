"""The loops of DRAIN against plain loops in Python."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.config import (
    ArrayConfig,
    Config,
    MemoryConfig,
    SequencerConfig,
    VectorConfig,
)
from systolith_hw.isa import DrainKind
from systolith_hw.vector.drain import DrainLoop

PRESENT = 16


def make(rows, columns, lanes, short_pipelines=False, queue_depth=4):
    return Config(
        short_pipelines=short_pipelines,
        sequencer=SequencerConfig(queue_depth=queue_depth),
        array=ArrayConfig(rows=rows, columns=columns, max_k=256, output_depth=max(rows + 12, 15)),
        vector=VectorConfig(lanes=lanes),
        memory=MemoryConfig(activation_words=200, wide_words=513, scale_words=100),
    )


SHAPES = [
    make(4, 2, 1), make(8, 8, 4), make(4, 16, 2), make(8, 4, 4), make(4, 2, 1, True, 1),
    make(8, 8, 4, False, 1), make(4, 16, 2, True, 2),
]  # fmt: skip


def beats_of(config, fields):
    """Yield (semaphores taken before it, beat) for every beat."""
    rows, columns, lanes = config.array.rows, config.array.columns, config.vector.lanes
    per_result, per_word = columns // lanes, rows // lanes
    wide, stream = (fields["kind"] == kind for kind in (DrainKind.WIDE, DrainKind.STREAM))
    posts = {name: fields[f"post_{name}"] for name in ("inner", "outer")}
    scale = fields["scale"]
    for group in range(fields["groups"]):
        last_group = group == fields["groups"] - 1
        tiles = fields["tiles_last"] if last_group else fields["tiles"]
        for token in range(fields["tokens"]):
            count = tiles * per_result
            for beat in range(count):
                waits = [fields["wait_outer"]] if beat == token == 0 else []
                waits += [fields["wait_inner"]] if beat == 0 else []
                tile, select = divmod(beat, per_result)
                columns_left = fields["columns_last"] - select * lanes
                tail = last_group and tile == tiles - 1
                last = beat == count - 1
                place = 0 if wide else beat % per_word
                token_base = (
                    fields["destination"] + token * fields["token_stride"]
                    + group * fields["group_stride"]
                )  # fmt: skip
                yield [wait - PRESENT for wait in waits if wait], {
                    "lanes": min(max(columns_left, 0), lanes) if tail else lanes,
                    "scale": scale + beat,
                    "wide": wide,
                    "stream": stream,
                    "base": fields["exponent_base"],
                    "end": wide or last or place == per_word - 1,
                    "index": place,
                    "address": token_base + (beat if wide else beat // per_word),
                    "inner": posts["inner"] if last else 0,
                    "outer": posts["outer"] if last and token == fields["tokens"] - 1 else 0,
                }
        scale += tiles * per_result


def some_fields(config, rng):
    tiles = int(rng.integers(1, 4))
    semaphores = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    return {
        **{name: int(rng.choice([0, PRESENT + rng.integers(16)])) for name in semaphores},
        "kind": int(rng.integers(DrainKind.KEYS)),
        "scale": int(rng.integers(20)),
        "destination": int(rng.integers(100)),
        "token_stride": int(rng.integers(10)),
        "group_stride": int(rng.integers(20)),
        "exponent_base": int(rng.integers(32)),
        "tokens": int(rng.integers(1, 4)),
        "groups": int(rng.integers(1, 4)),
        "tiles": tiles,
        "tiles_last": int(rng.integers(1, tiles + 1)),
        "columns_last": int(rng.integers(config.array.columns + 2)),
    }


def run(config, instructions, *, p_ready=1.0, p_wait=1.0, seed=0):
    """Return beats, the semaphores taken before each was offered, and cycles of acceptance."""
    dut = DrainLoop(config)
    rng = np.random.default_rng(seed)
    wanted = sum(1 for fields in instructions for _ in beats_of(config, fields))
    beats: list = []
    taken: list[int] = []
    cycles: list[int] = []
    waits: list[int] = []

    async def bench(ctx):
        queue = list(instructions)
        held = None
        for cycle in range(100 + int(wanted * 8 / min(p_ready, p_wait))):
            ctx.set(dut.instruction.valid, bool(queue))
            if queue:
                ctx.set(dut.instruction.payload, queue[0])
            ctx.set(dut.o.ready, rng.random() < p_ready)
            ctx.set(dut.wait.ready, rng.random() < p_wait)
            assert ctx.get(dut.fault.valid) == 0
            if ctx.get(dut.wait.valid) and ctx.get(dut.wait.ready):
                waits.append(ctx.get(dut.wait.id))
            if ctx.get(dut.o.valid):
                payload = ctx.get(dut.o.payload)
                assert held in (None, payload.as_bits()), "an offer must not change"
                held = payload.as_bits()
                if ctx.get(dut.o.ready):
                    held = None
                    beats.append(payload)
                    taken.append(len(waits))
                    cycles.append(cycle)
            else:
                assert held is None, "an offer must stay"
            if queue and ctx.get(dut.instruction.ready):
                del queue[0]
            elif not queue and ctx.get(dut.idle):
                return
            await ctx.tick()
        raise AssertionError(f"{len(beats)} of {wanted} beats after {cycle} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return beats, taken, cycles, waits


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("p_ready, p_wait", [(1, 1), (0.4, 1), (1, 0.3), (0.6, 0.6)])
def test_beats(config, p_ready, p_wait):
    rng = np.random.default_rng(config.array.columns)
    instructions = [some_fields(config, rng) for _ in range(6)]
    beats, taken, _, waits = run(config, instructions, p_ready=p_ready, p_wait=p_wait)
    wanted = [item for fields in instructions for item in beats_of(config, fields)]
    assert len(beats) == len(wanted)
    assert waits == [number for before, _ in wanted for number in before]
    guards = 0
    for beat, (before, want), waited in zip(beats, wanted, taken, strict=True):
        guards += len(before)
        assert waited >= guards, "a beat came before its semaphore"
        if want["stream"] or not want["end"]:
            want["address"] = beat.address
        for name in ("inner", "outer"):
            post = beat[f"post_{name}"]
            assert (post.id + PRESENT) * post.present == want.pop(name)
        assert {name: beat[name] for name in want} == want


@pytest.mark.parametrize("config", SHAPES)
def test_rate(config):
    """A beat per cycle with one semaphore per token; two cycles between instructions."""
    fields = {
        "kind": 1, "tokens": 3, "groups": 2, "tiles": 1, "tiles_last": 1, "columns_last": 99,
        "wait_inner": PRESENT + 1, "wait_outer": 0, "post_inner": 0, "post_outer": 0,
        "scale": 0, "destination": 0, "token_stride": 1, "group_stride": 1, "exponent_base": 0,
    }  # fmt: skip
    beats, _, cycles, _ = run(config, [fields] * 4)
    gaps = np.diff(cycles)
    count = len(beats) // 4
    border = np.arange(1, len(beats)) % count == 0
    assert np.all(gaps[~border] == 1) and np.all(gaps[border] == 3)
