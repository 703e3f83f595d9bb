"""NORM and SOFTMAX as plain loops in Python, and a datapath that only counts."""

from collections import deque
from types import SimpleNamespace

import numpy as np
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, MemoryConfig, VectorConfig
from systolith_hw.isa import Opcode
from systolith_hw.vector.operation import Operation
from systolith_hw.vector.row_loop import RowLoop
from systolith_hw.vector.row_tokens import WAITING

from .loop_checks import PRESENT

USED = ("scale", "wide", "address", "row", "record")
"""Members of a beat that are anything where nobody looks at them."""


def make(rows, columns, lanes, vector_rows=16):
    """Return a config whose memories are not powers of two."""
    return Config(
        array=ArrayConfig(rows=rows, columns=columns, max_k=90, output_depth=128),
        vector=VectorConfig(lanes=lanes, rows=vector_rows, deferred_norms=True),
        memory=MemoryConfig(activation_words=200, wide_words=413, scale_words=100),
    )


def sweep_beats(config, fields, kind, token, record=0):
    """Return the beats of a token's sweep: "measure", "normalise", "defer" or "soften"."""
    lanes, per_word = config.vector.lanes, config.array.rows // config.vector.lanes
    elements, causal = fields["elements"], 0 if kind != "soften" else fields["causal"]
    valid = min(elements, causal + token) if causal else elements
    count, last_token = -(-elements // lanes), token == fields["tokens"] - 1
    beats = []
    for number in range(count):
        ends = number == count - 1 and kind != "measure"
        wanted = {
            "row_unit": 1, "results": 0, "factor": 0, "maximum": 0, "to_stream": 0, "to_keys": 0,
            "to_values": 0,
            "measure": kind in ("measure", "defer"),
            "add": kind != "normalise",
            "centre": kind == "normalise",
            "sum": kind == "soften",
            "early": kind == "soften" and bool(fields["post_outer"]),
            "to_words": kind != "measure",
            "to_wide": kind == "normalise" and fields["back"],
            "operation": {
                "measure": Operation.NONE, "defer": Operation.NONE,
                "normalise": Operation.AFFINE, "soften": Operation.EXP2,
            }[kind],
            "lanes": min(max(valid - number * lanes, 0), lanes),
            "wide": fields["source"] + token * fields["source_stride"] + number,
            "base": fields["exponent_base"],
            "index": number % per_word,
            "end": number == count - 1 or number % per_word == per_word - 1,
            "row_begin": number == 0,
            "row_end": number == count - 1,
            "inner": fields["post_inner"] * ends,
            "outer": fields["post_outer"] * (ends and last_token),
        }  # fmt: skip
        wanted |= {"counted": wanted["lanes"], "block_end": wanted["end"]}
        if kind in ("normalise", "soften"):
            stride = fields["scale_stride"] if kind == "soften" else 0
            wanted["scale"] = fields["scale"] + token * stride + number
        if kind != "measure":
            wanted["address"] = (
                fields["destination"] + token * fields["token_stride"] + number // per_word
            )
        if kind == "normalise":
            wanted["record"] = record
        if kind in ("defer", "soften"):
            wanted["row"] = fields["row"] + token
        beats.append(wanted)
    return beats


def kind_of(beat):
    """Return which sweep a beat is of."""
    if beat.measure:
        return "defer" if beat.to_words else "measure"
    return "normalise" if beat.centre else "soften"


def sweeps_of(fields):
    """Return which sweeps each token of an instruction takes."""
    if fields["opcode"] == Opcode.SOFTMAX:
        return ("soften",)
    return ("defer",) if fields["defer"] else ("measure", "normalise")


def some_fields(config, rng):
    """Return a legal instruction."""
    norm = bool(rng.integers(2))
    tokens = int(rng.integers(1, 6))
    semaphores = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    fields = {
        **{name: int(rng.choice([0, PRESENT + rng.integers(16)])) for name in semaphores},
        "opcode": int(Opcode.NORM if norm else Opcode.SOFTMAX),
        "scale": int(rng.integers(10)), "destination": int(rng.integers(100)),
        "token_stride": int(rng.integers(10)), "source": int(rng.integers(100)),
        "source_stride": int(rng.integers(30)), "exponent_base": int(rng.integers(32)),
        "tokens": tokens,
        "elements": int(rng.choice([1, 2, config.array.rows, rng.integers(1, 91)])),
    }  # fmt: skip
    row = int(rng.integers(config.vector.rows - tokens + 1))
    if norm:
        defer = int(rng.integers(2))
        return fields | {
            "defer": defer, "row": row,
            **{name: int(rng.integers(2)) & ~defer for name in ("centre", "back")},
            "inverse": 1 << 15 | int(rng.integers(1 << 15)), "epsilon": int(rng.integers(1, 99)),
            "inverse_shift": int(rng.integers(16, 48)),
        }  # fmt: skip
    room = config.memory.scale_words - 10 + -fields["elements"] // config.vector.lanes
    return fields | {
        "row": row, "back": 0, "causal": int(rng.choice([0, 1, rng.integers(99)])),
        "scale_stride": int(rng.integers(room // tokens + 1)),
    }  # fmt: skip


def run_loop(
    config, instructions, *, p_ready=1.0, p_wait=1.0, factor_cycles=(14, 90), seed=0,
    limit=20_000, posted=None,
):  # fmt: skip
    """Run instructions; return beats, their cycles, semaphores taken before each, and the rest.

    With ``posted`` that semaphore has a count for each ``post_inner`` so far, and one to begin.
    """
    dut = RowLoop(config)
    rng = np.random.default_rng(seed)
    log = SimpleNamespace(
        beats=[], cycles=[], taken=[], waits=[], made=[], constants=[], accepted=[], fault=None,
        waiting=0,
    )  # fmt: skip

    async def bench(ctx):
        queue, held = list(instructions), None
        rows: deque[int] = deque()  # when each one's sums are there
        counts, factor_free, unwritten = 1, 0, 0
        for cycle in range(limit):
            made = bool(rows) and cycle >= rows[0] and cycle >= factor_free
            if made:
                rows.popleft()
                log.made.append(len(log.beats))
                log.constants.append(ctx.get(dut.constants))
                factor_free = cycle + int(rng.integers(*factor_cycles))
            ctx.set(dut.made, made)
            ctx.set(dut.written, unwritten == 0)
            unwritten = max(unwritten - 1, 0)
            ctx.set(dut.instruction.valid, bool(queue))
            if queue:
                ctx.set(dut.instruction.payload, queue[0])
            ctx.set(dut.o.ready, rng.random() < p_ready)
            ctx.set(dut.wait.ready, counts > 0 if posted is not None else rng.random() < p_wait)
            if ctx.get(dut.waiting):
                assert ctx.get(dut.wait.valid) and not ctx.get(dut.o.valid)
                log.waiting += 1
            if ctx.get(dut.wait.valid) and ctx.get(dut.wait.ready):
                log.waits.append(ctx.get(dut.wait.id))
                counts -= 1
            if ctx.get(dut.o.valid):
                beat = ctx.get(dut.o.payload)
                assert held in (None, beat.as_bits()), "an offer must not change"
                held = beat.as_bits()
                if ctx.get(dut.o.ready):
                    held = None
                    log.beats.append(beat)
                    log.cycles.append(cycle)
                    log.taken.append(len(log.waits))
                    counts += beat.post_inner.present
                    unwritten = 20 if beat.to_wide else unwritten
                    if beat.row_end and (beat.measure or beat["sum"]):
                        most = 2 if beat.measure else WAITING
                        assert len(rows) < most, "a row's sums would be lost"
                        rows.append(cycle + int(rng.integers(*factor_cycles)))
            else:
                assert held is None, "an offer must stay"
            if ctx.get(dut.fault.valid):
                log.fault = ctx.get(dut.fault.code), ctx.get(dut.fault.pc)
                assert not ctx.get(dut.instruction.ready)
                return
            if queue and ctx.get(dut.instruction.ready):
                assert not unwritten or not log.beats[-1].to_wide
                log.accepted.append((cycle, len(log.beats)))
                del queue[0]
            elif not queue and ctx.get(dut.idle):
                assert not rows
                return
            await ctx.tick()
        raise AssertionError(f"{len(log.beats)} beats after {cycle} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return log
