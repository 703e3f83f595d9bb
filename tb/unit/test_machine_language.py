"""What DRAIN does for language models: products of two activations, rotary positions, the best."""

import numpy as np
import pytest

from systolith.program import Program
from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.isa import DrainFunction, DrainKind, Opcode, encode
from systolith_sim.errors import MachineError, ProgramError
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.product import multiply
from systolith_sim.vector.requantizer import clip_normal
from systolith_sim.vector.rotary import rotate

from .machine_bench import ROWS, finish, random_machine, run
from .test_machine_drain import compare, product, snapshot

PAIRED = {name: config for name, config in ROWS.items() if config.vector.lanes > 1}
"""Those whose beats have pairs of channels."""


def calm_machine(config):
    """Return a machine whose values are seldom clipped to 18 bits."""
    machine = random_machine(config)
    machine.chip.shift[:] = 44
    rng = np.random.default_rng(3)
    machine.chip.bias[:] = rng.integers(-(2**16), 2**16, machine.chip.bias.shape)
    machine.chip.wide[:] >>= 8
    return machine


@pytest.mark.parametrize("kind", [DrainKind.WIDE, DrainKind.ACTIVATION])
@pytest.mark.parametrize("name", [name for name in ROWS if name != "tall"])
def test_product(name, kind):
    """Second factors come in the order of the loops; the last group has fewer tiles."""
    config = ROWS[name]
    machine = calm_machine(config)
    chip, lanes, array = machine.chip, config.vector.lanes, config.array
    last, tokens, tiles = array.columns - 1, 3, 2 * config.tiles_per_group
    counts = [tiles, tiles, tiles // 2]
    groups, matmul = product(machine, tokens=tokens, tile_counts=counts)
    finished, _ = finish(machine, groups, scale=1, columns_last=last)
    expected, width = snapshot(machine), tiles * config.beats_per_result
    gates = 300
    for group, z in enumerate(finished):
        for token in range(tokens):
            first = gates + (group * tokens + token) * width
            words = chip.wide[first : first + z.shape[1] // lanes]
            y = multiply(z[token], words.ravel().astype(np.int64), 7, 9)
            if group == 2:
                y[last - array.columns :] = 0
            place = 10 + 20 * token + 70 * group
            if kind == DrainKind.WIDE:
                expected["wide"][place : place + len(words)] = y.reshape(-1, lanes)
                continue
            y = np.pad(y, (0, -len(y) % array.rows)).reshape(-1, array.rows)
            mantissas, exponents, *_ = normalize(
                y, 2, mantissa_bits=array.mantissa_bits, window=array.window
            )
            expected["mantissas"][place : place + len(y)] = mantissas
            expected["exponents"][place : place + len(y)] = exponents
    run(machine, matmul, lambda p: p.drain(
        kind, tokens=tokens, groups=3, tiles=tiles, tiles_last=tiles // 2, scale=1,
        destination=10, token_stride=20, group_stride=70, columns_last=last, exponent_base=2,
        function=DrainFunction.PRODUCT, entries=gates, shift=9,
    ))  # fmt: skip
    compare(machine, expected)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("name", PAIRED)
def test_rotated_words(name, heads):
    """Each head is turned by the same angles, whose rows hold a cosine and a sine in turn."""
    config = PAIRED[name]
    machine = calm_machine(config)
    chip, lanes, array = machine.chip, config.vector.lanes, config.array
    tokens, tiles, head_groups = 3, config.tiles_per_group, 2
    groups, matmul = product(machine, tokens=tokens, tile_counts=[tiles] * heads * head_groups)
    finished, _ = finish(machine, groups, scale=1, columns_last=array.columns)
    beats = tiles * config.beats_per_result
    size = (2 * beats * head_groups - 1).bit_length()
    assert 1 << size == 2 * beats * head_groups
    row, expected = 1, snapshot(machine)
    for group, z in enumerate(finished):
        for token in range(tokens):
            first = (row + token << size) + 2 * beats * (group % head_groups)
            pairs = chip.wide[first : first + 2 * beats].reshape(beats, 2, lanes).astype(np.int64)
            c, s = ((pairs[:, n].ravel() << 46) >> 46 for n in (0, 1))
            y = rotate(clip_normal(z[token]), c, s)
            place = 30 + 20 * token + 70 * group
            y = np.pad(y, (0, -len(y) % array.rows)).reshape(-1, array.rows)
            mantissas, exponents, *_ = normalize(
                y, 2, mantissa_bits=array.mantissa_bits, window=array.window
            )
            expected["mantissas"][place : place + len(y)] = mantissas
            expected["exponents"][place : place + len(y)] = exponents
    run(machine, matmul, lambda p: p.drain(
        DrainKind.ACTIVATION, tokens=tokens, groups=len(groups), tiles=tiles, scale=1,
        destination=30, token_stride=20, group_stride=70, exponent_base=2, rotate=True,
        shift=size, row=row,
    ))  # fmt: skip
    compare(machine, expected)


def test_rotated_keys():
    """Keys are turned before their exponent is found."""
    config = ROWS["small"]
    machine = calm_machine(config)
    chip = machine.chip
    groups, matmul = product(machine, tokens=2, tile_counts=[2])
    (z,), _ = finish(machine, groups, scale=1, columns_last=8)
    pairs = chip.wide[24:40].reshape(2, 4, 2, 4).astype(np.int64)
    c, s = ((pairs[:, :, n].reshape(2, 16) << 46) >> 46 for n in (0, 1))
    mantissas, exponents, *_ = normalize(
        rotate(clip_normal(z), c, s), 3, mantissa_bits=8, window=config.array.window
    )
    run(machine, matmul, lambda p: p.drain_operands(
        DrainKind.KEYS, tokens=2, tiles=2, scale=1, destination=20, token_stride=2, lane=3,
        entries=400, offset=60, exponent_base=3, rotate=True, shift=3, row=3,
    ))  # fmt: skip
    np.testing.assert_array_equal(chip.operand[20:22, :, 3:5].reshape(16, 2), mantissas.T)
    assert (60 - chip.shift[100, :2].astype(int)).tolist() == exponents.tolist()


@pytest.mark.parametrize("name", ROWS)
def test_best(name):
    """The first of the largest valid values, over groups and over instructions."""
    config = ROWS[name]
    machine = calm_machine(config)
    chip, last = machine.chip, config.array.columns - 1
    groups, matmul = product(machine, tokens=1, tile_counts=[3, 3, 1])
    finished, _ = finish(machine, groups, scale=1, columns_last=last)
    z = np.concatenate(finished, axis=-1)[0]
    z = z[: len(z) - 1]
    drain = {"kind": DrainKind.BEST, "groups": 3, "tiles": 3, "tiles_last": 1, "scale": 1,
             "columns_last": last}  # fmt: skip
    run(machine, matmul, lambda p: p.drain(destination=7, entries=1000, **drain))
    assert chip.wide[7].tolist() == [1000 + z.argmax(), *[0] * (config.vector.lanes - 1)]
    assert chip.best[0] == z.max()
    # The same values again are no better; others may be.
    run(machine, matmul, lambda p: p.drain(destination=8, entries=5000, accumulate=True, **drain))
    assert chip.wide[8, 0] == 1000 + z.argmax()
    chip.best[0] -= 1
    run(machine, matmul, lambda p: p.drain(destination=8, entries=65530, accumulate=True, **drain))
    assert chip.wide[8, 0] == (65530 + z.argmax()) % 65536


def test_factors_that_it_writes_itself():
    """In its own place a value may be written; otherwise not."""
    machine = calm_machine(ROWS["small"])
    _, matmul = product(machine, tokens=2, tile_counts=[2])

    def drain(destination):
        return lambda p: p.drain(
            DrainKind.WIDE, tokens=2, tiles=2, destination=destination, token_stride=4,
            function=DrainFunction.PRODUCT, entries=40, shift=9,
        )  # fmt: skip

    for destination in (40, 48, 32):
        run(machine, matmul, drain(destination))
    for destination, word in ((44, 44), (41, 41), (37, 40)):
        with pytest.raises(ProgramError, match=f"multiplies by wide word {word}, which it"):
            run(machine, matmul, drain(destination))


def test_what_does_not_go_together():
    machine = random_machine(ROWS["small"])
    program = Program(machine.config)
    product(machine, tokens=2, tile_counts=[2])[1](program)
    program.end()
    multiplied, end = (program.assemble()[part] for part in (
        slice(-INSTRUCTION_BYTES), slice(-INSTRUCTION_BYTES, None)
    ))  # fmt: skip
    words, wide = DrainKind.ACTIVATION, DrainKind.WIDE
    for words_of_it, kind, fields in (
        ("accumulate is for WIDE, BEST, CANDIDATES and MEASURED, not for ACTIVATION", words,
         {"accumulate": 1}),
        ("rotate is for ACTIVATION, KEYS and HEADS, not for WIDE", wide, {"rotate": 1, "shift": 3}),
        ("PRODUCT is for ACTIVATION and WIDE, not for STREAM", DrainKind.STREAM, {"function": 3}),
        ("no rotate with SILU", words, {"rotate": 1, "shift": 3, "function": 2}),
        ("no rotate with factor", words, {"rotate": 1, "shift": 3, "factor": 1}),
        ("no rotate with a shift of 0", words, {"rotate": 1}),
        ("DRAIN has no function 5", words, {"function": 5}),
        ("no PRODUCT with accumulate", wide, {"function": 3, "accumulate": 1}),
        ("no PRODUCT with maximum", wide, {"function": 3, "maximum": 1}),
        ("no BEST for 2 tokens", DrainKind.BEST, {}),
    ):  # fmt: skip
        with pytest.raises(MachineError, match=words_of_it):
            drain = encode(
                Opcode.DRAIN, kind=kind, tokens=2, groups=1, tiles=2, tiles_last=2,
                columns_last=8, **fields,
            )  # fmt: skip
            machine.run(multiplied + drain + end)
