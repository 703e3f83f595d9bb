"""READ, CREDIT and MINIMUM, in the sequencer's golden model and on the functional machine."""

import pytest

from systolith.program import Program
from systolith_hw.isa import (
    CalcOperation,
    DrainKind,
    ErrorCode,
    LoadKind,
    Opcode,
    StoreKind,
    Unit,
    encode,
)
from systolith_sim.errors import MachineError, ProgramError
from systolith_sim.machine import Deadlock, Machine, Race
from systolith_sim.sequencer import expand

from .machine_bench import CONFIGS

CONFIG = CONFIGS["small"].replace({
    "sequencer.semaphores": 6, "sequencer.semaphore_bits": 3, "bus.address_bits": 20,
    "array.numbered": True,
})  # fmt: skip
MASK = (1 << 32) - 1
SHOW = encode(Opcode.LOAD, patch0=4 | 3 << 4)
"""Puts register 3 into the address that is issued."""


def register(*raw, registers=(), words=()) -> int:
    """Return register 3 after some instructions, with these words in external memory."""
    program = b"".join([*raw, SHOW, encode(Opcode.END)])
    items = list(expand(program, dict(registers), CONFIG, lambda item, a: dict(words).get(a)))
    return int.from_bytes(items[0].raw[8:12], "little")


def execute(*appends, words=()):
    """Run a program in a machine with these words in memory; return the machine."""
    program = Program(CONFIG)
    for append in appends:
        append(program)
    program.end()
    machine = Machine(CONFIG, 1 << 12)
    for address, word in words:
        machine.memory.write(address, word.to_bytes(4, "little"))
    machine.run(program.assemble())
    return machine


def store(**fields):
    return lambda p: p.store(StoreKind.WIDE, **{"address": 2048, "elements": 1} | fields)


def load(**fields):
    return lambda p: p.load(LoadKind.SCALE, **{"address": 0, "elements": 1, "local": 400} | fields)


def matmul(**fields):
    return lambda p: p.matmul(**{"steps": 1} | fields)


def drain(**fields):
    return lambda p: p.drain(DrainKind.WIDE, **fields)


def read(immediate):
    return lambda p: p.read(3, immediate=immediate)


def credit(semaphore, count):
    return lambda p: p.credit(semaphore, count)


def barrier(p):
    p.barrier()


# -- CALC ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "a, b, immediate, right, left, expected",
    [
        (5, 9, 0, 0, 0, 5),
        (5, 9, 3, 0, 0, 8),
        (5, 9, 7, 0, 0, 9),
        (5, 9, -6, 0, 0, 9),  # wraps: a large number
        (MASK, 9, 1, 0, 0, 0),
        (200, 100, 0, 3, 4, 100 >> 3 << 4),
    ],
)
def test_minimum(a, b, immediate, right, left, expected):
    raw = encode(
        Opcode.CALC, operation=CalcOperation.MINIMUM, target=3, a=4, b=5, immediate=immediate,
        right=right, left=left,
    )  # fmt: skip
    assert register(raw, registers={4: a, 5: b}) == expected


# -- READ ----------------------------------------------------------------------------------------


def test_read():
    words = {0x40: 0xDEADBEEF, 0x80: 3}
    assert register(encode(Opcode.READ, target=3, immediate=0x40), words=words) == 0xDEADBEEF
    raw = encode(Opcode.READ, target=3, a=4, immediate=-0x10)
    assert register(raw, registers={4: 0x90}, words=words) == 3
    assert register(encode(Opcode.READ, target=0, immediate=0x40), words=words) == 0
    patched = encode(Opcode.READ, target=3, immediate=0x40, patch0=8 | 4 << 4)
    assert register(patched, registers={4: 0x40}, words=words) == 3


@pytest.mark.parametrize(
    "immediate, code, words",
    [
        (2, ErrorCode.MISALIGNED, "address 0x2 is not a multiple of 4 bytes"),
        (1 << 20, ErrorCode.ADDRESS_RANGE, "address 0x100000 is beyond 20 address bits"),
        (-4, ErrorCode.ADDRESS_RANGE, "beyond 20 address bits"),
        (1 << 12, ErrorCode.BUS_READ, "nothing answers at address 0x1000"),
    ],
)
def test_read_errors(immediate, code, words):
    raw = encode(Opcode.READ, target=3, immediate=immediate)
    with pytest.raises(MachineError, match=words) as caught:
        Machine(CONFIG, 1 << 12).run(encode(Opcode.BARRIER) + raw + encode(Opcode.END))
    assert (caught.value.code, caught.value.unit, caught.value.pc) == (code, Unit.SEQUENCER, 1)


