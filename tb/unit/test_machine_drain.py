"""What DRAIN does beyond scales and words: addition, functions, rows, operands."""

import numpy as np
import pytest

from systolith.compiler.layout import pad
from systolith_hw.config import VALUE_WINDOW
from systolith_hw.isa import DrainFunction, DrainKind, StoreKind
from systolith_hw.tables import FRACTION, Function
from systolith_sim.dma.pages import page_bytes, unpack_pages
from systolith_sim.errors import ProgramError
from systolith_sim.machine.memory import ring_addresses
from systolith_sim.vector.exponential import reference
from systolith_sim.vector.function import rectify
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import requantize, requantize_each

from .machine_bench import ROWS, finish, multiply, random_machine, run

FUNCTIONS = {
    DrainFunction.GELU: lambda z: rectify(z, Function.GELU),
    DrainFunction.SILU: lambda z: rectify(z, Function.SILU),
    DrainFunction.RELU: lambda z: np.maximum(z, 0),
}
LIMIT = 1 << 31


def product(machine, *, tokens, tile_counts, steps=2):
    """Return the sums of a MATMUL, and its instruction."""
    groups = multiply(
        machine, operand=3, ring=(1, 9), activation=2, stride=1, steps=steps, tokens=tokens,
        tile_counts=tile_counts,
    )  # fmt: skip

    def matmul(program):
        program.matmul(
            steps=steps, operand=3, ring=(1, 9), activation=2, activation_stride=1, tokens=tokens,
            groups=len(tile_counts), tiles=tile_counts[0], tiles_last=tile_counts[-1],
        )  # fmt: skip

    return groups, matmul


def snapshot(machine):
    """Return a copy of all memories."""
    return {name: table.copy() for name, table in vars(machine.chip).items()}


def compare(machine, expected):
    for name, table in vars(machine.chip).items():
        np.testing.assert_array_equal(table, expected[name], err_msg=name)


# -- MATMUL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operand, ring, stride", [(2, (0, 50), 5), (17, (9, 21), 12), (3, (5, 12), 4), (4, (2, 9), 1)]
)
def test_operand_stride(operand, ring, stride):
    """Output tiles may be further apart than steps, or nearer, and go around the ring."""
    machine = random_machine(ROWS["small"])
    chip, loops = machine.chip, {"tokens": 2, "groups": 2, "tiles": 3, "tiles_last": 2}
    words = np.arange(4, 6)[:, None] + np.arange(3)
    pointer, sums = operand, []
    for _ in range(5):
        panel = chip.operand[ring_addresses(pointer, 3, *ring)].astype(np.int64)
        values = chip.mantissas[words].astype(np.int64) << chip.exponents[words][..., None]
        sums.append(np.einsum("tsr,src->tc", values, panel))
        pointer = int(ring_addresses(pointer, stride + 1, *ring)[-1])
    groups = [np.concatenate(sums[:3], axis=-1), np.concatenate(sums[3:], axis=-1)]
    finished, _ = finish(machine, groups, scale=0, columns_last=8)
    run(
        machine,
        lambda p: p.matmul(
            operand=operand, ring=ring, operand_stride=stride, steps=3, activation=4,
            activation_stride=1, **loops,
        ),
        lambda p: p.drain(DrainKind.WIDE, token_stride=6, group_stride=20, **loops),
    )  # fmt: skip
    np.testing.assert_array_equal(chip.wide[:12].reshape(2, -1), finished[0])
    for token in (0, 1):
        first = 20 + 6 * token
        np.testing.assert_array_equal(chip.wide[first : first + 4].ravel(), finished[1][token])


# -- functions and addition ----------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("kind", [DrainKind.WIDE, DrainKind.ACTIVATION])
@pytest.mark.parametrize("name", ROWS)
def test_functions(name, kind, function):
    """A function comes before the columns that do not exist are made zero."""
    config = ROWS[name]
    machine = random_machine(config)
    last, tiles = config.array.columns - 1, config.tiles_per_group
    groups, matmul = product(machine, tokens=3, tile_counts=[tiles, tiles])
    finished, saturations = finish(machine, groups, scale=1, columns_last=last)
    for z in finished:
        z[:] = FUNCTIONS[function](z)
    finished[-1][:, last - config.array.columns :] = 0
    assert any((np.abs(z) < 8 << FRACTION).any() for z in finished)
    expected = snapshot(machine)
    rows = config.array.rows
    for group, z in enumerate(finished):
        place = 40 + 50 * np.arange(3)[:, None] + 20 * group
        if kind == DrainKind.WIDE:
            words = z.reshape(3, -1, config.vector.lanes)
            expected["wide"][place + np.arange(words.shape[1])] = words
            continue
        mantissas, exponents, clipped, _ = normalize(
            z.reshape(3, -1, rows), 4, mantissa_bits=config.array.mantissa_bits,
            window=config.array.window,
        )  # fmt: skip
        saturations += clipped
        expected["mantissas"][place + np.arange(exponents.shape[1])] = mantissas
        expected["exponents"][place + np.arange(exponents.shape[1])] = exponents
    counts = run(machine, matmul, lambda p: p.drain(
        kind, tokens=3, groups=2, tiles=tiles, scale=1, destination=40, token_stride=50,
        group_stride=20, columns_last=last, exponent_base=4, function=function,
    ))  # fmt: skip
    compare(machine, expected)
    assert counts["SATURATIONS"] == saturations


