"""Sequencer against its golden model."""

import random

import pytest
from amaranth.back import verilog

from systolith_hw.config import BusConfig, Config, MemoryConfig
from systolith_hw.isa import INSTRUCTIONS, CalcOperation, ErrorCode, Opcode, decode, encode
from systolith_hw.presets import PRESETS
from systolith_hw.sequencer.sequencer import Sequencer
from systolith_sim.errors import MachineError
from systolith_sim.sequencer import expand

from .sequencer_bench import (
    NUMBERS,
    WORD_COUNT,
    WORDS,
    Bench,
    issued,
    random_program,
    small_config,
    unit_instruction,
)

END = encode(Opcode.END)


def golden(program, registers, config, table=b""):
    """Return the units' instructions, how the program ends, as ``Bench.outcome`` says it, and the
    credits. ``table`` is what READ finds at WORDS."""
    queued: list[bytes] = []
    credits: list[tuple[int, int]] = []

    def read(item, address):
        if 0 <= address - WORDS < len(table):
            return int.from_bytes(table[address - WORDS :][:4], "little")
        return 0

    try:
        for item in expand(
            program, dict(registers), config, read, lambda: NUMBERS + len(queued)
        ):  # fmt: skip
            if item.raw[0] in issued(config):
                queued.append(item.raw)
            elif item.raw[0] == Opcode.CREDIT:
                fields = decode(item.raw)[1]
                credits += [(len(queued), fields["semaphore"])] * fields["count"]
    except MachineError as error:
        return queued, f"{error.code:d} at {error.pc}", credits
    return queued, "done", credits


def compare(config, program, registers=(), **settings):
    """Run ``program`` on both; return the bench."""
    table = random.Random(1).randbytes(4 * WORD_COUNT)
    queued, outcome, credits = golden(program, registers, config, table)
    bench = Bench(config, **settings)
    bench.memory.place(table, WORDS)
    bench.execute(program, registers)
    assert bench.outcome == outcome
    assert bench.issued == queued
    assert bench.credits == credits
    return bench


def loop(body, **fields):
    """Return a LOOP followed by its body, a list of instructions."""
    return [encode(Opcode.LOOP, body=len(body), **fields), *body]


def unit(seed=0, patches=0):
    return unit_instruction(random.Random(seed), Config(), patches=patches)


STALLS = [(1.0, 0, 1.0), (0.5, 0, 1.0), (1.0, 0, 0.3), (0.6, 9, 0.5)]


@pytest.mark.parametrize("pace, delay, p_ready", STALLS)
@pytest.mark.parametrize("seed, rows", [
    pytest.param(0, 0, marks=pytest.mark.slow), pytest.param(1, 0, marks=pytest.mark.slow), (2, 2),
])  # fmt: skip
def test_random_programs(seed, rows, pace, delay, p_ready):
    rng = random.Random(seed)
    config = small_config(window=16, loop_depth=3, rows=rows)
    program = random_program(rng, 40, config)
    registers = {1: rng.randrange(4), 2: rng.randrange(2)}
    compare(config, program, registers, seed=seed, pace=pace, delay=delay, p_ready=p_ready)


@pytest.mark.parametrize("data_bytes, burst_beats", [
    (1, 1), (1, 64), (2, 16), (4, 4), (16, 8), (32, 1), (64, 2), (128, 1), (128, 32),
])  # fmt: skip
@pytest.mark.parametrize("window", [4, 16])
def test_ports(data_bytes, burst_beats, window):
    rng = random.Random(data_bytes + window)
    config = small_config(data_bytes=data_bytes, burst_beats=burst_beats, window=window)
    program = random_program(rng, 20, config)
    compare(config, program, {1: 2, 2: 1}, seed=window, pace=0.8, delay=3, p_ready=0.7)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_presets(name):
    config = PRESETS[name]
    count = 36 if config.sequencer.queue_depth > 1 else 12  # the small one takes its time
    program = random_program(random.Random(5), count, config)
    compare(config, program, {1: 2, 2: 1})
    verilog.convert(Sequencer(config))


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_loops_that_end_together(depth):
    config = small_config(loop_depth=depth)
    body = [unit(patches=2)]
    for level in range(depth):
        body = loop(body, count=1 + level % 2, counter=level + 3, step=level + 1, initial=level + 2)
    compare(config, b"".join([*body, unit(1), END]), {2: 7})


