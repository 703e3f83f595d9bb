"""The program builder: fields, defaults, patches, loops, and sentences about what is wrong."""

import contextlib

import pytest

from systolith.program import Program, disassemble
from systolith_hw.isa import DrainFunction, DrainKind, LoadKind, Opcode, Register, StoreKind
from systolith_hw.presets import PRESETS
from systolith_sim.machine.listing import describe
from systolith_sim.vector.row import Factor

from .machine_bench import instructions

CONFIG = PRESETS["small"].replace({
    "vector.rows": 64, "memory.wide_words": 512, "memory.scale_words": 512,
    "memory.program_instructions": 128,
})  # fmt: skip


def one(append, config=CONFIG) -> dict[str, int]:
    """Return the fields, zeros left out, of the one instruction that ``append`` appends."""
    program = Program(config)
    append(program)
    program.end()
    (_, fields), _ = instructions(program.assemble())
    return {name: value for name, value in fields.items() if value and name != "opcode"}


def test_matmul():
    assert one(lambda p: p.matmul(steps=6, tokens=3, tiles=2, groups=4, wait_outer=0)) == {
        "wait_outer": 16, "ring_end": 512, "activation_stride": 6, "steps": 6, "tokens": 3,
        "groups": 4, "tiles": 2, "tiles_last": 2,
    }  # fmt: skip
    assert one(lambda p: p.matmul(
        steps=1, operand=9, ring=(8, 12), activation=7, activation_stride=0, tiles=3, tiles_last=1,
        wait_inner=1, post_inner=2, post_outer=15,
    )) == {
        "wait_inner": 17, "post_inner": 18, "post_outer": 31, "operand": 9, "ring_base": 8,
        "ring_end": 12, "activation": 7, "steps": 1, "tokens": 1, "groups": 1, "tiles": 3,
        "tiles_last": 1,
    }  # fmt: skip


def test_drain():
    assert one(lambda p: p.drain(DrainKind.WIDE, tokens=2, token_stride=4, scale=3)) == {
        "kind": 1, "tokens": 2, "token_stride": 4, "scale": 3, "groups": 1, "tiles": 1,
        "tiles_last": 1, "columns_last": 8,
    }  # fmt: skip


def test_operand_stride():
    fields = one(lambda p: p.matmul(steps=2, tiles=3, operand_stride=5))
    assert (fields["steps"], fields["operand_stride"]) == (2, 5)


def test_drain_has_more():
    assert one(lambda p: p.drain(
        DrainKind.WIDE, function=DrainFunction.SILU, accumulate=True, factor=True, maximum=True,
        row=9, offset=100, entries=4,
    )) == {
        "kind": 1, "function": 2, "accumulate": 1, "factor": 1, "maximum": 1, "row": 9,
        "offset": 100, "entries": 4, "tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1,
        "columns_last": 8,
    }  # fmt: skip
    assert one(lambda p: p.drain_operands(
        DrainKind.KEYS, destination=7, token_stride=2, entries=40, tokens=3, groups=2, tiles=4,
        scale=1, group_stride=50, entries_stride=16, lane=5, offset=31, exponent_base=3,
    )) == {
        "kind": 3, "destination": 7, "token_stride": 2, "entries": 40, "tokens": 3, "groups": 2,
        "tiles": 4, "scale": 1, "group_stride": 50, "tiles_last": 16, "columns_last": 5,
        "offset": 31, "exponent_base": 3,
    }  # fmt: skip


def test_rows():
    shared = {
        "elements": 9, "source": 1, "source_stride": 3, "destination": 4, "token_stride": 2,
        "scale": 5, "tokens": 6, "exponent_base": 7, "wait_inner": 0, "post_outer": 1,
    }  # fmt: skip
    encoded = shared | {"wait_inner": 16, "post_outer": 17}
    assert one(lambda p: p.norm(inverse=Factor(0x8001, 18), epsilon=3, back=True, **shared)) == (
        encoded | {"inverse": 0x8001, "inverse_shift": 18, "epsilon": 3, "back": 1, "centre": 1}
    )
    assert one(lambda p: p.softmax(row=58, causal=2, **shared)) == (
        encoded | {"row": 58, "causal": 2}
    )


