"""The vector unit against its golden models: loops, destinations, semaphores, stalls, faults."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.sim import Simulator

from scale_parts import scale_parts
from systolith_hw.config import (
    ArrayConfig,
    Config,
    MemoryConfig,
    SequencerConfig,
    VectorConfig,
)
from systolith_hw.isa import DrainKind, ErrorCode
from systolith_hw.vector.datapath import SHORT_REDUCTION
from systolith_hw.vector.unit import VectorUnit
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import requantize

PRESENT = 16


def make(rows, columns, lanes, mantissa_bits=8, window=12, short_pipelines=False, queue_depth=4):
    return Config(
        short_pipelines=short_pipelines,
        sequencer=SequencerConfig(queue_depth=queue_depth),
        array=ArrayConfig(rows=rows, columns=columns, mantissa_bits=mantissa_bits, max_k=256,
                          window=window, output_depth=max(rows + 12, 15)),
        vector=VectorConfig(lanes=lanes),
        memory=MemoryConfig(activation_words=300, wide_words=500, scale_words=45),
    )  # fmt: skip


SHAPES = {
    "tiny": make(4, 2, 1),
    "ulx3s": make(16, 8, 8, window=9),
    "small": make(8, 8, 4, mantissa_bits=10),
    "wide columns": make(2, 8, 2),
    "narrow": make(16, 2, 2, mantissa_bits=16),
    "one beat": make(4, 4, 4),
    "standing": make(8, 8, 4, queue_depth=1),
    "short": make(4, 2, 1, short_pipelines=True, queue_depth=1),
    "short wide": make(2, 8, 2, window=3, mantissa_bits=10, short_pipelines=True),
    "short one beat": make(4, 4, 4, short_pipelines=True, queue_depth=1),
}
PIPELINES = [name for name in SHAPES if not name.startswith("short")]


@dataclass
class Drain:
    """One instruction, its results, and what it must do."""

    fields: dict
    results: list
    writes: list = field(default_factory=list)
    beats: int = 0
    saturations: int = 0
    flushes: int = 0


def some_scales(config, rng):
    """Return a scale memory's words: mostly sensible, some clip or vanish."""
    shape = config.memory.scale_words, config.vector.lanes
    return {
        "scale": rng.integers(2**15, 2**16, shape),
        "shift": np.clip(rng.integers(-4, 16, shape) + config.array.accumulator_bits - 20, 0, 127),
        "bias": rng.integers(-(2**31), 2**31, shape) >> rng.integers(0, 32, shape),
    }


