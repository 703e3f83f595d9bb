"""The token game: queues, FIFOs and semaphores of their real sizes, and programs that block."""

import pytest

from systolith.program import Program
from systolith_hw.isa import DrainKind, ErrorCode, LoadKind, StoreKind, Unit
from systolith_sim.errors import MachineError, ProgramError
from systolith_sim.machine import Deadlock, Leftover, Machine

from .machine_bench import CONFIGS, instructions, random_product, without

CONFIG = CONFIGS["small"].replace({
    "sequencer.queue_depth": 2, "sequencer.semaphore_bits": 3, "array.output_depth": 20
})  # fmt: skip
LOAD = {"kind": LoadKind.SCALE, "address": 0, "elements": 1, "local": 400}
"""A load of what nobody uses."""


def execute(*appends, config=CONFIG):
    program = Program(config)
    for append in appends:
        append(program)
    program.end()
    return Machine(config, 1 << 12).run(program.assemble())


def load(**fields):
    return lambda p: p.load(**LOAD | fields)


def matmul(**fields):
    return lambda p: p.matmul(steps=1, **fields)


def drain(**fields):
    return lambda p: p.drain(DrainKind.WIDE, **fields)


def barrier(p):
    p.barrier()


# -- deadlocks, in words -------------------------------------------------------------------------


def test_deadlock_names_what_is_missing():
    with pytest.raises(Deadlock) as caught:
        execute(load(wait_inner=3), matmul(tokens=2, wait_outer=2))
    assert str(caught.value).splitlines() == [
        "no unit can go on:",
        (
            "  array: instruction 1 (MATMUL wait_outer=s2 ring=0..100 activation_stride=1 steps=1 "
            "tokens=2 groups=1 tiles=1 tiles_last=1) waits for semaphore 2"
        ),
        (
            "  load: instruction 0 (LOAD.SCALE wait_inner=s3 row_stride=32 rows=1 beats=4 "
            "local=400 ring=0..512 elements=1) waits for semaphore 3"
        ),
        "  sequencer: instruction 2 (END) waits for all units to be idle",
    ]


def test_output_fifo_is_full():
    execute(matmul(tokens=20), drain(tokens=20, token_stride=2))
    with pytest.raises(Deadlock, match="array: .* waits for room in the output FIFO"):
        execute(matmul(tokens=21), barrier, drain(tokens=21, token_stride=2))


def test_results_are_missing():
    with pytest.raises(Deadlock, match=r"waits for a result \(group 1, token 3\)"):
        execute(
            matmul(tokens=4, groups=2),
            matmul(wait_outer=1),
            drain(tokens=5, groups=2, token_stride=2, group_stride=20),
        )


def test_nobody_takes_the_stream():
    config = CONFIG
    stream = {"kind": DrainKind.STREAM, "tokens": 5}
    program = (matmul(tokens=5), lambda p: p.drain(**stream))
    with pytest.raises(Deadlock, match="vector: .* waits for STORE to take its words"):
        execute(*program, config=config)
    store = {"kind": StoreKind.STREAM, "address": 0}
    execute(*program, lambda p: p.store(**store, elements=5))
    with pytest.raises(Deadlock, match=r"store: .* a word from DRAIN \(row 1, word 2\)"):
        execute(*program, lambda p: p.store(**store, elements=3, rows=2))


def test_a_full_queue_blocks_issue():
    """With two places, of which the LOAD at work keeps one, the third keeps the MATMUL behind it
    from issuing. MATMUL itself makes room when it begins."""
    blocked = [load(wait_outer=0)] * 3
    give = matmul(groups=3, post_outer=0, tokens=1)
    taken = drain(groups=3, group_stride=2)
    with pytest.raises(Deadlock, match="sequencer: instruction 2 .* room in the queue of load"):
        execute(*blocked, give, taken)
    execute(*blocked[:2], give, blocked[2], taken)
    products = [matmul(wait_outer=2, tokens=1)] * 3
    more = [load(post_outer=2)] * 3
    execute(*products, *more, drain(tokens=3, token_stride=2))
    with pytest.raises(Deadlock, match="sequencer: instruction 3 .* room in the queue of array"):
        execute(*products, products[0], *more, more[0], drain(tokens=4, token_stride=2))


