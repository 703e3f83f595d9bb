"""The sequencer of cores whose instructions stand: the tests of the other one, and its own."""

import random

import pytest

from systolith_hw.isa import Opcode, Unit, encode
from systolith_hw.sequencer.serial.microcode import ADDRESS_BITS, Condition, Step, assemble
from systolith_hw.sequencer.serial.program import DISPATCH, PROGRAM

from . import test_sequencer as wide
from .sequencer_bench import Bench, random_program, small_config
from .test_sequencer import (  # noqa: F401  (collected here, too)
    test_body_of_the_whole_window,
    test_bus_error_counts_only_when_it_is_reached,
    test_calc,
    test_illegal_instruction,
    test_loop_errors,
    test_loops_that_end_together,
    test_new_program_while_the_old_one_is_on_its_way,
    test_patches_reach_control_instructions,
    test_random_programs,
    test_restart_of_a_long_program,
    test_restart_without_fetching_again,
    test_several_patches_of_one_slot,
    test_trips_beyond_16_bits_of_a_register,
    test_waits_until_the_units_stay_idle,
    test_zero_trips_skip_the_body_and_loops_in_it,
)

END = encode(Opcode.END)


def standing(*, rows=0, **settings):
    """Return a config whose instructions stand; such a core has no rows, whoever asks for them."""
    return small_config(queue_depth=1, rows=0, **settings)


@pytest.fixture(autouse=True)
def _instructions_stand(monkeypatch):
    """Let the other sequencer's tests run on this one."""
    monkeypatch.setattr(wide, "small_config", standing)


@pytest.mark.parametrize("data_bytes, window", [(1, 4), (2, 16), (8, 4), (16, 4), (128, 16)])
def test_ports(data_bytes, window):
    config = standing(data_bytes=data_bytes, burst_beats=4, window=window)
    program = random_program(random.Random(data_bytes + window), 12, config)
    wide.compare(config, program, {1: 2, 2: 1}, seed=window, pace=0.8, delay=3, p_ready=0.7)


@pytest.mark.parametrize("operation", [0, 1])
@pytest.mark.parametrize("value", [0, 0xFFFE])
def test_calc_looks_at_one_bit_of_its_operation(operation, value):
    """Slot 11 has other bits, too, and a patch may set that one."""
    raw = bytearray(encode(Opcode.CALC, target=3, immediate=5, patch0=11 | 1 << 4))
    raw[22:24] = value.to_bytes(2, "little")
    show = encode(Opcode.LOAD, patch0=4 | 3 << 4)
    bench = wide.compare(standing(), bytes(raw) + show + END, {1: operation})
    assert bench.outcome == ("1 at 0" if operation else "done")


@pytest.mark.parametrize("opcode", [Opcode.READ, Opcode.CREDIT])
def test_what_is_lacking(opcode):
    raw = encode(opcode, **({"count": 1} if opcode == Opcode.CREDIT else {}))
    assert wide.compare(standing(), raw + END).outcome == "1 at 0"


def test_more_trips_than_16_bits_count():
    """The lower half of the trips is zero at first, which is not the end."""
    config = standing()
    body = [wide.unit(patches=1)]
    program = [*wide.loop(body, count=1, count_register=1, counter=3), END]
    bench = Bench(config)
    bench.memory.place(b"".join(program), 0)

    async def script(ctx):
        await bench.write_program(ctx, 0)
        bench.teller.values["length"] = 0xFFFF
        bench.teller.restart()
        ctx.set(bench.dut.start, 1)
        await ctx.tick()
        ctx.set(bench.dut.start, 0)
        while len(bench.issued) < 4:
            await ctx.tick()
        assert not ctx.get(bench.dut.done | bench.dut.fault.valid)

    bench.run(script)


def test_cost():
    """What the docstring says of an instruction, and of a trip."""
    config = standing(window=32)
    body = [wide.unit(1)]
    bench = Bench(config)
    loop = wide.loop(body, count=3, counter=3)
    bench.memory.place(b"".join([*body, wide.unit(2), *loop, END]), 0)

    async def script(ctx):
        await bench.write_program(ctx, 0)
        await ctx.tick().repeat(400)
        await bench.start(ctx)

    bench.run(script)
    steps = [b - a for a, b in zip(bench.cycles, bench.cycles[1:], strict=False)]
    assert bench.cycles[0] - bench.started == 98
    assert steps[0] == 129
    assert steps[2] == steps[3] == 129 + 18


def test_a_halt_keeps_the_address_of_each_unit():
    """The latest that each unit has begun to take, and that of the sequencer."""
    config = standing(window=16)
    order = [Opcode.LOAD, Opcode.STORE, Opcode.MATMUL, Opcode.LOAD, Opcode.DRAIN]
    program = [encode(opcode) for opcode in order]
    bench = Bench(config)
    bench.memory.place(b"".join([*program, encode(Opcode.CALC), encode(Opcode.BARRIER), END]), 0)
    expected = {
        Unit.SEQUENCER: 6, Unit.LOAD: 3, Unit.STORE: 1, Unit.ARRAY: 2, Unit.VECTOR: 4,
    }  # fmt: skip

    async def script(ctx):
        await bench.write_program(ctx, 0)
        ctx.set(bench.dut.start, 1)
        await ctx.tick()
        ctx.set(bench.dut.start, 0)
        for _ in range(1500):
            if len(bench.issued) == len(order):
                bench.units_busy = 3
            await ctx.tick()
        ctx.set(bench.dut.halt, 1)
        for unit, pc in expected.items():
            ctx.set(bench.dut.inspect, unit)
            await ctx.tick().repeat(3)
            assert ctx.get(bench.dut.pc) == pc, unit

    bench.run(script)


def test_microprogram_fits_its_memory():
    assert len(assemble(PROGRAM, DISPATCH)) == 1 << ADDRESS_BITS
    filler = [Step() for _ in range(1 << ADDRESS_BITS)]
    with pytest.raises(ValueError, match="microinstructions are too many for 256"):
        assemble([*PROGRAM[:-1], *filler, PROGRAM[-1]], DISPATCH)


def test_both_ways_out_of_a_branch_stand_side_by_side():
    steps = [
        Step(label="a", when=Condition.ZERO, to="c", go="b"),
        Step(label="b", when=Condition.CARRY, to="b", go="c"),
        Step(label="c", go="a"),
    ]
    rom = assemble(steps, ["c"] * 16)
    first = rom[0] & 0xFF
    assert first % 2 == 0
    assert [rom[first] >> 8 & 15, rom[first + 1] >> 8 & 15] == [Condition.CARRY, Condition.NEVER]
    second = rom[first] & 0xFF
    assert [rom[second], rom[second + 1]] == [rom[first + 1], rom[first]]
    assert rom[first + 1] & 0xFF == 0
