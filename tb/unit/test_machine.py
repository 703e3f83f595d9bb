"""The functional machine, instruction by instruction, against plain numpy."""

import numpy as np
import pytest

from systolith.compiler.recipes import pack_recipes, recipes
from systolith.program import Program
from systolith_hw.code_pages import code_pages
from systolith_hw.config import CODE_GROUP, INSTRUCTION_BYTES
from systolith_hw.isa import (
    DrainKind,
    ErrorCode,
    LoadKind,
    Opcode,
    Register,
    StoreKind,
    Unit,
    encode,
)
from systolith_hw.presets import PRESETS, preset
from systolith_sim.dma.pages import pack_pages, pack_scales, unpack_pages
from systolith_sim.errors import MachineError, ProgramError
from systolith_sim.machine import Machine
from systolith_sim.machine.memory import ring_addresses, ring_step
from systolith_sim.vector.normalizer import normalize

from .machine_bench import CONFIGS, ROOMY, finish, multiply, random_machine, run, with_rows

SMALL = CONFIGS["small"]


# -- addresses -----------------------------------------------------------------------------------


def test_ring():
    assert ring_addresses(5, 4, 2, 7).tolist() == [5, 6, 2, 3]
    assert ring_addresses(0, 12, 2, 5).tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 2]
    assert ring_addresses(3, 2, 0, 9).tolist() == [3, 4]
    assert [ring_step(5, stride, 2, 7) for stride in (0, 1, 2, 5)] == [5, 6, 2, 5]