def some_fields(config, rng, kind, *, largest=4, semaphores=False):
    """Return the fields of a random legal DRAIN."""
    lanes, per_result = config.vector.lanes, config.beats_per_result
    while True:
        tokens, groups = (int(n) for n in rng.integers(1, largest + 1, 2))
        full = config.tiles_per_group
        tiles = full if rng.random() < 0.7 else int(rng.integers(1, 2 * full + 2))
        tiles_last = int(rng.integers(1, tiles + 1))
        if ((groups - 1) * tiles + tiles_last) * per_result <= config.memory.scale_words // 2:
            break
    strides = rng.integers(0, 20, 2)
    fields = {
        "opcode": 0x20, "kind": kind, "tokens": tokens, "groups": groups, "tiles": tiles,
        "tiles_last": tiles_last, "token_stride": int(strides[0]),
        "group_stride": int(strides[1]), "destination": int(rng.integers(0, 80)),
        "scale": int(rng.integers(0, config.memory.scale_words // 2)),
        "exponent_base": int(rng.choice([0, 3, 10, 20, 31])),
        "columns_last": int(rng.choice([config.array.columns, 1, lanes, 65535,
                                        rng.integers(0, config.array.columns + 1)])),
    }  # fmt: skip
    if semaphores:
        for name in ("wait_outer", "wait_inner", "post_outer", "post_inner"):
            fields[name] = int(rng.choice([0, PRESENT + rng.integers(0, 16)]))
    return fields


def plan(config, fields, scales, rng):
    """Return the instruction with random results and the writes that it must cause."""
    rows, columns, lanes = config.array.rows, config.array.columns, config.vector.lanes
    limit = 1 << config.array.accumulator_bits - 1
    drain = Drain(fields, [])
    wide = fields["kind"] == DrainKind.WIDE
    unit = lanes if wide else rows
    scale_word = fields["scale"]
    for group in range(fields["groups"]):
        last_group = group == fields["groups"] - 1
        tiles = fields["tiles_last"] if last_group else fields["tiles"]
        words = tiles * config.beats_per_result
        constants = {
            name: values[scale_word : scale_word + words].ravel()
            for name, values in scales.items()
        }
        scale_word += words
        for token in range(fields["tokens"]):
            x = rng.integers(-limit, limit, tiles * columns)
            x >>= rng.integers(0, config.array.accumulator_bits, x.shape)
            if rng.random() < 0.2:
                x[:] = 0
            drain.results += x.reshape(-1, lanes).tolist()  # beats of them
            valid = np.ones(x.shape, bool)
            if last_group:
                valid[(tiles - 1) * columns + fields["columns_last"] :] = False
            z, _ = requantize(x, *constants.values())
            drain.saturations += requantize(x[valid], *(c[valid] for c in constants.values()))[1]
            drain.beats += words
            z = np.where(valid, z, 0)
            z = np.concatenate([z, np.zeros(-len(z) % unit, int)]).reshape(-1, unit)
            address = (
                fields["destination"]
                + group * fields["group_stride"]
                + token * fields["token_stride"]
            )
            for index, word in enumerate(z):
                last = index == len(z) - 1
                inner = fields.get("post_inner", 0) if last else 0
                outer = last and token == fields["tokens"] - 1 and fields.get("post_outer", 0)
                posts = [n - PRESENT if n else None for n in (inner, outer)]
                if wide:
                    drain.writes.append(("wide", address + index, word.tolist(), *posts))
                    continue
                mantissas, exponent, saturations, flushes = normalize(
                    word, fields["exponent_base"], mantissa_bits=config.array.mantissa_bits,
                    window=config.array.window,
                )  # fmt: skip
                drain.saturations += saturations
                drain.flushes += flushes
                value = mantissas.tolist(), int(exponent)
                if fields["kind"] == DrainKind.STREAM:
                    drain.writes.append(("stream", None, value, *posts))
                else:
                    drain.writes.append(("words", address + index, value, *posts))
    return drain


@functools.cache
def simulator(config):
    """Return a vector unit, its simulator, and a list: the last of it is the next testbench."""
    dut, benches = VectorUnit(config), list[Callable]()

    async def bench(ctx):
        await benches[-1](ctx)

    sim = Simulator(dut)  # building it takes longer than most tests
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    return dut, sim, benches


class Bench:
    """Drive a vector unit cycle by cycle and record everything that leaves it."""

    def __init__(self, config, scales, seed=0):
        self.config = config
        self.scales = scales
        self.dut, self.simulator, self.benches = simulator(config)
        self.rng = np.random.default_rng(seed)
        self.writes: list = []
        self.cycles: list = []
        self.streamed: list = []
        self.taken: list = []  # cycle of each beat of a result
        self.accepted: list = []  # cycle of each instruction
        self.waits: list = []
        self.counts = {name: 0 for name, _ in self.dut.events.shape()}
        self.counts |= {"saturations": 0, "flushes": 0}
        self.fault = None
        self.idle_at = None
        self.interval = 1

    def run(self, drains, *, p_result=1.0, p_stream=1.0, p_post=1.0, interval=1, halt_at=None,
            deadline=None):  # fmt: skip
        """Run until idle, or for ``deadline`` cycles if that is given.

        Beats of results are offered with a probability; a result begins at most once in
        ``interval`` cycles.
        """
        self.interval = interval

        async def bench(ctx):
            await self._load_scales(ctx)
            await self._bench(ctx, drains, p_result, p_stream, p_post, halt_at, deadline)

        if self.benches:
            self.simulator.reset()
        self.benches.append(bench)
        self.simulator.run()

    async def _load_scales(self, ctx):
        dut = self.dut
        for address in range(self.config.memory.scale_words):
            ctx.set(dut.scale_writes.valid, 1)
            word = [
                {name: int(values[address, lane]) for name, values in self.scales.items()}
                for lane in range(self.config.vector.lanes)
            ]
            for part in scale_parts(self.config, address, word):
                ctx.set(dut.scale_writes.payload, part)
                await ctx.tick()
        ctx.set(dut.scale_writes.valid, 0)

    async def _bench(self, ctx, drains, p_result, p_stream, p_post, halt_at, deadline):
        dut, rng = self.dut, self.rng
        queue = [drain.fields for drain in drains]
        results = [result for drain in drains for result in drain.results]
        semaphores = np.zeros(16, int)
        wanted = len(results) * 40 + 300 * (1 + len(drains))
        offered, first, due = False, True, 0
        for cycle in range(deadline or wanted * int(1 / min(p_result, p_stream, p_post))):
            if halt_at is not None:
                ctx.set(dut.halt, cycle >= halt_at)
            ctx.set(dut.instruction.valid, bool(queue))
            done = not queue
            if queue:
                ctx.set(dut.instruction.payload, queue[0])
            if not offered and results and (cycle >= due or not first) and rng.random() < p_result:
                offered = True
                due = cycle + self.interval if first else due
            ctx.set(dut.results.valid, offered)
            if offered:
                ctx.set(dut.results.payload, results[0])
            ctx.set(dut.stream.ready, rng.random() < p_stream)
            if rng.random() < p_post:
                semaphores += rng.random(16) < (1 if p_post == 1 else 0.3)
            self._wait(ctx, semaphores)
            self._sample(ctx, cycle)
            if queue and ctx.get(dut.instruction.ready):
                self.accepted.append(cycle)
                del queue[0]
            if offered and ctx.get(dut.results.ready):
                self.taken.append(cycle)
                offered = False
                del results[0]
                first = len(results) % self.config.beats_per_result == 0
            if done and self.idle_at is None and not deadline and ctx.get(dut.idle):
                self.idle_at = cycle
            await ctx.tick()
            if self.idle_at is not None and cycle > self.idle_at + 3:
                return
        assert deadline, f"not idle after {cycle} cycles"

    def _wait(self, ctx, semaphores):
        dut = self.dut
        valid, number = ctx.get(dut.wait.valid), ctx.get(dut.wait.id)
        ready = bool(semaphores[number])
        ctx.set(dut.wait.ready, ready)
        if valid and ready:
            semaphores[number] -= 1
            self.waits.append(number)

    def _sample(self, ctx, cycle):
        dut = self.dut
        posts = [
            ctx.get(port.id) if ctx.get(port.valid) else None
            for port in (dut.post_inner, dut.post_outer)
        ]
        happened = 0
        if ctx.get(dut.wide.valid):
            payload = ctx.get(dut.wide.payload)
            data = [payload.data[lane] for lane in range(self.config.vector.lanes)]
            self.writes.append(("wide", payload.address, data, *posts))
            happened += 1
        if ctx.get(dut.words.valid):
            payload = ctx.get(dut.words.payload)
            assert payload.operand == 0
            self.writes.append(("words", payload.address, self._word(payload.word), *posts))
            happened += 1
        if not happened and posts != [None, None]:  # the stream's words enter a FIFO, unseen
            self.writes.append(("stream", None, None, *posts))
        assert happened <= 1
        self.cycles += [cycle] * happened
        if ctx.get(dut.stream.valid) and ctx.get(dut.stream.ready):
            self.streamed.append(self._word(ctx.get(dut.stream.payload)))
        for name in self.dut.events.shape().members:
            self.counts[name] += ctx.get(dut.events[name])
        self.counts["saturations"] += ctx.get(dut.saturations)
        self.counts["flushes"] += ctx.get(dut.flushes)
        if ctx.get(dut.fault.valid):
            fault = ctx.get(dut.fault.code), ctx.get(dut.fault.pc)
            assert self.fault in (None, fault), "a fault must not change"
            self.fault = fault
        else:
            assert self.fault is None, "a fault must stay"

    def _word(self, word):
        return [word.mantissas[row] for row in range(self.config.array.rows)], word.exponent

    def check(self, drains):
        """Compare everything recorded with what ``drains`` must do."""
        wanted = [write for drain in drains for write in drain.writes]
        streamed = [write[2] for write in wanted if write[0] == "stream"]
        assert self.streamed == streamed
        seen = [
            (kind, address, None if kind == "stream" else value, *posts)
            for kind, address, value, *posts in wanted
            if kind != "stream" or posts != [None, None]
        ]
        assert self.writes == seen
        assert self.counts["busy"] == sum(drain.beats for drain in drains)
        for name in ("saturations", "flushes"):
            assert self.counts[name] == sum(getattr(drain, name) for drain in drains), name
        assert self.fault is None
        assert self.idle_at is not None and self.idle_at > max(self.cycles, default=0)
        assert self.waits == [number for drain in drains for number in self._waits(drain.fields)]

    @staticmethod
    def _waits(fields):
        outer, inner = (fields.get(f"wait_{name}", 0) for name in ("outer", "inner"))
        for _ in range(fields["groups"]):
            yield from [outer - PRESENT] * bool(outer)
            yield from [inner - PRESENT] * bool(inner) * fields["tokens"]


def plan_many(config, rng, kinds, **options):
    scales = some_scales(config, rng)
    return scales, [
        plan(config, some_fields(config, rng, kind, **options), scales, rng) for kind in kinds
    ]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("stalls", [
    {}, {"p_result": 0.4}, {"p_stream": 0.2, "p_result": 0.8}, {"p_post": 0.3},
])  # fmt: skip
def test_random_programs(name, stalls):
    config = SHAPES[name]
    rng = np.random.default_rng(len(name) * 10 + len(stalls))
    kinds = [int(kind) for kind in rng.integers(0, 3, 5)]
    scales, drains = plan_many(config, rng, kinds, largest=3, semaphores=True)
    bench = Bench(config, scales)
    bench.run(drains, **stalls)
    bench.check(drains)


def fields_of(kind, **changes):
    """Return a plain DRAIN of full words."""
    fields = {
        "opcode": 0x20, "kind": kind, "tokens": 6, "groups": 2, "tiles": 1, "tiles_last": 1,
        "token_stride": 3, "group_stride": 30, "destination": 5, "scale": 2, "exponent_base": 4,
        "columns_last": 64,
    }  # fmt: skip
    return fields | changes


def run_plain(config, fields_list, seed=1, **stalls):
    rng = np.random.default_rng(seed)
    scales = some_scales(config, rng)
    drains = [plan(config, fields, scales, rng) for fields in fields_list]
    bench = Bench(config, scales, seed)
    bench.run(drains, **stalls)
    return bench, drains


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("kind", [DrainKind.ACTIVATION, DrainKind.WIDE, DrainKind.STREAM])
def test_full_rate(name, kind):
    """Semaphores that are there cost nothing, new instructions little, nor does the stream."""
    config = SHAPES[name]
    interval = config.beats_per_result
    if kind == DrainKind.STREAM:
        interval = max(interval, SHORT_REDUCTION // config.array.rows)
    full = config.tiles_per_group
    fields = fields_of(kind, tiles=full, tiles_last=full, wait_inner=PRESENT + 3,
                       post_inner=PRESENT + 7)  # fmt: skip
    bench, drains = run_plain(config, [fields] * 3, interval=interval)
    bench.check(drains)
    if kind == DrainKind.STREAM:  # as fast as the array, results that waited at first included
        firsts = bench.taken[:: config.beats_per_result]
        assert firsts[-1] - firsts[0] <= interval * (len(firsts) - 1)
        return
    gaps = np.diff(bench.taken)
    count = len(drains[0].results)
    border = np.arange(1, len(bench.taken)) % count == 0
    assert np.all(gaps[~border] == 1)
    assert np.all(gaps[border] <= 3)


@pytest.mark.parametrize("name", PIPELINES)
def test_latency(name):
    config = SHAPES[name]
    beats = config.array.rows // config.vector.lanes
    tiles = config.tiles_per_group
    for kind, latency in ((DrainKind.WIDE, 11), (DrainKind.ACTIVATION, beats + 19)):
        fields = fields_of(kind, tokens=1, groups=1, tiles=tiles, tiles_last=tiles)
        bench, drains = run_plain(config, [fields])
        bench.check(drains)
        assert bench.cycles[-1] - bench.taken[-1] == latency
        assert bench.taken[0] == 3  # the instruction comes in cycle 0


@pytest.mark.parametrize("name", ["tiny", "ulx3s", "narrow"])
def test_short_words_cost_less_than_one_word(name):
    """Words that end early follow one another at full rate; only the first of them may wait."""
    config = SHAPES[name]
    full = config.tiles_per_group
    fields = fields_of(DrainKind.ACTIVATION, tokens=10, tiles=full, tiles_last=1)
    bench, drains = run_plain(config, [fields])
    bench.check(drains)
    lost = np.diff(bench.taken) - 1
    assert np.count_nonzero(lost) <= 1
    assert lost.max() < config.array.rows // config.vector.lanes


def test_wide_after_words_waits_for_them_and_not_the_other_way():
    config = SHAPES["small"]
    kinds = [DrainKind.WIDE, DrainKind.ACTIVATION, DrainKind.STREAM, DrainKind.WIDE]
    fields = [fields_of(kind, tokens=1, groups=1) for kind in kinds]
    bench, drains = run_plain(config, fields)
    bench.check(drains)
    lost = np.diff(bench.taken)[config.beats_per_result - 1 :: config.beats_per_result] - 1
    assert lost.tolist()[:2] == [2, 2]
    assert lost[2] == config.array.rows // config.vector.lanes + 8


def test_events_tell_why_the_unit_waits():
    config = SHAPES["small"]
    plain = fields_of(DrainKind.STREAM, tokens=20)
    bench, _ = run_plain(config, [plain | {"kind": DrainKind.WIDE}])
    assert bench.counts["busy"] == 80
    assert bench.counts["wait_store"] == bench.counts["wait_semaphore"] == 0
    assert bench.counts["wait_result"] == 0
    bench, _ = run_plain(config, [plain], p_result=0.1, interval=8)
    assert bench.counts["wait_result"] > 100 and bench.counts["wait_store"] == 0
    bench, _ = run_plain(config, [plain], p_stream=0.05)
    assert bench.counts["wait_store"] > 100 and bench.counts["wait_result"] == 0
    bench, _ = run_plain(config, [{**plain, "wait_outer": PRESENT}], p_post=0.01)
    assert bench.counts["wait_semaphore"] > 20


@pytest.mark.parametrize("name", ["tiny", "standing", "short"])
@pytest.mark.parametrize("which", ["wait_outer", "wait_inner"])
def test_nothing_happens_without_its_semaphore(name, which):
    bench, _ = run_plain(SHAPES[name], [fields_of(DrainKind.WIDE, **{which: PRESENT + 9})],
                         p_post=0, deadline=80)  # fmt: skip
    assert bench.accepted == ([0] if name == "tiny" else [])
    assert not bench.taken and not bench.writes
    assert bench.idle_at is None


def test_halt_lets_a_short_pipeline_finish_its_word():
    config = SHAPES["short"]
    fields = fields_of(DrainKind.ACTIVATION, tokens=50, tiles=2, tiles_last=2)
    bench, _ = run_plain(config, [fields], halt_at=60, deadline=200)
    assert len(bench.taken) == 4 and len(bench.writes) == 1 and bench.cycles[0] > 60


def test_halt_lets_nothing_new_in():
    config = SHAPES["ulx3s"]
    bench, _ = run_plain(config, [fields_of(DrainKind.WIDE, tokens=50)] * 2, halt_at=20,
                         deadline=120)  # fmt: skip
    assert bench.taken[-1] == 20 and len(bench.accepted) == 1
    assert bench.cycles[-1] == 31 and bench.counts["busy"] == len(bench.writes)
    bench, _ = run_plain(config, [fields_of(DrainKind.WIDE)], halt_at=0, deadline=40)
    assert not bench.accepted and not bench.taken


FAULTS = {
    "kind": ({"kind": 3}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "function": ({"function": 1, "tokens": 0}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "accumulate": ({"kind": 1, "accumulate": 1}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "factor": ({"factor": 1, "kind": 4}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "maximum": ({"kind": 1, "maximum": 1}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "rotate": ({"rotate": 1, "shift": 3}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "best": ({"kind": 5, "tokens": 1}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "kind 15": ({"kind": 15, "tokens": 0}, ErrorCode.ILLEGAL_INSTRUCTION, 0),
    "tokens": ({"tokens": 0}, ErrorCode.ZERO_COUNT, 0),
    "groups": ({"groups": 0}, ErrorCode.ZERO_COUNT, 0),
    "tiles": ({"tiles": 0}, ErrorCode.ZERO_COUNT, 0),
    "tiles_last": ({"tiles_last": 0}, ErrorCode.ZERO_COUNT, 0),
    "destination": ({"destination": 500}, ErrorCode.ADDRESS_RANGE, 0),
    "last word": ({"destination": 497, "token_stride": 1}, ErrorCode.ADDRESS_RANGE, 3),
    "far word": ({"destination": 65535}, ErrorCode.ADDRESS_RANGE, 0),
    "token stride": ({"token_stride": 65535}, ErrorCode.ADDRESS_RANGE, 1),
    "carry": ({"destination": 300, "token_stride": 300}, ErrorCode.ADDRESS_RANGE, 1),
    "group carry": ({"destination": 256, "group_stride": 256, "tokens": 1},
                    ErrorCode.ADDRESS_RANGE, 1),
    "wrap": ({"destination": 1, "token_stride": 65534}, ErrorCode.ADDRESS_RANGE, 1),
    "group stride": ({"group_stride": 65535, "tokens": 1}, ErrorCode.ADDRESS_RANGE, 1),
    "no way back": ({"group_stride": 512, "tokens": 1, "groups": 3}, ErrorCode.ADDRESS_RANGE, 1),
    "scale": ({"scale": 45}, ErrorCode.ADDRESS_RANGE, 0),
    "last scale": ({"scale": 43, "groups": 4, "tokens": 1, "group_stride": 1},
                   ErrorCode.ADDRESS_RANGE, 2),
    "many groups": ({"scale": 40, "groups": 64, "tokens": 1, "group_stride": 1},
                    ErrorCode.ADDRESS_RANGE, 5),
    "many tiles": ({"scale": 40, "tiles": 64}, ErrorCode.ADDRESS_RANGE, 5),
    "far scale": ({"scale": 65535}, ErrorCode.ADDRESS_RANGE, 0),
    "activation": ({"kind": 0, "destination": 300}, ErrorCode.ADDRESS_RANGE, None),
    "activations": ({"kind": 0, "destination": 298, "token_stride": 1}, ErrorCode.ADDRESS_RANGE,
                    None),
}  # fmt: skip


@pytest.mark.parametrize("name", ["one beat", "short one beat"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults(fault, name):
    """The error is reported, its instruction named, and nothing wrong written."""
    changes, code, written = FAULTS[fault]
    config = SHAPES[name]
    rng = np.random.default_rng(3)
    scales = some_scales(config, rng)
    good = plan(config, fields_of(DrainKind.WIDE, pc=7), scales, rng)
    bad = Drain(fields_of(DrainKind.WIDE, pc=1234) | changes, good.results * 3)
    bench = Bench(config, scales)
    bench.run([good, bad, good], deadline=2000 if config.short_pipelines else 300)
    assert bench.fault == (code, 1234)
    assert len(bench.accepted) <= 3
    if written is not None:
        assert len(bench.writes) == len(good.writes) + written
    assert bench.writes[: len(good.writes)] == good.writes
    limit = config.memory.activation_words if changes.get("kind") == 0 else 500
    assert all(address < limit for _, address, *_ in bench.writes)
    # Nothing more is done.
    assert len(bench.taken) <= len(good.results) + len(good.results) * 2


def test_tiles_do_not_count_when_there_is_one_group():
    fields = fields_of(DrainKind.WIDE, groups=1, tiles=65535)
    bench, drains = run_plain(SHAPES["one beat"], [fields])
    bench.check(drains)


def test_stream_has_no_address():
    config = SHAPES["small"]
    bench, drains = run_plain(config, [
        fields_of(DrainKind.STREAM, destination=65535, token_stride=65535, group_stride=65535)
    ])  # fmt: skip
    bench.check(drains)


def test_scales_may_be_the_last_of_their_memory():
    config = SHAPES["small"]
    scale = config.memory.scale_words - 2 * config.beats_per_result
    bench, drains = run_plain(config, [fields_of(DrainKind.WIDE, scale=scale)])
    bench.check(drains)
