"""NORM and SOFTMAX on the functional machine, against the golden models of the encoder."""

import numpy as np
import pytest

from systolith.compiler.encoder_quantizer import factor
from systolith.program import Program
from systolith_hw.config import NEGATIVE_SHIFT
from systolith_hw.isa import DrainKind, LoadKind, StoreKind
from systolith_hw.tables import FRACTION
from systolith_sim.errors import ProgramError
from systolith_sim.machine import Deadlock, Machine, Race
from systolith_sim.transformer.encoder import Norm, to_words
from systolith_sim.vector.exponential import exponentiate, reference
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.row import (
    Factor,
    normal_factor,
    reciprocal_factor,
    row_sums,
    scale_row,
)

from .machine_bench import ROWS, random_machine, run
from .test_machine_drain import compare, snapshot

TOKENS = 3


def fill(memory, first, stride, rows):
    """Write rows of values to consecutive words, the rest of the last one as it is."""
    for token, row in enumerate(rows):
        lanes = memory.shape[1]
        words = memory[first + token * stride :][: -(-len(row) // lanes)]
        flat = words.ravel()
        flat[: len(row)] = row
        words[:] = flat.reshape(words.shape)


def lengths(config):
    """Return numbers of elements: one, less than a word, and with and without a rest."""
    rows = config.array.rows
    return [1, rows - 1, rows, 2 * rows + 1, min(5 * rows - config.vector.lanes, 70)]


def normed(config, z, entries, inverse, epsilon, base, centre):
    """Return golden NORM of (tokens, N) values."""
    scale, shift, bias = entries
    negative, shift = shift & NEGATIVE_SHIFT != 0, shift & NEGATIVE_SHIFT - 1
    if centre:
        return Norm(scale, negative, shift, bias, inverse, epsilon)(config.array, z, base)
    words, rows = to_words(config.array, z, base), []
    for row, moments in zip(z, row_sums(words.mantissas, words.exponents), strict=True):
        mean, divisor = normal_factor(moments, inverse, base=base, epsilon=epsilon, centre=False)
        assert mean == 0
        rows.append(scale_row(row, 0, divisor, scale=scale, negative=negative, shift=shift,
                              bias=bias))  # fmt: skip
    return np.stack(rows)


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_norm(name, centre, back, index):
    config = ROWS[name]
    array, lanes = config.array, config.vector.lanes
    elements = lengths(config)[index]
    rng = np.random.default_rng(elements)
    machine = random_machine(config, elements)
    chip = machine.chip
    z = np.rint(rng.normal(0.5, 1, (TOKENS, elements)) * (1 << 18)).astype(np.int64)
    z[1] <<= 5
    base, epsilon = int(rng.integers(0, 8)), int(rng.integers(1, 1 << 16))
    inverse, count = factor(1 / elements), -(-elements // lanes)
    fill(chip.wide, 7, count + 2, z)
    chip.shift[:] = rng.integers(10, 128, chip.shift.shape)
    chip.shift[:, 0] = rng.integers(11, 15, len(chip.shift))
    entries = [
        table[5 : 5 + count].ravel()[:elements].astype(np.int64)
        for table in (chip.scale, chip.shift, chip.bias)
    ]
    y = normed(config, z, entries, inverse, epsilon, base, centre)
    words = to_words(array, y, base)
    expected = snapshot(machine)
    expected["norm"][:] = inverse.scale, inverse.shift, epsilon
    places = 11 + np.arange(TOKENS)[:, None] * 20 + np.arange(words.exponents.shape[1])
    expected["mantissas"][places] = words.mantissas
    expected["exponents"][places] = words.exponents
    if back:
        padded = np.pad(y, ((0, 0), (0, -elements % lanes)))
        places = 7 + np.arange(TOKENS)[:, None] * (count + 2) + np.arange(count)
        expected["wide"][places] = padded.reshape(TOKENS, count, lanes)
    counts = run(machine, lambda p: p.norm(
        elements=elements, inverse=inverse, epsilon=epsilon, source=7, source_stride=count + 2,
        destination=11, token_stride=20, scale=5, tokens=TOKENS, exponent_base=base,
        centre=centre, back=back,
    ))  # fmt: skip
    compare(machine, expected)
    assert counts["ROW_BUSY"] == 2 * count * TOKENS
    assert counts["VECTOR_BUSY"] == 0
    assert counts["INSTRUCTIONS"] == 1


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("causal", [0, 1, 4, 1000])
@pytest.mark.parametrize("name", ROWS)
def test_softmax(name, causal, index):
    config = ROWS[name]
    array, lanes = config.array, config.vector.lanes
    elements = lengths(config)[index]
    rng = np.random.default_rng(elements)
    machine = random_machine(config, elements)
    chip = machine.chip
    z = np.rint(rng.normal(0, 5, (TOKENS, elements)) * (1 << FRACTION)).astype(np.int64)
    count, base = -(-elements // lanes), int(rng.integers(0, 6))
    fill(chip.wide, 3, count + 1, z)
    chip.shift[:] = rng.integers(0, 128, chip.shift.shape)
    exponents = chip.shift[5 : 5 + count].ravel()[:elements] & 15
    values, factors = np.zeros_like(z), []
    for token in range(TOKENS):
        valid = min(elements, causal + token) if causal else elements
        chip.reference[20 + token] = reference(z[token, :valid])
        values[token, :valid], summands = exponentiate(
            z[token, :valid], chip.reference[20 + token], exponents[:valid]
        )
        factors.append(reciprocal_factor(int(summands.sum())))
    words, expected = to_words(array, values, base), snapshot(machine)
    places = 11 + np.arange(TOKENS)[:, None] * 20 + np.arange(words.exponents.shape[1])
    expected["mantissas"][places] = words.mantissas
    expected["exponents"][places] = words.exponents
    expected["factor_scale"][20:23] = [item.scale for item in factors]
    expected["factor_shift"][20:23] = [item.shift for item in factors]
    counts = run(machine, lambda p: p.softmax(
        elements=elements, source=3, source_stride=count + 1, destination=11, token_stride=20,
        scale=5, tokens=TOKENS, exponent_base=base, row=20, causal=causal,
    ))  # fmt: skip
    compare(machine, expected)
    assert counts["ROW_BUSY"] == count * TOKENS


def test_words_count():
    """Only words that are written count: not those of NORM's statistics."""
    config = ROWS["fine"]
    array, machine = config.array, random_machine(ROWS["fine"])
    chip, elements = machine.chip, 2 * config.array.rows
    chip.wide[:] = np.random.default_rng(1).integers(-(2**31), 2**31, chip.wide.shape)
    chip.shift[:], chip.bias[:] = 40, 1 << 30
    chip.bias[: array.rows // config.vector.lanes] = 1
    z = chip.wide[: elements // config.vector.lanes].ravel().astype(np.int64)
    entries = [table[: len(z)].ravel()[: len(z)] for table in (chip.scale, chip.shift, chip.bias)]
    inverse = factor(1 / elements)
    y = normed(config, z[None], [item.astype(np.int64) for item in entries], inverse, 1, 4, True)
    *_, saturations, flushes = normalize(
        y.reshape(-1, array.rows), 4, mantissa_bits=array.mantissa_bits, window=array.window
    )
    counts = run(machine, lambda p: p.norm(
        elements=elements, inverse=inverse, epsilon=1, source=0, destination=0, exponent_base=4,
    ))  # fmt: skip
    assert counts["SATURATIONS"] == saturations > 0
    assert counts["FLUSHES"] == flushes == 1

    chip.wide[: elements // config.vector.lanes] = 0
    chip.wide[0] = 14 << FRACTION
    chip.reference[0] = 14
    chip.shift[:] = 0
    counts = run(machine, lambda p: p.softmax(
        elements=elements, source=0, destination=0, exponent_base=2
    ))  # fmt: skip
    assert counts["FLUSHES"] == 1


def test_scores_must_fit_their_reference():
    machine = random_machine(ROWS["small"])
    softmax = {"elements": 5, "source": 0, "destination": 0}
    machine.chip.wide[:2] = 3 << FRACTION
    for row in (3, 12):
        machine.chip.reference[0] = row
        run(machine, lambda p: p.softmax(**softmax))
    machine.chip.reference[0] = 2
    with pytest.raises(ProgramError, match="token 0's largest score is 3, above .* reference, 2"):
        run(machine, lambda p: p.softmax(**softmax))
    machine.chip.reference[0] = 50
    with pytest.raises(ProgramError, match="all probabilities of token 0 are zero, so far is its"):
        run(machine, lambda p: p.softmax(**softmax))


@pytest.mark.parametrize("change, legal", [
    ({}, False), ({"source_stride": 3}, True), ({"back": 0}, True), ({"tokens": 1}, True),
    ({"elements": 8}, True), ({"source_stride": 0}, False),
])  # fmt: skip
def test_norm_must_not_run_into_its_next_token(change, legal):
    """Three words of four elements, and a stride of two, unless changed."""
    fields = {
        "elements": 9, "inverse": Factor(58254, 19), "epsilon": 1, "source": 10,
        "source_stride": 2, "destination": 0, "token_stride": 2, "tokens": 2, "back": 1, **change,
    }  # fmt: skip
    machine = random_machine(ROWS["small"])
    if legal:
        run(machine, lambda p: p.norm(**fields))
        return
    with pytest.raises(ProgramError, match="3 wide words, written back, run into the next token"):
        run(machine, lambda p: p.norm(**fields))


# -- order ---------------------------------------------------------------------------------------

CONFIG = ROWS["small"]
NORM = {
    "elements": 8, "inverse": Factor(1 << 15, 18), "epsilon": 1, "source": 10, "source_stride": 2,
    "destination": 10, "token_stride": 1, "scale": 20,
}  # fmt: skip
SOFTMAX = {
    "elements": 8, "source": 10, "source_stride": 2, "destination": 10, "token_stride": 1,
    "scale": 20,
}  # fmt: skip


def execute(*appends):
    program = Program(CONFIG)
    for append in appends:
        append(program)
    program.end()
    return Machine(CONFIG, 1 << 12).run(program.assemble())


def races(*appends, memory, address):
    with pytest.raises(Race, match=memory) as caught:
        execute(*appends)
    assert caught.value.address == address


def norm(**fields):
    return lambda p: p.norm(**NORM | fields)


def softmax(**fields):
    return lambda p: p.softmax(**SOFTMAX | fields)


def matmul(**fields):
    return lambda p: p.matmul(**{"steps": 1} | fields)


def drain(kind=DrainKind.WIDE, **fields):
    return lambda p: p.drain(kind, **fields)


def load(kind, **fields):
    return lambda p: p.load(kind, **{"address": 0, "elements": 1} | fields)


def store(kind=StoreKind.WIDE, **fields):
    return lambda p: p.store(kind, **{"address": 2048, "elements": 1} | fields)


@pytest.mark.parametrize("row", [norm, softmax])
def test_tokens_follow_their_values(row):
    """Token by token behind DRAIN, and the array behind that."""
    wide = {"tokens": 2, "token_stride": 2, "destination": 10}
    behind = {"tokens": 2, "activation": 10, "wait_inner": 1}
    execute(
        matmul(tokens=2), drain(**wide, post_inner=0),
        row(tokens=2, wait_inner=0, post_inner=1), matmul(**behind), drain(tokens=2),
    )  # fmt: skip
    races(matmul(), drain(destination=10), row(), memory="wide word", address=10)
    races(
        matmul(tokens=2), drain(**wide, post_inner=0), row(tokens=2, wait_outer=0),
        memory="wide word", address=12,
    )  # fmt: skip
    races(
        row(tokens=2, post_outer=1), matmul(activation=10, tokens=2), drain(tokens=2),
        memory="activation word", address=10,
    )  # fmt: skip
    execute(row(tokens=2, post_outer=1), matmul(activation=11, wait_outer=1), drain())
    races(
        row(tokens=2, post_inner=1), matmul(activation=11, wait_outer=1), drain(),
        memory="activation word", address=11,
    )  # fmt: skip


@pytest.mark.parametrize("row", [norm, softmax])
def test_constants_and_neighbours(row):
    scale = {"kind": LoadKind.SCALE, "local": 21}
    execute(load(**scale, post_outer=0), row(wait_outer=0))
    races(load(**scale), row(), memory="scale word", address=21)
    wide = {"kind": LoadKind.WIDE, "local": 11}
    execute(row(post_inner=0), load(**wide, wait_outer=0))
    races(row(), load(**wide), memory="wide word", address=11)
    races(load(LoadKind.ACTIVATION, local=10), row(), memory="activation word", address=10)
    execute(row(), store(local=10))


def test_norm_writes_back():
    execute(norm(), store(local=11))
    races(norm(back=True), store(local=11), memory="wide word", address=11)
    execute(norm(back=True, post_inner=0), store(local=11, wait_inner=0))


def test_rows():
    """References go from DRAIN to SOFTMAX, factors from SOFTMAX to DRAIN, each ordered alone."""
    largest = {"maximum": True, "row": 3, "destination": 50, "post_inner": 0}
    execute(matmul(), drain(**largest), softmax(row=3, wait_inner=0))
    races(matmul(), drain(**largest), softmax(row=3), memory="reference of row", address=3)
    execute(matmul(), drain(**largest), softmax(row=4))
    factor = {"factor": True, "row": 5, "destination": 50}
    execute(softmax(row=5, post_inner=0), matmul(wait_outer=0), drain(**factor))
    execute(softmax(row=5, post_inner=0), matmul(), drain(**factor, wait_inner=0))
    races(softmax(row=5), matmul(), drain(**factor), memory="factor of row", address=5)
    races(
        softmax(row=4, tokens=2, post_inner=0), matmul(), drain(**factor, wait_inner=0),
        memory="factor of row", address=5,
    )  # fmt: skip
    execute(softmax(row=5), matmul(), drain(maximum=True, row=6, destination=50))
    races(matmul(), drain(**factor), softmax(row=5), memory="factor of row", address=5)


def test_exponents_go_to_softmax():
    def values(**fields):
        return lambda p: p.drain_operands(
            DrainKind.VALUES, destination=30, token_stride=1, entries=4 * 21 + 2, **fields
        )

    execute(matmul(), values(post_inner=0), softmax(wait_inner=0))
    races(matmul(), values(), softmax(), memory="scale word", address=21)
    execute(matmul(), values(), softmax(elements=4))
    races(matmul(operand=30), drain(), matmul(), values(), matmul(operand=30), drain(),
          memory="operand tile", address=30)  # fmt: skip
    # Tokens of one word are written by one unit.
    execute(matmul(tokens=3), values(tokens=3, post_outer=0), softmax(wait_outer=0))


def test_deadlock_names_the_row_unit():
    with pytest.raises(Deadlock, match=r"row: instruction 0 \(NORM .* waits for semaphore 2"):
        execute(norm(wait_inner=2))
    with pytest.raises(Deadlock, match=r"instruction 1 \(SOFTMAX .*\) waits for semaphore 2"):
        execute(norm(), softmax(wait_outer=2))


def test_a_full_stream_keeps_the_datapath():
    """DRAIN's token that STORE does not take yet is in the way of the row unit's."""
    stream = (matmul(tokens=6), drain(DrainKind.STREAM, tokens=6))
    take = {"kind": StoreKind.STREAM, "elements": 6}
    execute(*stream, norm(post_outer=1), store(**take))
    execute(matmul(tokens=4), drain(DrainKind.STREAM, tokens=4), norm(post_outer=1),
            store(**take | {"elements": 4}, wait_outer=1))  # fmt: skip
    with pytest.raises(Deadlock, match="NORM .* waits for DRAIN to leave the datapath"):
        execute(*stream, norm(post_outer=1), store(**take, wait_outer=1))