# -- LOAD ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_load_rows(name):
    """Row writes fill tile after tile, and wrap."""
    config = CONFIGS[name]
    machine = random_machine(config)
    rows, columns = config.array.rows, config.array.columns
    per_tile = rows // config.write_rows
    elements = 2 * per_tile + 1
    beats = -(-elements * config.row_write_bytes // config.bus.data_bytes) + 1
    before = machine.chip.operand.copy()
    run(machine, lambda p: p.load(
        LoadKind.OPERAND_ROWS, address=256, rows=2, beats=beats, elements=elements, local=12,
        local_stride=4, ring=(9, 15),
    ))  # fmt: skip
    for row, tiles in ((0, [12, 13, 14]), (1, [10, 11, 12])):
        start = 256 + row * beats * config.bus.data_bytes
        raw = machine.memory.array[start : start + elements * config.row_write_bytes]
        written = raw.view(np.int8).reshape(-1, columns)
        for index, tile in enumerate(tiles):
            part = written[index * rows : (index + 1) * rows]
            if (row, tile) == (0, 12):
                continue  # its first rows are overwritten by the second run
            np.testing.assert_array_equal(machine.chip.operand[tile, : len(part)], part)
            if tile != 12 and len(part) < rows:
                np.testing.assert_array_equal(
                    machine.chip.operand[tile, len(part) :], before[tile, len(part) :]
                )
    untouched = [tile for tile in range(len(before)) if tile not in range(10, 15)]
    np.testing.assert_array_equal(machine.chip.operand[untouched], before[untouched])


@pytest.mark.parametrize("kind", [LoadKind.OPERAND_AFFINE, LoadKind.OPERAND_EXPONENT])
@pytest.mark.parametrize("port", [2, 8, 32])
def test_load_codes(port, kind):
    """A run of panels fills tile after tile with what the formulas give; a second one wraps."""
    config = preset("small").replace({"bus.data_bytes": port, "bus.codecs": True})
    machine, rng = random_machine(config), np.random.default_rng(port)
    tiles, columns = 13, config.array.columns
    rows = tiles * config.array.rows
    page = code_pages(config)[kind]
    groups = -(-rows // CODE_GROUP), columns
    highs = (256, 256) if kind == LoadKind.OPERAND_AFFINE else (16,)
    codes = rng.integers(0, 16, (rows, columns))
    parameters = [rng.integers(0, high, groups) for high in highs]
    made = recipes(codes, parameters)
    run_bytes = pack_recipes(page, made[None]).tobytes()
    stride = -(-len(run_bytes) // port) * port
    for row in range(2):
        machine.memory.write(512 + row * stride, run_bytes)
    run(machine, lambda p: p.load(
        kind, address=512, rows=2, elements=rows // config.write_rows, local=20,
        local_stride=16, ring=(8, 40),
    ))  # fmt: skip
    wide = [np.repeat(part, CODE_GROUP, axis=0)[:rows] for part in parameters]
    if kind == LoadKind.OPERAND_AFFINE:
        slope, offset = wide
        weights = np.clip((slope * codes + 8) // 16 + offset.astype(np.int8), -128, 127)
    else:
        weights = (codes - 8) * 2 ** np.minimum(wide[0], 4)
    panel = weights.reshape(tiles, config.array.rows, columns)
    np.testing.assert_array_equal(machine.chip.operand[20:33], panel)
    np.testing.assert_array_equal(machine.chip.operand[36:40], panel[:4])
    np.testing.assert_array_equal(machine.chip.operand[8:17], panel[4:])


@pytest.mark.parametrize("name", CONFIGS)
def test_load_columns(name):
    """Runs fill lane after lane; the address moves on when the lane wraps."""
    config = CONFIGS[name]
    machine = random_machine(config)
    array, port = config.array, config.bus.data_bytes
    rows = array.columns + 2
    first = array.columns - 1
    stride = -(-3 * array.word_bytes // port) * port
    expected = machine.chip.operand.copy()
    run(machine, lambda p: p.load(
        LoadKind.OPERAND_COLUMNS, address=0, rows=rows, elements=3, local=6, local_stride=2,
        lane=first, ring=(4, 9),
    ))  # fmt: skip
    local = 6
    for row in range(rows):
        lane = (first + row) % array.columns
        for element, tile in enumerate(ring_addresses(local, 3, 4, 9)):
            start = row * stride + element * array.word_bytes
            word = machine.memory.array[start : start + array.word_bytes]
            expected[tile, :, lane] = word.view(np.int8)[:: array.mantissa_bytes]
        if lane == array.columns - 1:
            local = ring_step(local, 2, 4, 9)
    np.testing.assert_array_equal(machine.chip.operand, expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_load_words(name):
    config = CONFIGS[name]
    machine = random_machine(config)
    array, port = config.array, config.bus.data_bytes
    count = array.rows + 3
    load = Program(config)
    load.load(
        LoadKind.ACTIVATION, address=128, rows=2, elements=min(count, 14), local=15,
        local_stride=3, ring=(2, 18),
    )  # fmt: skip
    count = min(count, 14)
    load.end()
    machine.run(load.assemble())
    size = (count + -(-count // array.rows)) * array.word_bytes
    raw = machine.memory.array[128 + -(-size // port) * port :].tobytes()
    mantissas, exponents = unpack_pages(config, raw, count)
    words = ring_addresses(2, count, 2, 18)
    low = 1 << array.mantissa_bits - 1
    np.testing.assert_array_equal(
        machine.chip.mantissas[words], (mantissas + low) % (2 * low) - low
    )
    np.testing.assert_array_equal(
        machine.chip.exponents[words], exponents % (1 << array.exponent_bits)
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_load_wide_and_scale(name):
    config = CONFIGS[name]
    machine = random_machine(config)
    lanes = config.vector.lanes
    rng = np.random.default_rng(5)
    values = rng.integers(-(2**31), 2**31, 4 * lanes).astype("<i4")
    scale, shift = rng.integers(0, 1 << 16, 4 * lanes), rng.integers(0, 128, 4 * lanes)
    bias = values
    machine.memory.write(1024, values.tobytes())
    machine.memory.write(2048, pack_scales(scale, shift, bias))
    run(
        machine,
        lambda p: p.load(LoadKind.WIDE, address=1024, elements=4, local=7, ring=(5, 9)),
        lambda p: p.load(LoadKind.SCALE, address=2048, elements=4, local=1),
    )
    np.testing.assert_array_equal(machine.chip.wide[[7, 8, 5, 6]].ravel(), values)
    for table, expected in (("scale", scale), ("shift", shift), ("bias", bias)):
        np.testing.assert_array_equal(getattr(machine.chip, table)[1:5].ravel(), expected)


def test_few_words_have_biases():
    """Others take a bias of zero, and nothing else."""
    machine = random_machine(SMALL.replace({"memory.bias_words": 16}))
    lanes = SMALL.vector.lanes
    machine.memory.write(0, pack_scales(*np.ones((3, 2 * lanes), np.int64)))
    machine.memory.write(1024, pack_scales(*np.array([[1], [1], [0]]).repeat(lanes, 1)))

    def load(address, local, elements):
        run(machine, lambda p: p.load(
            LoadKind.SCALE, address=address, local=local, elements=elements
        ))  # fmt: skip

    load(0, 13, 2)
    load(1024, 15, 1)
    assert machine.chip.bias[13:16, 0].tolist() == [1, 1, 0]
    with pytest.raises(ProgramError, match=r"bias to scale word 15; .* of 16 only words below 15"):
        load(0, 14, 2)


# -- MATMUL and DRAIN ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DrainKind.WIDE, DrainKind.ACTIVATION])
@pytest.mark.parametrize("tile_counts", [[1], [3, 3, 2], [2, 2, 2, 1]])
@pytest.mark.parametrize("name", ROOMY)
def test_matmul_and_drain(name, tile_counts, kind):
    """Rings, strides, partial groups, columns that do not exist; nothing else is touched."""
    config = ROOMY[name]
    machine = random_machine(config)
    chip, array = machine.chip, config.array
    last = array.columns - 1
    groups = multiply(
        machine, operand=25, ring=(20, 29), activation=4, stride=2, steps=3, tokens=2,
        tile_counts=tile_counts,
    )  # fmt: skip
    finished, saturations = finish(machine, groups, scale=3, columns_last=last)
    flushes = 0
    mantissas, exponents, wide = chip.mantissas.copy(), chip.exponents.copy(), chip.wide.copy()
    for group, z in enumerate(finished):
        place = 50 + np.arange(2)[:, None] * 200 + group * 30
        if kind == DrainKind.WIDE:
            words = z.reshape(2, -1, config.vector.lanes)
            wide[place + np.arange(words.shape[1])] = words
            continue
        words = np.pad(z, ((0, 0), (0, -z.shape[1] % array.rows))).reshape(2, -1, array.rows)
        m, e, clipped, empty = normalize(
            words, 5, mantissa_bits=array.mantissa_bits, window=array.window
        )
        mantissas[place + np.arange(words.shape[1])] = m
        exponents[place + np.arange(words.shape[1])] = e
        saturations += clipped
        flushes += empty

    loops = {
        "tokens": 2, "groups": len(tile_counts), "tiles": tile_counts[0],
        "tiles_last": tile_counts[-1],
    }  # fmt: skip
    counts = run(
        machine,
        lambda p: p.matmul(
            steps=3, operand=25, ring=(20, 29), activation=4, activation_stride=2, **loops
        ),
        lambda p: p.drain(
            kind, scale=3, destination=50, token_stride=200, group_stride=30, columns_last=last,
            exponent_base=5, **loops,
        ),
    )  # fmt: skip
    np.testing.assert_array_equal(chip.wide, wide)
    np.testing.assert_array_equal(chip.mantissas, mantissas)
    np.testing.assert_array_equal(chip.exponents, exponents)
    assert counts["SATURATIONS"] == saturations
    assert counts["FLUSHES"] == flushes
    assert counts["ARRAY_BUSY"] == 2 * sum(tile_counts) * 3
    assert counts["VECTOR_BUSY"] == 2 * sum(tile_counts) * config.beats_per_result


def one_product(program, **drain):
    program.matmul(steps=2, activation=3, tiles=2, tokens=2, activation_stride=2)
    program.drain(DrainKind.WIDE, scale=5, tiles=2, tokens=2, token_stride=4, **drain)


@pytest.mark.parametrize("scale", [0, 1, 0x7FFF, 0x8000, 0xFFFF])
def test_scales_are_zero_or_normalised(scale):
    """Others are refused, unless they belong to columns that do not exist."""
    machine = random_machine(SMALL)
    column = 13  # the scales of channel 13, so the second tile's column 5
    machine.chip.scale[5 + column // SMALL.vector.lanes, column % SMALL.vector.lanes] = scale
    run(machine, lambda p: one_product(p, columns_last=5))
    if scale in (1, 0x7FFF):
        sentence = rf"instruction 1 \(DRAIN.* scale {scale:#x} in channel 13 of its group; scales"
        with pytest.raises(ProgramError, match=sentence):
            run(machine, lambda p: one_product(p, columns_last=6))
    else:
        run(machine, lambda p: one_product(p, columns_last=6))


@pytest.mark.parametrize("window", [9, 24])
def test_exponents_are_inside_the_window(window):
    config = SMALL.replace({"array.window": window})
    machine = random_machine(config)
    machine.chip.exponents[[2, 6, 7]] = [window + 1, window, window + 1]
    run(machine, one_product)
    machine.chip.exponents[6] = window + 1
    sentence = rf"instruction 0 \(MATMUL.* activation word 6, .* is {window + 1}; array.window is"
    with pytest.raises(ProgramError, match=sentence):
        run(machine, one_product)


def test_waits_and_posts_do_not_change_results():
    """Token by token, in whatever order the units come to run, or all at once."""
    plain, stepwise = random_machine(SMALL), random_machine(SMALL)
    loops = {"tokens": 5, "groups": 3, "tiles": 2, "tiles_last": 1}
    drain = {"token_stride": 10, "group_stride": 4, **loops}
    wide = {"elements": 1, "row_stride": 0}
    run(
        plain,
        lambda p: p.matmul(steps=4, **loops),
        lambda p: p.drain(DrainKind.WIDE, **drain),
    )
    run(
        stepwise,
        lambda p: p.matmul(
            steps=4, wait_inner=0, wait_outer=1, post_inner=2, post_outer=3, **loops
        ),
        lambda p: p.drain(
            DrainKind.WIDE, wait_inner=2, wait_outer=3, post_inner=4, post_outer=5, **drain
        ),
        lambda p: p.store(StoreKind.WIDE, **wide, address=0, rows=15, wait_inner=4, local=500),
        lambda p: p.load(LoadKind.WIDE, **wide, address=64, rows=15, local=511, post_inner=0),
        lambda p: p.load(LoadKind.WIDE, **wide, address=64, rows=3, local=511, post_inner=1),
    )
    np.testing.assert_array_equal(plain.chip.wide[:58], stepwise.chip.wide[:58])


@pytest.mark.parametrize("name", ROOMY)
def test_stream(name):
    """DRAIN's words arrive in memory in pages, padded to the port; runs need not be groups."""
    config = ROOMY[name]
    machine = random_machine(config)
    array, port = config.array, config.bus.data_bytes
    tiles = config.tiles_per_group
    groups = multiply(
        machine, operand=0, ring=(0, 1000), activation=0, stride=1, steps=1, tokens=3,
        tile_counts=[tiles] * 4,
    )  # fmt: skip
    finished, _ = finish(machine, groups, scale=0, columns_last=array.columns)
    z = np.concatenate([part.ravel() for part in finished]).reshape(-1, array.rows)
    mantissas, exponents, *_ = normalize(
        z, 2, mantissa_bits=array.mantissa_bits, window=array.window
    )
    count = len(z) // 3
    loops = {"tokens": 3, "groups": 4, "tiles": tiles}
    run(
        machine,
        lambda p: p.matmul(steps=1, **loops),
        lambda p: p.drain(DrainKind.STREAM, exponent_base=2, **loops),
        lambda p: p.store(StoreKind.STREAM, address=256, rows=3, elements=count),
    )
    for row in range(3):
        part = slice(row * count, (row + 1) * count)
        pages = pack_pages(config, mantissas[part], exponents[part])
        padded = pages.ljust(-(-len(pages) // port) * port, b"\0")
        assert machine.memory.read(256 + row * len(padded), len(padded)) == padded


def test_store_wide():
    machine = random_machine(SMALL)
    before = machine.memory.array.copy()
    run(machine, lambda p: p.store(
        StoreKind.WIDE, address=64, rows=3, row_stride=128, elements=5, local=2, local_stride=9,
    ))  # fmt: skip
    for row in range(3):
        start = 64 + 128 * row
        stored = machine.memory.array[start : start + 80].view("<i4")
        first = 2 + 9 * row
        np.testing.assert_array_equal(stored, machine.chip.wide[first : first + 5].ravel())
        before[start : start + 80] = machine.memory.array[start : start + 80]
    np.testing.assert_array_equal(machine.memory.array, before)


# -- programs ------------------------------------------------------------------------------------


def test_registers_and_loops():
    """One program for every length: LENGTH words are loaded, each from its own place."""
    machine = random_machine(SMALL)
    program = Program(SMALL)
    address, local = program.register("address"), program.register("local")
    program.calc(local, immediate=0)
    with program.loop(count_register=Register.LENGTH, counter=address, step=32):
        program.load(
            LoadKind.WIDE, address=512, elements=1, patches={"address": address, "local": local}
        )
        program.calc(local, local, immediate=2)
    program.end()
    for length in (0, 1, 5):
        before = machine.chip.wide.copy()
        machine.run(program.assemble(), {Register.LENGTH: length})
        for index in range(length):
            start = 512 + 32 * index
            before[2 * index] = machine.memory.array[start : start + 16].view("<i4")
        np.testing.assert_array_equal(machine.chip.wide, before)


def test_memories_last_between_runs():
    machine = Machine(SMALL)
    machine.memory.write(0, bytes(range(16)))
    run(machine, lambda p: p.load(LoadKind.WIDE, address=0, elements=1, local=3))
    run(machine, lambda p: p.store(StoreKind.WIDE, address=64, elements=1, local=3))
    assert machine.memory.read(64, 16) == bytes(range(16))


def test_counts():
    machine = random_machine(SMALL)
    counts = run(
        machine,
        lambda p: p.load(LoadKind.WIDE, address=0, elements=2, beats=9, rows=3, row_stride=0),
        lambda p: p.barrier(),
        lambda p: p.store(StoreKind.WIDE, address=0, elements=1, rows=2, beats=3),
    )
    assert counts == {
        "INSTRUCTIONS": 2, "ARRAY_BUSY": 0, "VECTOR_BUSY": 0, "ROW_BUSY": 0, "LOAD_BEATS": 27,
        "STORE_BEATS": 6, "SATURATIONS": 0, "FLUSHES": 0,
    }  # fmt: skip


def test_external_memory():
    memory = Machine(SMALL, 100).memory
    memory.write(90, b"0123456789")
    assert memory.size == 100
    assert memory.read(95, 5) == b"56789"
    with pytest.raises(ValueError, match="5 bytes at 0x60 are not inside the memory of 100 bytes"):
        memory.read(96, 5)
    assert Machine(PRESETS["tiny"]).memory.size == 1 << 24


# -- errors --------------------------------------------------------------------------------------

MATMUL = {
    "steps": 1, "tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1, "ring_end": 100,
}  # fmt: skip
DRAIN = {"tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1, "columns_last": 8, "kind": 1}
NORM = {"tokens": 1, "elements": 8, "inverse": 1 << 15, "inverse_shift": 18, "epsilon": 1}
SOFTMAX = {"tokens": 1, "elements": 8}
KEYS = DRAIN | {"kind": 3, "columns_last": 0, "entries": 2000}
VALUES = KEYS | {"kind": 4}
LOAD = {"rows": 1, "beats": 8, "elements": 1, "kind": 3, "ring_end": 512}
STORE = {"rows": 1, "beats": 8, "elements": 1, "kind": 1}
E = ErrorCode


@pytest.mark.parametrize(
    "opcode, fields, code, words",
    [
        *((Opcode.MATMUL, MATMUL | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("steps", "tokens", "groups", "tiles", "tiles_last")),
        (Opcode.MATMUL, MATMUL | {"operand": 100}, E.ADDRESS_RANGE, "operand 100 in the ring"),
        (Opcode.MATMUL, MATMUL | {"ring_end": 101}, E.ADDRESS_RANGE, "ring 0..101 does not fit"),
        (Opcode.MATMUL, MATMUL | {"ring_base": 100}, E.ADDRESS_RANGE, "ring 100..100"),
        (Opcode.MATMUL, MATMUL | {"steps": 513}, E.ADDRESS_RANGE, "max_k 4096 is 512 words"),
        (Opcode.MATMUL, MATMUL | {"activation": 4095, "steps": 2}, E.ADDRESS_RANGE,
         "activation word 4096 is beyond"),
        (Opcode.MATMUL, MATMUL | {"activation_stride": 4095, "tokens": 3}, E.ADDRESS_RANGE,
         "activation word 8190 is beyond"),
        (Opcode.MATMUL, MATMUL | {"post_inner": 16 + 5}, E.SEMAPHORE, "no semaphore 5, only 0 to"),
        (Opcode.MATMUL, MATMUL | {"wait_outer": 16 + 4}, E.SEMAPHORE, "no semaphore 4, only 0 to"),
        (Opcode.DRAIN, DRAIN | {"kind": 9}, E.ILLEGAL_INSTRUCTION, "DRAIN has no kind 9"),
        (Opcode.DRAIN, DRAIN | {"kind": 6}, E.ZERO_COUNT, "token_stride is zero"),
        (Opcode.DRAIN, DRAIN | {"kind": 6, "token_stride": 17}, E.ADDRESS_RANGE,
         "17 values cannot be kept, only vector.candidates, 16"),
        (Opcode.DRAIN, DRAIN | {"kind": 6, "token_stride": 1, "tokens": 2}, E.ILLEGAL_INSTRUCTION,
         "DRAIN has no CANDIDATES for 2 tokens"),
        (Opcode.SAMPLE, {"destination": 512}, E.ADDRESS_RANGE, "wide word 512 is beyond"),
        (Opcode.SAMPLE, {"wait_inner": 16 + 5}, E.SEMAPHORE, "no semaphore 5, only 0 to 3"),
        *((Opcode.DRAIN, DRAIN | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("tokens", "groups", "tiles", "tiles_last")),
        (Opcode.DRAIN, DRAIN | {"scale": 511}, E.ADDRESS_RANGE, "scale word \\d+ is beyond"),
        (Opcode.DRAIN, DRAIN | {"destination": 511}, E.ADDRESS_RANGE, "wide word 512 is beyond"),
        (Opcode.DRAIN, DRAIN | {"destination": 4096, "kind": 0}, E.ADDRESS_RANGE,
         "activation word 4096 is beyond"),
        (Opcode.MATMUL, MATMUL | {"operand_stride": 101}, E.ADDRESS_RANGE,
         "operand_stride 101 is beyond the ring of 100"),
        *((Opcode.DRAIN, DRAIN | {name: 1, "kind": kind}, E.ILLEGAL_INSTRUCTION,
           f"{name} is for {kinds}, not for {DrainKind(kind).name}")
          for name, kinds in (
              ("accumulate", "WIDE, BEST, CANDIDATES and MEASURED"), ("maximum", "WIDE"),
          )
          for kind in (0, 2, 3, 4)),
        (Opcode.DRAIN, DRAIN | {"maximum": 1, "groups": 2}, E.ILLEGAL_INSTRUCTION,
         "maximum is for one group, not for 2"),
        (Opcode.DRAIN, DRAIN | {"maximum": 1, "row": 64}, E.ADDRESS_RANGE,
         "reference of row 64 is beyond the memory of 64"),
        (Opcode.DRAIN, DRAIN | {"factor": 1, "row": 255}, E.ADDRESS_RANGE,
         "factor of row 255 is beyond the memory of 64"),
        (Opcode.DRAIN, DRAIN | {"accumulate": 1, "destination": 511}, E.ADDRESS_RANGE,
         "wide word 512 is beyond"),
        *((Opcode.DRAIN, KEYS | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("tokens", "groups", "tiles")),
        (Opcode.DRAIN, KEYS | {"columns_last": 8}, E.ADDRESS_RANGE, "lane 8 is beyond"),
        (Opcode.DRAIN, VALUES | {"columns_last": 8}, E.ADDRESS_RANGE, "row 8 is beyond"),
        (Opcode.DRAIN, KEYS | {"tiles": 17}, E.ADDRESS_RANGE, "136 channels .* only 128"),
        (Opcode.DRAIN, KEYS | {"destination": 100}, E.ADDRESS_RANGE, "tile 100 is beyond"),
        (Opcode.DRAIN, VALUES | {"destination": 100}, E.ADDRESS_RANGE, "tile 100 is beyond"),
        (Opcode.DRAIN, KEYS | {"entries": 2048}, E.ADDRESS_RANGE, "scale word \\d+ is beyond"),
        *((Opcode.NORM, NORM | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("tokens", "elements", "epsilon")),
        (Opcode.NORM, NORM | {"inverse": 0x7FFF}, E.ILLEGAL_INSTRUCTION, "inverse 0x7fff must be"),
        *((Opcode.SOFTMAX, SOFTMAX | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("tokens", "elements")),
        (Opcode.SOFTMAX, SOFTMAX | {"row": 64}, E.ADDRESS_RANGE, "row 64 is beyond"),
        *((opcode, fields | {name: depth}, E.ADDRESS_RANGE, f"{what} word {depth + more} is")
          for opcode, fields in ((Opcode.NORM, NORM), (Opcode.SOFTMAX, SOFTMAX))
          for name, depth, what, more in (("source", 511, "wide", 1), ("scale", 511, "scale", 1),
                                          ("destination", 4096, "activation", 0))),
        *((opcode, fields | {"elements": 4097}, E.ADDRESS_RANGE, "4097, but array.max_k is 4096")
          for opcode, fields in ((Opcode.NORM, NORM), (Opcode.SOFTMAX, SOFTMAX))),
        (Opcode.NORM, NORM | {"wait_inner": 16 + 5}, E.SEMAPHORE, "no semaphore 5, only 0 to 3"),
        (Opcode.SOFTMAX, SOFTMAX | {"post_outer": 16 + 5}, E.SEMAPHORE, "no semaphore 5, only"),
        (Opcode.LOAD, LOAD | {"kind": 7}, E.ILLEGAL_INSTRUCTION, "LOAD has no kind 7"),
        *((Opcode.LOAD, LOAD | {"kind": kind}, E.ILLEGAL_INSTRUCTION, "since bus.codecs is false")
          for kind in (5, 6)),
        *((Opcode.LOAD, LOAD | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("rows", "beats", "elements")),
        (Opcode.LOAD, LOAD | {"elements": 5}, E.ZERO_COUNT, "together 80 bytes do not fit"),
        (Opcode.LOAD, LOAD | {"address": 4}, E.MISALIGNED, "address 0x4 is not a multiple"),
        (Opcode.LOAD, LOAD | {"row_stride": 2}, E.MISALIGNED, "row_stride 0x2 is not a multiple"),
        (Opcode.LOAD, LOAD | {"local": 512}, E.ADDRESS_RANGE, "local 512 in the ring 0..512"),
        (Opcode.LOAD, LOAD | {"ring_end": 0}, E.ADDRESS_RANGE, "ring 0..0 does not fit"),
        (Opcode.LOAD, LOAD | {"local_stride": 513}, E.ADDRESS_RANGE, "local_stride 513 is beyond"),
        (Opcode.LOAD, LOAD | {"kind": 1, "lane": 8, "ring_end": 9}, E.ADDRESS_RANGE, "lane 8 is"),
        (Opcode.LOAD, LOAD | {"address": 0xFFF8}, E.ADDRESS_RANGE, "beyond 16 address bits"),
        (Opcode.LOAD, LOAD | {"address": 0x8000}, E.BUS_READ, "beyond the memory of 32768 bytes"),
        (Opcode.STORE, STORE | {"kind": 2}, E.ILLEGAL_INSTRUCTION, "STORE has no kind 2"),
        *((Opcode.STORE, STORE | {name: 0}, E.ZERO_COUNT, f"{name} is zero")
          for name in ("rows", "beats", "elements")),
        (Opcode.STORE, STORE | {"address": 4}, E.MISALIGNED, "address 0x4 is not a multiple"),
        (Opcode.STORE, STORE | {"local": 512}, E.ADDRESS_RANGE, "wide word 512 is beyond"),
        (Opcode.STORE, STORE | {"address": 0x8000}, E.BUS_WRITE, "beyond the memory of 32768"),
    ],
)  # fmt: skip
def test_errors(opcode, fields, code, words):
    """The code, unit and program address that the hardware would report, and a sentence."""
    config = with_rows(SMALL).replace({
        "sequencer.semaphores": 4, "bus.address_bits": 16, "vector.candidates": 16,
    })  # fmt: skip
    machine = Machine(config, 1 << 15)
    units = {
        Opcode.MATMUL: Unit.ARRAY, Opcode.DRAIN: Unit.VECTOR, Opcode.SAMPLE: Unit.VECTOR,
        Opcode.LOAD: Unit.LOAD,
        Opcode.STORE: Unit.STORE, Opcode.NORM: Unit.ROW, Opcode.SOFTMAX: Unit.ROW,
    }  # fmt: skip
    program = encode(Opcode.BARRIER) + encode(opcode, **fields)
    if opcode == Opcode.DRAIN:
        program += encode(Opcode.MATMUL, **MATMUL)
    program += encode(Opcode.END)
    with pytest.raises(MachineError, match=words) as caught:
        machine.run(program)
    assert caught.value.code == code
    assert caught.value.unit == units[opcode]
    assert caught.value.pc == 1


def test_illegal_opcode():
    with pytest.raises(MachineError) as caught:
        Machine(SMALL).run(encode(Opcode.BARRIER) + bytes(INSTRUCTION_BYTES))
    assert caught.value.code == ErrorCode.ILLEGAL_INSTRUCTION
    assert caught.value.unit == Unit.SEQUENCER