def test_read_on_the_machine():
    """A LOAD from where a word in memory says."""
    machine = execute(
        read(0x20),
        lambda p: p.load(LoadKind.WIDE, address=0, elements=1, local=5, patches={"address": 3}),
        words=[(0x20, 0x100), (0x100, 77)],
    )
    assert machine.chip.wide[5, 0] == 77


def test_read_comes_after_a_store_only_with_a_barrier():
    execute(store(), barrier, read(2048))
    for semaphores in ({}, {"post_outer": 0}):
        with pytest.raises(Race, match="external memory at byte 2048.* by sequencer") as caught:
            execute(store(**semaphores), read(2052))
        assert set(caught.value.instructions) == {0, 1}
    execute(store(), read(2064))


def test_read_comes_before_what_is_issued_later():
    execute(read(2048), store())
    # The STORE hears of it from a MATMUL that was issued later.
    execute(store(wait_outer=1), read(2048), matmul(post_outer=1), drain(destination=100))
    with pytest.raises(Race, match="external memory"):
        execute(matmul(post_outer=1), store(wait_outer=1), read(2048), drain(destination=100))
    execute(read(2048), load(address=2048))
    execute(load(address=2048), read(2048))


def test_read_number():
    """The number of the best channel says where LOAD reads, and VECTOR has done all before."""
    best = matmul(), lambda p: p.drain(DrainKind.BEST, destination=7, entries=9)

    def number(p):
        p.read_number(3)
        p.calc(3, 3, left=5)

    def row(**fields):
        return lambda p: p.load(
            LoadKind.WIDE, address=0, elements=1, local=7, patches={"address": 3}, **fields
        )

    machine = execute(*best, number, row(), words=[(9 << 5, 77)])
    assert machine.chip.wide[7, 0] == 77
    with pytest.raises(Race, match="wide word 7"):
        execute(*best, row())
    # A LOAD that was issued before knows of it only by way of one that was issued later.
    with pytest.raises(Race, match="wide word 7"):
        execute(row(wait_outer=0), matmul(post_outer=0), best[1], number)
    execute(row(wait_outer=0), *best, number, matmul(post_outer=0), drain(destination=100))
    with pytest.raises(ProgramError, match="neither BEST nor SAMPLE of this program has written"):
        execute(matmul(), drain(), number)
    with pytest.raises(Deadlock, match="sequencer: .*READ.* waits for VECTOR to be idle"):
        execute(drain(), number, matmul())
    bare = Program(CONFIG.replace({"vector.rows": 0, "array.numbered": False}))
    with pytest.raises(ValueError, match="there is no READ.number with a vector.rows of 0"):
        number(bare)
    with pytest.raises(MachineError, match="vector.rows is 0, so READ has no number"):
        Machine(bare.config, 1 << 12).run(encode(Opcode.READ, number=1) + encode(Opcode.END))


BEST = matmul(), lambda p: p.drain(DrainKind.BEST, destination=7, entries=9)


def fresh(p):
    p.read_number(3, fresh=True)
    p.calc(3, 3, left=5)


def row(p):
    p.load(LoadKind.WIDE, address=0, elements=1, local=7, patches={"address": 3})


def test_read_fresh_number():
    """It waits for a number alone, and what VECTOR did before that is past; each is had once."""
    later = drain(destination=100)  # waits for sums of a MATMUL that is issued behind READ
    machine = execute(*BEST, later, fresh, row, matmul(), words=[(9 << 5, 77)])
    assert machine.chip.wide[7, 0] == 77
    execute(*BEST, fresh, *BEST, fresh, row)
    for program in ((fresh, *BEST), (*BEST, fresh, fresh), (matmul(), drain(), fresh)):
        with pytest.raises(Deadlock, match="sequencer: .*READ.* waits for a fresh number"):
            execute(*program)
    with pytest.raises(Deadlock, match="a fresh number"):
        execute(matmul(groups=2), lambda p: p.drain(DrainKind.BEST, groups=2), fresh)


