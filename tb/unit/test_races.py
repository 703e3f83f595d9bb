"""Races: whatever the semaphores do not order is refused, whatever they do order is not."""

import pytest

from systolith.program import Program
from systolith_hw.isa import DrainKind, LoadKind, StoreKind
from systolith_sim.machine import Machine, Race

from .machine_bench import CONFIGS, instructions, random_product, without

CONFIG = CONFIGS["small"]


def execute(*appends):
    program = Program(CONFIG)
    for append in appends:
        append(program)
    program.end()
    return Machine(CONFIG, 1 << 12).run(program.assemble())


def load(kind, **fields):
    return lambda p: p.load(kind, **{"address": 0, "elements": 1} | fields)


def matmul(**fields):
    return lambda p: p.matmul(**{"steps": 1} | fields)


def drain(kind=DrainKind.WIDE, **fields):
    return lambda p: p.drain(kind, **fields)


def store(kind=StoreKind.WIDE, **fields):
    return lambda p: p.store(kind, **{"address": 2048, "elements": 1} | fields)


def barrier(p):
    p.barrier()


def races(*appends, memory, address=None, instructions=None) -> None:
    """Expect a race, whichever of the units the machine runs first."""
    with pytest.raises(Race, match=memory) as caught:
        execute(*appends)
    if address is not None:
        assert caught.value.address == address
    if instructions is not None:
        assert set(caught.value.instructions) == set(instructions)


# -- compiled programs ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "small", "ulx3s", "flat"])
def test_every_wait_of_a_compiled_program_is_needed(name):
    config = CONFIGS[name].replace({"memory.operand_tiles": 40})
    # As many channels as the narrow counts of "tiny" hold.
    product = random_product(config, 6, 30, 100 if name == "tiny" else 150, out="memory")
    program = product.plan.programs["main"]
    waits = [
        (pc, name)
        for pc, (_, fields) in enumerate(instructions(program))
        for name in ("wait_inner", "wait_outer")
        if fields.get(name)
    ]
    assert len(waits) >= 4
    for pc, name in waits:
        with pytest.raises(Race):
            product.run(product.machine(), main=without(program, pc, name))


def test_the_message_names_both():
    with pytest.raises(Race) as caught:
        execute(
            load(LoadKind.OPERAND_ROWS, elements=8, local=7), matmul(operand=6, steps=2), drain()
        )
    assert caught.value.memory == "operand tile"
    assert caught.value.address == 7
    assert set(caught.value.instructions) == {0, 1}
    text = str(caught.value)
    assert "nothing orders two accesses to operand tile 7" in text
    assert "written by load, instruction 0 (LOAD.OPERAND_ROWS row_stride=64" in text
    assert "read by array, instruction 1 (MATMUL operand=6 ring=0..100" in text


# -- memory by memory ----------------------------------------------------------------------------


def test_operands():
    write = {"kind": LoadKind.OPERAND_ROWS, "elements": 8}
    execute(load(**write, post_outer=0), matmul(wait_outer=0), drain())
    execute(load(**write), barrier, matmul(), drain())
    execute(load(**write, local=1), matmul(), drain())
    races(load(**write), matmul(), drain(), memory="operand tile", address=0)
    races(load(**write, local=3), matmul(groups=4), drain(groups=4), memory="operand", address=3)
    column = {"kind": LoadKind.OPERAND_COLUMNS, "row_stride": 8}
    races(load(**column, lane=2), matmul(), drain(), memory="operand tile")
    # A read that has entered is no more in danger.
    execute(matmul(post_outer=0), drain(), load(**write, wait_outer=0))
    # But a tile is read again for every token, so the first result does not say so.
    tokens = {"tokens": 2}
    races(
        matmul(**tokens), drain(**tokens, token_stride=2, post_inner=0),
        load(**write, wait_outer=0), memory="operand tile", address=0,
    )  # fmt: skip
    execute(
        matmul(**tokens), drain(**tokens, token_stride=2, post_outer=0),
        load(**write, wait_outer=0),
    )  # fmt: skip
    # And the post of the first group does not speak for the second.
    groups = {"groups": 2}
    execute(matmul(**groups, post_outer=0), drain(**groups), load(**write, wait_outer=0))
    races(
        matmul(**groups, post_outer=0), drain(**groups), load(**write, local=1, wait_outer=0),
        memory="operand tile", address=1,
    )  # fmt: skip


