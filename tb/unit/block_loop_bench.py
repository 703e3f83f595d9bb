"""DRAIN's turns as the functional machine makes them, and a datapath that only counts."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, MemoryConfig, VectorConfig
from systolith_hw.drain_rules import OPTION_KINDS, SHARED
from systolith_hw.isa import DrainFunction, DrainKind, Opcode, Unit, encode
from systolith_hw.tables import FRACTION
from systolith_hw.vector.block_loop import BlockLoop
from systolith_hw.vector.operation import Operation
from systolith_sim.errors import MachineError
from systolith_sim.machine.memory import ChipMemory, ExternalMemory
from systolith_sim.machine.races import CLOCKS
from systolith_sim.machine.run import Candidates, Run
from systolith_sim.machine.scheduler import Job
from systolith_sim.machine.vector import drain
from systolith_sim.machine.vector.part import OPERANDS, STREAMS, Part, tiles_last

from .loop_checks import PRESENT


def make(rows, columns, lanes, vector_rows=16, candidates=0):
    """Return a config whose memories are not powers of two."""
    return Config(
        array=ArrayConfig(rows=rows, columns=columns, max_k=256, output_depth=128),
        vector=VectorConfig(lanes=lanes, rows=vector_rows, candidates=candidates),
        memory=MemoryConfig(
            activation_words=200, wide_words=413, scale_words=100, operand_tiles=150
        ),
    )


class Results:
    """As many results as anyone wants, one after another."""

    def __init__(self, config):
        self.popped = 0
        self.columns = config.array.columns

    def __len__(self):
        return 1

    def pop(self, most):
        count = min(most, 1)
        self.popped += count
        return np.zeros((count, self.columns), np.int64), np.zeros((count, CLOCKS), np.int64)


def machine_turns(config, fields):
    """Run the functional machine; return turns done, the error then or None, and semaphores taken.

    It has its results, semaphores and candidates; what may be wrong is DRAIN itself.
    """
    taken: list[int] = []

    def take(_, semaphore):
        taken.extend([semaphore - PRESENT] * (semaphore > 0))
        return iter(())

    run: Any = Run(config, ChipMemory(config), ExternalMemory(64))
    run.results = Results(config)
    run.candidates = Candidates(1)
    run.stream = SimpleNamespace(push=lambda *_: iter(()))
    run.take = take
    run.semaphores = SimpleNamespace(post=lambda *_: None)
    named = {name: value for name, value in fields.items() if name != "pc"}
    job = Job(0, encode(Opcode.DRAIN, **named), Unit.VECTOR, Opcode.DRAIN, named)
    run.lines[Unit.VECTOR].begin(job.pc, job.raw)
    try:
        for reason in drain(run, job):
            raise AssertionError(reason)
    except MachineError as error:
        assert error.unit == Unit.VECTOR
        left, done = run.results.popped, 0
        while left > turn_tiles(fields, done):
            left -= turn_tiles(fields, done)
            done += 1
        return done, error.code, taken
    return fields["groups"] * fields["tokens"], None, taken


def turn_tiles(fields, turn):
    """Return the tiles of a token of a group."""
    last_group = turn >= (fields["groups"] - 1) * fields["tokens"]
    return tiles_last(fields) if last_group else fields["tiles"]


def turn_beats(config, fields, turn):
    """Yield the beats of a token of a group: what they are used for, and no more."""
    array, lanes, kind = config.array, config.vector.lanes, DrainKind(fields["kind"])
    tiles, per_result = turn_tiles(fields, turn), config.beats_per_result
    part = Part(
        fields, np.array([turn]), tiles, np.zeros((tiles, array.columns), np.int64),
        np.zeros((tiles, CLOCKS), np.int64),
    )  # fmt: skip
    group, token = int(part.group[0]), int(part.token[0])
    valid, count = part.valid(config), tiles * per_result
    limit = min(valid, fields["entries"] + token) if fields["entries"] else valid
    single = (DrainKind.WIDE, DrainKind.BEST, DrainKind.CANDIDATES)
    per_word = {**dict.fromkeys(single, 1), DrainKind.VALUES: per_result}.get(
        kind, array.rows // lanes
    )
    places = part.places(-(-count // per_word))[0]
    wraps, lane = divmod(
        fields["columns_last"] + token, array.rows if kind == DrainKind.VALUES else array.columns
    )
    for number in range(count):
        word, index = divmod(number, per_word)
        last = number == count - 1
        end = last or index == per_word - 1
        operand, shared = kind in OPERANDS, kind in SHARED
        block_begins = number == 0 if shared else index == 0
        more = min(count - number, count if shared else per_word) - 1
        wanted = {
            "row_unit": 0, "results": 1, "centre": 0, "measure": 0, "sum": 0,
            "to_words": kind == DrainKind.ACTIVATION, "to_wide": kind == DrainKind.WIDE,
            "to_stream": kind in STREAMS, "room": kind in STREAMS, "shared": shared,
            "to_keys": kind == DrainKind.KEYS,
            "to_values": kind == DrainKind.VALUES, "to_best": kind == DrainKind.BEST,
            "to_sampler": kind == DrainKind.CANDIDATES, "sample": 0,
            "factor": fields["factor"], "maximum": fields["maximum"],
            "add": reads_wide(fields),
            "operation": fields["function"] % DrainFunction.RELU,
            "rectify": fields["function"] == DrainFunction.RELU, "base": fields["exponent_base"],
            "lanes": min(max(valid - number * lanes, 0), lanes),
            "index": index, "end": end, "block_end": last if shared else end,
            "row_begin": number == 0, "row_end": last,
            "inner": fields["post_inner"] * last,
            "outer": fields["post_outer"] * (last and token == fields["tokens"] - 1),
        }  # fmt: skip
        if block_begins:
            wanted["more"] = more
        if fields["factor"] or kind == DrainKind.KEYS:
            wanted["offset"] = fields["offset"] % 128
        if fields["factor"] or fields["maximum"]:
            wanted["row"] = int(part.rows()[0, 0])
        if not fields["factor"]:
            scales = fields["scale"] + group * fields["tiles"] * per_result
            wanted["scale"] = scales + number
        if fields["function"] == DrainFunction.PRODUCT:
            width = fields["tiles"] * per_result
            wanted["source"] = fields["entries"] + turn * width + number
            wanted["shift"] = fields["shift"]
        elif fields["accumulate"] and kind == DrainKind.WIDE:
            wanted["source"] = int(places[word])
        if kind in (DrainKind.BEST, DrainKind.CANDIDATES):
            wanted["counted"] = wanted["lanes"]
        if kind == DrainKind.BEST:
            wanted["wide"] = fields["destination"]
        if fields["maximum"]:
            wanted["counted"] = min(max(limit - number * lanes, 0), lanes)
        if kind == DrainKind.WIDE:
            wanted["wide"] = int(places[word])
        elif end and kind == DrainKind.ACTIVATION:
            wanted["address"] = int(places[word])
        elif end and operand:
            strides = (1, fields["token_stride"])
            wrap_stride, word_stride = strides if kind == DrainKind.VALUES else strides[::-1]
            first = fields["destination"] + group * fields["group_stride"]
            wanted["address"] = first + wraps * wrap_stride + word * word_stride
            wanted["lane"] = lane
        if operand and last:
            wanted["entry"] = fields["entries"] + group * fields["tiles_last"] + token
        yield from passes(fields, group * fields["tiles"] * per_result + number, token, wanted)


def reads_wide(fields):
    """Return whether an instruction reads wide memory."""
    adds = fields["accumulate"] and fields["kind"] == DrainKind.WIDE
    return bool(adds or fields["rotate"] or fields["function"] == DrainFunction.PRODUCT)


def passes(fields, beat, token, wanted):
    """Yield a beat, or the two that turn its channels; ``beat`` counts from the first group on."""
    if not fields["rotate"]:
        yield wanted
        return
    angles = fields["row"] + token << fields["shift"]
    straight = angles + 2 * beat % (1 << fields["shift"])
    ends = {name: 0 for name in (
        "to_words", "to_stream", "to_keys", "end", "block_end", "row_end",
    )}
    posts = {"inner": 0, "outer": 0}
    first = wanted | ends | posts | {"operation": Operation.STRAIGHT, "source": straight}
    for name in ("address", "entry", "lane"):
        first.pop(name, None)
    yield first
    wanted.pop("more", None)
    yield wanted | {"operation": Operation.ACROSS, "source": straight + 1, "shift": FRACTION}


def turn_waits(fields, turn):
    """Return how many semaphores are taken before a token of a group."""
    group_begins = turn % fields["tokens"] == 0
    return (fields["wait_inner"] > 0) + (group_begins and fields["wait_outer"] > 0)


def some_fields(config, rng):
    """Return an instruction that is mostly legal."""
    array, rows, lanes = config.array, config.vector.rows, config.vector.lanes
    gathers = config.vector.candidates > 0
    kind = rng.choice([kind for kind in DrainKind if gathers or kind != DrainKind.CANDIDATES])
    operand, wide = kind in OPERANDS, kind == DrainKind.WIDE
    tiles = int(rng.integers(1, 5))
    tokens = int(rng.choice([1, 2, 3, rng.integers(1, 20)]))
    maximum = int(wide and rng.random() < 0.5)
    best = kind in (DrainKind.BEST, DrainKind.CANDIDATES)
    product = not maximum and kind in (DrainKind.ACTIVATION, DrainKind.WIDE) and rng.random() < 0.3
    turned = (
        not product and kind in OPTION_KINDS["rotate"] and lanes > 1
        and rng.random() < 0.6
    )  # fmt: skip
    shift = int(rng.integers(1, 8 if turned else 32))
    row = (config.memory.wide_words >> shift) - tokens if turned else rows - tokens
    tokens = 1 if best else tokens
    operand_lanes = array.rows if kind == DrainKind.VALUES else array.columns
    semaphores = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    return {
        **{name: int(rng.choice([0, PRESENT + rng.integers(16)])) for name in semaphores},
        "kind": int(kind), "scale": int(rng.integers(20)), "destination": int(rng.integers(100)),
        "token_stride": int(rng.integers(6)) if kind != DrainKind.CANDIDATES
        else int(rng.integers(1, config.vector.candidates + 1)),
        "group_stride": int(rng.integers(20)),
        "exponent_base": int(rng.integers(32)),
        "function": DrainFunction.PRODUCT if product else 0 if turned
        else int(rng.choice([0, DrainFunction.GELU, DrainFunction.SILU, DrainFunction.RELU])),
        "accumulate": int((wide and not product or best) and rng.random() < 0.4),
        "factor": 0 if turned else int(rng.integers(2)), "rotate": int(turned), "shift": shift,
        "maximum": maximum, "row": int(rng.integers(min(max(row, 1), 256))),
        "offset": int(rng.integers(128)), "tokens": tokens, "scaled": 0,
        "groups": 1 if maximum else int(rng.integers(1, 4)), "tiles": tiles,
        "tiles_last": int(rng.integers(30)) if operand else int(rng.integers(1, tiles + 2)),
        "columns_last": int(rng.integers(operand_lanes if operand else array.columns + 2)),
        "entries": int(rng.integers(40 * lanes, 90 * lanes)) if operand
        else int(rng.choice([0, 1, rng.integers(200), 0 if product else 65535])),
        "pc": int(rng.integers(1 << 16)),
    }  # fmt: skip


def run_loop(
    config, instructions, *, p_ready=1.0, p_wait=1.0, flight=(1, 30), seed=0, limit=20_000
):  # fmt: skip
    """Run instructions; return beats, their cycles, semaphores taken before each, and the rest.

    What a beat writes is written ``flight`` cycles after it is taken.
    """
    dut = BlockLoop(config)
    rng = np.random.default_rng(seed)
    log = SimpleNamespace(
        beats=[], cycles=[], taken=[], written=[], wide_written=[], exponents_written=[], waits=[],
        accepted=[], best=[], sampling=[], fault=None, waiting=0,
    )  # fmt: skip

    async def bench(ctx):
        queue, held, inside = list(instructions), None, False
        unwritten = dict.fromkeys(("written", "wide_written", "exponents_written"), 0)
        for cycle in range(limit):
            for name, left in unwritten.items():
                ctx.set(getattr(dut, name), left == 0)
            ctx.set(dut.instruction.valid, bool(queue))
            if queue:
                ctx.set(dut.instruction.payload, queue[0])
            ctx.set(dut.o.ready, rng.random() < p_ready)
            ctx.set(dut.wait.ready, rng.random() < p_wait)
            if ctx.get(dut.waiting):
                assert ctx.get(dut.wait.valid) and not ctx.get(dut.o.valid)
                log.waiting += 1
            if ctx.get(dut.wait.valid) and ctx.get(dut.wait.ready):
                log.waits.append(ctx.get(dut.wait.id))
            settled = {name: left == 0 for name, left in unwritten.items()}
            unwritten = {name: max(left - 1, 0) for name, left in unwritten.items()}
            if ctx.get(dut.o.valid):
                beat = ctx.get(dut.o.payload)
                assert held in (None, beat.as_bits()), "an offer must not change"
                held = beat.as_bits()
                if ctx.get(dut.o.ready):
                    held, inside = None, not beat.block_end
                    log.beats.append(beat)
                    log.cycles.append(cycle)
                    log.taken.append(len(log.waits))
                    writes = {
                        "written": 1, "wide_written": beat.to_wide,
                        "exponents_written": beat.to_keys,
                    }  # fmt: skip
                    for name, done in settled.items():
                        getattr(log, name).append(done)
                        if writes[name]:
                            unwritten[name] = int(rng.integers(*flight))
            else:
                assert held is None, "an offer must stay"
                assert not inside, "a pause inside a block"
            if ctx.get(dut.best.valid):
                begin = ctx.get(dut.best)
                log.best.append((begin.channel, begin.anew))
            begin = ctx.get(dut.sampling)
            if begin.gathers or begin.samples:
                log.sampling.append(begin)
            if ctx.get(dut.fault.valid):
                log.fault = ctx.get(dut.fault.code), ctx.get(dut.fault.pc)
                assert not ctx.get(dut.instruction.ready) and not ctx.get(dut.o.valid)
                return
            if queue and ctx.get(dut.instruction.ready):
                log.accepted.append(cycle)
                del queue[0]
            elif not queue and ctx.get(dut.idle):
                return
            await ctx.tick()
        raise AssertionError(f"{len(log.beats)} beats after {cycle} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    return log
