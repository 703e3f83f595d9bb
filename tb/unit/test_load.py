"""LOAD against the layouts of external memory, for every kind, port width and stall."""

import random

import numpy as np
import pytest
from amaranth import Const
from amaranth.back import verilog

from scale_parts import scale_parts
from systolith_hw.code_pages import code_pages
from systolith_hw.config import Config
from systolith_hw.dma.elements import element_bytes, memory_depth
from systolith_hw.dma.load import LoadUnit
from systolith_hw.isa import ErrorCode, LoadKind, Opcode
from systolith_hw.presets import PRESETS
from systolith_sim.dma.codec import expand_run
from systolith_sim.dma.pages import page_bytes, unpack_pages

from .dma_bench import (
    Held,
    ReadMemory,
    bursts_of,
    external_memory,
    instruction,
    make_config,
    random_config,
    simulate,
)

PORTS = ("rows", "words", "wide", "scale")
PORT_WIDTHS = [1, 2, 4, 8, 16, 32, 64, 128]


def run_bytes(config: Config, kind: LoadKind, elements: int) -> int:
    if kind == LoadKind.ACTIVATION:
        return page_bytes(config, elements)
    if kind in code_pages(config):
        return code_pages(config)[kind].run_bytes(elements)
    return element_bytes(config)[kind] * elements