def test_numbered_matmul():
    """Its words are those of VECTOR's number, of which a semaphore has told."""
    told = lambda p: p.drain(  # noqa: E731
        DrainKind.BEST, destination=7, entries=9, post_inner=2, accumulate=True
    )
    numbered = matmul(numbered=4, activation=3, wait_inner=2)
    program = [matmul(), told, numbered, drain(destination=100)]
    machine = execute(*program)
    assert machine.chip.wide[7, 0] == 9

    def words(p):  # number 9 is that of word 3 + 9 * 4
        p.load(LoadKind.ACTIVATION, address=512, elements=1, local=39)
        p.barrier()

    weight = lambda p: p.load(LoadKind.OPERAND_ROWS, address=0, elements=8)  # noqa: E731
    machine = execute(weight, words, *program, words=[(0, 1), (520, 5)])
    assert machine.chip.mantissas[39, 0] == 5
    sums = execute(weight, words, matmul(activation=39), drain(destination=100),
                   words=[(0, 1), (520, 5)]).chip.wide[100]  # fmt: skip
    assert (machine.chip.wide[100] == sums).all()
    with pytest.raises(Race, match="what BEST or SAMPLE wrote last"):
        execute(matmul(), told, barrier, *program[:2], matmul(numbered=4), drain(destination=100))
    with pytest.raises(ProgramError, match="wants a number, and neither BEST nor SAMPLE has"):
        execute(matmul(numbered=1), drain())
    with pytest.raises(MachineError, match="beyond the memory"):
        execute(matmul(), told, matmul(numbered=1 << 14, wait_inner=2), drain())
    for bad in (3, 1 << 15):
        with pytest.raises(ValueError, match="numbered must be a power of two below 32768 or 0"):
            matmul(numbered=bad)(Program(CONFIG))
    plain = Program(CONFIG.replace({"array.numbered": False}))
    with pytest.raises(ValueError, match="numbered must be 0, since array.numbered is false"):
        matmul(numbered=1)(plain)


# -- CREDIT --------------------------------------------------------------------------------------


def test_credit_lets_units_begin():
    """Three free places, then one for each that is used: no LOAD has to be taken out of a loop."""
    rows = {"rows": 9, "elements": 8, "local_stride": 1, "ring": (0, 3)}
    ring = (
        lambda p: p.load(
            LoadKind.OPERAND_ROWS, address=0, **rows, wait_inner=0, post_inner=1
        ),
        lambda p: p.matmul(
            steps=1, groups=9, ring=(0, 3), wait_outer=1, post_outer=0
        ),
        lambda p: p.drain(DrainKind.WIDE, groups=9),
    )
    execute(credit(0, 3), *ring)
    with pytest.raises(Deadlock):
        execute(*ring)
    with pytest.raises(Race, match="operand tile"):
        execute(credit(0, 4), *ring)
    # Again after a barrier, or as often as nothing was taken.
    execute(credit(0, 3), *ring, barrier, *ring)


def test_credit_orders_what_came_before():
    """Counts are in order with READ, but say nothing of the units."""
    with pytest.raises(Race, match="wide word"):
        execute(matmul(), drain(), credit(0, 1), store(wait_outer=0, elements=2))
    execute(matmul(), drain(), barrier, credit(0, 1), store(wait_outer=0, elements=2))
    execute(store(wait_outer=0), read(2064), credit(0, 1))
    # The STORE was issued before the word was read, but it waits for what comes after.
    execute(store(wait_outer=0), read(2048), credit(0, 1))


def test_two_posters_in_order():
    """A unit may post after CREDIT if its instruction was issued after it."""
    taker = load(wait_inner=0, rows=2)
    execute(credit(0, 1), matmul(post_outer=0), drain(), taker)
    with pytest.raises(ProgramError, match="given by two units, .* use one semaphore each"):
        execute(matmul(post_outer=0), drain(), credit(0, 1), taker)
    execute(matmul(post_outer=0), drain(), barrier, credit(0, 1), taker)


def test_credit_errors():
    end = encode(Opcode.END)
    for fields, code, words in (
        ({"semaphore": 1}, ErrorCode.ZERO_COUNT, "count is zero"),
        ({"semaphore": 6, "count": 1}, ErrorCode.SEMAPHORE, "no semaphore 6, only 0 to 5"),
        ({"semaphore": 1, "count": 8}, ErrorCode.SEMAPHORE, "semaphore 1 may be given more than 7"),
    ):
        with pytest.raises(MachineError, match=words) as caught:
            Machine(CONFIG).run(encode(Opcode.CREDIT, **fields) + end)
        assert (caught.value.code, caught.value.unit) == (code, Unit.SEQUENCER)
        assert caught.value.pc == 0
    Machine(CONFIG).run(encode(Opcode.CREDIT, semaphore=1, count=7) + end)


def test_own_instructions_are_not_counted():
    machine = Machine(CONFIG)
    raw = encode(Opcode.READ, target=3) + encode(Opcode.CREDIT, count=2) + encode(Opcode.END)
    assert machine.run(raw).counts["INSTRUCTIONS"] == 0
