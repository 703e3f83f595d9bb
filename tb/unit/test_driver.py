"""Driver: what it writes, and what it says when something goes wrong."""

import pytest

import copier
from systolith.driver import (
    WORDS,
    CoreError,
    Driver,
    DriverError,
    ForeignCoreError,
    ForeignProgramError,
)
from systolith_hw.config import BusConfig, Config
from systolith_hw.isa import ISA_VERSION, ErrorCode, Opcode, Unit, encode
from systolith_hw.registers import (
    COUNTER_BASE,
    COUNTERS,
    IDENTITY,
    REGISTERS,
    Status,
    counter_offsets,
)
from systolith_sim.device import Device, VerilatedDevice

CONFIG = Config()
NAMES = {register.offset: register.name for register in REGISTERS}
PROGRAM = encode(Opcode.MATMUL, tokens=3, steps=2) + encode(Opcode.END) + bytes(32)


class Scripted(Device):
    """Registers that follow a script: what STATUS reads, one look after the other."""

    def __init__(self, status=(), **registers):
        super().__init__(CONFIG, 1 << 16)
        self.registers = {
            "ID": IDENTITY, "VERSION": ISA_VERSION, "CONFIG_HASH": CONFIG.hash, **registers
        }  # fmt: skip
        self.status = list(status)
        self.log: list[tuple[str, int]] = []
        self.waited: list[int] = []
        self.memory = bytearray(self.memory_bytes)

    def read_register(self, offset):
        if offset >= COUNTER_BASE:
            return offset
        if NAMES[offset] == "STATUS":
            return self.status.pop(0) if self.status else 0
        return self.registers.get(NAMES[offset], 0)

    def write_register(self, offset, value):
        self.log.append((NAMES[offset], value))

    def wait(self, cycles):
        self.waited.append(cycles)
        return False

    def _read(self, address, count):
        return bytes(self.memory[address : address + count])

    def _write(self, address, data):
        self.memory[address : address + len(data)] = data


def driver(*status, **registers):
    core = Scripted(status, **registers)
    return core, Driver(core, CONFIG)


def test_run_writes_in_order_and_returns_counters():
    core, drive = driver(0, Status.RUNNING, Status.DONE)
    drive.load_program(0x100, PROGRAM)
    counters = drive.run(length=5, position=6, watchdog=7)
    assert core.log == [
        ("PROGRAM", 0x100), ("LENGTH", 5), ("POSITION", 6), ("WATCHDOG", 7), ("IRQ_ENABLE", 3),
        ("IRQ_PENDING", 3), ("CONTROL", 1),
    ]  # fmt: skip
    assert core.memory[0x100 : 0x100 + len(PROGRAM)] == PROGRAM
    assert list(counters) == [counter.name for counter in COUNTERS if not counter.rows]
    assert counters["ARRAY_BUSY"] == COUNTER_BASE + 4


def test_a_rerun_writes_what_changes():
    """Interrupts are off then; a program that was not done at once is looked at again."""
    core, drive = driver(0, Status.DONE, Status.DONE, Status.RUNNING, Status.DONE, 0, Status.DONE)
    drive.load_program(0x100, PROGRAM)
    drive.run()
    core.log.clear()
    core.waited.clear()
    assert drive.rerun(position=4) == COUNTER_BASE
    assert core.log == [("IRQ_ENABLE", 0), ("POSITION", 4), ("CONTROL", 1)] and not core.waited
    core.log.clear()
    drive.rerun(0x200, position=5)
    assert core.log == [("PROGRAM", 0x200), ("POSITION", 5), ("CONTROL", 1)] and core.waited
    core.log.clear()
    drive.run()
    assert ("IRQ_ENABLE", 3) in core.log


def test_a_rerun_that_fails_or_never_ends():
    core, drive = driver(Status.ERROR, ERROR=ErrorCode.WATCHDOG | Unit.ARRAY << 8, ERROR_PC=1)
    with pytest.raises(CoreError, match="WATCHDOG in array"):
        drive.rerun(0x100)
    core, drive = driver(*[Status.RUNNING] * 4)
    with pytest.raises(TimeoutError, match="did not end within 1500 cycles"):
        drive.rerun(0x100, timeout=1500)
    assert ("CONTROL", 2) in core.log


