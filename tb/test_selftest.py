"""``systolith selftest`` and ``devices``: on hardware that works, and on some that does not."""

import json
import re

import pytest
from typer.testing import CliRunner

from systolith.cli import app
from systolith.driver import Driver, ForeignCoreError
from systolith.program import Program
from systolith.progress import Progress
from systolith.selftest.checks import selftest
from systolith.selftest.probe import SPACE
from systolith.workload import open_device
from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.isa import Opcode
from systolith_hw.presets import preset
from systolith_hw.registers import OFFSETS, Status
from systolith_sim.board.pseudo_terminal import PseudoTerminal
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.device import Device
from unit.link_lines import GoldenBoard, device_board
from unit.test_exchange import who

CONFIG = preset("small")
WORN = 0xA4F3
BASICS = ["registers", "memory", "sequencer", "errors"]
UNITS = ["transfer", "product", "columns", "stream", "activations", "functions", "operands", "norm",
         "softmax", "best"]  # fmt: skip


def run(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def core():
    with VerilatedDevice(CONFIG, memory_bytes=SPACE) as device:
        yield device


class Broken(Device):
    """A device of which one thing does not work."""

    def __init__(self, device: Device, what: str) -> None:
        super().__init__(device.config, device.memory_bytes)
        self._device, self._what = device, what

    def wait(self, cycles):
        return self._device.wait(cycles) and self._what != "interrupt"

    def read_register(self, offset):
        value = self._device.read_register(offset)
        if self._what == "register" and offset == OFFSETS["POSITION"]:
            return value & ~(1 << 9)
        return value

    def write_register(self, offset, value):
        self._device.write_register(offset, value)

    def _read(self, address, count):
        data = bytearray(self._device.read_memory(address, count))
        if self._what == "data line":
            for index in range(count):
                if (address + index) % 4 == 2:
                    data[index] |= 0x10
        elif self._what == "byte" and address <= WORN < address + count:
            data[WORN - address] |= 2
        return bytes(data)

    def _write(self, address, data):
        if self._what == "address line":
            address &= ~(1 << 12)
        elif self._what in Opcode.__members__ and len(data) >= 2 * INSTRUCTION_BYTES:
            data = self._spoil(bytearray(data))
        elif self._what == "strobes" and len(data) == 1:
            data = data * min(2, self.memory_bytes - address)
        self._device.write_memory(address, bytes(data))

    def _spoil(self, program: bytearray) -> bytes:
        """Leave a unit's instructions out, as if it did nothing; data are no programs."""
        opcodes = set(program[::INSTRUCTION_BYTES])
        if len(program) % INSTRUCTION_BYTES == 0 and opcodes <= {*Opcode}:
            for at in range(0, len(program), INSTRUCTION_BYTES):
                if program[at] == Opcode[self._what]:
                    program[at : at + INSTRUCTION_BYTES] = (
                        bytes([Opcode.BARRIER]).ljust(INSTRUCTION_BYTES, b"\0")
                    )
        return bytes(program)


def test_hardware_passes(core):
    findings = list(selftest(core, CONFIG))
    assert [finding.check for finding in findings] == BASICS + UNITS
    assert all(finding.passed for finding in findings), findings
    assert list(selftest(core, CONFIG, seed=7)) != findings, "other numbers take other times"


def test_all_of_memory(core):
    """A byte that no line and no row of the short check touches."""

    worn, steps = Broken(core, "byte"), []
    assert all(finding.passed for finding in selftest(worn, CONFIG))

    class Steps(Progress):
        def reached(self, done, total):
            steps.append(done / total)

    findings = list(selftest(worn, CONFIG, full=True, progress=Steps()))
    (failed,) = [finding for finding in findings if not finding.passed]
    assert failed.check == "all memory" and f"first that at {WORN:#x}: 0x" in failed.detail
    assert any(finding.check == "all memory" for finding in selftest(core, CONFIG, full=True))
    assert steps and steps == sorted(steps)
    result = run("selftest", "--device", "rtl", "--full", "--json")
    assert json.loads(result.stdout)["checks"][2]["check"] == "all memory"


@pytest.mark.parametrize("what, check, says", [
    ("register", "registers", "POSITION reads 0x5555a8aa after 0x5555aaaa was wr"),
    ("data line", "memory", "bytes are wrong"),
    ("address line", "memory", "byte 0x.* has lost its value to another address"),
    ("strobes", "memory", "lost its value|bytes are wrong"),
    ("interrupt", "sequencer", "ended without an interrupt"),
    ("STORE", "transfer", "bytes are wrong, first that at 0x.*: 0x.., not 0x.."),
    ("NORM", "norm", "bytes are wrong"),
    ("SOFTMAX", "softmax", "bytes are wrong|counter"),
])  # fmt: skip
def test_what_is_broken_is_named(core, what, check, says):
    findings = list(selftest(Broken(core, what), CONFIG))
    first = next(finding for finding in findings if not finding.passed)
    assert first.check == check
    assert re.search(says, first.detail), first
    after = [finding for finding in findings if finding.check in UNITS]
    assert len(after) == len(UNITS), "the others are checked all the same"
    if check in ("norm", "softmax"):
        assert [finding.check for finding in findings if not finding.passed] == [check]


def test_commands_over_the_link(core):
    """With the golden model of the bridge between, on a pseudo-terminal."""
    with PseudoTerminal(device_board(core)) as terminal:
        result = run("selftest", "--device", terminal.name, "--json")
        assert result.exit_code == 0, result.output
        values = json.loads(result.stdout)
        assert values["passed"] and len(values["checks"]) == len(BASICS + UNITS)
        result = run("devices", terminal.name, "/dev/ttyNone", "--json")
        values = json.loads(result.stdout)
        (found,) = values["devices"]
        assert (found["port"], found["preset"]) == (terminal.name, "small")
        assert found["memory_bytes"] == SPACE
        assert "there is no serial port" in values["others"]["/dev/ttyNone"]
        result = run("devices", f"{terminal.name}@3000000")
        assert result.stdout == (
            f"{terminal.name}@3000000  simulated: preset small ({CONFIG.hash:#010x}), 0.0625 MiB, "
            "50 MHz, 3,000,000 baud, gateware 0.0\n"
        )
        result = run("selftest", "--device", terminal.name, "--preset", "ulx3s")
        assert result.exit_code == 1
        assert "(--preset small), not from" in result.stderr
    with PseudoTerminal(device_board(Broken(core, "register"))) as terminal:
        result = run("selftest", "--device", terminal.name)
        assert result.exit_code == 1
        assert "FAILED registers" in result.stdout and "ok     memory" in result.stdout
        assert "1 of 14 checks failed, the first is registers" in result.stderr


@pytest.mark.parametrize("state", ["error", "running"])
def test_a_board_is_woken(core, state):
    """Whoever used the core before may have left it anywhere."""
    driver = Driver(core, CONFIG)
    driver.reset()
    program = Program(CONFIG)
    program.matmul(steps=1, wait_outer=0)  # for ever
    program.end()
    driver.load_program(0, bytes(64) if state == "error" else program.assemble())
    driver.start(watchdog=0)
    core.wait(1000)
    assert driver.status & {"error": Status.ERROR, "running": Status.RUNNING}[state]
    with PseudoTerminal(device_board(core)) as terminal:
        with open_device(CONFIG, SPACE, terminal.name, Progress()) as device:
            assert not Driver(device, CONFIG).status
            assert all(finding.passed for finding in selftest(device, CONFIG))


@pytest.mark.parametrize("words, says", [
    (["selftest", "--device", "board"], "--device takes rtl or a port such as /dev/ttyUSB0, not b"),
    (["selftest", "--device", "/dev/x", "--sim", "icarus"], "--sim does nothing beside --device"),
    (["run", "stories-260k", "x", "--device", "board"], "--device takes a serial port, such as"),
    (["run", "stories-260k", "x", "--device", "/dev/x@fast"], "must be a number of baud, not 'fa"),
    (["run", "minilm", "x", "--device", "/dev/x", "--sim", "icarus"], "--sim does nothing beside"),
    (["run", "minilm", "x", "--device", "/dev/x", "--backend", "machine"],
     "--device takes --backend rtl, and does nothing with machine"),
    (["run", "minilm", "x", "--device", "/dev/x", "--report", "x.html"], "do nothing beside --dev"),
])  # fmt: skip
def test_refusals(words, says):
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert says in result.stderr


def test_boards_of_others():
    with PseudoTerminal(GoldenBoard(CONFIG, who(config_hash=5))) as terminal:
        result = run("selftest", "--device", terminal.name)
        assert result.exit_code == 2
        assert "configuration 00000005, which is no preset: give --preset and" in result.stderr
        result = run("devices", terminal.name)
        assert "golden: a core of its own (0x00000005), 1 MiB, 80 MHz" in result.stdout
    with pytest.raises(ForeignCoreError, match="not a Systolith core: ID reads 0x00000000"):
        with PseudoTerminal(GoldenBoard(CONFIG, who(config_hash=CONFIG.hash))) as terminal:
            from systolith.link.serial_device import SerialDevice

            with SerialDevice(CONFIG, terminal.name) as device:
                list(selftest(device, CONFIG))