def test_sequencer():
    assert one(lambda p: p.minimum(3, 4, 5, -1, right=2)) == {
        "target": 3, "a": 4, "b": 5, "immediate": -1, "right": 2, "operation": 1,
    }  # fmt: skip
    assert one(lambda p: p.read(3, 4, 0x102)) == {"target": 3, "a": 4, "immediate": 0x102}
    assert one(lambda p: p.credit(2, 5)) == {"semaphore": 2, "count": 5}


def test_load_and_store_count_beats():
    assert one(lambda p: p.load(LoadKind.ACTIVATION, address=64, elements=9)) == {
        "kind": 2, "address": 64, "row_stride": 88, "rows": 1, "beats": 11, "elements": 9,
        "ring_end": 4096,
    }  # fmt: skip
    assert one(lambda p: p.load(
        LoadKind.OPERAND_COLUMNS, address=0, elements=1, rows=2, row_stride=16, lane=7, local=5,
        local_stride=1, ring=(4, 6),
    )) == {
        "kind": 1, "row_stride": 16, "rows": 2, "beats": 1, "elements": 1, "lane": 7, "local": 5,
        "local_stride": 1, "ring_base": 4, "ring_end": 6,
    }  # fmt: skip
    assert one(lambda p: p.store(StoreKind.WIDE, address=8, elements=5, local=1)) == {
        "kind": 1, "address": 8, "row_stride": 80, "rows": 1, "beats": 10, "elements": 5,
        "local": 1,
    }  # fmt: skip


def test_patches():
    fields = one(lambda p: p.matmul(
        steps=1, tokens=0, patches={"tokens": Register.LENGTH, "activation": 5}
    ))  # fmt: skip
    assert (fields["patch0"], fields["patch1"]) == (10 | 1 << 4, 7 | 5 << 4)
    assert "tokens" not in fields


def test_loops_nest():
    program = Program(CONFIG)
    outer = program.register("outer")
    with program.loop(3, counter=outer, step=-4, initial=Register.POSITION):
        program.barrier()
        with program.loop(count_register=outer, patches={"count": 2}):
            program.calc(4, outer, 1, -7, right=2, left=1)
    program.end()
    parts = instructions(program.assemble())
    assert [fields.get("body") for _, fields in parts] == [3, None, 1, None, None]
    assert outer == 3
    assert disassemble(program.assemble()).splitlines() == [
        "    0  LOOP counter=r3 count=3 initial=position step=-4 body=3",
        "    1    BARRIER",
        "    2    LOOP count_register=r3 body=1 count+=position",
        "    3      CALC target=r4 a=r3 b=length right=2 immediate=-7 left=1",
        "    4  END",
    ]


def test_listing():
    program = Program(CONFIG)
    program.load(
        LoadKind.SCALE, address=0x80, elements=3, rows=2, ring=(1, 9), local=1, post_inner=3
    )
    program.end()
    raw = program.assemble()
    assert describe(raw[:32]) == (
        "LOAD.SCALE post_inner=s3 address=0x80 row_stride=96 rows=2 beats=12 local=1 ring=1..9 "
        "elements=3"
    )
    program = Program(CONFIG)
    program.read(3, Register.LENGTH, 8)
    program.minimum(4, 3, Register.LENGTH)
    program.credit(0, 2)
    program.drain(DrainKind.WIDE, function=DrainFunction.GELU, patches={"row": 4})
    program.end()
    assert disassemble(program.assemble()).splitlines() == [
        "    0  READ target=r3 a=length immediate=8",
        "    1  CALC target=r4 a=r3 b=length operation=MINIMUM",
        "    2  CREDIT semaphore=s0 count=2",
        (
            "    3  DRAIN.WIDE function=GELU tokens=1 groups=1 tiles=1 tiles_last=1 columns_last=8 "
            "row+=r4"
        ),
        "    4  END",
    ]
    assert describe(bytes(32)) == "(opcode 0x00 is illegal)"
    assert describe(bytes([int(Opcode.STORE), 0, 0, 0x70]) + bytes(28)) == "STORE.7"