def test_counters_that_the_core_has_not():
    config = CONFIG.replace({"control.stall_counters": False})
    core = Scripted((0, Status.DONE), CONFIG_HASH=config.hash)
    counters = Driver(core, config).run(0x100)
    assert list(counters) == list(counter_offsets(config))
    assert counters["FLUSHES"] == COUNTER_BASE + 4 * 21
    with pytest.raises(DriverError, match="not count LOAD_WAIT_BUS: .* control.stall"):
        counters["LOAD_WAIT_BUS"]
    with pytest.raises(DriverError, match="not count ROW_BUSY: .* vector.rows"):
        counters["ROW_BUSY"]
    with pytest.raises(KeyError):
        counters["NOTHING"]


def test_program_is_fetched_once():
    """But again where its address is given: memory may have another one there since."""
    core, drive = driver(*[0, Status.DONE] * 4)
    drive.load_program(0x100, PROGRAM)
    drive.run()
    drive.run()
    assert [value for name, value in core.log if name == "PROGRAM"] == [0x100]
    drive.run(0x100)
    drive.run(0x200)
    assert [value for name, value in core.log if name == "PROGRAM"] == [0x100, 0x100, 0x200]


@pytest.mark.parametrize("registers, words", [
    ({"ID": 0}, "not a Systolith core: ID reads 0x00000000, not 0x544c5953"),
    ({"VERSION": ISA_VERSION + 1}, f"has instruction set {ISA_VERSION + 1}, this software has"),
    ({"CONFIG_HASH": 0xABCD}, f"from configuration 0000abcd, not from {CONFIG.hash:08x}"),
])  # fmt: skip
def test_foreign_core(registers, words):
    with pytest.raises(ForeignCoreError, match=words):
        driver(**registers)


def test_foreign_program():
    core, drive = driver()
    with pytest.raises(ForeignProgramError, match="compiled for configuration 00000001, and the"):
        drive.load_program(0, PROGRAM, config_hash=1)
    assert core.log == [] and not any(core.memory)
    drive.load_program(0, PROGRAM, config_hash=CONFIG.hash)


@pytest.mark.parametrize("address, program, words", [
    (16, PROGRAM, "must be a multiple of 32, not 16"),
    (0, b"", "not 0 bytes"),
    (0, bytes(33), "not 33 bytes"),
])  # fmt: skip
def test_program_that_cannot_be_loaded(address, program, words):
    with pytest.raises(DriverError, match=words):
        driver()[1].load_program(address, program)


def test_program_is_aligned_to_a_wide_port():
    config = Config(bus=BusConfig(data_bytes=64))
    drive = Driver(Scripted(CONFIG_HASH=config.hash), config)
    with pytest.raises(DriverError, match="must be a multiple of 64, not 32"):
        drive.load_program(32, PROGRAM)


def test_nothing_to_run():
    with pytest.raises(DriverError, match="there is no program"):
        driver(0)[1].run()


@pytest.mark.parametrize("status, words", [
    (Status.RUNNING, "running already"),
    (Status.ERROR, "call reset before the next one"),
    (Status.ABORTED, "call reset before the next one"),
])  # fmt: skip
def test_run_when_not_ready(status, words):
    core, drive = driver(status)
    with pytest.raises(DriverError, match=words):
        drive.run(0x100)
    assert core.log == []


def failing(code, unit=Unit.LOAD, pc=0):
    core, drive = driver(0, Status.ERROR, ERROR=code | unit << 8, ERROR_PC=pc)
    drive.load_program(0x100, PROGRAM)
    with pytest.raises(CoreError) as caught:
        drive.run()
    return caught.value


@pytest.mark.parametrize("code", [code for code in ErrorCode if code])
def test_every_error_has_words(code):
    error = failing(code)
    assert error.code is code and error.unit is Unit.LOAD
    assert str(error).endswith(f" instruction 0 (MATMUL steps=2 tokens=3): {WORDS[code]}")