@pytest.mark.parametrize("function", [DrainFunction.NONE, *FUNCTIONS])
@pytest.mark.parametrize("name", ROWS)
def test_addition(name, function):
    """Wide memory is added, saturating, before the function; a value saturates once."""
    config = ROWS[name]
    machine = random_machine(config)
    chip, last, lanes = machine.chip, config.array.columns - 1, config.vector.lanes
    chip.shift[:] = np.random.default_rng(2).integers(0, 34, chip.shift.shape)
    groups, matmul = product(machine, tokens=2, tile_counts=[2, 2, 1])
    expected, saturations = snapshot(machine), 0
    for group, sums in enumerate(groups):
        offsets = np.arange(sums.shape[1] // lanes)
        scales = 1 + group * 2 * config.beats_per_result + offsets
        z, saturated = requantize_each(
            sums, *(table[scales].ravel() for table in (chip.scale, chip.shift, chip.bias))
        )
        words = (60 + 200 * np.arange(2)[:, None] + 40 * group) + offsets
        total = z + chip.wide[words].reshape(2, -1)
        z = np.clip(total, -LIMIT, LIMIT - 1)
        saturated |= z != total
        if function:
            z = FUNCTIONS[function](z)
        if group == 2:
            z[:, last:] = saturated[:, last:] = 0
        saturations += int(np.count_nonzero(saturated))
        expected["wide"][words] = z.reshape(2, -1, lanes)
    counts = run(machine, matmul, lambda p: p.drain(
        DrainKind.WIDE, tokens=2, groups=3, tiles=2, tiles_last=1, scale=1, destination=60,
        token_stride=200, group_stride=40, columns_last=last, accumulate=True, function=function,
    ))  # fmt: skip
    compare(machine, expected)
    assert counts["SATURATIONS"] == saturations > 0


def test_additions_one_after_the_other():
    """Two DRAINs may add in one place; two turns of one DRAIN may not."""
    machine = random_machine(ROWS["small"])
    groups, matmul = product(machine, tokens=2, tile_counts=[1])
    z = finish(machine, groups, scale=1, columns_last=8)[0][0]
    machine.chip.wide[:4] = 0
    add = {"kind": DrainKind.WIDE, "scale": 1, "accumulate": True, "tokens": 2, "token_stride": 2}

    def drain(**fields):
        return lambda p: p.drain(**add | fields)

    run(machine, matmul, drain(), matmul, drain())
    twice = np.clip(2 * z, -LIMIT, LIMIT - 1)
    np.testing.assert_array_equal(machine.chip.wide[:4].reshape(2, -1), twice)
    for stride in (0, 1):
        with pytest.raises(ProgramError, match=f"accumulates twice in wide word {stride}"):
            run(machine, matmul, drain(token_stride=stride))
    run(machine, matmul, drain(accumulate=False, token_stride=0))


# -- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DrainKind.WIDE, DrainKind.ACTIVATION])
@pytest.mark.parametrize("name", ROWS)
def test_factor(name, kind):
    """A row's factor stands in for the scale entries, and bias is 0."""
    config = ROWS[name]
    machine = random_machine(config)
    chip = machine.chip
    rng = np.random.default_rng(4)
    chip.factor_scale[:] = rng.integers(1 << 15, 1 << 16, len(chip.factor_scale))
    chip.factor_shift[:] = rng.integers(31, 48, len(chip.factor_shift))
    groups, matmul = product(machine, tokens=3, tile_counts=[config.tiles_per_group])
    rows = 9 + np.arange(3)[:, None]
    z, _ = requantize(groups[0], chip.factor_scale[rows], chip.factor_shift[rows] - 11, 0)
    run(machine, matmul, lambda p: p.drain(
        kind, tokens=3, tiles=config.tiles_per_group, destination=20, token_stride=70,
        factor=True, row=9, offset=11,
    ))  # fmt: skip
    if kind == DrainKind.WIDE:
        count = z.shape[1] // config.vector.lanes
        words = 20 + 70 * np.arange(3)[:, None] + np.arange(count)
        np.testing.assert_array_equal(chip.wide[words].reshape(3, -1), z)
        return
    array = config.array
    z = np.pad(z, ((0, 0), (0, -z.shape[1] % array.rows)))
    words = 20 + 70 * np.arange(3)[:, None] + np.arange(z.shape[1] // array.rows)
    mantissas, exponents, *_ = normalize(
        z.reshape(3, -1, array.rows), 0, mantissa_bits=array.mantissa_bits, window=array.window
    )
    np.testing.assert_array_equal(chip.mantissas[words], mantissas)
    np.testing.assert_array_equal(chip.exponents[words], exponents)


def test_a_shift_keeps_its_low_bits():
    machine = random_machine(ROWS["small"])
    machine.chip.factor_scale[0], machine.chip.factor_shift[0] = 1 << 15, 20
    _, matmul = product(machine, tokens=1, tile_counts=[1])
    run(machine, matmul, lambda p: p.drain(DrainKind.WIDE, factor=True, offset=21))
    assert not machine.chip.wide[:2].any()  # shifted by 127


@pytest.mark.parametrize("entries", [0, 1, 5, 100])
@pytest.mark.parametrize("name", ROWS)
def test_maximum(name, entries):
    """The reference is that of the valid channels; causal ones are still written."""
    config = ROWS[name]
    machine = random_machine(config)
    last = config.array.columns - 1
    groups, matmul = product(machine, tokens=4, tile_counts=[3])
    (z,), _ = finish(machine, groups, scale=1, columns_last=last)
    valid = z.shape[1] - 1
    expected = snapshot(machine)
    for token in range(4):
        limit = min(valid, entries + token) if entries else valid
        expected["reference"][5 + token] = reference(z[token, :limit])
    words = 8 + 70 * np.arange(4)[:, None] + np.arange(z.shape[1] // config.vector.lanes)
    expected["wide"][words] = z.reshape(4, -1, config.vector.lanes)
    run(machine, matmul, lambda p: p.drain(
        DrainKind.WIDE, tokens=4, tiles=3, scale=1, destination=8, token_stride=70,
        columns_last=last, maximum=True, row=5, entries=entries,
    ))  # fmt: skip
    compare(machine, expected)
    if not entries:
        assert len(set(expected["reference"][5:9])) > 1


def test_negative_maximum():
    """Channels that do not exist are zero, but do not count."""
    machine = random_machine(ROWS["small"])
    machine.chip.scale[:] = 0
    machine.chip.bias[:] = -3 << FRACTION
    machine.chip.bias[0, 2] = (-2 << FRACTION) - 1
    _, matmul = product(machine, tokens=2, tile_counts=[1])
    for last, expected in ((8, -3), (2, -3)):
        run(machine, matmul, lambda p, last=last: p.drain(
            DrainKind.WIDE, tokens=2, token_stride=2, columns_last=last, maximum=True,
        ))  # fmt: skip
        assert machine.chip.reference[:2].tolist() == [expected] * 2
    machine.chip.bias[0, 2] = -2 << FRACTION
    run(machine, matmul, lambda p: p.drain(
        DrainKind.WIDE, tokens=2, token_stride=2, maximum=True, entries=2,
    ))  # fmt: skip
    assert machine.chip.reference[:2].tolist() == [-3, -2]


# -- operands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", [DrainKind.KEYS, DrainKind.VALUES])
@pytest.mark.parametrize("name", ROWS)
def test_operands(name, kind, first):
    """One block for each token and group; lanes and rows wrap; nothing else is touched."""
    config = ROWS[name]
    machine = random_machine(config)
    array, lanes, tiles = config.array, config.vector.lanes, 2
    tokens = 2 * max(array.rows, array.columns) + 3 if array.rows < 20 else 5
    machine.chip.shift[:], machine.chip.bias[:90] = 29, 0
    groups, matmul = product(machine, tokens=tokens, tile_counts=[tiles, tiles])
    finished, saturations = finish(machine, groups, scale=3, columns_last=array.columns)
    window = array.window if kind == DrainKind.KEYS else min(array.window, VALUE_WINDOW)
    expected, flushes = snapshot(machine), 0
    channels = (100 if lanes == 1 else 150) * lanes + 1
    stride = tokens + 5
    for group, z in enumerate(finished):
        for token in range(tokens):
            m, e, clipped, empty = normalize(z[token], 3, mantissa_bits=8, window=window)
            saturations += clipped
            flushes += empty
            tile = 20 + group * 90
            if kind == DrainKind.KEYS:
                wraps, lane = divmod(first + token, array.columns)
                column = np.pad(m, (0, -len(m) % array.rows)).reshape(-1, array.rows)
                for index, part in enumerate(column):
                    expected["operand"][tile + 7 * wraps + index, :, lane] = part
            else:
                wraps, row = divmod(first + token, array.rows)
                for index, part in enumerate(m.reshape(tiles, -1)):
                    expected["operand"][tile + wraps + 7 * index, row] = part
            word, lane = divmod(channels + group * stride + token, lanes)
            expected["scale"][word, lane] = 1 << 15
            expected["shift"][word, lane] = 60 - e if kind == DrainKind.KEYS else e
            expected["bias"][word, lane] = 0
    counts = run(machine, matmul, lambda p: p.drain_operands(
        kind, tokens=tokens, groups=2, tiles=tiles, scale=3, destination=20, token_stride=7,
        group_stride=90, entries=channels, entries_stride=stride, lane=first, offset=60,
        exponent_base=3,
    ))  # fmt: skip
    compare(machine, expected)
    assert counts["SATURATIONS"] == saturations
    assert counts["FLUSHES"] == flushes
    assert len(np.unique(expected["shift"])) > 2


@pytest.mark.parametrize("name", ROWS)
def test_heads(name):
    """All words of a token of a group have one exponent, and nothing on the chip is touched."""
    config = ROWS[name]
    machine = random_machine(config)
    array, tiles, tokens = config.array, 2, 3
    machine.chip.shift[:], machine.chip.bias[:90] = 24, 0
    groups, matmul = product(machine, tokens=tokens, tile_counts=[tiles, tiles])
    finished, saturations = finish(machine, groups, scale=3, columns_last=array.columns)
    words = -(-tiles * array.columns // array.rows)
    stride = pad(page_bytes(config, words), config.bus.data_bytes)
    expected, found = snapshot(machine), set()

    def drain(program):
        program.drain(
            DrainKind.HEADS, tokens=tokens, groups=2, tiles=tiles, scale=3, exponent_base=3
        )
        program.store(StoreKind.STREAM, address=0, rows=2 * tokens, elements=words)

    counts = run(machine, matmul, drain)
    compare(machine, expected)
    for number, z in enumerate(np.concatenate(finished)):
        m, e, clipped, _ = normalize(z, 3, mantissa_bits=8, window=array.window)
        page = machine.memory.read(number * stride, page_bytes(config, words))
        mantissas, exponents = unpack_pages(config, page, words)
        assert mantissas.ravel().tolist() == np.pad(m, (0, -len(m) % array.rows)).tolist()
        assert exponents.tolist() == [e] * words
        saturations += clipped
        found.add(int(e))
    assert counts["SATURATIONS"] == saturations
    assert max(found) > 0


@pytest.mark.parametrize("window", [15, 24])
def test_blocks_stay_as_they_are(window):
    """What mantissas and exponents say is normalised to the same: pages become operands."""
    rng = np.random.default_rng(1)
    z = rng.integers(-(1 << 20), 1 << 20, (1000, 12)) >> rng.integers(0, 21, (1000, 1))
    mantissas, exponents, *_ = normalize(z, 3, mantissa_bits=8, window=window)
    again = normalize(mantissas << exponents[:, None], 0, mantissa_bits=8, window=window)
    np.testing.assert_array_equal(again[0], mantissas)
    np.testing.assert_array_equal(again[1], exponents)
    assert len(np.unique(exponents)) > 10


def test_exponents_go_elsewhere():
    machine = random_machine(ROWS["small"])
    _, matmul = product(machine, tokens=3, tile_counts=[1, 1])

    def keys(entries, entries_stride):
        return lambda p: p.drain_operands(
            DrainKind.KEYS, tokens=3, groups=2, scale=10, destination=0, token_stride=1,
            entries=entries, entries_stride=entries_stride,
        )  # fmt: skip

    run(machine, matmul, keys(4 * 14, 3))
    run(machine, matmul, keys(4 * 9, 4 * 5))
    with pytest.raises(ProgramError, match="exponents to scale word 13, but its own are 10 to 13"):
        run(machine, matmul, keys(4 * 13 + 3, 3))
    with pytest.raises(ProgramError, match="exponents to scale word 9, but"):
        run(machine, matmul, keys(4 * 9 + 3, 40))