def test_activations():
    write = {"kind": LoadKind.ACTIVATION, "elements": 2}
    execute(load(**write, post_inner=0), matmul(steps=2, wait_inner=0), drain())
    races(load(**write), matmul(steps=2), drain(), memory="activation word", address=0)
    # Tokens one by one: the second has been promised nothing.
    tokens = {"tokens": 2}
    execute(load(**write, post_outer=0), matmul(**tokens, wait_outer=0), drain(**tokens))
    races(
        load(**write, rows=2, local_stride=1, post_inner=0), matmul(**tokens, wait_outer=0),
        drain(**tokens), memory="activation word",
    )  # fmt: skip


def test_results_order_what_the_array_has_read():
    """DRAIN may overwrite the words of a token whose result it has, not those of the next."""
    tokens = {"tokens": 3}
    execute(matmul(**tokens), drain(DrainKind.ACTIVATION, **tokens, token_stride=1))
    races(
        matmul(**tokens), drain(DrainKind.ACTIVATION, **tokens, destination=1, token_stride=1),
        memory="activation word", address=1, instructions=(0, 1),
    )  # fmt: skip
    # With two groups the words are read again.
    both = {"tokens": 3, "groups": 2}
    races(
        matmul(**both), drain(DrainKind.ACTIVATION, **both, token_stride=1, group_stride=10),
        memory="activation word", address=0,
    )  # fmt: skip


def test_words_from_drain_to_array():
    second = {"activation": 4, "tokens": 2}
    write = {"kind": DrainKind.ACTIVATION, "tokens": 2, "destination": 4, "token_stride": 1}
    execute(
        matmul(tokens=2), drain(**write, post_inner=0), matmul(**second, wait_inner=0),
        drain(tokens=2),
    )  # fmt: skip
    races(
        matmul(tokens=2), drain(**write), matmul(**second), drain(tokens=2),
        memory="activation word",
    )  # fmt: skip
    # One count for two tokens is one too few.
    races(
        matmul(tokens=2), drain(**write, post_inner=0), matmul(**second, wait_outer=0),
        drain(tokens=2), memory="activation word", address=5,
    )  # fmt: skip


def test_load_and_drain_write_one_word():
    races(
        load(LoadKind.ACTIVATION, local=9), matmul(), drain(DrainKind.ACTIVATION, destination=9),
        memory="activation word", address=9,
    )  # fmt: skip
    races(
        load(LoadKind.WIDE, local=9), matmul(), drain(destination=9), memory="wide word", address=9
    )


def test_wide_words():
    execute(matmul(), drain(post_outer=0), store(wait_outer=0, elements=2))
    races(matmul(), drain(), store(elements=2), memory="wide word", address=0)
    races(matmul(), drain(), store(local=1), memory="wide word", address=1)
    execute(matmul(), drain(), store(local=2))
    # STORE has read a row when it says so.
    execute(store(elements=2, post_inner=0), matmul(), drain(wait_outer=0))
    races(
        store(rows=2, local_stride=1, post_inner=0), matmul(), drain(wait_outer=0),
        memory="wide word", address=1,
    )  # fmt: skip
    execute(load(LoadKind.WIDE, post_outer=0), store(wait_outer=0))
    races(load(LoadKind.WIDE), store(), memory="wide word")