def test_body_of_the_whole_window():
    config = small_config(window=4, data_bytes=128, burst_beats=4)
    for before in range(5):
        program = [unit(i) for i in range(before)] + loop([unit(i) for i in range(4)], count=3)
        compare(config, b"".join([*program, unit(9), END]))


def test_zero_trips_skip_the_body_and_loops_in_it():
    config = small_config(window=8)
    inner = loop([unit(1)] * 5, count=3)
    skipped = loop([*inner, unit(2)], count=0, counter=3, initial=1)
    last = loop([unit(3), *loop([unit(4)], count=0)], count=2)
    patched = bytearray(unit(5))
    patched[4] = 4 | 3 << 4  # shows that the counter was left alone
    compare(config, b"".join([*skipped, *last, bytes(patched), END]), {1: 99})


def test_trips_beyond_16_bits_of_a_register():
    """A negative register subtracts from the count."""
    config = small_config()
    program = loop([unit(patches=1)], count=5, count_register=1, counter=3, step=-2)
    bench = compare(config, b"".join([*program, END]), {1: 2**32 - 2})
    assert len(bench.issued) == 3


@pytest.mark.parametrize("right, left", [(0, 0), (1, 0), (0, 1), (31, 0), (0, 31), (7, 5)])
def test_calc(right, left):
    config = small_config()
    show = bytearray(32)
    show[0] = Opcode.LOAD
    show[4:6] = bytes([4 | 5 << 4, 7 | 5 << 4])  # slots 4, 5 as one number, and slot 7
    program = [
        encode(Opcode.CALC, target=5, a=1, b=2, immediate=-77, right=right, left=left),
        bytes(show),
        encode(Opcode.CALC, target=0, a=1, immediate=3, right=1, left=2),
        encode(Opcode.CALC, target=5, a=0, b=5, immediate=0),
        bytes(show),
        END,
    ]
    compare(config, b"".join(program), {1: 0xFFFF_0123, 2: 0x8001_0000})


@pytest.mark.parametrize("a, b", [
    (0, 0), (5, 4), (4, 5), (0x8000_0000, 0x7FFF_FFFF), (0x7FFF_FFFF, 0x8000_0000), (2**32 - 1, 0),
    (0, 2**32 - 1), (9, 9),
])  # fmt: skip
@pytest.mark.parametrize("target", [1, 2, 5])
def test_minimum(a, b, target):
    """Also when the target is one of both, and with a sum that wraps around."""
    show = encode(Opcode.LOAD, patch0=4 | target << 4)
    program = []
    for immediate, right, left in ((0, 0, 0), (-7, 0, 0), (3, 4, 0), (1, 1, 3)):
        program += [
            encode(Opcode.CALC, target=target, a=1, b=2, immediate=immediate, right=right,
                   left=left, operation=CalcOperation.MINIMUM), show,
        ]  # fmt: skip
    compare(small_config(), b"".join([*program, END]), {1: a, 2: b})


def test_patches_reach_the_operation():
    show = encode(Opcode.LOAD, patch0=4 | 5 << 4)
    for operation in (0, 1):
        raw = encode(Opcode.CALC, target=5, a=2, b=2, immediate=-9, patch0=11 | 1 << 4,
                     patch1=6 | 1 << 4, patch2=5 | 1 << 4)  # fmt: skip
        compare(small_config(), raw + show + END, {1: operation, 2: 77})


READS = [encode(Opcode.READ, target=3, immediate=WORDS + 4 * index) for index in range(6)]
SHOW = encode(Opcode.LOAD, patch0=4 | 3 << 4, patch1=6 | 4 << 4)


