"""What bad programs and bad memory get: an error in words, and a core that a reset brings back."""

import numpy as np
import pytest

from systolith.bench import ORDER, execute, image, predict, read_result
from systolith.compiler.matmul import plan_matmul
from systolith.driver import BEHIND, CoreError, Driver, DriverError
from systolith.product import Product
from systolith.program import Program
from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.control.counters import scan
from systolith_hw.isa import ErrorCode, LoadKind, Opcode, StoreKind, Unit, encode
from systolith_hw.presets import preset
from systolith_hw.registers import Control, Status
from systolith_sim.device import VerilatedDevice

CONFIG = preset("tiny")
MEMORY = 1 << 16
PROGRAM = 0x4000
DONE_CYCLES = 1500  # enough for a small product
END = encode(Opcode.END)
BARRIER = encode(Opcode.BARRIER)
LATE = 3  # instructions before the bad one, so that its address is not zero


def wait(number: int) -> int:
    return 16 + number


LOAD = {"kind": LoadKind.SCALE, "rows": 1, "beats": 4, "elements": 1, "ring_end": 8}
MATMUL = {"ring_end": 8, "steps": 1, "tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1}
DRAIN = {"tokens": 1, "groups": 1, "tiles": 1, "tiles_last": 1, "columns_last": 2}
STORE = {"kind": StoreKind.WIDE, "rows": 1, "beats": 2, "elements": 1}
DEPTHS = CONFIG.memory

BAD = {
    "opcode zero": (bytes(INSTRUCTION_BYTES), ErrorCode.ILLEGAL_INSTRUCTION, Unit.SEQUENCER),
    "unknown opcode": (b"\xff" + bytes(31), ErrorCode.ILLEGAL_INSTRUCTION, Unit.SEQUENCER),
    "loop without a body": (
        encode(Opcode.LOOP, count=2), ErrorCode.LOOP, Unit.SEQUENCER),
    "loop body beyond the program memory": (
        encode(Opcode.LOOP, count=2, body=DEPTHS.program_instructions + 1),
        ErrorCode.LOOP, Unit.SEQUENCER),
    "undefined kind of load": (
        encode(Opcode.LOAD, **{**LOAD, "kind": 9}), ErrorCode.ILLEGAL_INSTRUCTION, Unit.LOAD),
    "load of nothing": (
        encode(Opcode.LOAD, **{**LOAD, "rows": 0}), ErrorCode.ZERO_COUNT, Unit.LOAD),
    "load from an odd address": (
        encode(Opcode.LOAD, **LOAD, address=1), ErrorCode.MISALIGNED, Unit.LOAD),
    "load beyond the bus": (
        encode(Opcode.LOAD, **LOAD, address=1 << 24), ErrorCode.ADDRESS_RANGE, Unit.LOAD),
    "load beyond its memory": (
        encode(Opcode.LOAD, **{**LOAD, "ring_end": DEPTHS.scale_words + 1}),
        ErrorCode.ADDRESS_RANGE, Unit.LOAD),
    "load of more rows than the core counts": (
        encode(Opcode.LOAD, **{**LOAD, "rows": CONFIG.sequencer.largest_count + 1}),
        ErrorCode.ADDRESS_RANGE, Unit.LOAD),
    "matmul of more tokens than the core counts": (
        encode(Opcode.MATMUL, **{**MATMUL, "tokens": CONFIG.sequencer.largest_count + 1}),
        ErrorCode.ADDRESS_RANGE, Unit.ARRAY),
    "drain of more columns than the core has": (
        encode(Opcode.DRAIN, **{**DRAIN, "columns_last": 4}),
        ErrorCode.ADDRESS_RANGE, Unit.VECTOR),
    "store from far beyond wide memory": (
        encode(Opcode.STORE, **{**STORE, "local": DEPTHS.wide_words}),
        ErrorCode.ADDRESS_RANGE, Unit.STORE),
    "matmul of no steps": (
        encode(Opcode.MATMUL, **{**MATMUL, "steps": 0}), ErrorCode.ZERO_COUNT, Unit.ARRAY),
    "matmul beyond the operands": (
        encode(Opcode.MATMUL, **{**MATMUL, "ring_end": DEPTHS.operand_tiles + 1}),
        ErrorCode.ADDRESS_RANGE, Unit.ARRAY),
    "matmul beyond the activations": (
        encode(Opcode.MATMUL, **MATMUL, activation=DEPTHS.activation_words),
        ErrorCode.ADDRESS_RANGE, Unit.ARRAY),
    "drain to nowhere": (
        encode(Opcode.MATMUL, **MATMUL) + encode(Opcode.DRAIN, **DRAIN, kind=7),
        ErrorCode.ILLEGAL_INSTRUCTION, Unit.VECTOR),
    "drain beyond the activations": (
        encode(Opcode.MATMUL, **MATMUL)
        + encode(Opcode.DRAIN, **DRAIN, destination=DEPTHS.activation_words),
        ErrorCode.ADDRESS_RANGE, Unit.VECTOR),
    "store beyond wide memory": (
        encode(Opcode.STORE, **STORE, address=MEMORY // 2, local=DEPTHS.wide_words),
        ErrorCode.ADDRESS_RANGE, Unit.STORE),
    "wait for a semaphore that is not there": (
        encode(Opcode.MATMUL, **MATMUL, wait_outer=wait(CONFIG.sequencer.semaphores)),
        ErrorCode.SEMAPHORE, Unit.ARRAY),
    "post to a semaphore that is not there": (
        encode(Opcode.LOAD, **LOAD, post_outer=wait(15)), ErrorCode.SEMAPHORE, Unit.LOAD),
    "wait for what nobody posts": (
        encode(Opcode.LOAD, **LOAD, wait_outer=wait(1)), ErrorCode.WATCHDOG, Unit.SEQUENCER),
    "drain without results": (
        encode(Opcode.DRAIN, **DRAIN), ErrorCode.WATCHDOG, Unit.SEQUENCER),
}  # fmt: skip


@pytest.fixture(scope="module")
def driver():
    with VerilatedDevice(CONFIG, memory_bytes=MEMORY) as device:
        yield Driver(device, CONFIG)


def run(driver: Driver, program: bytes, **how):
    driver.load_program(PROGRAM, program)
    return driver.run(watchdog=2000, **how)


def check_works(driver: Driver, seed: int) -> None:
    """Run a product, which must come out right to the bit."""
    rng = np.random.default_rng(seed)
    plan = plan_matmul(CONFIG, 2, 9, 5, operands="onchip")
    product = Product.quantize(CONFIG, rng.normal(size=(2, 9)), rng.normal(size=(9, 5)))
    _, result = execute(plan, product, driver.device)
    assert result.equals(read_result(plan, predict(plan, product)))


@pytest.mark.parametrize("name", BAD)
def test_bad_program(driver, name):
    raw, code, unit = BAD[name]
    with pytest.raises(CoreError) as caught:
        run(driver, BARRIER * LATE + raw + END)
    error = caught.value
    assert (error.code, error.unit) == (code, unit)
    bad = LATE + len(raw) // INSTRUCTION_BYTES - 1
    if code not in BEHIND:
        assert error.pc == bad
    assert ErrorCode(code).name in str(error)
    driver.reset()
    check_works(driver, seed=bad)


def test_semaphore_overflow(driver):
    """A count that leaves its range is an error, not a wrap."""
    posts = 1 << CONFIG.sequencer.semaphore_bits
    program = encode(Opcode.LOOP, count=posts, body=1)
    program += encode(Opcode.LOAD, **LOAD, post_outer=wait(2))
    with pytest.raises(CoreError) as caught:
        run(driver, program + END)
    assert (caught.value.code, caught.value.unit) == (ErrorCode.SEMAPHORE, Unit.LOAD)
    driver.reset()
    check_works(driver, seed=1)


@pytest.mark.parametrize("barrier", [b"", BARRIER], ids=["end", "barrier"])
@pytest.mark.parametrize("elements", range(1, 13))
def test_semaphore_overflow_by_the_last_post(driver, elements, barrier):
    """A program does not end well before all that was posted is counted."""
    posts = (1 << CONFIG.sequencer.semaphore_bits) - 2  # of the two loads, the last is too many
    program = b"".join(
        encode(Opcode.LOAD, **{
            **LOAD, "rows": rows, "beats": 4 * count, "elements": count, "ring_end": 128,
        }, post_inner=wait(2))
        for rows, count in ((posts, 1), (2, elements))
    )  # fmt: skip
    driver.load_program(PROGRAM, program + barrier + END)
    driver.device.wait(elements)
    with pytest.raises(CoreError) as caught:
        driver.run(watchdog=2000)
    assert (caught.value.code, caught.value.unit) == (ErrorCode.SEMAPHORE, Unit.LOAD)
    assert driver.status == Status.ERROR
    driver.reset()


@pytest.mark.parametrize("opcode, code, unit", [
    (Opcode.LOAD, ErrorCode.BUS_READ, Unit.LOAD),
    (Opcode.STORE, ErrorCode.BUS_WRITE, Unit.STORE),
    (Opcode.END, ErrorCode.BUS_READ, Unit.SEQUENCER),
])  # fmt: skip
def test_memory_refuses(driver, opcode, code, unit):
    """An error reply stops the core, with the instruction that asked."""
    bad = 0x8000 if opcode != Opcode.END else PROGRAM + LATE * INSTRUCTION_BYTES
    driver.device.host.refuse(bad, bad + 64)
    raw = {
        Opcode.LOAD: encode(Opcode.LOAD, **LOAD, address=bad),
        Opcode.STORE: encode(Opcode.STORE, **STORE, address=bad),
        Opcode.END: END,
    }[opcode]
    try:
        with pytest.raises(CoreError) as caught:
            run(driver, BARRIER * LATE + raw + BARRIER + END)
    finally:
        driver.device.host.behave()
    assert (caught.value.code, caught.value.unit, caught.value.pc) == (code, unit, LATE)
    driver.reset()
    check_works(driver, seed=2)


def test_memory_never_answers(driver):
    """The watchdog ends what memory leaves hanging; a reset waits, and a forced one brings the core
    back."""
    program = BARRIER + encode(Opcode.LOAD, **LOAD) + END
    driver.load_program(PROGRAM, program)
    driver.device.wait(1000)  # the program is on chip
    driver.device.host.hang(reads=True)
    with pytest.raises(CoreError) as caught:
        driver.run(watchdog=500)
    assert caught.value.code == ErrorCode.WATCHDOG
    with pytest.raises(DriverError, match="waits for memory to answer"):
        driver.reset()
    driver.device.host.behave()
    driver.reset(force=True)
    check_works(driver, seed=3)


def test_a_program_that_changed_in_memory(driver):
    """Its address fetches it again; without it the core runs what it has kept."""
    run(driver, END)
    driver.device.write_memory(PROGRAM, bytes(INSTRUCTION_BYTES))
    driver.run()
    with pytest.raises(CoreError) as caught:
        driver.run(PROGRAM)
    assert caught.value.code == ErrorCode.ILLEGAL_INSTRUCTION
    driver.reset()
    check_works(driver, seed=4)


def test_abort_in_full_flight(driver):
    """A program that runs for long is stopped between two bursts; nothing hangs."""
    program = Program(CONFIG)
    with program.loop(60000):
        program.load(LoadKind.SCALE, address=0, elements=8, rows=8)
    program.end()
    driver.load_program(PROGRAM, program.assemble())
    driver.write("CONTROL", Control.START)
    driver.device.wait(777)
    assert driver.status & Status.RUNNING
    driver.abort()
    assert driver.status == Status.ABORTED
    driver.reset()
    check_works(driver, seed=4)


def test_reset_fetches_the_program_again(driver):
    """PROGRAM keeps its value over a reset, and needs no new write."""
    driver.load_program(PROGRAM, BARRIER * LATE + END)
    driver.run()
    driver.reset()
    counters = driver.run(watchdog=2000)
    assert counters["CYCLES"] < 500


def prepare(driver: Driver):
    """Run a product's programs; return what asserts that the last of them has run once more, to
    its end and to the right result."""
    rng = np.random.default_rng(7)
    device = driver.device
    assert isinstance(device, VerilatedDevice)
    plan = plan_matmul(CONFIG, 2, 9, 5, operands="stream")
    product = Product.quantize(CONFIG, rng.normal(size=(2, 9)), rng.normal(size=(9, 5)))
    expected = predict(plan, product)
    assert execute(plan, product, device)[1].equals(read_result(plan, expected))
    blank = image(plan, product)

    def check() -> None:
        device.run(DONE_CYCLES)
        assert driver.status == Status.DONE
        memory = np.frombuffer(device.read_memory(0, plan.size), np.uint8)
        assert read_result(plan, memory).equals(read_result(plan, expected))
        device.write_memory(0, blank)

    device.write_memory(0, blank)
    return check


def test_start_as_soon_as_the_bus_allows(driver):
    """Whenever START comes after `rst`: units may still be in reset, or the program's address may
    be on its way to the fetch."""
    check = prepare(driver)
    for delay in range(2 * len(scan(CONFIG)) + 2):
        driver.device.reset()
        driver.device.run(delay)
        driver.write("CONTROL", Control.START)
        check()


@pytest.mark.parametrize("resident", [True, False])
def test_start_after_a_reset(driver, resident):
    """The program comes again by itself: START may find it there, or on its way."""
    check = prepare(driver)
    driver.write("CONTROL", Control.RESET)
    while driver.status & Status.RUNNING:
        pass
    if resident:
        driver.device.run(DONE_CYCLES)
    driver.write("CONTROL", Control.START)
    check()


def test_power_up_reset_of_a_core_that_waits(driver):
    """`rst` of 4 cycles ends what units wait for, in all of them before any of them goes on."""
    check = prepare(driver)
    driver.device.host.hang(reads=True)
    driver.write("CONTROL", Control.START)
    driver.device.run(DONE_CYCLES)
    assert driver.status == Status.RUNNING
    driver.device.reset()
    driver.device.host.behave()
    driver.write("CONTROL", Control.START)
    check()


def test_memories_outlive_an_error(driver):
    """What was on chip before an error is there after the reset."""
    rng = np.random.default_rng(5)
    plan = plan_matmul(CONFIG, 2, 9, 5, operands="onchip")
    product = Product.quantize(CONFIG, rng.normal(size=(2, 9)), rng.normal(size=(9, 5)))
    expected = read_result(plan, predict(plan, product))
    device = driver.device
    device.write_memory(0, image(plan, product))
    for name in ORDER:
        driver.load_program(plan.regions[name].address, plan.programs[name])
        driver.run()
        with pytest.raises(CoreError):
            run(driver, bytes(INSTRUCTION_BYTES))
        driver.reset()
    memory = np.frombuffer(device.read_memory(0, plan.size), np.uint8)
    assert read_result(plan, memory).equals(expected)