def test_scales():
    races(load(LoadKind.SCALE), matmul(), drain(), memory="scale word", address=0)
    execute(load(LoadKind.SCALE, post_outer=0), matmul(), drain(wait_outer=0))
    # The result says that the array has heard of the load.
    execute(load(LoadKind.SCALE, post_outer=0), matmul(wait_outer=0), drain())
    # Each group reads its own: the second is still reading when the first has posted.
    groups = {"groups": 2}
    execute(
        matmul(**groups), drain(**groups, post_outer=0), load(LoadKind.SCALE, wait_outer=0)
    )
    races(
        matmul(**groups), drain(**groups, post_outer=0),
        load(LoadKind.SCALE, local=3, wait_outer=0), memory="scale word", address=3,
    )  # fmt: skip


def test_stream_orders_what_drain_did():
    """A word in the stream speaks for everything that DRAIN did before."""
    stream = {"kind": DrainKind.STREAM}
    take = {"kind": StoreKind.STREAM}
    execute(
        matmul(tokens=2), drain(), drain(**stream), store(**take), store(elements=2, address=3072)
    )
    races(
        matmul(tokens=2), drain(**stream), drain(), store(**take), store(elements=2, address=3072),
        memory="wide word",
    )  # fmt: skip
    # Through STORE to LOAD: the scales of a word that was stored are free.
    tokens = {"tokens": 2}
    execute(
        matmul(**tokens), drain(**stream, **tokens), store(**take, elements=2, post_inner=0),
        load(LoadKind.SCALE, wait_outer=0),
    )  # fmt: skip
    races(
        matmul(**tokens), drain(**stream, **tokens), store(**take, rows=2, post_inner=0),
        load(LoadKind.SCALE, wait_outer=0), memory="scale word",
    )  # fmt: skip


def test_external_memory():
    """Only post_outer says that what STORE wrote has arrived."""
    read = {"kind": LoadKind.WIDE, "local": 8, "address": 2048}
    execute(store(post_outer=0), load(**read, wait_outer=0))
    execute(store(), barrier, load(**read))
    races(store(), load(**read), memory="external memory", address=2048)
    races(store(post_inner=0), load(**read, wait_outer=0), memory="external", address=2048)
    # Bursts are acknowledged in order, so a later STORE speaks for an earlier one.
    execute(store(), store(address=3072, post_outer=0), load(**read, wait_outer=0))
    races(
        store(post_outer=0), store(address=3072), load(**read | {"address": 3072}, wait_outer=0),
        memory="external memory", address=3072,
    )  # fmt: skip
    # LOAD has read what it has written.
    execute(load(**read, post_inner=0), store(wait_outer=0))
    races(
        load(**read, rows=2, local_stride=1, post_inner=0),
        store(address=2064, wait_outer=0), memory="external memory", address=2064,
    )  # fmt: skip


def test_neighbouring_beats_do_not_race():
    execute(store(), load(LoadKind.WIDE, local=8, address=2048 + 16))
    execute(store(), load(LoadKind.WIDE, local=8, address=2048 - 16))
    races(store(), load(LoadKind.WIDE, local=8, address=2048 - 8), memory="external", address=2048)


def test_chains_of_semaphores_order():
    execute(
        load(LoadKind.OPERAND_ROWS, elements=8, local=5, post_outer=0),
        store(local=1, wait_outer=0, post_outer=1),
        matmul(operand=5, wait_outer=1), drain(destination=9),
    )  # fmt: skip


def test_counts_are_taken_in_the_order_they_were_given():
    """The first count speaks for the first row only."""
    rows = {"kind": LoadKind.OPERAND_ROWS, "elements": 8, "rows": 2, "local_stride": 1}
    execute(load(**rows, post_inner=0), matmul(wait_outer=0), drain())
    races(load(**rows, post_inner=0), matmul(operand=1, wait_outer=0), drain(), memory="operand")
    execute(
        load(**rows, post_inner=0), matmul(wait_outer=0), matmul(operand=1, wait_outer=0),
        drain(tokens=2),
    )  # fmt: skip
