"""Check a core and its memory from the outside in, and say what does not work."""

import itertools
import typing
from collections.abc import Callable, Iterator

import numpy as np

from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import ErrorCode
from systolith_hw.registers import Interrupt, Status
from systolith_sim.device.device import Device

from ..driver import CoreError, Driver, DriverError
from ..program import Program
from ..progress import Progress
from .probe import LEAST_SPACE, SPACE, Probe, least_space
from .units import UNIT_PROBES, UnitProbe

__all__ = ["Finding", "selftest"]

TIMEOUT = 1 << 24
"""Cycles after which a program of the test is aborted; the longest takes some thousand."""

LINES = 32
"""Data lines of memory that are checked, at least; all of a port that has more."""

ROW_BYTES, ROWS = 1024, 16
"""A row of memory, or less, and how many are looked at."""

PART_BYTES = 1 << 16
"""What is written and read at a time, of all memory."""

INVERTED = bytes(range(255, -1, -1))

PATTERNS = (0x5555AAAA, 0xAAAA5555, 0xFFFFFFFF, 0)


class Finding(typing.NamedTuple):
    """How a check went.

    Parameters
    ----------
    check, units : str
        Its name, and what it needs to work.
    passed : bool
    detail : str
        What was counted, or what was wrong.
    """

    check: str
    units: str
    passed: bool
    detail: str


class _Failed(Exception):
    """A check has found something; the message says what."""


def selftest(
    device: Device, config: Config, *, seed: int = 1, full: bool = False,
    progress: Progress | None = None,
) -> Iterator[Finding]:  # fmt: skip
    """Check everything that ``config`` says a core has; yield a finding for each check.

    What is checked later may fail because of what failed before. External memory is overwritten.

    Parameters
    ----------
    device : Device
        With at least 64 KiB of memory, or 2 KiB for a core without a row unit behind a port of 2
        bytes.
    config : Config
    seed : int
        Of the numbers that are computed with.
    full : bool
        Check every byte of memory, too.
    progress : Progress
        Told how far that is.

    Raises
    ------
    ForeignCoreError
        If it is not the core that ``config`` describes.
    DeviceError
        If the device is lost.
    """
    least = least_space(config)
    if device.memory_bytes < least:
        raise DriverError(
            f"the test needs {least:,} bytes of memory, and the device has {device.memory_bytes:,}"
        )
    space = SPACE if device.memory_bytes >= SPACE else LEAST_SPACE
    driver = Driver(device, config)
    driver.reset()
    basics: list[tuple[str, str, Callable[[], str]]] = [
        ("registers", "control registers", lambda: _registers(driver)),
        ("memory", "external memory", lambda: _memory(device, seed)),
        *[("all memory", "every byte of it", lambda: _all_memory(
            device, seed, progress or Progress()))] * full,
        ("sequencer", "fetch, CALC, LOOP, END, interrupt", lambda: _sequencer(driver)),
        ("errors", "ERROR, reset", lambda: _errors(driver)),
    ]
    for name, units, check in basics:
        yield _find(driver, name, units, check)
    for number, unit in enumerate(UNIT_PROBES):
        if unit.exists(config):

            def run(unit: UnitProbe = unit, number: int = number) -> str:
                return _unit(driver, unit, Probe(config, seed + number, space))

            yield _find(driver, unit.name, unit.units, run)


def _find(driver: Driver, name: str, units: str, check: Callable[[], str]) -> Finding:
    """Return how a check goes; bring the core back if it went wrong."""
    try:
        return Finding(name, units, True, check())
    except (_Failed, DriverError, TimeoutError) as error:
        finding = Finding(name, units, False, str(error))
    try:
        driver.reset(force=True)
    except DriverError as error:
        finding = finding._replace(detail=f"{finding.detail}; then {error}")
    return finding


def _registers(driver: Driver) -> str:
    """Write registers and read them back."""
    for name in ("LENGTH", "POSITION", "WATCHDOG"):
        for pattern in PATTERNS:
            driver.write(name, pattern)
            got = driver.read(name)
            if got != pattern:
                raise _Failed(f"{name} reads {got:#010x} after {pattern:#010x} was written")
    return f"{3 * len(PATTERNS)} values"