def run_beats(config: Config, kind: LoadKind, elements: int) -> int:
    return -(-run_bytes(config, kind, elements) // config.bus.data_bytes)


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def element(config: Config, kind: LoadKind, raw: bytes) -> dict:
    """Return what a destination must see of one element."""
    array = config.array
    if kind == LoadKind.OPERAND_ROWS:
        return {"data": np.frombuffer(raw, np.int8).reshape(-1, array.columns).tolist()}
    if kind == LoadKind.WIDE:
        return {"data": np.frombuffer(raw, "<i4").tolist()}
    if kind == LoadKind.SCALE:
        entries = np.frombuffer(raw, np.dtype("<u2, u1, u1, <i4")).tolist()
        return {"word": [(scale, shift & 127, bias) for scale, shift, _, bias in entries]}
    step = array.mantissa_bytes
    return {"operand": 1, "mantissas": [signed(raw[at], 8) for at in range(0, len(raw), step)]}


def expected_writes(config: Config, memory: np.ndarray, fields: dict) -> list[list[dict]]:
    """Return the writes of a LOAD, run by run, straight from its definition in the ISA."""
    kind = LoadKind(fields["kind"])
    base, end, stride = fields["ring_base"], fields["ring_end"], fields["local_stride"]
    size = element_bytes(config)[kind]
    page = code_pages(config).get(kind)
    in_rows = kind == LoadKind.OPERAND_ROWS or page is not None
    groups = config.array.rows // config.write_rows if in_rows else 1
    start, lane = fields["local"], fields.get("lane", 0)
    runs = []
    for row in range(fields["rows"]):
        address = fields["address"] + row * fields["row_stride"]
        raw = memory[address : address + fields["beats"] * config.bus.data_bytes].tobytes()
        run: list[dict] = []
        if kind == LoadKind.ACTIVATION:
            mantissas, exponents = unpack_pages(config, raw, fields["elements"])
            mask = (1 << config.array.exponent_bits) - 1
        if page is not None:
            shape = (-1, config.write_rows, config.array.columns)
            weights = expand_run(page, raw, fields["elements"]).reshape(shape)
        for index in range(fields["elements"]):
            if kind == LoadKind.ACTIVATION:
                write: dict = {
                    "operand": 0,
                    "mantissas": [signed(int(m), config.array.mantissa_bits)
                                  for m in mantissas[index]],
                    "exponent": int(exponents[index]) & mask,
                }  # fmt: skip
            elif page is not None:
                write = {"data": weights[index].tolist()}
            else:
                write = element(config, kind, raw[index * size : (index + 1) * size])
            place = start + index // groups
            while place >= end:
                place -= end - base
            write["address"] = place
            if in_rows:
                write["group"] = index % groups
            if kind == LoadKind.OPERAND_COLUMNS:
                write["lane"] = lane
            if kind == LoadKind.SCALE:
                run += scale_parts(config, place, write["word"])
            else:
                run.append(write)
        runs.append(run)
        lane = (lane + 1) % config.array.columns
        if kind != LoadKind.OPERAND_COLUMNS or lane == 0:
            start += stride
            if start >= end:
                start -= end - base
    return runs


def observed(config: Config, port: str, payload) -> dict:
    """Return a write as :func:`expected_writes` puts it."""
    if port == "rows":
        rows = [list(row) for row in payload.data]
        return {"address": payload.tile, "group": payload.group, "data": rows}
    if port == "wide":
        return {"address": payload.address, "data": list(payload.data)}
    if port == "scale":
        data = [(entry.scale, entry.shift, entry.bias) for entry in payload.data]
        return {"address": payload.address, "part": payload.part, "data": data}
    mantissas = list(payload.word.mantissas)
    if payload.operand:
        return {"operand": 1, "address": payload.address, "lane": payload.lane,
                "mantissas": [signed(value, 8) for value in mantissas]}  # fmt: skip
    return {"operand": 0, "address": payload.address, "mantissas": mantissas,
            "exponent": payload.word.exponent}  # fmt: skip


class Result:
    """What one simulation saw."""

    def __init__(self):
        self.writes = []
        self.waits = []
        self.wait_cycles = []
        self.ram: ReadMemory
        self.idle = False
        self.posts: dict = {"post_inner": [], "post_outer": []}  # (writes until then, id)
        self.fault = None
        self.request_cycles = []
        self.offer_cycles = []
        self.beat_cycles = []
        self.write_cycles = []
        self.accept_cycles = []
        self.events = {"beats": 0, "wait_semaphore": 0, "wait_bus": 0}
        self.cycle = 0


def run(
    config, programs, *, memory=None, seed=0, p_issue=1.0, p_memory=1.0, p_ready=1.0, p_wait=1.0,
    latency=3, errors=(), halt_at=None, deadline=4000, until=None,
):  # fmt: skip
    """Feed descriptors to a LoadUnit until it is idle, has failed or been halted for long."""
    rng = random.Random(seed)
    dut = LoadUnit(config)
    content = external_memory(config, seed) if memory is None else memory
    ram = ReadMemory(config, content, rng, latency=latency, p=p_memory, errors=errors)
    result = Result()
    result.ram = ram
    todo = list(programs)
    held = {name: Held() for name in ("request", *PORTS)}
    ports = [getattr(dut, name) for name in PORTS if name != "scale" or config.vector.rows]

    async def bench(ctx):
        settled = offered = 0
        while settled < 8:
            offered = bool(todo) and (offered or rng.random() < p_issue)
            ctx.set(dut.instruction.valid, offered)
            if offered:
                ctx.set(dut.instruction.payload.as_value(), todo[0])
            for port in ports:
                ctx.set(port.ready, rng.random() < p_ready)
            ctx.set(dut.wait.ready, rng.random() < p_wait)
            ctx.set(dut.halt, halt_at is not None and result.cycle >= halt_at)
            ram.drive(ctx, dut.bus)
            values = (await ctx.tick().sample(*watched))[2:]
            step(dict(zip(names, values, strict=True)))
            ended = result.fault or (halt_at is not None and result.cycle > halt_at + 60)
            quiet = ended or (not todo and not ram.pending and ctx.get(dut.idle))
            settled = settled + 1 if quiet else 0
            assert result.cycle < deadline, f"not idle after {deadline} cycles"
        result.idle = ctx.get(dut.idle)

    watched_by_name = {
        "issue": dut.instruction.valid & dut.instruction.ready,
        "request_valid": dut.bus.request.valid, "request_ready": dut.bus.request.ready,
        "request": dut.bus.request.payload, "beat": dut.bus.data.valid & dut.bus.data.ready,
        "wait": dut.wait.valid & dut.wait.ready, "wait_id": dut.wait.id,
        "fault_valid": dut.fault.valid, "fault_code": dut.fault.code, "fault_pc": dut.fault.pc,
        "idle": dut.idle, "events": dut.events,
        **{f"{name}_{part}": getattr(getattr(dut, name), part)
           for name in ("post_inner", "post_outer") for part in ("valid", "id")},
        **{f"{name}_{part}": getattr(getattr(dut, name), part)
           for name in PORTS for part in ("valid", "ready", "payload")},
    }  # fmt: skip
    names, watched = list(watched_by_name), list(watched_by_name.values())

    def step(now):
        result.cycle += 1
        if now["issue"]:
            todo.pop(0)
            result.accept_cycles.append(result.cycle)
        requested = now["request_valid"] and now["request_ready"]
        held["request"](now["request_valid"], now["request_ready"], now["request"])
        if now["request_valid"]:
            result.offer_cycles.append(result.cycle)
        if requested:
            result.request_cycles.append(result.cycle)
        if now["beat"]:
            result.beat_cycles.append(result.cycle)
        request = now["request"]
        ram.observe((requested, request.address, request.last), now["beat"])
        if now["wait"]:
            result.wait_cycles.append((result.cycle, now["wait_id"]))
            result.waits.append((len(ram.bursts) - requested, now["wait_id"]))
        for name in PORTS:
            valid, ready = now[f"{name}_valid"], now[f"{name}_ready"]
            held[name](valid, ready, now[f"{name}_payload"])
            if valid and ready:
                result.writes.append((name, observed(config, name, now[f"{name}_payload"])))
                result.write_cycles.append(result.cycle)
        for name, posts in result.posts.items():
            if now[f"{name}_valid"]:
                posts.append((len(result.writes), now[f"{name}_id"]))
        for name in result.events:
            result.events[name] += now["events"][name]
        if now["idle"]:
            assert not ram.pending and not now["issue"], "idle too early"
            assert not any(now[f"{name}_valid"] for name in PORTS), "idle with a write on offer"
        if now["fault_valid"]:
            fault = now["fault_code"], now["fault_pc"]
            assert result.fault in (None, fault), "a fault changed"
            result.fault = fault

    simulate(dut, bench)
    return result


def port_of(kind: LoadKind) -> str:
    return ("rows", "words", "words", "wide", "scale", "rows", "rows")[kind]


def random_load(rng, config, kind=None, *, beats_left=250):
    """Return the fields of a legal LOAD."""
    kind = rng.choice(list(memory_depth(config))) if kind is None else kind
    size, depth = config.bus.data_bytes, memory_depth(config)[kind]
    base = rng.randrange(depth)
    end = rng.randrange(base + 1, depth + 1)
    elements = rng.choice([1, 2, rng.randrange(1, 3 * config.array.rows)])
    while elements > 1 and run_beats(config, kind, elements) > beats_left - 1:
        elements //= 2
    beats = run_beats(config, kind, elements) + rng.choice([0, 0, 1, 5])
    rows = rng.randrange(1, max(2, min(6, beats_left // beats)))
    stride = (beats + rng.choice([0, 0, 3])) * size
    span = (rows - 1) * stride + beats * size
    optional = [0, 16 + rng.randrange(16)]
    return {
        "kind": kind, "address": rng.randrange(0, (1 << config.bus.address_bits) - span, size),
        "row_stride": stride, "rows": rows, "beats": beats, "local": rng.randrange(end),
        "local_stride": rng.randrange(end - base + 1), "ring_base": base, "ring_end": end,
        "lane": rng.randrange(config.array.columns), "elements": elements,
        "wait_outer": rng.choice(optional), "wait_inner": rng.choice(optional),
        "post_outer": rng.choice(optional), "post_inner": rng.choice(optional),
    }  # fmt: skip


def check(config, loads, result, memory):
    """Compare a whole run with the reference: writes, waits, posts."""
    assert result.fault is None
    writes, waits, inner, outer, bursts = [], [], [], [], []
    for fields in loads:
        waits += [fields["wait_outer"] - 16] * (fields["wait_outer"] > 0)
        waits += [fields["wait_inner"] - 16] * (fields["wait_inner"] > 0) * fields["rows"]
        for row in range(fields["rows"]):
            address = fields["address"] + row * fields["row_stride"]
            bursts += bursts_of(config, address, fields["beats"])
        for run_writes in expected_writes(config, memory, fields):
            writes += [(port_of(fields["kind"]), write) for write in run_writes]
            if fields["post_inner"]:
                inner.append((len(writes), fields["post_inner"] - 16))
        if fields["post_outer"]:
            outer.append((len(writes), fields["post_outer"] - 16))
    assert len(result.writes) == len(writes)
    for got, want in zip(result.writes, writes, strict=True):
        assert got == want
    assert [number for _, number in result.waits] == waits
    assert result.posts["post_inner"] == inner
    assert result.posts["post_outer"] == outer
    assert result.idle
    assert result.ram.bursts == bursts
    beats = sum(fields["rows"] * fields["beats"] for fields in loads)
    assert len(result.beat_cycles) == beats
    assert result.events["beats"] == beats


@pytest.mark.parametrize("stalls", ["none", "memory", "destinations", "all"])
@pytest.mark.parametrize("data_bytes, codecs", [
    *((width, False) for width in PORT_WIDTHS), (2, True), (8, True), (32, True)
])  # fmt: skip
def test_random(data_bytes, codecs, stalls):
    seed = data_bytes * 10 + len(stalls)
    rng = random.Random(seed)
    config = random_config(rng, data_bytes, codecs=codecs)
    memory = external_memory(config, seed)
    loads = [random_load(rng, config, kind, beats_left=50) for kind in memory_depth(config)]
    if codecs:  # every order of rows, codes and others
        loads += [random_load(rng, config, beats_left=50) for _ in range(6)]
    rng.shuffle(loads)
    often = {"none": (), "memory": ("p_memory",), "destinations": ("p_ready",),
             "all": ("p_memory", "p_ready", "p_wait", "p_issue")}[stalls]  # fmt: skip
    result = run(
        config, [instruction(Opcode.LOAD, **fields) for fields in loads], memory=memory,
        seed=seed, **dict.fromkeys(often, 0.5),
    )  # fmt: skip
    check(config, loads, result, memory)


@pytest.mark.parametrize("p_memory, p_ready", [(1, 1), (0.5, 0.7)])
@pytest.mark.parametrize("columns, data_bytes", [(8, 2), (8, 8), (4, 16)])
def test_pages_of_codes(columns, data_bytes, p_memory, p_ready):
    """Full pages, pages that the end of a run cuts, and what comes right before and behind."""
    config = make_config(rows=16, columns=columns, data_bytes=data_bytes, codecs=True)
    memory = external_memory(config, columns)
    rng = random.Random(columns)
    loads = [random_load(rng, config, kind, beats_left=20) for kind in memory_depth(config)]
    for kind, page in code_pages(config).items():
        for elements in (page.elements, page.elements - 1, 2 * page.elements + 1):
            fields = random_load(rng, config, kind)
            beats = run_beats(config, kind, elements)
            fields.update(elements=elements, beats=beats, row_stride=beats * data_bytes,
                          address=0x800, rows=2)  # fmt: skip
            loads.append(fields)
    rng.shuffle(loads)
    programs = [instruction(Opcode.LOAD, **fields) for fields in loads]
    result = run(config, programs, memory=memory, p_memory=p_memory, p_ready=p_ready,
                 deadline=20_000)  # fmt: skip
    check(config, loads, result, memory)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_presets(name, short):
    config = PRESETS[name].replace(
        {"bus.address_bits": 16, "short_pipelines": short} | ({"vector.rows": 0} if short else {})
    )
    rng = random.Random(name)
    memory = external_memory(config, 1)
    loads = [random_load(rng, config, kind, beats_left=60) for kind in memory_depth(config)]
    programs = [instruction(Opcode.LOAD, **fields) for fields in loads]
    check(config, loads, run(config, programs, memory=memory, p_memory=0.7), memory)


@pytest.mark.parametrize("mantissa_bits", [8, 16])
@pytest.mark.parametrize("data_bytes", [1, 8, 128])
def test_pages(data_bytes, mantissa_bits):
    """Pages that are full, partly full and cut by the end of a run, with exponents of all sizes."""
    config = make_config(rows=4, lanes=1, data_bytes=data_bytes, mantissa_bits=mantissa_bits)
    memory = external_memory(config, data_bytes)
    rng = random.Random(1)
    loads = [random_load(rng, config, LoadKind.ACTIVATION) for _ in range(3)]
    for fields, elements in zip(loads, (4, 5, 11), strict=True):
        beats = run_beats(config, LoadKind.ACTIVATION, elements)
        fields.update(elements=elements, beats=beats, address=0x800, rows=2)
    result = run(config, [instruction(Opcode.LOAD, **fields) for fields in loads], memory=memory)
    check(config, loads, result, memory)


def test_waits_guard_requests():
    """No burst of a run before its semaphores; the outer before the inner."""
    config = make_config()
    fields = {
        "kind": LoadKind.WIDE, "rows": 4, "beats": 2, "elements": 1, "row_stride": 8,
        "ring_end": 29, "local_stride": 1, "wait_outer": 16 + 3, "wait_inner": 16 + 5,
    }  # fmt: skip
    result = run(config, [instruction(Opcode.LOAD, **fields)], p_wait=0.2)
    assert [number for _, number in result.waits] == [3, 5, 5, 5, 5]
    asked = [bursts for bursts, _ in result.waits]
    assert all(bursts <= run for bursts, run in zip(asked, (0, 0, 1, 2, 3), strict=True))
    taken = [cycle for cycle, _ in result.wait_cycles[1:]]
    assert all(wait < ask for wait, ask in zip(taken, result.request_cycles, strict=True))
    assert result.events["wait_semaphore"] > 5


STREAMING = {
    "element is a beat": ({"columns": 4, "data_bytes": 4}, LoadKind.OPERAND_ROWS),
    "element is two rows": ({"columns": 4, "data_bytes": 8}, LoadKind.OPERAND_ROWS),
    "element is two beats": ({"columns": 4, "data_bytes": 2}, LoadKind.OPERAND_ROWS),
    "element of codes is a beat": (
        {"columns": 4, "data_bytes": 4, "codecs": True}, LoadKind.OPERAND_AFFINE
    ),
    "element is four beats": ({"columns": 4, "data_bytes": 4, "lanes": 4}, LoadKind.WIDE),
}


def most_elements(config: Config, kind: LoadKind, beats: int) -> int:
    """Return the elements of a run of so many beats."""
    elements = beats * config.bus.data_bytes // element_bytes(config)[kind]
    while run_beats(config, kind, elements) > beats:
        elements -= 1
    return elements


@pytest.mark.parametrize("queue_depth", [1, 2, 4])
@pytest.mark.parametrize("case", STREAMING)
def test_streaming(case, queue_depth):
    """The bus never rests, from run to run and, if there is a queue, from LOAD to LOAD."""
    settings, kind = STREAMING[case]
    if settings.get("codecs") and queue_depth == 1:
        pytest.skip("a core whose instructions stand expands no codes")
    config = make_config(**settings, burst_beats=32, outstanding=16,
                         queue_depth=queue_depth)
    loads = [
        {
            "kind": kind, "rows": rows, "beats": beats, "row_stride": beats * 8 + 8 * rows,
            "address": address, "ring_end": 29, "local_stride": 3,
            "elements": most_elements(config, kind, beats),
            "wait_inner": 16, "wait_outer": 17, "post_inner": 18,
        }
        for rows, beats, address in ((3, 24, 0), (1, 80, 0x18), (12, 4, 0xFF0), (2, 32, 0))
    ]  # fmt: skip
    result = run(config, [instruction(Opcode.LOAD, **fields) for fields in loads], latency=20)
    beats = sum(fields["rows"] * fields["beats"] for fields in loads)
    assert len(result.beat_cycles) == beats
    bubbles = (len(loads) - 1) * 30 if queue_depth == 1 else 0
    assert result.beat_cycles[-1] - result.beat_cycles[0] <= beats - 1 + bubbles
    assert result.request_cycles[0] == 1 + 3 + 1  # with two semaphores


@pytest.mark.parametrize("data_bytes, factor", [(8, 2), (128, 32)])
def test_streaming_small_elements(data_bytes, factor):
    """An element per cycle where many come in a beat."""
    config = make_config(columns=4, lanes=1, data_bytes=data_bytes, burst_beats=32)
    fields = {"kind": LoadKind.WIDE, "rows": 2, "beats": 64 // factor, "row_stride": 1024,
              "elements": 64, "ring_end": 29}  # fmt: skip
    result = run(config, [instruction(Opcode.LOAD, **fields)] * 2, latency=20)
    assert len(result.write_cycles) == 256
    assert result.write_cycles[-1] - result.write_cycles[0] == 255


@pytest.mark.parametrize("data_bytes, latency", [(4, 2), (16, 3)])
def test_latency(data_bytes, latency):
    config = make_config(lanes=1, data_bytes=data_bytes)
    fields = {"kind": LoadKind.WIDE, "rows": 1, "beats": 1, "elements": 1, "ring_end": 29}
    result = run(config, [instruction(Opcode.LOAD, **fields)])
    assert result.request_cycles == [3 + 1]
    assert result.write_cycles[0] - result.beat_cycles[0] == latency


def test_short_runs():
    """Runs of one beat take two cycles each, requests and writes alike."""
    config = make_config(columns=4, data_bytes=4, outstanding=16)
    fields = {"kind": LoadKind.OPERAND_COLUMNS, "rows": 20, "beats": 1, "elements": 1,
              "row_stride": 4, "ring_end": 41, "local_stride": 41}  # fmt: skip
    result = run(config, [instruction(Opcode.LOAD, **fields)], latency=6)
    assert result.write_cycles[-1] - result.write_cycles[0] == 2 * 19


def test_runs_of_one_element():
    """Runs in bunches, where each start wraps while the next is wanted."""
    config = make_config(lanes=1, data_bytes=4, outstanding=16)
    memory = external_memory(config, 2)
    loads = [
        dict(random_load(random.Random(seed), config, LoadKind.WIDE), rows=40, beats=1, elements=1,
             row_stride=4, address=0, ring_base=3, ring_end=11, local=5 + seed, local_stride=7)
        for seed in range(2)
    ]  # fmt: skip
    programs = [instruction(Opcode.LOAD, **fields) for fields in loads]
    result = run(config, programs, memory=memory, latency=12, p_memory=0.4, p_ready=0.6, seed=2)
    check(config, loads, result, memory)


def test_padding_is_quick():
    """What is left of a wide beat costs no cycle per element."""
    config = make_config(lanes=1, data_bytes=128)
    fields = {"kind": LoadKind.WIDE, "rows": 20, "beats": 1, "elements": 1, "row_stride": 128,
              "ring_end": 29, "local_stride": 1}  # fmt: skip
    result = run(config, [instruction(Opcode.LOAD, **fields)])
    assert result.write_cycles[-1] - result.write_cycles[0] <= 19 * 3


@pytest.mark.parametrize("change", [{"local": 9}, {"ring_base": 9}])
def test_no_element_of_a_bad_ring(change):
    """Not even when the first is here in the first cycle."""
    config = make_config(lanes=1, data_bytes=4, outstanding=16)
    good = {"kind": LoadKind.WIDE, "rows": 1, "beats": 40, "elements": 40, "ring_end": 9}
    programs = [instruction(Opcode.LOAD, **good),
                instruction(Opcode.LOAD, pc=4, **{**good, **change})]  # fmt: skip
    result = run(config, programs)
    assert result.fault == (ErrorCode.ADDRESS_RANGE, 4)
    assert len(result.writes) == 40
    assert result.beat_cycles[40] == result.beat_cycles[39] + 1


@pytest.mark.parametrize("latency", [1, 8])
@pytest.mark.parametrize("queue_depth", [2, 3, 4])
def test_short_transfers(queue_depth, latency, seed):
    """Beats come while their transfer is still on its way through the queue; none is dropped."""
    config = make_config(lanes=1, outstanding=16, queue_depth=queue_depth)
    memory = external_memory(config, seed)
    rng = random.Random(seed)
    loads: list[dict] = []
    for beats in rng.choices([1, 2, 3, 9], [6, 2, 1, 1], k=30):
        fields = random_load(rng, config, LoadKind.WIDE)
        fields.update(rows=1, beats=beats, elements=rng.choice([1, beats]), address=4 * len(loads),
                      wait_outer=0, wait_inner=0)  # fmt: skip
        loads.append(fields)
    programs = [instruction(Opcode.LOAD, **fields) for fields in loads]
    check(config, loads, run(config, programs, memory=memory, latency=latency), memory)


@pytest.mark.parametrize("stride, fault", [(2, None), (3, (ErrorCode.ADDRESS_RANGE, 7))])
def test_transfer_of_one_piece(stride, fault):
    """Its ring is looked at with its own fields, although the next one begins right behind it."""
    config = make_config(lanes=1, data_bytes=4, outstanding=16)
    memory = external_memory(config, 3)
    rest = {"address": 0, "ring_base": 0, "wait_outer": 0, "wait_inner": 0, "post_outer": 0,
            "post_inner": 0, "kind": LoadKind.WIDE, "row_stride": 16, "local": 0}  # fmt: skip
    loads = [
        {**rest, "rows": 1, "beats": 40, "elements": 40, "ring_end": 9, "local_stride": 1},
        {**rest, "rows": 1, "beats": 1, "elements": 1, "ring_end": 2, "local_stride": stride},
        {**rest, "rows": 2, "beats": 4, "elements": 4, "ring_end": 9, "local_stride": 8},
    ]
    programs = [instruction(Opcode.LOAD, pc=6 + number, **fields)
                for number, fields in enumerate(loads)]  # fmt: skip
    for ready in (1, 0.5):
        result = run(config, programs, memory=memory, latency=20, p_ready=ready)
        assert result.fault == fault
        if fault is None:
            check(config, loads, result, memory)


GOOD = {
    "kind": LoadKind.WIDE, "address": 0, "rows": 2, "beats": 2, "elements": 1, "row_stride": 8,
    "local": 2, "local_stride": 1, "ring_base": 1, "ring_end": 5,
}  # fmt: skip
FAULTS = [
    (ErrorCode.ILLEGAL_INSTRUCTION, {"kind": 5}),
    (ErrorCode.ILLEGAL_INSTRUCTION, {"kind": 12, "rows": 0, "address": 1}),
    (ErrorCode.ZERO_COUNT, {"rows": 0, "address": 1}),
    (ErrorCode.ZERO_COUNT, {"beats": 0}),
    (ErrorCode.ZERO_COUNT, {"elements": 0}),
    (ErrorCode.ZERO_COUNT, {"elements": 2}),  # two beats hold one
    (ErrorCode.MISALIGNED, {"address": 2, "local": 5}),
    (ErrorCode.MISALIGNED, {"row_stride": 7}),
    (ErrorCode.ADDRESS_RANGE, {"address": 0x10000}),
    (ErrorCode.ADDRESS_RANGE, {"address": 0xFFFC}),  # the run leaves
    (ErrorCode.ADDRESS_RANGE, {"address": 0xFFFC, "rows": 1}),  # and is the last
    (ErrorCode.ADDRESS_RANGE, {"address": 0xFFF0, "row_stride": 0x10}),  # the second run does
    (ErrorCode.ADDRESS_RANGE, {"row_stride": 0x8000_0000}),
    (ErrorCode.ADDRESS_RANGE, {"local": 5}),
    (ErrorCode.ADDRESS_RANGE, {"local": 0x102}),
    (ErrorCode.ADDRESS_RANGE, {"ring_base": 5}),
    (ErrorCode.ADDRESS_RANGE, {"ring_base": 7}),
    (ErrorCode.ADDRESS_RANGE, {"ring_end": 30}),
    (ErrorCode.ADDRESS_RANGE, {"ring_end": 0}),
    (ErrorCode.ADDRESS_RANGE, {"local_stride": 5}),
    (ErrorCode.ADDRESS_RANGE, {"local_stride": 0x4001}),
    (ErrorCode.ADDRESS_RANGE, {"kind": LoadKind.OPERAND_COLUMNS, "lane": 4}),
]
SOME_WRITTEN = [{"elements": 2}, {"address": 0xFFF0, "row_stride": 0x10}, {"row_stride": 1 << 31},
                {"local_stride": 5}]  # fmt: skip


@pytest.mark.parametrize("queue_depth", [1, 3])
@pytest.mark.parametrize("code, change", FAULTS)
def test_faults(code, change, queue_depth):
    """What comes before the bad transfer is written, and nothing that follows it."""
    config = make_config(queue_depth=queue_depth)
    memory = external_memory(config, 0)
    bad = instruction(Opcode.LOAD, pc=77, **{**GOOD, **change})
    result = run(config, [instruction(Opcode.LOAD, **GOOD, pc=3), bad], memory=memory)
    assert result.fault == (code, 77)
    legal = sum(expected_writes(config, memory, GOOD), [])
    beyond = "address" in change or change.get("row_stride", 0) > 8  # found while it runs
    written = [write for _, write in result.writes]
    assert written[: len(legal)] == legal or (beyond and not change.get("local"))
    assert len(written) <= len(legal) + (change in SOME_WRITTEN)


def test_rare_but_legal():
    """Limits that are just inside."""
    config = make_config()
    memory = external_memory(config, 5)
    loads = [
        {**GOOD, "address": 0xFFF8, "rows": 1, "row_stride": 0xFFFC_0000},
        {**GOOD, "local_stride": 4, "rows": 5},
        {**GOOD, "ring_base": 4, "ring_end": 5, "local_stride": 1, "rows": 3, "local": 4},
        {**GOOD, "kind": LoadKind.WIDE, "lane": 63, "ring_end": 29, "local": 28},
        {**GOOD, "rows": 1, "beats": 300, "elements": 150},
    ]
    for fields in loads:
        fields.update(wait_outer=0, wait_inner=0, post_outer=16 + 1, post_inner=16 + 2)
    result = run(config, [instruction(Opcode.LOAD, **fields) for fields in loads], memory=memory)
    check(config, loads, result, memory)


@pytest.mark.parametrize("queue_depth", [1, 3])
@pytest.mark.parametrize("data_bytes", [4, 32])
@pytest.mark.parametrize("beat", [0, 1, 3, 4, 5])
def test_read_error(beat, data_bytes, queue_depth):
    """An error in an element or in padding; nothing of its element is written."""
    config = make_config(data_bytes=data_bytes, lanes=2, queue_depth=queue_depth)
    size = config.bus.data_bytes
    elements = max(1, size // 8)
    fields = {**GOOD, "rows": 3, "beats": 2, "row_stride": 2 * size, "elements": elements}
    programs = [instruction(Opcode.LOAD, pc=9, **fields), instruction(Opcode.LOAD, **fields)]
    result = run(config, programs, errors=[beat * size])
    assert result.fault == (ErrorCode.BUS_READ, 9)
    # With narrow beats an element takes two of them; with wide ones the second is padding.
    clean = beat // 2 * elements + (beat % 2) * elements * (size > 8)
    assert len(result.writes) == clean


def test_halt():
    """No new burst; all beats that were asked for are taken, and dropped."""
    config = make_config(burst_beats=4)
    fields = {**GOOD, "rows": 30, "beats": 8, "row_stride": 32, "elements": 4}
    result = run(config, [instruction(Opcode.LOAD, **fields)], halt_at=40, latency=9, p_ready=0.1)
    assert not result.ram.pending
    # The unit knows in the second cycle; what is on offer then may still be accepted.
    late = [cycle for cycle in result.request_cycles if cycle > 42]
    assert len(late) <= 1
    assert not late or 42 in result.offer_cycles, "a new burst was offered"
    assert len(result.beat_cycles) == sum(count for _, count in result.ram.bursts) > 8
    assert len(result.writes) < 30 * 4
    assert max(result.write_cycles) < 120 and result.fault is None


@pytest.mark.parametrize("name", PRESETS)
def test_emits(name):
    dut = LoadUnit(PRESETS[name])
    ports = [
        value.as_value() if hasattr(value, "as_value") else value
        for _, _, value in dut.signature.flatten(dut) if not isinstance(value, Const)
    ]  # fmt: skip
    assert "module load" in verilog.convert(dut, name="load", ports=ports, emit_src=False)
