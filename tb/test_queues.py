"""How many instructions wait for others without keeping those from being issued: the core and the
functional machine agree on the last that does, and on the first that blocks."""

import pytest

from systolith.compiler.encoder_quantizer import factor
from systolith.driver import CoreError, Driver
from systolith.program import Program
from systolith_hw.config import Config
from systolith_hw.isa import DrainKind, ErrorCode, LoadKind, StoreKind
from systolith_hw.presets import preset
from systolith_sim.device import VerilatedDevice
from systolith_sim.machine import Deadlock, Machine

CONFIG = preset("small")
MEMORY = 1 << 14
DEPTH = CONFIG.sequencer.queue_depth

GIVEN = 1
"""What all instructions of a unit wait for."""


def load(program: Program, **fields) -> None:
    program.load(LoadKind.SCALE, address=MEMORY // 2, elements=1, local=400, **fields)


def norm(program: Program, **fields) -> None:
    program.norm(
        elements=8, inverse=factor(1 / 8), epsilon=1, source=0, destination=32, scale=16, **fields
    )  # fmt: skip


WAITING = {
    "load": (DEPTH, lambda p: load(p, wait_outer=GIVEN)),
    "load, each row": (DEPTH, lambda p: load(p, wait_inner=GIVEN)),
    "store": (DEPTH, lambda p: p.store(
        StoreKind.WIDE, address=0, elements=1, local=64, wait_outer=GIVEN)),
    "array": (DEPTH + 1, lambda p: p.matmul(steps=1, tokens=1, wait_outer=GIVEN)),
    "vector": (DEPTH + 1, lambda p: p.drain(
        DrainKind.WIDE, tokens=1, destination=128, wait_outer=GIVEN)),
    "row": (DEPTH + 1, lambda p: norm(p, wait_outer=GIVEN)),
}  # fmt: skip
"""By unit: how many instructions there is room for, and one that waits."""


@pytest.fixture(scope="module")
def driver():
    with VerilatedDevice(CONFIG, memory_bytes=MEMORY) as device:
        yield Driver(device, CONFIG)


def write(config: Config, unit: str, count: int) -> bytes:
    """Return a program where ``count`` instructions wait for what the last one gives."""
    program, (_, append) = Program(config), WAITING[unit]
    if unit == "vector":
        program.matmul(steps=1, tokens=count)
    for _ in range(count):
        append(program)
    if unit == "load":
        program.matmul(steps=1, tokens=1, groups=count, post_outer=GIVEN)
    elif unit == "load, each row":
        program.matmul(steps=1, tokens=count, post_inner=GIVEN)
    else:
        load(program, rows=count, post_inner=GIVEN)
    if unit.startswith("load") or unit == "array":
        program.drain(DrainKind.WIDE, tokens=count, token_stride=8, destination=128)
    program.end()
    return program.assemble()


@pytest.mark.parametrize("unit", WAITING)
def test_room(driver, unit):
    room = WAITING[unit][0]
    for count, blocks in ((room, False), (room + 1, True), (room, False)):
        program = write(CONFIG, unit, count)
        driver.load_program(0x1000, program)
        if not blocks:
            Machine(CONFIG, MEMORY).run(program)
            assert driver.run(watchdog=2000)["CYCLES"] < 2000
            continue
        waits = f"sequencer: .* room in the queue of {unit.partition(',')[0]}"
        with pytest.raises(Deadlock, match=waits):
            Machine(CONFIG, MEMORY).run(program)
        with pytest.raises(CoreError) as caught:
            driver.run(watchdog=2000)
        assert caught.value.code == ErrorCode.WATCHDOG
        driver.reset()