def test_resources_run_out():
    program = Program(CONFIG.replace({"sequencer.semaphores": 2}))
    assert [program.semaphore("full"), program.semaphore("free")] == [0, 1]
    with pytest.raises(ValueError, match="no semaphore is left for 'more': .* by full, free"):
        program.semaphore("more")
    numbers = [program.register(f"r{index}") for index in range(13)]
    assert numbers == list(range(3, 16))
    with pytest.raises(ValueError, match="no register is left for 'last'"):
        program.register("last")


def nest(program):
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(program.loop(1))


def long_body(program):
    with program.loop(2):
        for _ in range(129):
            program.barrier()


def empty_body(program):
    with program.loop(2):
        pass


LOAD = {"address": 0, "elements": 4}
KEYS = {"kind": DrainKind.KEYS, "destination": 0, "token_stride": 1, "entries": 0}
ROW = {"elements": 8, "source": 0, "destination": 0}
NORM = ROW | {"inverse": Factor(1 << 15, 18), "epsilon": 1}


@pytest.mark.parametrize(
    "append, words",
    [
        (lambda p: p.matmul(steps=0), "MATMUL.steps must be at least 1, not 0"),
        (lambda p: p.matmul(steps=513), "MATMUL.steps must be at most 512, .* not 513"),
        (lambda p: p.matmul(steps=1, tokens=70000), "MATMUL.tokens must be in 0..65535, not 70000"),
        (lambda p: p.matmul(steps=1, tokens=-1), "MATMUL.tokens must be in 0..65535, not -1"),
        (lambda p: p.matmul(steps=1, operand=512), "MATMUL.operand must be in 0..511, not 512"),
        (lambda p: p.matmul(steps=1, operand=9, ring=(0, 9)), "MATMUL.operand must be in 0..8"),
        (lambda p: p.matmul(steps=1, ring=(4, 4)), "MATMUL.ring must lie inside .* not 4..4"),
        (lambda p: p.matmul(steps=1, ring=(0, 513)), "MATMUL.ring must lie inside the memory of 5"),
        (lambda p: p.matmul(steps=1, activation=4096), "MATMUL.activation must be in 0..4095"),
        (lambda p: p.matmul(steps=1, wait_outer=16), "wait_outer must name one of 16 semaphores"),
        (lambda p: p.matmul(steps=1, patches={"rows": 1}), "MATMUL has no field rows"),
        (lambda p: p.matmul(steps=1, patches={"tokens": 16}), "tokens must be patched by register"),
        (lambda p: p.matmul(steps=1, patches=dict.fromkeys("abcde", 1)), "can have 4 patches"),
        (lambda p: p.drain(DrainKind.WIDE, destination=512), "DRAIN.destination .* 0..511"),
        (lambda p: p.drain(DrainKind.WIDE, columns_last=9), "columns_last must be in 1..8, not 9"),
        (lambda p: p.drain(DrainKind.WIDE, exponent_base=32), "exponent_base must be in 0..31"),
        (lambda p: p.drain(DrainKind.STREAM, scale=512), "DRAIN.scale must be in 0..511"),
        (lambda p: p.drain(DrainKind.KEYS), "DRAIN.KEYS is what drain_operands appends"),
        (lambda p: p.drain(DrainKind.STREAM, maximum=True), "maximum is for WIDE, not for STREAM"),
        (lambda p: p.drain(DrainKind.ACTIVATION, accumulate=True),
         "for WIDE, BEST, CANDIDATES and MEASURED, not for ACTIVATION"),
        (lambda p: p.drain(DrainKind.WIDE, maximum=True, groups=2), "for one group, not for 2"),
        (lambda p: p.drain(DrainKind.WIDE, maximum=True, row=60, tokens=5),
         "DRAIN: rows 60 to 64 do not fit vector.rows, 64"),
        (lambda p: p.drain(DrainKind.WIDE, patches={"offset": 3}), "DRAIN has no field offset"),
        (lambda p: p.drain_operands(**KEYS | {"kind": DrainKind.WIDE}), "WIDE is what drain app"),
        (lambda p: p.drain_operands(**KEYS, tiles=17), "tiles must be at most 16, 128 channels"),
        (lambda p: p.drain_operands(**KEYS, lane=8), "DRAIN.lane must be in 0..7, not 8"),
        (lambda p: p.drain_operands(**KEYS | {"destination": 512}), "destination must be in 0..51"),
        (lambda p: p.drain_operands(**KEYS | {"entries": 2048}), "entries must be in 0..2047"),
        (lambda p: p.drain_operands(**KEYS, tokens=0), "DRAIN.tokens must be at least 1"),
        (lambda p: p.norm(**NORM | {"epsilon": 0}), "NORM.epsilon must be at least 1, not 0"),
        (lambda p: p.norm(**NORM | {"inverse": Factor(5, 0)}), "must have bit 15 set, not be 0x5"),
        (lambda p: p.norm(**NORM | {"elements": 4097}), "NORM.elements must be .* 4096, not 4097"),
        (lambda p: p.softmax(**ROW | {"source": 512}), "SOFTMAX.source must be in 0..511"),
        (lambda p: p.softmax(**ROW, row=64), "SOFTMAX: rows 64 to 64 do not fit"),
        (lambda p: p.matmul(steps=1, ring=(0, 9), operand_stride=10), "operand_stride must be in"),
        (lambda p: p.read(3, immediate=6), "READ.immediate must be a multiple of 4, not 0x6"),
        (lambda p: p.credit(16), "CREDIT.semaphore must name one of 16 semaphores, not 16"),
        (lambda p: p.credit(1, 0), "CREDIT.count must be at least 1, not 0"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD | {"address": 12}),
         "LOAD.address must be a multiple of bus.data_bytes, 8, not 0xc"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD, row_stride=4), "LOAD.row_stride must be a mult"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD, beats=7),
         "LOAD.beats must be at least 8 for 4 elements of together 64 bytes, not 7"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD, rows=0), "LOAD.rows must be at least 1"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD | {"elements": 0}), "LOAD.elements must be at"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD, local=512), "LOAD.local must be in 0..511"),
        (lambda p: p.load(LoadKind.WIDE, **LOAD, local_stride=5, ring=(0, 4)), "LOAD.local_stride"),
        (lambda p: p.load(LoadKind.OPERAND_COLUMNS, **LOAD, lane=8), "LOAD.lane must be in 0..7"),
        (lambda p: p.store(StoreKind.WIDE, **LOAD, local=512), "STORE.local must be in 0..511"),
        (lambda p: p.store(StoreKind.STREAM, **LOAD | {"address": 1 << 32}), "bus.address_bits"),
        (nest, "sequencer.loop_depth allows 4 loops inside each other"),
        (long_body, "LOOP.body must be in 1..128 .* not 129"),
        (empty_body, "LOOP.body must be in 1..128 .* not 0"),
    ],
)  # fmt: skip
def test_refusals(append, words):
    with pytest.raises(ValueError, match=words):
        append(Program(CONFIG))


def test_end_is_required():
    program = Program(CONFIG)
    with pytest.raises(ValueError, match="last instruction must be END"):
        program.assemble()
    program.end()
    program.barrier()
    with pytest.raises(ValueError, match="last instruction must be END"):
        program.assemble()
