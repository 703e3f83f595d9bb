"""Deferred NORM, MEASURED and ``scaled`` on the functional machine, against golden models."""

import numpy as np
import pytest

from systolith.compiler.encoder_quantizer import factor
from systolith.program import Program
from systolith_hw.isa import DrainKind
from systolith_sim.errors import MachineError, ProgramError
from systolith_sim.machine import Race
from systolith_sim.transformer.encoder import to_words
from systolith_sim.transformer.row_norm import RowNorm
from systolith_sim.vector.requantizer import requantize
from systolith_sim.vector.row import multiply_entries

from .machine_bench import ROWS, random_machine, run

CONFIG = ROWS["ulx3s"].replace({"vector.deferred_norms": True})
ARRAY, LANES = CONFIG.array, CONFIG.vector.lanes
TOKENS, TILES, ROW, BASE, EPSILON = 3, 4, 5, 4, 77
FEATURES = TILES * ARRAY.columns
WORDS = FEATURES // ARRAY.rows
NORM = RowNorm(FEATURES, factor(1 / FEATURES), EPSILON, BASE, deferred=True)


def norm(program, **more):
    """Append a deferred NORM of what the first wide words hold."""
    program.norm(**{
        "elements": FEATURES, "inverse": NORM.inverse, "epsilon": EPSILON, "centre": False,
        "defer": True, "row": ROW, "source": 0, "source_stride": FEATURES // LANES,
        "destination": 9, "token_stride": WORDS, "exponent_base": BASE, "tokens": TOKENS, **more,
    })  # fmt: skip


def check_words(machine, z, tokens):
    """Compare words and factors with those of fixed point (tokens, N)."""
    chip, wanted = machine.chip, NORM(ARRAY, z)
    words = 9 + np.arange(tokens * WORDS).reshape(tokens, WORDS)
    np.testing.assert_array_equal(chip.mantissas[words], wanted.mantissas)
    np.testing.assert_array_equal(chip.exponents[words], wanted.exponents)
    rows = ROW + np.arange(tokens)
    assert wanted.factors is not None
    np.testing.assert_array_equal(chip.factor_scale[rows], wanted.factors[0][:, 0])
    np.testing.assert_array_equal(chip.factor_shift[rows], wanted.factors[1][:, 0])


def wide(machine, tokens=TOKENS):
    return machine.chip.wide.ravel()[: tokens * FEATURES].reshape(tokens, -1).astype(np.int64)


def test_norm_leaves_words_and_factors():
    machine = random_machine(CONFIG)
    z = wide(machine).copy()
    run(machine, norm)
    check_words(machine, z, TOKENS)
    np.testing.assert_array_equal(wide(machine), z)


def test_measured_does_what_a_norm_would():
    machine = random_machine(CONFIG)
    chip, z = machine.chip, wide(machine, 1).copy()
    products = [chip.mantissas[2].astype(np.int64) @ chip.operand[tile] for tile in range(TILES)]
    values = np.concatenate(products) << int(chip.exponents[2])
    table = (part[6 : 6 + FEATURES // LANES].ravel()
             for part in (chip.scale, chip.shift, chip.bias))  # fmt: skip
    total = z + requantize(values, *table)[0]

    def program(p):
        norm(p, tokens=1, row=ROW + 1, destination=50)
        p.barrier()
        p.matmul(steps=1, tiles=TILES, activation=2)
        p.drain(DrainKind.MEASURED, accumulate=True, tiles=TILES, scale=6, row=ROW, entries=9,
                exponent_base=BASE)  # fmt: skip

    run(machine, program)
    total = np.clip(total, -(1 << 31), (1 << 31) - 1)
    np.testing.assert_array_equal(wide(machine, 1), total)
    check_words(machine, total, 1)


def test_scaled_multiplies_entries_by_factors():
    machine = random_machine(CONFIG)
    chip = machine.chip
    words = to_words(ARRAY, np.arange(TOKENS * ARRAY.rows).reshape(TOKENS, -1) - 20, 0)
    chip.mantissas[:TOKENS], chip.exponents[:TOKENS] = words.mantissas[:, 0], words.exponents[:, 0]
    chip.factor_scale[ROW : ROW + TOKENS] = 40_000, 1 << 15, 65_535
    chip.factor_shift[ROW : ROW + TOKENS] = 30, 32, 33
    entries = [part[:1].ravel().astype(np.int64) for part in (chip.scale, chip.shift, chip.bias)]
    factors = [part[ROW : ROW + TOKENS, None].astype(np.int64)
               for part in (chip.factor_scale, chip.factor_shift)]  # fmt: skip
    products = words.times(chip.operand[0].astype(np.int64))
    wanted, _ = requantize(products, *multiply_entries(*entries[:2], *factors), entries[2])

    def program(p):
        p.matmul(steps=1, tokens=TOKENS)
        p.drain(DrainKind.WIDE, tokens=TOKENS, token_stride=1, scaled=True, row=ROW)

    run(machine, program)
    np.testing.assert_array_equal(chip.wide[:TOKENS, : ARRAY.columns], wanted)


def test_words_do_not_tell_of_the_factor():
    def program(p):
        words, factors = p.semaphore("words"), p.semaphore("factors")
        norm(p, post_inner=words, post_outer=factors)
        p.matmul(steps=1, tokens=TOKENS, activation=9, wait_inner=words)
        p.drain(DrainKind.WIDE, tokens=TOKENS, token_stride=1, destination=100, scaled=True,
                row=ROW, wait_outer=factors if right else None)  # fmt: skip

    right = True
    run(random_machine(CONFIG), program)
    right = False
    with pytest.raises(Race, match="factor of row"):
        run(random_machine(CONFIG), program)


def test_refusals():
    def measured(p, **more):
        p.matmul(steps=1)
        p.drain(DrainKind.MEASURED, row=ROW, **more)

    with pytest.raises(ProgramError, match="no NORM has said how long it is"):
        run(random_machine(CONFIG), measured)
    with pytest.raises(ValueError, match="no MEASURED for 2 tokens in 1 groups"):
        measured(Program(CONFIG), tokens=2)
    with pytest.raises(ValueError, match="a NORM without centre and back"):
        norm(Program(CONFIG), back=True)
    for append in (norm, measured):
        with pytest.raises(ValueError, match="without vector.deferred_norms"):
            append(Program(ROWS["ulx3s"]))
    machine = random_machine(CONFIG)
    machine.chip.factor_scale[:], machine.chip.factor_shift[:] = 1 << 15, 16

    def scaled(p):
        p.matmul(steps=1)
        p.drain(DrainKind.WIDE, scaled=True)

    machine.chip.shift[:] = 14
    with pytest.raises(ProgramError, match=r"a shift of -\d; it must be 0 to 127"):
        run(machine, scaled)


def test_a_core_without_refuses():
    machine = random_machine(ROWS["ulx3s"])
    program = Program(CONFIG)
    norm(program)
    program.end()
    with pytest.raises(MachineError, match="deferred_norms is false, so NORM has no defer"):
        machine.run(program.assemble())