def _memory(device: Device, seed: int) -> str:
    """Check that every data line counts, every address line, and every byte alone; and the
    beginnings of some rows."""
    size, port = device.memory_bytes, device.config.bus.data_bytes
    rng = np.random.default_rng(seed)
    bits = max(LINES, 8 * port)
    walking = b"".join((1 << bit).to_bytes(bits // 8, "little") for bit in range(bits))
    blocks = walking, walking.translate(INVERTED)
    for block in blocks:
        _compare(device, 0, block)
    places = [0, *(1 << bit for bit in range(size.bit_length()) if 1 << bit < size), size - 1]
    for number, address in enumerate(places):
        device.write_memory(address, bytes([number + 1]))
    for number, address in enumerate(places):
        if device.read_memory(address, 1)[0] != number + 1:
            raise _Failed(f"byte {address:#x} has lost its value to another address")
    for block in blocks:
        _compare(device, size - len(block), block)
    span = 3 * port
    device.write_memory(0, b"\xff" * span)
    for address in range(1, span, 3):
        device.write_memory(address, b"\0")
    want = bytes(0 if address % 3 == 1 else 0xFF for address in range(span))
    _require_equal(0, device.read_memory(0, span), want)
    rows = ROW_BYTES * rng.choice(size // ROW_BYTES, min(ROWS, size // ROW_BYTES), replace=False)
    words = {int(address): rng.bytes(8) for address in rows}
    for address, word in words.items():
        device.write_memory(address, word)
    for address, word in words.items():
        _require_equal(address, device.read_memory(address, len(word)), word)
    return f"{size:,} bytes: {bits} data lines, {len(places)} addresses, {len(words)} rows"


def _all_memory(device: Device, seed: int, progress: Progress) -> str:
    """Write and read all of memory, twice: numbers, and their complements."""
    size = device.memory_bytes
    parts = [(at, min(PART_BYTES, size - at)) for at in range(0, size, PART_BYTES)]
    steps = itertools.count(1)
    for table in (bytes(range(256)), INVERTED):
        for read in (False, True):
            rng = np.random.default_rng(seed)
            for address, count in parts:
                block = rng.bytes(count).translate(table)
                if read:
                    _require_equal(address, device.read_memory(address, count), block)
                else:
                    device.write_memory(address, block)
                progress.reached(next(steps), 4 * len(parts))
    return f"{size:,} bytes, each with a number and its complement"


def _compare(device: Device, address: int, block: bytes) -> None:
    """Write a block and read it back."""
    device.write_memory(address, block)
    _require_equal(address, device.read_memory(address, len(block)), block)


def _require_equal(address: int, got: bytes, want: bytes) -> None:
    wrong = [place for place in range(len(want)) if got[place] != want[place]]
    if wrong:
        first = wrong[0]
        raise _Failed(
            f"{len(wrong)} of {len(want)} bytes are wrong, first that at {address + first:#x}: "
            f"{got[first]:#04x}, not {want[first]:#04x}"
        )


def _sequencer(driver: Driver) -> str:
    """Run a program that only counts, and look for its interrupt."""
    program = Program(driver.config)
    with program.loop(100):
        program.calc(3, 3, immediate=1)
    program.end()
    driver.load_program(0, program.assemble())
    cycles = driver.run(timeout=TIMEOUT)["CYCLES"]
    if cycles < 100:
        raise _Failed(f"100 turns of a loop took {cycles} cycles")
    if not driver.device.wait(1):
        raise _Failed("the program ended without an interrupt")
    driver.write("IRQ_PENDING", Interrupt.DONE | Interrupt.ERROR)
    if driver.device.wait(1):
        raise _Failed("the interrupt line stays high when nothing is pending")
    return f"{cycles:,} cycles for 100 turns of a loop"


def _errors(driver: Driver) -> str:
    """Run what is no instruction, and see the core stop and recover."""
    driver.load_program(0, bytes(8 * INSTRUCTION_BYTES))
    try:
        driver.run(timeout=TIMEOUT)
    except CoreError as error:
        if (error.code, error.pc) != (ErrorCode.ILLEGAL_INSTRUCTION, 0):
            raise _Failed(f"an illegal instruction gives another error: {error}") from None
    else:
        raise _Failed("an illegal instruction is no error")
    driver.reset()
    if driver.status & (Status.ERROR | Status.RUNNING):
        raise _Failed(f"after a reset the status is {driver.status!r}")
    return "an illegal instruction stops the core, and a reset brings it back"


def _unit(driver: Driver, unit: UnitProbe, probe: Probe) -> str:
    """Run a unit's program, and compare what it stores and counts with the functional machine."""
    unit.build(probe)
    answer = probe.answer()
    device = driver.device
    for address, want in answer.outputs.items():  # so that nothing is right that was not written
        device.write_memory(address, bytes(255 - byte for byte in want))
    for address, part in probe.parts.items():
        device.write_memory(address, part)
    driver.load_program(0, probe.parts[0])
    counters = driver.run(timeout=TIMEOUT)
    for address, want in answer.outputs.items():
        _require_equal(address, device.read_memory(address, len(want)), want)
    for name, count in answer.counts.items():
        if name in counters and counters[name] != count:
            raise _Failed(f"counter {name} is {counters[name]}, not {count}")
    size = sum(map(len, answer.outputs.values()))
    return f"{size:,} bytes as the functional machine has them, {counters['CYCLES']:,} cycles"
