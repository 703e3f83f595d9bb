"""Programs that read their loops from tables, on the Verilated core: READ, MINIMUM, CREDIT and
operand_stride, and the errors of the first and the third."""

import numpy as np
import pytest

from systolith.driver import CoreError, Driver
from systolith.program import Program
from systolith_hw.isa import DrainKind, ErrorCode, LoadKind, Opcode, StoreKind, Unit, encode
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.host import Pauses
from systolith_sim.errors import MachineError
from systolith_sim.machine import Machine

CONFIGS = {
    # Without rows: what such a core lacks is an error.
    "small": preset("small").replace({
        "vector.rows": 0, "memory.operand_tiles": 50, "memory.activation_words": 40,
        "memory.wide_words": 600, "memory.scale_words": 80, "sequencer.semaphores": 6,
        "sequencer.semaphore_bits": 5, "bus.address_bits": 20, "device": "",
    }),
    # A word takes two beats, and results more than one output tile.
    "narrow": preset("ulx3s").replace({
        "memory.operand_tiles": 64, "memory.activation_words": 30, "memory.wide_words": 500,
        "memory.scale_words": 60, "vector.lanes": 4, "bus.address_bits": 18, "device": "",
    }),
    # The instructions' words and READ's stand inside one beat.
    "broad": preset("small").replace({
        "array.rows": 4, "bus.data_bytes": 32, "memory.operand_tiles": 33, "device": "",
        "memory.activation_words": 30, "memory.wide_words": 600, "memory.scale_words": 60,
    }),
}  # fmt: skip
SIZE = 1 << 16
TABLE, WEIGHTS, INPUTS, SCALES, OUTPUT, PROGRAM = (
    0x8000, 0x1000, 0x5000, 0x6000, 0xA000, 0xF000)  # fmt: skip
RECORDS = 12
STEPS, TILES, TOKENS, GROUPS = 3, 4, 5, 2
GIVEN = 1
"""The semaphore of credits."""


def contents(config, rng):
    """Return external memory: weights, activation pages, scales, and the table."""
    memory = rng.integers(0, 256, SIZE).astype(np.uint8)
    word = config.array.word_bytes
    memory[INPUTS : INPUTS + word] = rng.integers(0, 9, word)  # the exponents of a page
    entries = memory[SCALES:][: 8 * 4096].reshape(-1, 8)
    entries[:, 1] |= 0x80  # scales are normalised
    entries[:, 2], entries[:, 3:] = rng.integers(10, 30, len(entries)), 0
    tiles = config.memory.operand_tiles
    strides = rng.integers(0, tiles - 2, RECORDS)
    strides[:3] = 0, 1, tiles - 3
    table = np.stack(
        [rng.integers(0, tiles, RECORDS), strides, rng.integers(1, 12, RECORDS)], axis=1
    )
    memory[TABLE : TABLE + table.size * 4] = table.astype("<u4").reshape(-1).view(np.uint8)
    return memory


def program(config):
    """Return a program that does a product for each record: operand, stride and tokens, of which
    there are at most LENGTH."""
    p = Program(config)
    array, memory = config.array, config.memory
    per_tile = array.rows // config.write_rows
    p.load(LoadKind.OPERAND_ROWS, address=WEIGHTS, elements=memory.operand_tiles * per_tile)
    p.load(LoadKind.ACTIVATION, address=INPUTS, elements=array.rows)
    scales = GROUPS * TILES * config.beats_per_result
    p.load(LoadKind.SCALE, address=SCALES, elements=scales)
    p.barrier()
    place, operand, stride, tokens, out = (p.register(name) for name in "abcde")
    p.calc(place, immediate=TABLE)
    p.calc(out, immediate=OUTPUT)
    wide = TILES * config.beats_per_result
    size = GROUPS * TOKENS * wide * config.wide_word_bytes
    with p.loop(RECORDS, counter=place, initial=place, step=12):
        for index, register in enumerate((operand, stride, tokens)):
            p.read(register, place, 4 * index)
        p.minimum(tokens, tokens, 1)
        p.matmul(
            steps=STEPS, tiles=TILES, groups=GROUPS, tokens=0, ring=(3, memory.operand_tiles),
            activation_stride=1, wait_inner=GIVEN, post_outer=0,
            patches={"operand": operand, "operand_stride": stride, "tokens": tokens},
        )  # fmt: skip
        p.drain(
            DrainKind.WIDE, tiles=TILES, groups=GROUPS, tokens=0, token_stride=wide,
            group_stride=TOKENS * wide, patches={"tokens": tokens},
        )
        for _ in range(GROUPS):
            p.credit(GIVEN, 0, patches={"count": tokens})
        p.barrier()
        p.store(StoreKind.WIDE, address=0, elements=GROUPS * TOKENS * wide,
                patches={"address": out})  # fmt: skip
        p.calc(out, out, immediate=size)
        p.barrier()
    p.end()
    return p.assemble()


