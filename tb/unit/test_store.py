"""STORE against the layouts of external memory, for both kinds, all port widths and stalls."""

import random
from collections import deque

import numpy as np
import pytest
from amaranth.back import verilog

from systolith_hw.config import WIDE_BANK_WORDS, Config
from systolith_hw.dma.store import StoreUnit
from systolith_hw.isa import ErrorCode, Opcode, StoreKind
from systolith_hw.presets import PRESETS
from systolith_sim.dma.pages import pack_pages, page_bytes

from .dma_bench import (
    Held,
    bursts_of,
    check_burst,
    instruction,
    make_config,
    random_config,
    simulate,
)

PORT_WIDTHS = [1, 2, 4, 8, 16, 32, 64, 128]

FAR = WIDE_BANK_WORDS + 1
"""Words of a wide memory that shows its words a cycle later."""


def run_bytes(config: Config, kind: StoreKind, elements: int) -> int:
    if kind == StoreKind.STREAM:
        return page_bytes(config, elements)
    return elements * config.wide_word_bytes


def run_beats(config: Config, kind: StoreKind, elements: int) -> int:
    return -(-run_bytes(config, kind, elements) // config.bus.data_bytes)


class WriteMemory:
    """A memory behind a WritePort: takes data in order, answers ``latency`` cycles later."""

    def __init__(self, config: Config, rng, *, latency=5, p=1.0, errors=()):
        self.config, self.rng = config, rng
        self.latency, self.p, self.errors = latency, p, errors
        self.content = np.full(1 << config.bus.address_bits, 0xA5, np.uint8)
        self.bursts: list[tuple[int, int]] = []
        self.open: deque[list[int]] = deque()  # address, beats left
        self.answers: deque[tuple[int, bool]] = deque()
        self.now = self.answered = self.done = 0

    def drive(self, ctx, bus):
        under_way = len(self.open) + len(self.answers)
        room = under_way < self.config.bus.outstanding
        ctx.set(bus.request.ready, room and self.rng.random() < self.p)
        ctx.set(bus.data.ready, self.rng.random() < self.p)
        due = bool(self.answers) and self.answers[0][0] <= self.now
        ctx.set(bus.response.valid, due)
        ctx.set(bus.response.payload, due and self.answers[0][1])
        if due:
            self.answers.popleft()
            self.answered += 1

    def observe(self, requested, request, sent, beat):
        if sent:
            assert self.open, "data before their request"
            address, left = self.open[0]
            assert beat.last == (left == 1)
            assert beat.strobe == (1 << self.config.bus.data_bytes) - 1
            size = self.config.bus.data_bytes
            raw = np.frombuffer(beat.data.to_bytes(size, "little"), np.uint8)
            self.content[address : address + size] = raw
            self.open[0] = [address + size, left - 1]
            if left == 1:
                self.open.popleft()
                self.answers.append((self.now + self.latency, self.done in self.errors))
                self.done += 1
        if requested:
            check_burst(self.config, request.address, request.last + 1)
            self.bursts.append((request.address, request.last + 1))
            self.open.append([request.address, request.last + 1])
        self.now += 1


class Wide:
    """Wide memory as STORE sees it; with ``vector.rows`` another reads with probability 1 - p."""

    def __init__(self, config, words, rng, p):
        self.yields, self.words, self.rng, self.p = bool(config.vector.rows), words, rng, p
        self.out: list = [[0] * config.vector.lanes] * config.wide_latency
        self.waiting: int | None = None

    def drive(self, ctx, port):
        ctx.set(port.data, self.out[0])
        if self.yields:
            ctx.set(port.ready, self.waiting is None)

    def observe(self, enable, address):
        assert not (enable and self.waiting is not None), "asked while not ready"
        read = address if enable else None
        if self.yields:
            read = self.waiting if self.rng.random() < self.p else None
            self.waiting = address if enable else self.waiting if read is None else None
        word = self.out[-1] if read is None else [int(value) for value in self.words[read]]
        self.out = [*self.out[1:], word]


class Result:
    """What one simulation saw."""

    def __init__(self):
        self.ram: WriteMemory
        self.waits: list = []
        self.posts: dict = {"post_inner": [], "post_outer": []}  # (words taken, answers, id)
        self.fault: tuple[int, int] | None = None
        self.request_cycles: list[int] = []
        self.offer_cycles: list[int] = []
        self.beat_cycles: list[int] = []
        self.word_cycles: list[int] = []
        self.events = dict.fromkeys(("beats", "wait_semaphore", "wait_source", "wait_bus"), 0)
        self.cycle = 0
        self.idle = False


def run(
    config, programs, *, words=(), wide=None, seed=0, p_issue=1.0, p_memory=1.0, p_stream=1.0,
    p_wait=1.0, p_wide=1.0, latency=5, errors=(), halt_at=None, deadline=6000,
):  # fmt: skip
    """Feed descriptors to a StoreUnit until it is idle, has failed or been halted for long."""
    rng = random.Random(seed)
    dut = StoreUnit(config)
    ram = WriteMemory(config, rng, latency=latency, p=p_memory, errors=errors)
    result = Result()
    result.ram = ram
    todo, source = list(programs), deque(words)
    held = {name: Held() for name in ("request", "data")}
    watched_by_name = {
        "issue": dut.instruction.valid & dut.instruction.ready,
        "request_valid": dut.bus.request.valid, "request_ready": dut.bus.request.ready,
        "request": dut.bus.request.payload, "data": dut.bus.data.payload,
        "data_valid": dut.bus.data.valid, "data_ready": dut.bus.data.ready,
        "word": dut.stream.valid & dut.stream.ready,
        "enable": dut.wide.enable, "address": dut.wide.address,
        "wait": dut.wait.valid & dut.wait.ready, "wait_id": dut.wait.id,
        "fault_valid": dut.fault.valid, "fault_code": dut.fault.code, "fault_pc": dut.fault.pc,
        "idle": dut.idle, "events": dut.events,
        **{f"{name}_{part}": getattr(getattr(dut, name), part)
           for name in ("post_inner", "post_outer") for part in ("valid", "id")},
    }  # fmt: skip
    names, watched = list(watched_by_name), list(watched_by_name.values())

    async def bench(ctx):
        settled = issue = stream = 0
        memory = Wide(config, wide, rng, p_wide)
        while settled < 8:
            issue = bool(todo) and (issue or rng.random() < p_issue)
            ctx.set(dut.instruction.valid, issue)
            if issue:
                ctx.set(dut.instruction.payload.as_value(), todo[0])
            stream = bool(source) and (stream or rng.random() < p_stream)
            ctx.set(dut.stream.valid, stream)
            if stream:
                mantissas, exponent = source[0]
                for index, mantissa in enumerate(mantissas):
                    ctx.set(dut.stream.p.mantissas[index], int(mantissa))
                ctx.set(dut.stream.p.exponent, int(exponent))
            ctx.set(dut.wait.ready, rng.random() < p_wait)
            ctx.set(dut.halt, halt_at is not None and result.cycle >= halt_at)
            memory.drive(ctx, dut.wide)
            ram.drive(ctx, dut.bus)
            values = (await ctx.tick().sample(*watched))[2:]
            now = dict(zip(names, values, strict=True))
            memory.observe(now["enable"], now["address"])
            if now["word"]:
                source.popleft()
                stream = 0
            if now["issue"]:
                todo.pop(0)
                issue = 0
            step(now)
            ended = result.fault or (halt_at is not None and result.cycle > halt_at + 100)
            quiet = ended or (not todo and ctx.get(dut.idle))
            settled = settled + 1 if quiet else 0
            assert result.cycle < deadline, f"not idle after {deadline} cycles"
        if result.fault:
            await ctx.tick().repeat(2)
        result.idle = ctx.get(dut.idle)

    def step(now):
        result.cycle += 1
        for name in ("request", "data"):
            held[name](now[f"{name}_valid"], now[f"{name}_ready"], now[name])
        requested = now["request_valid"] and now["request_ready"]
        sent = now["data_valid"] and now["data_ready"]
        if now["request_valid"]:
            result.offer_cycles.append(result.cycle)
        if requested:
            result.request_cycles.append(result.cycle)
        if sent:
            result.beat_cycles.append(result.cycle)
        ram.observe(requested, now["request"], sent, now["data"])
        for name, posts in result.posts.items():
            if now[f"{name}_valid"]:
                posts.append((len(result.word_cycles), ram.answered, now[f"{name}_id"]))
        if now["word"] or now["enable"]:
            result.word_cycles.append(result.cycle)
        if now["wait"]:
            result.waits.append((len(result.word_cycles), now["wait_id"]))
        for name in result.events:
            result.events[name] += now["events"][name]
        if now["idle"]:
            assert not ram.open and not ram.answers and not now["issue"], "idle too early"
        if now["fault_valid"]:
            fault = now["fault_code"], now["fault_pc"]
            assert result.fault in (None, fault), "a fault changed"
            result.fault = fault

    simulate(dut, bench)
    result.left = len(source)  # type: ignore[attr-defined]
    return result


def random_words(config: Config, rng, count: int) -> list[tuple[list[int], int]]:
    limit = 1 << config.array.mantissa_bits - 1
    return [
        ([rng.randrange(-limit, limit) for _ in range(config.array.rows)],
         rng.randrange(config.array.window + 1))
        for _ in range(count)
    ]  # fmt: skip


def random_wide(config: Config, seed: int) -> np.ndarray:
    shape = config.memory.wide_words, config.vector.lanes
    return np.random.default_rng(seed).integers(-(2**31), 2**31, shape)


def random_store(rng, config, kind, address, *, most=120):
    """Return the fields of a legal STORE at ``address``, and the first address after it."""
    size = config.bus.data_bytes
    most_elements = max(1, most * size // run_bytes(config, kind, 1))
    elements = min(most_elements, rng.choice([1, 2, rng.randrange(1, 3 * config.array.rows)]))
    elements = min(elements, config.memory.wide_words)
    beats = run_beats(config, kind, elements) + rng.choice([0, 0, 1, 4])
    rows = rng.randrange(1, max(2, min(6, most // beats)))
    stride = (beats + rng.choice([0, 0, 3])) * size
    local = rng.randrange(config.memory.wide_words - elements + 1)
    room = config.memory.wide_words - elements - local
    optional = [0, 16 + rng.randrange(16)]
    fields = {
        "kind": kind, "address": address, "row_stride": stride, "rows": rows, "beats": beats,
        "local": local, "local_stride": rng.randrange(room // max(1, rows - 1) + 1),
        "elements": elements,
        "wait_outer": rng.choice(optional), "wait_inner": rng.choice(optional),
        "post_outer": rng.choice(optional), "post_inner": rng.choice(optional),
    }  # fmt: skip
    return fields, address + rows * stride


def check(config, stores, result, words, wide):
    """Compare a whole run with the reference: memory, bursts, waits, posts."""
    assert result.fault is None
    content = np.full_like(result.ram.content, 0xA5)
    position, taken = 0, 0
    bursts, waits, inner, outer = [], [], [], []
    for fields in stores:
        waits += [fields["wait_outer"] - 16] * (fields["wait_outer"] > 0)
        waits += [fields["wait_inner"] - 16] * (fields["wait_inner"] > 0) * fields["rows"]
        for row in range(fields["rows"]):
            count = fields["elements"]
            if fields["kind"] == StoreKind.STREAM:
                part = words[position : position + count]
                position += count
                mantissas = np.array([word[0] for word in part], np.int64)
                raw = pack_pages(config, mantissas, np.array([word[1] for word in part]))
            else:
                first = fields["local"] + row * fields["local_stride"]
                raw = wide[first : first + count].astype("<i4").tobytes()
            taken += count
            raw = raw.ljust(fields["beats"] * config.bus.data_bytes, b"\0")
            address = fields["address"] + row * fields["row_stride"]
            content[address : address + len(raw)] = np.frombuffer(raw, np.uint8)
            bursts += bursts_of(config, address, fields["beats"])
            if fields["post_inner"]:
                inner.append((taken, fields["post_inner"] - 16))
        if fields["post_outer"]:
            outer.append((len(bursts), fields["post_outer"] - 16))
    np.testing.assert_array_equal(result.ram.content, content)
    assert result.ram.bursts == bursts
    assert [number for _, number in result.waits] == waits
    posts = result.posts
    assert [(words, number) for words, _, number in posts["post_inner"]] == inner
    assert [number for *_, number in posts["post_outer"]] == [number for _, number in outer]
    for (_, answered, _), (needed, _) in zip(posts["post_outer"], outer, strict=True):
        assert answered >= needed, "posted before memory had acknowledged"
    assert result.ram.answered == len(bursts)
    assert result.events["beats"] == sum(beats for _, beats in bursts)
    assert result.idle and result.left == 0


@pytest.mark.parametrize("stalls", ["none", "memory", "source", "all"])
@pytest.mark.parametrize("data_bytes", PORT_WIDTHS)
def test_random(data_bytes, stalls):
    seed = data_bytes * 10 + len(stalls)
    rng = random.Random(seed)
    config = random_config(rng, data_bytes, wide=50)
    stores, address = [], rng.randrange(0, 4096, data_bytes)
    for kind in rng.sample([*StoreKind] * 2, 4):
        fields, address = random_store(rng, config, kind, address, most=50)
        stores.append(fields)
    count = sum(
        fields["rows"] * fields["elements"]
        for fields in stores if fields["kind"] == StoreKind.STREAM
    )  # fmt: skip
    words, wide = random_words(config, rng, count), random_wide(config, seed)
    often = {"none": (), "memory": ("p_memory",), "source": ("p_stream", "p_wide"),
             "all": ("p_memory", "p_stream", "p_wide", "p_wait", "p_issue")}[stalls]  # fmt: skip
    result = run(
        config, [instruction(Opcode.STORE, **fields) for fields in stores], words=words,
        wide=wide, seed=seed, **dict.fromkeys(often, 0.5),
    )  # fmt: skip
    check(config, stores, result, words, wide)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_presets(name, short):
    config = PRESETS[name].replace(
        {"bus.address_bits": 16, "short_pipelines": short} | ({"vector.rows": 0} if short else {})
    )
    rng = random.Random(name)
    stores, address = [], 0
    for kind in (StoreKind.WIDE, StoreKind.STREAM) * 2:
        fields, address = random_store(rng, config, kind, address)
        stores.append(fields)
    words = random_words(config, rng, sum(
        fields["rows"] * fields["elements"]
        for fields in stores if fields["kind"] == StoreKind.STREAM
    ))  # fmt: skip
    wide = random_wide(config, 1)
    programs = [instruction(Opcode.STORE, **fields) for fields in stores]
    result = run(config, programs, words=words, wide=wide, p_memory=0.7)
    check(config, stores, result, words, wide)


def plain(kind, **fields):
    """Return fields with no semaphores."""
    empty = dict.fromkeys(("wait_outer", "wait_inner", "post_outer", "post_inner", "local",
                           "local_stride"), 0)  # fmt: skip
    return {**empty, "kind": kind, "rows": 1, "row_stride": 0, "address": 0, **fields}


@pytest.mark.parametrize("queue_depth, vector_rows", [(1, 0), (4, 0), (4, 2)])
@pytest.mark.parametrize("lanes, data_bytes, depth", [
    (4, 8, 200), (2, 8, 200), (4, 2, 200), (8, 4, 200), (2, 8, FAR), (4, 2, FAR), (8, 4, FAR),
])  # fmt: skip
def test_wide_at_full_rate(lanes, data_bytes, depth, queue_depth, vector_rows):
    """Words of four and two beats keep the bus busy inside a run, and of one if STORE alone reads
    wide memory."""
    config = make_config(
        rows=8, columns=8, lanes=lanes, data_bytes=data_bytes, burst_beats=16, wide=depth,
        queue_depth=queue_depth, vector_rows=vector_rows,
    )  # fmt: skip
    words = 160 * data_bytes // config.wide_word_bytes
    fields = plain(StoreKind.WIDE, elements=words, beats=160, address=0x400)
    wide = random_wide(config, 1)
    result = run(config, [instruction(Opcode.STORE, **fields)], wide=wide, latency=12)
    check(config, [fields], result, (), wide)
    if vector_rows and config.wide_word_bytes == data_bytes:
        assert result.word_cycles[-1] - result.word_cycles[0] == 2 * 159
        assert result.beat_cycles[-1] - result.beat_cycles[0] <= 2 * 159
    else:
        assert result.beat_cycles[-1] - result.beat_cycles[0] == 159


@pytest.mark.parametrize("data_bytes", [4, 8, 16])
def test_stream_at_full_rate(data_bytes):
    """A fast source and long pages; words of two, one and half a beat."""
    config = make_config(rows=8, columns=8, data_bytes=data_bytes, burst_beats=16)
    rng = random.Random(2)
    words = random_words(config, rng, 96)
    beats = run_beats(config, StoreKind.STREAM, 96)
    fields = plain(StoreKind.STREAM, elements=96, beats=beats, address=0)
    result = run(config, [instruction(Opcode.STORE, **fields)], words=words, latency=12)
    check(config, [fields], result, words, None)
    elements = 96 + 12
    cycles = max(elements, beats)
    # Smaller than a beat, an element takes a cycle; else a beat does, exponents included.
    assert result.word_cycles[-1] - result.word_cycles[0] <= cycles
    # The last page is still to leave when it is complete.
    assert result.beat_cycles[-1] - result.beat_cycles[0] <= cycles + cycles // 12


def test_source_not_held_up():
    """A page and a burst come in at one beat per cycle, whatever the bus does."""
    config = make_config(rows=8, columns=8, data_bytes=2, burst_beats=16)
    words = random_words(config, random.Random(3), 16)
    fields = plain(StoreKind.STREAM, elements=16, beats=run_beats(config, StoreKind.STREAM, 16))
    result = run(config, [instruction(Opcode.STORE, **fields)], words=words, p_memory=0.05)
    # Words are taken while two are between source and pages.
    assert result.word_cycles[9] - result.word_cycles[2] == 7 * 4
    assert result.word_cycles[13] - result.word_cycles[2] == 12 * 4


@pytest.mark.parametrize("vector_rows, depth", [(0, 29), (2, 29), (0, FAR), (2, FAR)])
@pytest.mark.parametrize("words", [1, 4])
def test_latency(words, vector_rows, depth):
    """From an instruction to its first word, its request and its data, with words of two beats."""
    config = make_config(lanes=2, data_bytes=4, vector_rows=vector_rows, wide=depth)
    fields = plain(StoreKind.WIDE, elements=words, beats=2 * words)
    result = run(config, [instruction(Opcode.STORE, **fields)], wide=random_wide(config, 0))
    assert result.word_cycles[0] == 1 + 3
    assert result.request_cycles[0] - result.word_cycles[0] == 2 * words + 5 + config.store_latency
    assert result.beat_cycles[0] - result.request_cycles[0] == 2


def test_waits_guard_reads():
    config = make_config(lanes=2, data_bytes=4)
    fields = plain(StoreKind.WIDE, rows=3, elements=2, beats=4, wait_outer=16 + 3,
                   wait_inner=16 + 9, row_stride=16)  # fmt: skip
    wide = random_wide(config, 0)
    result = run(config, [instruction(Opcode.STORE, **fields)], wide=wide, p_wait=0.2)
    assert result.waits == [(0, 3), (0, 9), (2, 9), (4, 9)]
    check(config, [fields], result, (), wide)
    assert result.events["wait_semaphore"] > 0


def test_no_request_before_data():
    """The bus is not held while the source is slow."""
    config = make_config(rows=4, data_bytes=4, burst_beats=8)
    words = random_words(config, random.Random(4), 16)
    fields = plain(StoreKind.STREAM, elements=16, beats=20)
    result = run(config, [instruction(Opcode.STORE, **fields)], words=words, p_stream=0.1)
    check(config, [fields], result, words, None)
    starts = np.cumsum([0, *(beats for _, beats in result.ram.bursts)])
    for start, end in zip(starts[:-1], starts[1:], strict=True):
        assert result.beat_cycles[end - 1] - result.beat_cycles[start] == end - start - 1
    assert result.events["wait_source"] > 50


GOOD = plain(StoreKind.WIDE, rows=2, beats=4, elements=2, row_stride=16, local=3, local_stride=2)
FAULTS = [
    (ErrorCode.ILLEGAL_INSTRUCTION, {"kind": 2}),
    (ErrorCode.ILLEGAL_INSTRUCTION, {"kind": 15, "rows": 0}),
    (ErrorCode.ZERO_COUNT, {"rows": 0}),
    (ErrorCode.ZERO_COUNT, {"beats": 0}),
    (ErrorCode.ZERO_COUNT, {"elements": 0, "address": 1}),
    (ErrorCode.ZERO_COUNT, {"elements": 3}),  # four beats hold two
    (ErrorCode.MISALIGNED, {"address": 2, "local": 29}),
    (ErrorCode.MISALIGNED, {"row_stride": 7}),
    (ErrorCode.ADDRESS_RANGE, {"address": 0x10000}),
    (ErrorCode.ADDRESS_RANGE, {"address": 0xFFF4}),
    (ErrorCode.ADDRESS_RANGE, {"address": 0xFFE0, "row_stride": 0x20}),
    (ErrorCode.ADDRESS_RANGE, {"row_stride": 0x10000}),
    (ErrorCode.ADDRESS_RANGE, {"local": 29}),
    (ErrorCode.ADDRESS_RANGE, {"local": 28}),
    (ErrorCode.ADDRESS_RANGE, {"local": 0x103}),
    (ErrorCode.ADDRESS_RANGE, {"local_stride": 26}),
    (ErrorCode.ADDRESS_RANGE, {"local_stride": 0x4001}),
]


@pytest.mark.parametrize("queue_depth", [1, 3])
@pytest.mark.parametrize("code, change", FAULTS)
def test_faults(code, change, queue_depth):
    """What comes before a transfer refused at the start is completed; nothing else is written."""
    config = make_config(lanes=2, data_bytes=4, queue_depth=queue_depth)
    wide = random_wide(config, 0)
    good = instruction(Opcode.STORE, pc=3, **{**GOOD, "address": 0x100, "post_outer": 17})
    bad = instruction(Opcode.STORE, pc=77, **{**GOOD, **change})
    result = run(config, [good, bad], wide=wide)
    assert result.fault == (code, 77)
    early = "address" not in change and "row_stride" not in change
    if early and "local_stride" not in change and change.get("local", 0) != 28:
        assert len(result.posts["post_outer"]) == 1
        assert all(address >= 0x100 for address, _ in result.ram.bursts)
    assert all(address < 0x120 or address >= 0xFFE0 for address, _ in result.ram.bursts)
    assert not result.ram.open, "a burst was left half done"


def test_rare_but_legal():
    """Limits that are just inside."""
    config = make_config(lanes=2, data_bytes=4)
    wide = random_wide(config, 5)
    stores = [
        plain(StoreKind.WIDE, address=0xFFF0, rows=1, beats=4, elements=2, local=27,
              row_stride=0xFFFC_0000, local_stride=0xFFFF),
        plain(StoreKind.WIDE, address=0x100, rows=2, beats=58, elements=29, row_stride=0x100),
        plain(StoreKind.WIDE, address=0x400, rows=3, beats=20, elements=1, row_stride=0x60,
              local=28, post_outer=16),
    ]  # fmt: skip
    result = run(config, [instruction(Opcode.STORE, **fields) for fields in stores], wide=wide)
    check(config, stores, result, (), wide)


@pytest.mark.parametrize("queue_depth", [1, 3])
@pytest.mark.parametrize("burst, pc", [(0, 5), (1, 5), (2, 6), (3, 6)])
def test_write_error(burst, pc, queue_depth):
    """Each response finds its own instruction, also when the next has begun."""
    config = make_config(lanes=2, data_bytes=4, queue_depth=queue_depth)
    programs = [
        instruction(Opcode.STORE, pc=number, **{**GOOD, "address": 0x100 * number})
        for number in (5, 6)
    ]
    result = run(config, programs, wide=random_wide(config, 0), errors=[burst], latency=60)
    assert result.fault == (ErrorCode.BUS_WRITE, pc)


@pytest.mark.parametrize("halt_at", range(30, 90, 4))
def test_halt(halt_at):
    """Bursts that were asked for are finished; nothing follows."""
    config = make_config(rows=4, data_bytes=4, burst_beats=4)
    words = random_words(config, random.Random(4), 200)
    fields = plain(StoreKind.STREAM, rows=10, elements=20, beats=25, row_stride=128)
    result = run(
        config, [instruction(Opcode.STORE, **fields)], words=words, halt_at=halt_at,
        p_memory=0.3, seed=halt_at,
    )  # fmt: skip
    assert not result.ram.open and result.fault is None
    assert sum(beats for _, beats in result.ram.bursts) == len(result.beat_cycles)
    # The unit knows in the second cycle; what is on offer then may still be accepted.
    late = [cycle for cycle in result.request_cycles if cycle > halt_at + 2]
    assert len(late) <= 1
    assert not late or halt_at + 2 in result.offer_cycles, "a new burst was offered"
    assert max(result.word_cycles) <= halt_at + 2


@pytest.mark.parametrize("name", PRESETS)
def test_emits(name):
    dut = StoreUnit(PRESETS[name])
    ports = [
        value.as_value() if hasattr(value, "as_value") else value
        for path, _, value in dut.signature.flatten(dut) if path != ("bus", "response", "ready")
    ]  # fmt: skip
    assert "module store" in verilog.convert(dut, name="store", ports=ports, emit_src=False)
