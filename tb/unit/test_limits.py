"""What a core whose instructions stand keeps of them, and who refuses the rest."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from systolith.program import Program
from systolith_hw.config import ConfigError
from systolith_hw.interfaces import SLOT_ORDER
from systolith_hw.isa import INSTRUCTIONS, SLOTS, DrainKind, ErrorCode, Opcode, Unit, encode
from systolith_hw.limits import field_bits, slot_limits
from systolith_hw.presets import preset
from systolith_hw.sequencer.serial.standing import StandingInstruction
from systolith_sim.errors import MachineError
from systolith_sim.machine.machine import Machine
from systolith_sim.vector.row import Factor

CONFIG = preset("tiny")
UNITS = [Opcode.MATMUL, Opcode.DRAIN, Opcode.LOAD, Opcode.STORE]
LEGAL = {
    Opcode.MATMUL: {"ring_end": 8, "steps": 1, "tokens": 1, "groups": 1, "tiles": 1,
                    "tiles_last": 1},
    Opcode.DRAIN: {"tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1, "columns_last": 2},
    Opcode.LOAD: {"kind": 4, "rows": 1, "beats": 4, "elements": 1, "ring_end": 8},
    Opcode.STORE: {"kind": 1, "rows": 1, "beats": 2, "elements": 1},
}  # fmt: skip


@pytest.mark.parametrize("opcode", UNITS)
def test_every_field_of_a_unit_has_its_bits(opcode):
    bits = field_bits(CONFIG, opcode)
    fields = {item.name: item for item in INSTRUCTIONS[opcode].fields}
    assert set(bits) | {"exponent_base"} >= set(fields)
    assert all(0 <= kept <= fields[name].width for name, kept in bits.items())
    limits = slot_limits(CONFIG, opcode)
    assert len(limits) == SLOTS
    for name, kept in bits.items():
        raw = int.from_bytes(encode(opcode, **{name: (1 << kept) - 1}), "little")
        parts = [raw >> 16 * slot & 0xFFFF for slot in range(SLOTS)]
        assert all(part <= limit for part, limit in zip(parts, limits, strict=True)), name


def test_limits_follow_the_memories():
    assert field_bits(CONFIG, Opcode.MATMUL)["ring_end"] == 15  # 16384 is one of its values
    assert field_bits(CONFIG, Opcode.LOAD)["address"] == 24
    assert slot_limits(CONFIG, Opcode.LOAD)[4:6] == [0xFFFF, 0xFF]
    assert field_bits(CONFIG, Opcode.STORE)["rows"] == CONFIG.sequencer.count_bits == 12
    queued = CONFIG.replace({"sequencer.queue_depth": 2})
    assert field_bits(queued, Opcode.STORE)["rows"] == 16


CASES = [
    (opcode, name) for opcode in UNITS for name, kept in field_bits(CONFIG, opcode).items()
    if kept < next(item.width for item in INSTRUCTIONS[opcode].fields if item.name == name)
]  # fmt: skip


@pytest.mark.parametrize("opcode, name", CASES)
def test_more_is_an_error_of_the_unit(opcode, name):
    """In the functional machine, before anything else is looked at."""
    value = 1 << field_bits(CONFIG, opcode)[name]
    raw = encode(opcode, **{**LEGAL[opcode], name: value})
    with pytest.raises(MachineError) as caught:
        Machine(CONFIG, 1 << 12).run(encode(Opcode.BARRIER) + raw + encode(Opcode.END))
    error = caught.value
    unit = INSTRUCTIONS[opcode].unit
    assert (error.code, error.unit, error.pc) == (ErrorCode.ADDRESS_RANGE, unit, 1)


def test_programs_say_so_earlier():
    program = Program(CONFIG)
    with pytest.raises(ValueError, match=r"MATMUL.tokens must be at most 4095 .* not 4096"):
        program.matmul(steps=1, tokens=4096)
    with pytest.raises(ValueError, match=r"DRAIN.group_stride must be at most 1023 .* not 5000"):
        program.drain(DrainKind.ACTIVATION, group_stride=5000)
    program.matmul(steps=1, tokens=4096, patches={"tokens": 1})
    Program(CONFIG.replace({"sequencer.queue_depth": 2})).matmul(steps=1, tokens=4096)


@pytest.mark.parametrize("raw, unit, code", [
    (encode(Opcode.NORM), Unit.SEQUENCER, ErrorCode.ILLEGAL_INSTRUCTION),
    (encode(Opcode.SOFTMAX), Unit.SEQUENCER, ErrorCode.ILLEGAL_INSTRUCTION),
    (encode(Opcode.DRAIN, kind=3), Unit.VECTOR, ErrorCode.ILLEGAL_INSTRUCTION),
    (encode(Opcode.DRAIN, function=1), Unit.VECTOR, ErrorCode.ILLEGAL_INSTRUCTION),
    (encode(Opcode.DRAIN, kind=1, accumulate=1), Unit.VECTOR, ErrorCode.ILLEGAL_INSTRUCTION),
    (encode(Opcode.DRAIN, factor=1), Unit.VECTOR, ErrorCode.ILLEGAL_INSTRUCTION),
    (encode(Opcode.DRAIN, kind=1, maximum=1), Unit.VECTOR, ErrorCode.ILLEGAL_INSTRUCTION),
])  # fmt: skip
def test_what_a_core_without_rows_lacks(raw, unit, code):
    with pytest.raises(MachineError) as caught:
        Machine(preset("small").replace({"vector.rows": 0}), 1 << 12).run(raw + encode(Opcode.END))
    assert (caught.value.unit, caught.value.code) == (unit, code)


@pytest.mark.parametrize("raw", [
    encode(Opcode.READ), encode(Opcode.CREDIT, count=1), encode(Opcode.CALC, operation=1),
])  # fmt: skip
def test_what_a_core_whose_instructions_stand_lacks(raw):
    with pytest.raises(MachineError) as caught:
        Machine(CONFIG, 1 << 12).run(raw + encode(Opcode.END))
    assert (caught.value.unit, caught.value.code) == (
        Unit.SEQUENCER, ErrorCode.ILLEGAL_INSTRUCTION
    )


@pytest.mark.parametrize("append, sentence", [
    (lambda p: p.norm(elements=1, inverse=Factor(1 << 15, 15), epsilon=1, source=0,
                      destination=0), "there is no NORM with a vector.rows of 0"),
    (lambda p: p.softmax(elements=1, source=0, destination=0), "no SOFTMAX with a vector.rows"),
    (lambda p: p.drain(DrainKind.WIDE, maximum=True), "no DRAIN.maximum with a vector.rows of 0"),
    (lambda p: p.drain_operands(DrainKind.KEYS, destination=0, token_stride=1, entries=0),
     "there is no DRAIN.KEYS with a vector.rows of 0"),
    (lambda p: p.read(3), "there is no READ with a sequencer.queue_depth of 1"),
    (lambda p: p.credit(0), "there is no CREDIT with a sequencer.queue_depth of 1"),
    (lambda p: p.minimum(3, 1, 2), "there is no CALC.MINIMUM with a sequencer.queue_depth of 1"),
    (lambda p: p.matmul(steps=1, operand_stride=2), "operand_stride must be at most 0"),
])  # fmt: skip
def test_programs_of_what_lacks(append, sentence):
    with pytest.raises(ValueError, match=sentence):
        append(Program(CONFIG))


def test_rows_need_queues_and_pipelines():
    for change in ({"short_pipelines": True}, {"sequencer.queue_depth": 1}):
        with pytest.raises(ConfigError, match=r"vector.rows must be 0 with short_pipelines or"):
            preset("small").replace({"vector.rows": 64} | change)


def _hand_over(dut, parts, limits, script):
    """Give ``parts`` to ``dut``, then run ``script``."""

    async def bench(ctx):
        for slot in SLOT_ORDER:
            part = parts[slot]
            first = slot == SLOT_ORDER[0]  # nobody looks whether that is beyond
            beyond = first or part > limits[slot]
            ctx.set(dut.i.payload, {"data": part, "slot": slot, "beyond": beyond})
            ctx.set(dut.i.valid, 1)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await script(ctx)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("opcode", UNITS)
def test_stands_until_it_is_taken(opcode):
    limits = slot_limits(CONFIG, opcode)
    rng = random.Random(opcode)
    parts = [rng.randrange(limit + 1) for limit in limits]
    dut = StandingInstruction(CONFIG, opcode)

    async def script(ctx):
        for _ in range(3):
            assert ctx.get(dut.o.valid)
            assert not ctx.get(dut.i.ready)
            assert not ctx.get(dut.empty)
            assert ctx.get(dut.o.payload.as_value()) == sum(
                part << 16 * slot for slot, part in enumerate(parts)
            )
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.o.valid | dut.refused)
        assert ctx.get(dut.empty)

    _hand_over(dut, parts, limits, script)
    verilog.convert(dut)


@pytest.mark.parametrize("slot", [4, 9, 13, 15])
def test_refuses_what_is_beyond(slot):
    limits = slot_limits(CONFIG, Opcode.LOAD)
    dut = StandingInstruction(CONFIG, Opcode.LOAD)

    async def script(ctx):
        assert ctx.get(dut.refused) == (slot != 4), "the low half of the address has all values"
        assert ctx.get(dut.o.valid) == (slot == 4)

    parts = [limit if index != slot else 0xFFFF for index, limit in enumerate(limits)]
    _hand_over(dut, parts, limits, script)