@pytest.mark.parametrize("pause", [pytest.param(0.0, marks=pytest.mark.slow), 0.4])
@pytest.mark.parametrize("name", [
    "narrow", pytest.param("small", marks=pytest.mark.slow), "broad",
])  # fmt: skip
def test_tables_equal_machine(name, pause):
    config = CONFIGS[name]
    rng = np.random.default_rng(5)
    memory, code = contents(config, rng), program(config)
    machine = Machine(config, SIZE)
    machine.memory.write(0, memory.tobytes())
    with VerilatedDevice(config, memory_bytes=SIZE, pauses=Pauses(probability=pause, seed=3)) as (
        device
    ):
        driver = Driver(device, config)
        device.write_memory(0, memory.tobytes())
        for length in (TOKENS, 2):
            counts = machine.run(code, {1: length}).counts
            driver.load_program(PROGRAM, code)
            counters = driver.run(length=length)
            for counter in ("ARRAY_BUSY", "VECTOR_BUSY", "LOAD_BEATS", "SATURATIONS"):
                assert counters[counter] == counts[counter], counter
            found = np.frombuffer(device.read_memory(OUTPUT, PROGRAM - OUTPUT), np.uint8)
            np.testing.assert_array_equal(found, machine.memory.array[OUTPUT:PROGRAM])


MATMUL = {"ring_end": 8, "steps": 1, "tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1}
BAD = {
    "odd address": (encode(Opcode.READ, immediate=2), ErrorCode.MISALIGNED),
    "far address": (encode(Opcode.READ, immediate=1 << 20), ErrorCode.ADDRESS_RANGE),
    "nothing there": (encode(Opcode.READ, immediate=SIZE), ErrorCode.BUS_READ),
    "no credit": (encode(Opcode.CREDIT, semaphore=1), ErrorCode.ZERO_COUNT),
    "no semaphore": (encode(Opcode.CREDIT, semaphore=6, count=1), ErrorCode.SEMAPHORE),
    "too much credit": (encode(Opcode.CREDIT, semaphore=5, count=32), ErrorCode.SEMAPHORE),
    "norm": (encode(Opcode.NORM), ErrorCode.ILLEGAL_INSTRUCTION),
    "stride": (encode(Opcode.MATMUL, **MATMUL, operand_stride=9), ErrorCode.ADDRESS_RANGE),
    "keys": (encode(Opcode.MATMUL, **MATMUL) + encode(Opcode.DRAIN, kind=DrainKind.KEYS, tokens=1,
             groups=1, tiles=1, tiles_last=1), ErrorCode.ILLEGAL_INSTRUCTION),
    "function": (encode(Opcode.DRAIN, function=1), ErrorCode.ILLEGAL_INSTRUCTION),
}  # fmt: skip


@pytest.fixture(scope="module")
def driver():
    config = CONFIGS["small"]
    with VerilatedDevice(config, memory_bytes=SIZE) as device:
        yield Driver(device, config)


@pytest.mark.parametrize("name", BAD)
def test_errors_equal_machine(driver, name):
    raw, code = BAD[name]
    barrier = encode(Opcode.BARRIER)
    text = barrier * 2 + raw + barrier * 3 + encode(Opcode.END)
    with pytest.raises(MachineError) as golden:
        Machine(CONFIGS["small"], SIZE).run(text)
    if name == "nothing there":
        driver.device.host.refuse(0, 64)
        text = text.replace(raw, encode(Opcode.READ, immediate=0))
    driver.load_program(PROGRAM, text)
    with pytest.raises(CoreError) as caught:
        driver.run(watchdog=2000)
    driver.device.host.behave()
    error = golden.value
    assert error.code == code
    assert (caught.value.code, caught.value.unit, caught.value.pc) == (code, error.unit, error.pc)
    assert error.unit in (Unit.SEQUENCER, Unit.ARRAY, Unit.VECTOR)
    driver.reset()
