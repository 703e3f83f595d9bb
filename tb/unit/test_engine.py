"""MatrixEngine against the golden model, with writes and stalls of every kind."""

from typing import Any

import numpy as np
import pytest
from amaranth import Const, ResetInserter, Signal

from systolith_hw.array.engine import MatrixEngine
from systolith_hw.isa import ErrorCode
from systolith_sim.array.accumulator import accumulate

from .array_bench import (
    Around,
    control_words,
    matmul,
    random_matmul,
    simulate,
    small_config,
)


class Memories:
    """What the banks should hold."""

    def __init__(self, config, rng):
        self.config, self.rng = config, rng
        array, memory = config.array, config.memory
        self.weights = np.zeros((memory.operand_tiles, array.rows, array.columns), np.int64)
        self.mantissas = np.zeros((memory.activation_words, array.rows), np.int64)
        self.exponents = np.zeros(memory.activation_words, np.int64)

    def row_write(self, tile):
        """Return payloads that write all rows of ``tile`` in random order."""
        array, wide = self.config.array, self.config.write_rows
        tile_data = self._random((array.rows, array.columns), 8)
        self.weights[tile] = tile_data
        return [
            {"tile": tile, "group": int(group),
             "data": tile_data[group * wide : (group + 1) * wide].tolist()}
            for group in self.rng.permutation(array.rows // wide)
        ]  # fmt: skip

    def column_write(self, tile, lane):
        """Return a payload that writes one column; bits above the low 8 must not matter."""
        array = self.config.array
        column = self._random(array.rows, array.mantissa_bits)
        self.weights[tile, :, lane] = (column + 128) % 256 - 128
        return {
            "operand": 1, "address": tile, "lane": lane,
            "word": {"mantissas": column.tolist(), "exponent": 1},
        }  # fmt: skip

    def lane_writes(self, tile):
        """Return payloads that write some parts of some rows of ``tile``."""
        array, lanes = self.config.array, self.config.vector.lanes
        places = list(np.ndindex(array.rows, array.columns // lanes))
        payloads = []
        for index in self.rng.permutation(len(places))[: self.rng.integers(1, len(places) + 1)]:
            row, part = places[index]
            values = self._random(lanes, 8)
            self.weights[tile, row, part * lanes : (part + 1) * lanes] = values
            payloads.append({"tile": tile, "row": row, "part": part, "data": values.tolist()})
        return payloads

    def word_write(self, address):
        """Return a payload that writes one activation word."""
        array = self.config.array
        self.mantissas[address] = self._random(array.rows, array.mantissa_bits)
        self.exponents[address] = self.rng.integers(0, array.window + 1)
        word = {
            "mantissas": self.mantissas[address].tolist(),
            "exponent": int(self.exponents[address]),
        }
        return {"operand": 0, "address": address, "lane": 0, "word": word}

    def results(self, fields):
        """Return all results of a MATMUL."""
        results, steps = [], []
        for word in control_words(**fields):
            steps.append(word)
            if word.last:
                tiles = [step.operand for step in steps]
                words = [step.activation for step in steps]
                results.append(accumulate(
                    self.mantissas[words], self.exponents[words], self.weights[tiles]).tolist())
                steps = []
        return results

    def _random(self, shape, bits):
        """Return random integers, often the extremes."""
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        values = self.rng.integers(low, high + 1, shape)
        extreme = self.rng.choice([low, high], shape)
        return np.where(self.rng.random(shape) < 0.3, extreme, values)


class LargestMemories(Memories):
    """The same, full of the numbers with the largest products."""

    def word_write(self, address):
        payload = super().word_write(address)
        self.exponents[address] = payload["word"]["exponent"] = self.config.array.window
        return payload

    def _random(self, shape, bits):
        return np.full(shape, -(1 << bits - 1))


class Bench:
    """A MatrixEngine whose ports are fed from lists; phases follow one another when it is idle.

    A phase is a dictionary of lists: ``programs`` (fields of MATMULs), ``rows``, ``load``,
    ``vector`` and ``lanes`` (writes), ``results`` expected.
    """

    def __init__(self, config, phases, *, rng, p_write=1.0, p_ready=1.0, target="generic"):
        self.config, self.phases, self.rng = config, phases, rng
        self.p_write, self.p_ready = p_write, p_ready
        self.dut = MatrixEngine(config, target)
        self.around = Around(self.dut)
        self.current = None
        self.results, self.result_cycles, self.busy_cycles = [], [], []
        self.events = {"wait_write": 0, "wait_output": 0, "wait_semaphore": 0}
        self.finished = False
        self.cycle = self.arrived = 0

    def go(self, deadline=20000):
        dut = self.dut
        benches = [
            self.sequence,
            self.sink,
            self.instructions,
            self.source(rows=dut.rows, load=dut.words_load),
            # The vector unit, too, has one of the two.
            self.source(vector=dut.words_vector, **self.lanes),
        ]
        simulate(self.around, *benches, deadline=deadline)
        return self

    @property
    def lanes(self):
        """The port of lanes, if there is one."""
        return {"lanes": self.dut.lane_writes} if self.config.vector.rows else {}

    def source(self, **ports):
        """Return a bench that writes what each phase has for ``ports``, one write at a time."""

        async def bench(ctx):
            async for phase in self.each_phase(ctx):
                left = {kind: list(phase.get(kind, [])) for kind in ports}
                while any(left.values()):
                    kind = str(self.rng.choice([kind for kind in left if left[kind]]))
                    port = ports[kind]
                    while self.rng.random() >= self.p_write:
                        await ctx.tick()
                    ctx.set(port.payload, left[kind].pop(0))
                    ctx.set(port.valid, 1)
                    await ctx.tick().until(port.ready)
                    ctx.set(port.valid, 0)
                phase["left"] -= set(ports)

        return bench

    async def instructions(self, ctx):
        port = self.dut.instruction
        async for phase in self.each_phase(ctx):
            for pc, fields in enumerate(phase.get("programs", [])):
                bits = matmul(self.config, pc=pc, **fields)
                ctx.set(port.payload.as_value(), bits)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)
            phase["left"].discard("programs")

    async def each_phase(self, ctx):
        """Yield each phase once it has come."""
        for phase in self.phases:
            while self.current is not phase:
                await ctx.tick()
            yield phase

    async def sequence(self, ctx):
        """Let the next phase begin when this one is done and the engine idle."""
        for phase in self.phases:
            phase["left"] = {"programs", "rows", "load", "vector", *self.lanes}
            self.current = phase
            quiet = 0
            while quiet < 3:
                await ctx.tick()
                done = not phase["left"] and ctx.get(self.dut.idle)
                quiet = quiet + 1 if done else 0
        self.finished = True

    async def sink(self, ctx):
        """Take results, and note down when what happened."""
        dut, lanes, beats = self.dut, self.config.vector.lanes, self.config.beats_per_result
        sums: list[int] = []
        arrived = dut.arrived if self.config.vector.rows else Const(0)
        while not self.finished:
            ctx.set(dut.results.ready, self.rng.random() < self.p_ready)
            *_, valid, ready, payload, events, came = await ctx.tick().sample(
                dut.results.valid, dut.results.ready, dut.results.payload, dut.events, arrived)
            self.cycle += 1
            self.arrived += came
            taken = len(self.results) * beats + len(sums) // lanes
            assert not (valid and self.config.vector.rows and taken >= self.arrived)
            if valid and ready:
                sums += [payload[lane] for lane in range(lanes)]
                if len(sums) == lanes:
                    self.result_cycles.append(self.cycle)
                if len(sums) == lanes * beats:
                    self.results.append(sums)
                    sums = []
            if events.busy:
                self.busy_cycles.append(self.cycle - 1)  # events come a cycle late
            for name in self.events:
                self.events[name] += getattr(events, name)


def fill(memories):
    """Return a phase that writes every tile and every word."""
    config = memories.config
    tiles = memories.rng.permutation(config.memory.operand_tiles)
    words = memories.rng.permutation(config.memory.activation_words)
    return {
        "rows": [write for tile in tiles for write in memories.row_write(int(tile))],
        "load": [memories.word_write(int(word)) for word in words[::2]],
        "vector": [memories.word_write(int(word)) for word in words[1::2]],
    }


def compute(memories, count, tiles, words, write_tiles=None, write_words=None):
    """Return a phase of ``count`` MATMULs in one region while another is written."""
    rng, columns = memories.rng, memories.config.array.columns
    programs = [
        random_matmul(rng, memories.config, tile_range=tiles, word_range=words)
        for _ in range(count)
    ]
    phase = {"programs": programs, "results": [], "rows": [], "load": [], "vector": [],
             "lanes": []}  # fmt: skip
    for fields in programs:
        phase["results"] += memories.results(fields)
    if write_tiles is None:
        return phase
    # No tile or word has two writers in a phase: between ports there is no order.
    by_row = {tile for tile in range(*write_tiles) if rng.random() < 0.6}
    for tile in range(*write_tiles):
        if tile in by_row:
            phase["rows"] += memories.row_write(tile)
        elif memories.config.vector.rows and rng.random() < 0.5:
            phase["lanes"] += memories.lane_writes(tile)
        else:
            kind = "load" if rng.random() < 0.5 else "vector"
            lanes = rng.permutation(columns)[: rng.integers(1, columns + 1)]
            phase[kind] += [memories.column_write(tile, int(lane)) for lane in lanes]
    for word in range(*write_words):
        phase["load" if rng.random() < 0.5 else "vector"].append(memories.word_write(word))
    return phase


def check(config, *, seed, p_write=0.6, p_ready=1.0, count=6, target="generic"):
    """Fill the memories, then compute in one half while the other is written, and swap."""
    rng = np.random.default_rng(seed)
    memories = Memories(config, rng)
    tiles, words = config.memory.operand_tiles, config.memory.activation_words
    half, middle = tiles // 2, words // 2
    phases = [
        fill(memories),
        compute(memories, count, (0, half), (0, middle), (half, tiles), (middle, words)),
        compute(memories, count, (half, tiles), (middle, words), (0, half), (0, middle)),
        compute(memories, count, (0, tiles), (0, words)),
    ]
    bench = Bench(config, phases, rng=rng, p_write=p_write, p_ready=p_ready, target=target)
    bench.go()
    expected = [result for phase in phases for result in phase.get("results", [])]
    assert bench.results == expected
    if config.vector.rows:
        assert bench.arrived == len(expected) * config.beats_per_result
    return bench


CONFIGS = [
    # rows, columns, others: R < C, R = C, R > C; W from 1 to R
    ((2, 8), {}),
    ((4, 4), {}),
    ((8, 2), {}),
    ((4, 2), {"single_port": True, "window": 16}),
    ((2, 2), {"data_bytes": 4}),
    ((8, 2), {"data_bytes": 8}),
    ((4, 4), {"data_bytes": 16, "single_port": True}),
    ((2, 16), {"data_bytes": 1}),
    ((4, 4), {"mantissa_bits": 10}),
    ((4, 2), {"mantissa_bits": 16, "window": 24, "max_k": 16}),
    ((2, 2), {"mantissa_bits": 8, "window": 1, "distributed": True}),
    ((4, 4), {"tiles": 2, "words": 2, "max_k": 4}),
    ((4, 4), {"lanes": 1}),
    ((8, 4), {"short": True, "lanes": 2}),
    ((4, 2), {"short": True, "lanes": 1, "single_port": True, "queue_depth": 1}),
    ((8, 4), {"short": True, "single_port": True, "data_bytes": 8}),
    ((4, 4), {"queue_depth": 1}),
    # lanes: parts of rows, groups of several rows, both, neither
    ((4, 4), {"vector_rows": 2, "lanes": 2}),
    ((8, 2), {"vector_rows": 2, "data_bytes": 8}),
    ((4, 4), {"vector_rows": 2, "lanes": 1, "data_bytes": 8, "single_port": True}),
    ((2, 2), {"vector_rows": 2, "data_bytes": 4}),
    # one bank of mantissas for several rows: of one stage, of several, of all
    ((8, 2), {"activation_rows": 2}),
    ((16, 2), {"activation_rows": 8, "vector_rows": 2, "lanes": 1}),
    ((8, 4), {"activation_rows": 8, "short": True, "single_port": True, "data_bytes": 8}),
]


@pytest.mark.parametrize("shape, options", CONFIGS, ids=str)
def test_results(shape, options):
    check(small_config(*shape, **options), seed=len(str(options)))


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize("p_write, p_ready", [(1.0, 1.0), (1.0, 0.2), (0.3, 0.3)])
def test_results_with_stalls(single_port, p_write, p_ready):
    config = small_config(4, 4, single_port=single_port)
    bench = check(config, seed=12, p_write=p_write, p_ready=p_ready)
    assert (bench.events["wait_write"] > 0) == single_port
    assert (bench.events["wait_output"] > 0) == (p_ready < 1)


def test_no_sum_is_too_large():
    """The longest reduction of the largest numbers, at the largest exponent, has its own width."""
    config = small_config(4, 2, window=24, max_k=52)
    memories = LargestMemories(config, np.random.default_rng(0))
    fields = {"ring_end": 22, "steps": 13, "tokens": 2}
    phases = [fill(memories), {"programs": [fields], "results": memories.results(fields)}]
    bench = Bench(config, phases, rng=np.random.default_rng(0)).go()
    assert bench.results == phases[1]["results"] == [[52 * 2**14 << 24] * 2] * 2


SHAPES = [
    {"steps": 1, "tokens": 13},
    {"steps": 1, "groups": 30, "tokens": 2},
    {"steps": 2, "tokens": 3, "groups": 4, "tiles": 2, "tiles_last": 1},
    {"steps": 13},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "rows, short, latency",
    [(2, False, 13), (4, False, 14), (8, False, 16), (2, True, 7), (8, True, 8)],
)
def test_latency_and_throughput(rows, short, latency, shape):
    """One word per cycle with the smallest output FIFO, and the result ``latency`` later."""
    config = small_config(rows, 2, max_k=128, short=short)
    assert config.array.output_depth == max(rows + 12, 15)
    fields = {"ring_end": 22, "activation_stride": 1} | shape
    if shape["steps"] == 13:
        fields["tokens"] = 1
    memories = Memories(config, np.random.default_rng(0))
    phases = [fill(memories), {"programs": [fields] * 3}]
    phases[1]["results"] = memories.results(fields) * 3
    bench = Bench(config, phases, rng=np.random.default_rng(0)).go()
    assert bench.results == phases[1]["results"]
    words = list(control_words(**fields)) * 3
    assert len(bench.busy_cycles) == len(words)
    assert bench.busy_cycles[-1] - bench.busy_cycles[0] == len(words) - 1
    lasts = [cycle for word, cycle in zip(words, bench.busy_cycles, strict=True) if word.last]
    assert bench.dut.latency == latency
    assert {done - last for done, last in zip(bench.result_cycles, lasts, strict=True)} == {latency}


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("lanes", [1, 2])
def test_results_come_no_faster_than_their_beats(lanes, short):
    config = small_config(4, 4, lanes=lanes, short=short)
    fields = {"ring_end": 22, "tokens": 13, "activation_stride": 1}
    memories = Memories(config, np.random.default_rng(0))
    phases = [fill(memories), {"programs": [fields], "results": memories.results(fields)}]
    bench = Bench(config, phases, rng=np.random.default_rng(0)).go()
    assert bench.results == phases[1]["results"]
    assert set(np.diff(bench.busy_cycles)) == {4 // lanes}
    assert set(np.diff(bench.result_cycles)) == {4 // lanes}
    assert bench.events["wait_output"] == 12 * (4 // lanes - 1)


def test_a_write_is_read_by_the_next_word():
    """A word that enters in cycle t is seen everywhere by the control word of t + 1."""
    config = small_config(8, 2)
    memories = Memories(config, np.random.default_rng(4))
    setup = fill(memories)
    dut: Any = MatrixEngine(config)
    around = Around(dut)
    results = []

    async def bench(ctx):
        for kind, port in (("rows", dut.rows), ("load", dut.words_load),
                           ("vector", dut.words_vector)):  # fmt: skip
            for payload in setup[kind]:
                ctx.set(port.payload, payload)
                ctx.set(port.valid, 1)
                await ctx.tick()
            ctx.set(port.valid, 0)
        # 12 tokens of one word; the word of token n is written a cycle before it is read.
        fields = {"ring_end": 22, "tokens": 12, "activation_stride": 1, "wait_inner": 16 + 1}
        ctx.set(dut.instruction.payload.as_value(), matmul(config, **fields))
        ctx.set(dut.instruction.valid, 1)
        ctx.set(dut.results.ready, 1)
        await ctx.tick().until(dut.instruction.ready)
        ctx.set(dut.instruction.valid, 0)
        ctx.set(around.semaphores.give_id, 1)
        await ctx.tick().repeat(5)
        for cycle in range(60):
            # A semaphore given in cycle t is taken in t + 1, and its word enters in t + 2. What
            # the vector unit writes in t enters in t + 1.
            ctx.set(around.semaphores.give, cycle < 12)
            if cycle < 12:
                ctx.set(dut.words_vector.payload, memories.word_write(cycle))
            ctx.set(dut.words_vector.valid, cycle < 12)
            *_, valid, payload = await ctx.tick().sample(dut.results.valid, dut.results.payload)
            if valid:
                results.append([payload[0], payload[1]])
        assert results == memories.results(fields)

    simulate(around, bench, deadline=500)


@pytest.mark.parametrize("moment", [3, 11, 14, 17, 23, 60])
def test_reset_forgets_all_but_the_memories(moment):
    """A reset of two cycles in mid-air leaves no result and no half sum behind."""
    config = small_config(4, 2)
    memories = Memories(config, np.random.default_rng(6))
    setup = fill(memories)
    dut: Any = MatrixEngine(config)
    reset = Signal()
    fields = {"ring_end": 22, "steps": 3, "tokens": 5, "activation_stride": 2}
    results = []

    async def send(ctx, port, payload):
        ctx.set(port, payload)
        ctx.set(dut.instruction.valid, 1)
        await ctx.tick().until(dut.instruction.ready)
        ctx.set(dut.instruction.valid, 0)

    async def bench(ctx):
        for kind, port in (("rows", dut.rows), ("load", dut.words_load),
                           ("vector", dut.words_vector)):  # fmt: skip
            for payload in setup[kind]:
                ctx.set(port.payload, payload)
                ctx.set(port.valid, 1)
                await ctx.tick()
            ctx.set(port.valid, 0)
        instruction = dut.instruction.payload.as_value()
        await send(ctx, instruction, matmul(config, **fields))
        await ctx.tick().repeat(moment)
        ctx.set(reset, 1)
        await ctx.tick().repeat(2)  # as MatrixEngine asks
        ctx.set(reset, 0)
        assert ctx.get(dut.idle)
        assert not ctx.get(dut.results.valid)
        await ctx.tick().repeat(30)
        assert not ctx.get(dut.results.valid)
        await send(ctx, instruction, matmul(config, **fields))
        ctx.set(dut.results.ready, 1)
        for _ in range(50):
            *_, valid, payload = await ctx.tick().sample(dut.results.valid, dut.results.payload)
            if valid:
                results.append([payload[0], payload[1]])
        assert results == memories.results(fields)

    simulate(ResetInserter(reset)(Around(dut)), bench, deadline=500)


def test_fault_and_halt_reach_the_ports():
    config = small_config(4, 4)
    dut: Any = MatrixEngine(config)

    async def bench(ctx):
        ctx.set(dut.halt, 1)
        ctx.set(dut.instruction.payload.as_value(), matmul(config, pc=77, tokens=0))
        ctx.set(dut.instruction.valid, 1)
        await ctx.tick().repeat(10)
        assert ctx.get(dut.idle)
        ctx.set(dut.halt, 0)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.fault.valid)
        assert ctx.get(dut.fault.code) == ErrorCode.ZERO_COUNT
        assert ctx.get(dut.fault.pc) == 77
        assert not ctx.get(dut.idle)

    simulate(Around(dut), bench, deadline=50)