@pytest.mark.parametrize("code", [ErrorCode.SEMAPHORE, ErrorCode.WATCHDOG])
def test_errors_that_know_no_instruction(code):
    """What is named is where the sequencer had come to, and the sentence says so."""
    sentence = str(failing(code, pc=1))
    assert f"{code.name} in load while the sequencer was at instruction 1 (END): " in sentence
    assert "BUS_READ in load at instruction 1 (END): " in str(failing(ErrorCode.BUS_READ, pc=1))


def test_error_shows_the_instruction():
    assert failing(2, pc=0).instruction == "MATMUL steps=2 tokens=3"
    assert failing(2, pc=1).instruction == "END"
    assert failing(1, pc=2).instruction == "opcode 0x00 is illegal"
    assert failing(1, pc=3).instruction == ""


def test_error_from_the_future():
    error = failing(0x77, 9)
    assert (error.code, error.unit) == (0x77, 9)
    sentence = str(error)
    assert sentence.startswith("code 119 in unit 9 at instruction 0 (")
    assert sentence.endswith("an error this driver does not know")


def test_own_description():
    core = Scripted([0, Status.ERROR], ERROR=2, ERROR_PC=5)
    drive = Driver(core, CONFIG, describe=lambda pc: f"line {pc} of the model")
    with pytest.raises(CoreError, match="line 5 of the model"):
        drive.run(0x100)


def test_timeout_aborts():
    core, drive = driver(0, *[Status.RUNNING] * 3, Status.ABORTED)
    with pytest.raises(TimeoutError, match="within 1000 cycles; it was aborted"):
        drive.run(0x100, timeout=1000)
    assert core.waited[0] == 1000
    assert core.log[-1] == ("CONTROL", 2)


def test_reset_waits_until_the_bus_is_quiet():
    core, drive = driver(Status.RUNNING, Status.RUNNING, Status.RUNNING, 0)
    drive.reset()
    assert core.log == [("CONTROL", 4)]
    assert len(core.waited) == 2


def test_only_who_asks_for_it_forces_a_reset():
    """A second RESET while the first one waits would let the core forget what memory owes it."""
    core, drive = driver(*[Status.RUNNING] * 1000)
    for _ in range(3):
        with pytest.raises(DriverError, match=r"waits for memory .* call reset\(force=True\)"):
            drive.reset()
    assert core.log == [("CONTROL", 4)]
    with pytest.raises(DriverError, match="not idle after a reset; reset the whole device"):
        drive.reset(force=True)
    assert core.log == [("CONTROL", 4)] * 2
    core.status = []
    drive.reset()  # the last one has ended
    assert core.log == [("CONTROL", 4)] * 3
    drive.reset(force=True)
    assert core.log == [("CONTROL", 4)] * 5


# -- on a core that copies memory -----------------------------------------------------------------


@pytest.fixture
def copying():
    text = copier.verilog(config_hash=CONFIG.hash)
    core = VerilatedDevice(CONFIG, verilog=text, top="copier", memory_bytes=1 << 20)
    with core:
        yield core, Driver(core, CONFIG)


def test_copy(copying):
    core, drive = copying
    core.write_memory(0x1000, bytes(range(256)))
    counters = drive.run(0x1000, length=1, position=0x2000)
    assert core.read_memory(0x2000, 256) == bytes(range(256))
    assert counters["LOAD_BEATS"] == counters["STORE_BEATS"] == 32
    assert drive.status == Status.DONE


@pytest.mark.parametrize("address, code, unit", [
    (0x1000, ErrorCode.BUS_READ, Unit.LOAD), (0x2000, ErrorCode.BUS_WRITE, Unit.STORE),
])  # fmt: skip
def test_refused_access_and_recovery(copying, address, code, unit):
    core, drive = copying
    core.host.refuse(address, address + 8)
    with pytest.raises(CoreError) as caught:
        drive.run(0x1000, length=4, position=0x2000)
    assert (caught.value.code, caught.value.unit) == (code, unit)
    core.host.behave()
    drive.reset()
    drive.run(0x1000, length=4, position=0x2000)


def test_memory_that_hangs(copying):
    core, drive = copying
    core.host.hang(reads=True)
    with pytest.raises(TimeoutError, match="within 5000 cycles"):
        drive.run(0x1000, length=4, position=0x2000, timeout=5000)
    core.host.behave()
    drive.reset()
    drive.run(0x1000, length=4, position=0x2000)