@pytest.mark.parametrize("data_bytes, burst_beats, pace, delay, p_ready", [
    *[(*port, *STALLS[3]) for port in ((1, 1), (1, 2), (2, 1), (2, 8), (4, 1), (8, 16), (128, 1))],
    *[(*port, *stalls) for port in ((1, 64), (32, 4)) for stalls in STALLS],
])  # fmt: skip
def test_read(data_bytes, burst_beats, pace, delay, p_ready):
    """A loop over words, within and without a fetch that is under way."""
    config = small_config(data_bytes=data_bytes, burst_beats=burst_beats, window=8)
    body = [encode(Opcode.READ, target=4, a=3, immediate=-WORDS), SHOW]
    program = [
        READS[1], SHOW, encode(Opcode.CALC, target=5, immediate=2 * WORDS),
        *loop(body, count=7, counter=3, initial=5, step=4), *READS, SHOW,
    ]  # fmt: skip
    bench = compare(config, b"".join([*program, *[unit()] * 9, READS[5], SHOW, END]),
                    pace=pace, delay=delay, p_ready=p_ready)  # fmt: skip
    beats = max(1, 4 // data_bytes)
    mine = [item for item in bench.memory.requests if item[0] >= WORDS]
    assert len(mine) == 15 * -(-beats // burst_beats)
    assert {count for _, count in mine} == {min(beats, burst_beats)}


@pytest.mark.parametrize("fields, code", [
    ({"immediate": 2}, ErrorCode.MISALIGNED),
    ({"a": 1}, ErrorCode.MISALIGNED),
    ({"immediate": 1 << 20}, ErrorCode.ADDRESS_RANGE),
    ({"immediate": -4}, ErrorCode.ADDRESS_RANGE),
    ({"immediate": -1}, ErrorCode.MISALIGNED),
    ({"a": 2, "target": 3}, ErrorCode.ADDRESS_RANGE),
])  # fmt: skip
def test_read_errors(fields, code):
    config = Config(
        memory=MemoryConfig(program_instructions=8), bus=BusConfig(address_bits=20)
    )  # fmt: skip
    bad = encode(Opcode.READ, **fields)
    bench = compare(config, b"".join([unit(), bad, unit(), END]), {1: 0x101, 2: 0x8000_0000})
    assert bench.outcome == f"{code:d} at 1"


NUMBER = encode(Opcode.READ, target=3, number=1)


@pytest.mark.parametrize("data_bytes", [1, 8])
@pytest.mark.parametrize("pace, delay, p_ready", STALLS)
def test_read_number(data_bytes, pace, delay, p_ready):
    """Numbers among words of memory, behind instructions that VECTOR has not yet done."""
    config = small_config(data_bytes=data_bytes, window=8, rows=4)
    program = [NUMBER, SHOW, *loop([NUMBER, SHOW, READS[2], SHOW], count=5), unit(), NUMBER, SHOW]
    compare(config, b"".join([*program, *[unit()] * 3, NUMBER, SHOW, END]),
            pace=pace, delay=delay, p_ready=p_ready)  # fmt: skip


@pytest.mark.parametrize("pace, delay, p_ready", STALLS)
def test_read_fresh_number(pace, delay, p_ready):
    """Each instruction of a unit tells of a number here, some time later, whoever is idle."""
    config = small_config(window=8, rows=4)
    fresh = encode(Opcode.READ, target=3, number=1, fresh=1)
    body = [fresh, SHOW, READS[2]]
    program = b"".join([unit(), fresh, SHOW, *loop(body, count=4), fresh, SHOW, END])
    table = random.Random(1).randbytes(4 * WORD_COUNT)
    bench = Bench(config, pace=pace, delay=delay, p_ready=p_ready)
    bench.tells = True
    bench.memory.place(table, WORDS)
    bench.execute(program)
    assert bench.outcome == "done"
    assert bench.issued == golden(program, (), config, table)[0]


def test_read_number_errors():
    """A core that has none; an address is looked at all the same."""
    for config, fields, code in (
        (small_config(), {}, ErrorCode.ILLEGAL_INSTRUCTION),
        (small_config(rows=4), {"immediate": 2}, ErrorCode.MISALIGNED),
    ):
        bad = encode(Opcode.READ, number=1, **fields)
        assert compare(config, unit() + bad + unit() + END).outcome == f"{code:d} at 1"


@pytest.mark.parametrize("data_bytes", [1, 2, 8, 32])
@pytest.mark.parametrize("target", [0, 3])
def test_read_where_the_bus_fails(data_bytes, target):
    config = small_config(data_bytes=data_bytes)
    bench = Bench(config, delay=5)
    bench.memory.errors = {(WORDS + (3 if data_bytes == 1 else 0)) // data_bytes * data_bytes}
    bench.execute(unit() + encode(Opcode.READ, target=target, immediate=WORDS) + unit() + END)
    assert bench.outcome == f"{ErrorCode.BUS_READ:d} at 1"
    assert len(bench.issued) == 1
    bench = Bench(config, delay=5)
    bench.memory.errors = {WORDS + 32, WORDS - 32}
    bench.execute(unit() + encode(Opcode.READ, target=target, immediate=WORDS) + unit() + END)
    assert bench.outcome == "done"


def test_credits():
    config = small_config()
    counts = [encode(Opcode.CREDIT, semaphore=index, count=count) for index, count in
              enumerate((1, 2, 3, 40))]  # fmt: skip
    patched = encode(Opcode.CREDIT, semaphore=3, patch0=6 | 1 << 4, patch1=5 | 2 << 4)
    program = b"".join([unit(), *counts, unit(1), patched, *loop([counts[1]], count=3), END])
    for p_ready in (1.0, 0.3):
        bench = compare(config, program, {1: 5, 2: 9}, p_ready=p_ready)
        assert len(bench.credits) == 46 + 5 + 6
    bench = compare(config, b"".join([unit(), patched, END]))
    assert bench.outcome == f"{ErrorCode.ZERO_COUNT:d} at 1"


def test_cost_of_the_sequencer_s_own():
    """What the docstrings say, until the next instruction's words come."""
    config = small_config(window=32)
    show = encode(Opcode.LOAD)

    def cycles(raw):
        bench = Bench(config)
        bench.memory.place(b"".join([show, raw, show, END]), 0)

        async def script(ctx):
            await bench.write_program(ctx, 0)
            await ctx.tick().repeat(150)
            await bench.start(ctx)

        bench.run(script)
        return bench.cycles[1] - bench.cycles[0]

    add = cycles(encode(Opcode.CALC, target=3))
    assert (add, cycles(encode(Opcode.READ))) == (14, 23)
    assert cycles(encode(Opcode.CALC, target=3, right=2, left=1)) == add + 6
    assert cycles(encode(Opcode.CALC, target=3, operation=1)) == add + 4
    assert cycles(encode(Opcode.CALC, target=3, operation=1, immediate=-1)) == add + 4
    assert cycles(encode(Opcode.CREDIT, count=1)) == 18
    assert cycles(encode(Opcode.CREDIT, count=9)) == 18 + 8


def test_patches_reach_control_instructions():
    config = small_config()
    counted = bytearray(b"".join(loop([unit(patches=4)], counter=3, step=5)))
    counted[4:7] = bytes([6 | 1 << 4, 8 | 2 << 4, 4 | 0 << 4])
    added = bytearray(encode(Opcode.CALC, target=4, a=1, b=1, immediate=9, left=1))
    added[4:8] = bytes([8 | 2 << 4, 5 | 2 << 4, 10 | 1 << 4, 7 | 1 << 4])
    compare(config, bytes(added + counted + unit(7, patches=4) + END), {1: 3, 2: 2})


@pytest.mark.parametrize("opcode, name, wide", [
    (Opcode.NORM, "tokens", True), (Opcode.NORM, "elements", False),
    (Opcode.SOFTMAX, "tokens", True), (Opcode.SOFTMAX, "elements", False),
    (Opcode.SOFTMAX, "causal", False), (Opcode.SOFTMAX, "row", False),
    (Opcode.DRAIN, "row", False), (Opcode.DRAIN, "entries", False), (Opcode.DRAIN, "tokens", True),
])  # fmt: skip
def test_patches_reach_row_instructions(opcode, name, wide):
    """An odd slot takes 16 bits of a register and leaves the next one as it is; what shares a slot
    shares its carry."""
    slot = next(item.offset // 16 for item in INSTRUCTIONS[opcode].fields if item.name == name)
    assert wide == (slot % 2 == 0)
    raw = bytearray(encode(opcode, **{name: 9}))
    raw[4] = slot | 1 << 4
    bench = compare(small_config(rows=2), bytes(raw) + END, {1: 0x3_FFFE})
    words = [int.from_bytes(bench.issued[0][2 * index :][:2], "little") for index in range(16)]
    assert words[slot] == 7
    assert words[slot + 1 :][:1] in ([4] if wide else [0], [])


def test_several_patches_of_one_slot():
    config = small_config()
    raw = bytearray(unit(3))
    for entries in ([8, 8, 9, 9], [15, 14, 4, 5], [13, 12, 11, 10], [0, 7, 0, 6]):
        raw[4:8] = bytes(slot | (1 + index % 2) << 4 for index, slot in enumerate(entries))
        compare(config, bytes(raw) + END, {1: 0xFFFF_FFFF, 2: 0x8000_8001}, p_ready=0.6)


@pytest.mark.parametrize("last", [encode(Opcode.BARRIER), END])
def test_waits_until_the_units_stay_idle(last):
    """Idle for a moment, between queue and unit, is not the end."""
    config = small_config()
    bench = Bench(config)
    bench.memory.place(b"".join([unit(), last, unit(1), END]), 0)

    async def script(ctx):
        await bench.write_program(ctx, 0)
        ctx.set(bench.dut.start, 1)
        await ctx.tick()
        ctx.set(bench.dut.start, 0)
        for _ in range(60):
            bench.units_busy = 3  # busy for two cycles, then idle for three
            await ctx.tick().repeat(5)
            assert not ctx.get(bench.dut.done)
        assert len(bench.issued) == 1
        assert ctx.get(bench.dut.busy)
        while not ctx.get(bench.dut.done):
            await ctx.tick()

    bench.run(script)
    assert len(bench.issued) == (1 if last == END else 2)


def test_restart_without_fetching_again():
    config = small_config(window=16)
    program = random_program(random.Random(3), 12, config)
    assert len(program) <= 16 * 32
    bench = Bench(config, delay=5)
    bench.memory.place(program, 0x2000)

    async def script(ctx):
        await bench.write_program(ctx, 0x2000)
        for registers in ({1: 1, 2: 1}, {1: 3}, {2: 2}):
            await bench.start(ctx, registers)
            asked = len(bench.memory.requests)
            assert bench.outcome == "done"
            assert bench.issued == golden(program, registers, config)[0]
            await ctx.tick().repeat(30)
            assert len(bench.memory.requests) == asked, "fetched although it is on chip"
            # What a change of memory cannot reach is on chip.
            bench.memory.content.clear()

    bench.run(script)


def test_restart_of_a_long_program():
    config = small_config(window=8)
    program = b"".join([*(unit(i) for i in range(21)), END])
    bench = Bench(config, delay=3)
    bench.memory.place(program, 0x2000)

    async def script(ctx):
        bench.teller.values["program"] = 0x2000
        for _ in range(3):
            await bench.start(ctx)  # a start alone fetches, too
            assert bench.outcome == "done"
            assert bench.issued == golden(program, {}, config)[0]

    bench.run(script)


def test_start_in_every_cycle_around_the_fetch():
    """A start may come before, while or after the program is fetched, or the registers cleared."""
    config = small_config(window=8)
    program = b"".join([unit(i, patches=1) for i in range(10)] + [END])
    expected = golden(program, {1: 5}, config)[0]
    bench = Bench(config, delay=2)
    bench.memory.place(program, 0)

    async def script(ctx):
        for wait in range(0, 30, 3):
            await bench.write_program(ctx, 0)
            await ctx.tick().repeat(wait + 1)
            await bench.start(ctx, {1: 5})
            assert bench.issued == expected

    bench.run(script)


def test_new_program_while_the_old_one_is_on_its_way():
    config = small_config(window=16)
    old = b"".join([unit(i) for i in range(15)] + [END])
    new = b"".join([unit(i + 50) for i in range(15)] + [END])
    for wait in (0, 3, 8, 20):
        bench = Bench(config, delay=12, pace=0.7)
        bench.memory.place(old, 0)
        bench.memory.place(new, 0x8000)

        async def script(ctx, bench=bench, wait=wait):
            await bench.write_program(ctx, 0)
            await ctx.tick().repeat(wait + 1)
            await bench.write_program(ctx, 0x8000)
            await bench.start(ctx)

        bench.run(script)
        assert bench.issued == golden(new, {}, config)[0]


def test_latency_and_throughput():
    config = small_config(window=32)
    bench = Bench(config)
    program = b"".join([unit(i) for i in range(20)] + [END])
    bench.memory.place(program, 0)

    async def script(ctx):
        await bench.write_program(ctx, 0)
        await ctx.tick().repeat(120)
        await bench.start(ctx)

    bench.run(script)
    assert bench.cycles[0] - bench.started == 9
    steps = [b - a for a, b in zip(bench.cycles, bench.cycles[1:], strict=False)]
    assert set(steps) == {5}
    assert bench.counts["wait_fetch"] == 0
    assert bench.counts["wait_queue"] == 0
    assert bench.counts["fetch_beats"] == len(program) // 8 or bench.counts["fetch_beats"] <= 128


def test_cost_of_patches_and_trips():
    config = small_config(window=32)

    def duration(instructions):
        bench = Bench(config)
        bench.memory.place(b"".join([*instructions, END]), 0)

        async def script(ctx):
            await bench.write_program(ctx, 0)
            await ctx.tick().repeat(150)
            await bench.start(ctx)

        bench.run(script)
        return bench.cycles

    patched = bytearray(unit(1))
    patched[4:8] = bytes([4 | 1 << 4, 6 | 1 << 4, 9 | 2 << 4, 14 | 2 << 4])
    starts = duration([bytes(patched), unit(2)])
    assert starts[1] - starts[0] <= 5 + 2 * 4
    starts = duration(loop([unit(1)], count=4, counter=3, step=1))
    assert {b - a for a, b in zip(starts, starts[1:], strict=False)} == {5 + 11}


ILLEGAL = [
    bytes(32),
    bytes([0x11]) + bytes(31),
    bytes([0xFF]) * 32,
    encode(Opcode.NORM),
    encode(Opcode.SOFTMAX),
    bytes([Opcode.LOAD, 0, 0, 0, 1]) + bytes(27),
    bytes([Opcode.CALC, 0, 0, 0, 0, 0, 0, 3]) + bytes(24),
    bytes([Opcode.END, 0, 0, 0, 0, 2, 0, 0]) + bytes(24),
]


def test_what_is_legal_with_row_memory():
    program = b"".join([encode(Opcode.NORM), encode(Opcode.SOFTMAX, tokens=3), unit(), END])
    bench = compare(small_config(rows=2), program)
    assert [raw[0] for raw in bench.issued[:2]] == [Opcode.NORM, Opcode.SOFTMAX]


@pytest.mark.parametrize("bad", ILLEGAL)
def test_illegal_instruction(bad):
    config = small_config()
    bench = compare(config, b"".join([unit(), unit(1), *loop([unit(), bad], count=2), END]))
    assert bench.outcome == f"{ErrorCode.ILLEGAL_INSTRUCTION:d} at 4"


@pytest.mark.parametrize("program, pc", [
    (loop([], count=1), 0),
    ([unit(), *loop([unit()] * 9, count=1)], 1),
    ([unit(), *loop([unit()] * 9, count=0)], 1),
    (loop([encode(Opcode.LOOP, body=65535)], count=2), 1),
    (loop(loop(loop([unit()], count=1), count=1), count=1), 2),
    ([encode(Opcode.LOOP, body=2, count=1), encode(Opcode.LOOP, body=2, count=1),
      unit(), unit()], 1),
    ([encode(Opcode.LOOP, body=2, count=1), encode(Opcode.LOOP, body=8, count=0),
      *[unit()] * 8], 1),
])  # fmt: skip
def test_loop_errors(program, pc):
    config = small_config(window=8, loop_depth=2)
    bench = compare(config, b"".join([*program, END]))
    assert bench.outcome == f"{ErrorCode.LOOP:d} at {pc}"


@pytest.mark.parametrize("last_beat", [False, True])
@pytest.mark.parametrize("data_bytes", [1, 2, 8, 32, 128])
def test_bus_error_counts_only_when_it_is_reached(data_bytes, last_beat):
    config = small_config(data_bytes=data_bytes, burst_beats=8, window=16)
    program = b"".join([unit(i) for i in range(7)] + [END])
    grain = max(32, data_bytes)
    for bad in (0, 1, 5, 9):
        first = bad * 32 // grain * grain
        bench = Bench(config, delay=2)
        bench.memory.errors = {0x1000 + first + (grain - data_bytes if last_beat else 0)}
        bench.execute(program)
        if first < len(program):
            assert bench.outcome == f"{ErrorCode.BUS_READ:d} at {first // 32}"
            assert len(bench.issued) == first // 32
        else:
            assert bench.outcome == "done"


def test_halt_stops_at_once_and_keeps_the_address():
    config = small_config(window=16)
    program = b"".join([unit(i) for i in range(15)] + [END])
    bench = Bench(config, delay=4, p_ready=0.4)
    bench.memory.place(program, 0)

    async def script(ctx):
        dut = bench.dut
        await bench.write_program(ctx, 0)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(60)
        ctx.set(dut.halt, 1)
        await ctx.tick()
        count, pc, asked = len(bench.issued), ctx.get(dut.pc), len(bench.memory.requests)
        assert 0 < count < 15
        await ctx.tick().repeat(60)
        assert (len(bench.issued), ctx.get(dut.pc)) == (count, pc)
        assert len(bench.memory.requests) <= asked + 1, "only what had been offered"
        assert ctx.get(dut.idle) and not ctx.get(dut.busy)

    bench.run(script)


def test_wrapping_addresses_are_harmless():
    config = small_config(window=16)
    program = b"".join([unit(i) for i in range(3)] + [END])
    bench = Bench(config, delay=1)
    bench.execute(program, address=(1 << 32) - len(program))
    assert bench.outcome == "done"
    assert bench.issued == golden(program, {}, config)[0]


def test_golden_arithmetic():
    """The golden model against Python's own numbers."""
    config = small_config()
    program = b"".join([
        encode(Opcode.CALC, target=3, a=1, immediate=15, right=4),
        *loop([bytes([Opcode.LOAD, 0, 0, 0, 4 | 4 << 4]) + bytes(27)], count_register=3, counter=4,
              initial=2, step=0x20),
        encode(Opcode.BARRIER),
        END,
    ])  # fmt: skip
    items = list(expand(program, {1: 50, 2: 1000}, config, lambda item, address: None))
    addresses = [int.from_bytes(item.raw[8:12], "little") for item in items[:-2]]
    assert addresses == [1000 + 0x20 * trip for trip in range((50 + 15) // 16)]
    assert [item.pc for item in items] == [2] * 4 + [3, 4]
    assert all(item.raw[4:8] == bytes([item.pc, 0, 0, 0]) for item in items)