def test_store_keeps_its_place():
    """The third STORE waits for a place, and VECTOR's words for the DRAIN behind it."""
    stream = [lambda p: p.store(StoreKind.STREAM, address=0, elements=1)] * 3
    make = (matmul(tokens=3), lambda p: p.drain(kind=DrainKind.STREAM, tokens=3))
    with pytest.raises(Deadlock, match="sequencer: instruction 2 .* room in the queue of store"):
        execute(*stream, *make)
    execute(*stream[:2], *make, stream[2])


def test_removing_a_post_blocks():
    """Without a post somebody waits for ever, but where only the last slots are freed."""
    product = random_product(CONFIGS["tiny"], 5, 20, 30, out="memory")
    program = product.plan.programs["main"]
    assert len(product.plan.blocks) == 1
    blocked = harmless = 0
    for pc, (_, fields) in enumerate(instructions(program)):
        for name in ("post_inner", "post_outer"):
            if not fields.get(name):
                continue
            machine = product.machine()
            try:
                product.run(machine, main=without(program, pc, name))
            except Deadlock:
                blocked += 1
            else:
                harmless += 1
                product.check(machine)
    assert blocked >= 6
    assert harmless == 1


# -- semaphores ----------------------------------------------------------------------------------


def test_two_units_cannot_wait_for_one_semaphore():
    with pytest.raises(MachineError, match="semaphore 1 is waited for by two units") as caught:
        execute(
            load(rows=2, post_inner=1), matmul(wait_outer=1), drain(wait_outer=1, destination=100)
        )
    assert caught.value.code == ErrorCode.SEMAPHORE
    assert caught.value.unit == Unit.VECTOR
    assert caught.value.pc == 2


def test_counts_have_a_limit():
    """What overflows only if the other unit is slow is refused too."""
    execute(load(rows=7, post_inner=0), matmul(groups=7, wait_outer=0), drain(groups=7))
    with pytest.raises(MachineError, match="semaphore 0 may be given more than 7") as caught:
        execute(load(rows=8, post_inner=0), matmul(groups=8, wait_outer=0), drain(groups=8))
    assert caught.value.code == ErrorCode.SEMAPHORE
    assert caught.value.unit == Unit.LOAD


def test_throttled_counts_have_no_limit():
    """A poster that hears of the takes can go on for ever."""
    execute(
        load(rows=3, post_inner=0),
        matmul(groups=40, wait_outer=0, post_outer=1),
        load(rows=37, post_inner=0, wait_inner=1),
        drain(groups=40),
    )


def test_counts_survive_a_barrier_and_the_end():
    execute(
        load(rows=7, post_inner=0), barrier, matmul(groups=4, wait_outer=0), drain(groups=4),
        barrier, load(rows=4, post_inner=0), matmul(groups=5, wait_outer=0), drain(groups=5),
    )  # fmt: skip
    with pytest.raises(MachineError, match="may be given more than 7"):
        execute(load(rows=7, post_inner=0), barrier, load(post_outer=0))


def test_two_units_cannot_post_at_once():
    """Nobody could say whose count a wait has taken."""
    both = (load(post_outer=0), matmul(post_outer=0), drain(wait_outer=0, destination=100))
    with pytest.raises(ProgramError, match="semaphore 0 is given by two units, .* use one sem"):
        execute(*both)
    execute(
        load(post_outer=0), matmul(wait_outer=0), drain(destination=100, post_outer=1), barrier,
        load(wait_outer=1, post_outer=2), matmul(post_outer=0), drain(destination=100), barrier,
        matmul(wait_outer=0), drain(destination=100),
    )  # fmt: skip


# -- leftovers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("then", [[], [barrier, drain(tokens=3)]])
def test_results_must_be_drained(then):
    with pytest.raises(Leftover, match=r"instruction [12] \(\w+\) finds 2 results that no DRAIN"):
        execute(matmul(tokens=3), drain(tokens=1), *then)


def test_stream_words_must_be_stored():
    with pytest.raises(Leftover, match=r"\(END\) finds 2 words that no STORE took"):
        execute(
            matmul(tokens=3),
            lambda p: p.drain(DrainKind.STREAM, tokens=3),
            lambda p: p.store(StoreKind.STREAM, address=0, elements=1),
        )
