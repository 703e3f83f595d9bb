"""The C driver: a language model on the functional machine and on the Verilated core, and every
refusal."""

import ctypes
import re
import subprocess

import numpy as np
import pytest

from c_driver import CODES, DRIVER, STRICT, CDriver, c_compiler
from systolith.language import CompiledDecoder
from systolith.model_image import FORMAT_VERSION, PLACES, ModelImage
from systolith_hw.isa import ISA_VERSION, ErrorCode, Opcode, Unit, encode
from systolith_hw.presets import preset
from systolith_hw.registers import (
    COUNTERS,
    IDENTITY,
    OFFSETS,
    REGISTER_SPACE,
    Control,
    Interrupt,
    Status,
)
from systolith_sim.device import DramTiming, VerilatedDevice
from systolith_sim.verilator import compiler
from test_decoders import CONFIGS
from unit.language_bench import golden_tokens, random_model
from unit.machine_device import MachineDevice

CONFIG = CONFIGS["ulx3s"]
SIZE = 1 << 18
LONG = 1 << 16
"""Cycles in which any program here ends."""
LATE = DramTiming(latency=20_000)


@pytest.fixture(scope="module")
def model():
    sizes = {"dim": 40, "heads": 2, "kv_heads": 1, "hidden": 50, "vocab": 27}
    return random_model(CONFIG, seed=1, context=40, down_chunk=32, **sizes)


@pytest.fixture(scope="module")
def image(model):
    return CompiledDecoder.compile(CONFIG, model).image("a model").to_bytes()


class Bus:
    """A device whose memory the CPU sees as a buffer: written when the core looks at it, and read
    while it runs."""

    def __init__(self, device):
        self.device = device
        self.memory = bytearray(SIZE)
        self.started = False
        self.driver = CDriver(self.read, self.write, self.memory)

    def read(self, offset):
        value = self.device.read_register(offset)
        if offset == OFFSETS["STATUS"] and self.started:
            self.device.wait(2000)
            self.memory[:] = self.device.read_memory(0, SIZE)
            self.started = bool(value & Status.RUNNING)
        return value

    def write(self, offset, value):
        if offset in (OFFSETS["CONTROL"], OFFSETS["PROGRAM"]):
            self.device.write_memory(0, bytes(self.memory))
            self.started = offset == OFFSETS["CONTROL"]
        self.device.write_register(offset, value)


@pytest.fixture
def bus():
    return Bus(MachineDevice(CONFIG, SIZE))


def generate(bus, model, image, prompt, count):
    """Do what a program would; compare tokens with the golden model's."""
    driver = bus.driver
    assert driver.open() == "OK"
    assert driver.load(image) == "OK"
    assert driver.call("setup", driver.core, 1000) == "OK"
    for text in (prompt, prompt[:1]):
        assert driver.prompt(text, count) == "OK"
        assert driver.call("start", driver.core, 0, 0, 100_000) == "OK"
        assert driver.call("wait", driver.core, 1000) == "OK"
        made = [driver.token(len(text) + number) for number in range(count)]
        assert made == golden_tokens(model, text, count)
        assert driver.token(len(text) + count) == "NO_TOKEN"


def test_on_the_machine(bus, model, image):
    generate(bus, model, image, [3, 1, 4, 1, 5], 8)


def test_on_verilog(model, image):
    with VerilatedDevice(CONFIG, memory_bytes=SIZE) as device:
        generate(Bus(device), model, image, [3, 1, 4], 4)


def bare_image(program, address=0x4000, **places):
    """Return an image of a program, and nothing else."""
    places = {"program": address, "size": address + len(program), **places}
    return ModelImage({}, {address: program}, CONFIG.hash, places)


def test_another_program_at_the_same_address_is_fetched():
    """The core keeps a program that fits; what has been loaded over it runs nevertheless."""
    with VerilatedDevice(CONFIG, memory_bytes=SIZE) as device:
        driver = Bus(device).driver
        assert driver.open() == "OK"
        for program, code in ((encode(Opcode.END), "OK"), (bytes(32), "STOPPED")):
            assert driver.load(bare_image(program).to_bytes()) == "OK"
            assert driver.call("start", driver.core, 1, 0, 1000) == "OK"
            assert driver.call("wait", driver.core, 100) == code
        assert driver.why() == [ErrorCode.ILLEGAL_INSTRUCTION, Unit.SEQUENCER, 0]


def test_places_out_of_range(bus, image):
    """An image that is whole may still name places that it does not use."""
    driver, size = bus.driver, 0x1000
    lists = {"list": 0x100, "entries": 0x200, "stride": 64, "positions": 8, "vocabulary": 27}
    good, end = {"size": size, **lists}, 0xFFFFFFFF
    everything = dict(zip(PLACES, (0, 0x20, *lists.values(), size), strict=True))
    assert driver.open(2 * size) == "OK"
    for change, code in (
        ({"size": 2 * size + 1}, "RANGE"), ({"size": end}, "RANGE"), ({"size": 31}, "RANGE"),
        ({"setup": size - 31}, "RANGE"), ({"setup": 16}, "RANGE"), ({"program": 4}, "RANGE"),
        ({"setup": end - 1}, "RANGE"),
        ({"program": size - 31}, "RANGE"), ({"program": end - 1}, "RANGE"),
        ({"list": size - 23}, "RANGE"), ({"list": 0x40000000, "entries": 0x40000000}, "RANGE"),
        ({"entries": size - 3}, "RANGE"), ({"entries": size - 7 * 64 - 3}, "RANGE"),
        ({"entries": end - 1}, "RANGE"), ({"stride": 0}, "RANGE"), ({"stride": 3}, "RANGE"),
        ({"stride": 0x40000000, "positions": 5}, "RANGE"), ({"stride": 0x80000000}, "RANGE"),
        ({"positions": 0}, "RANGE"), ({"positions": 58}, "RANGE"),
        ({"positions": end - 1}, "RANGE"),
        *(({name: end}, "IMAGE") for name in lists),
    ):  # fmt: skip
        raw = ModelImage({}, {0: bytes(32)}, CONFIG.hash, {**everything, **change}).to_bytes()
        assert driver.load(raw) == code, change
        assert driver.prompt([1], 1) == "ORDER" and not any(bus.memory)
    for parts in ({size - 31: bytes(32)}, {end: bytes(1)}, {size + 1: b""}):
        assert driver.load(ModelImage({}, parts, CONFIG.hash, good).to_bytes()) == "RANGE"
    for change in (
        {}, {"setup": size - 32}, {"list": size - 24}, {"entries": size - 7 * 64 - 4},
        {"stride": 4}, {"positions": 56}, {"entries": size - 4, "positions": 1}, {"list": 0},
    ):  # fmt: skip
        raw = ModelImage({}, {size - 1: b"\1"}, CONFIG.hash, {**everything, **change}).to_bytes()
        assert driver.load(raw) == "OK", change
        assert driver.prompt([1], 1) == ("RANGE" if change.get("positions") == 1 else "OK")
    assert not any(bus.memory[size:])


def test_lengths(bus):
    """Where no prompt is, a length is needed; an image may say how long it can be."""
    driver = bus.driver
    assert driver.open() == "OK"
    for places, calls in (
        ({}, {(0, 0): "EMPTY", (9, 9): "OK"}),
        ({"positions": 8}, {(0, 0): "EMPTY", (9, 0): "RANGE", (8, 8): "RANGE", (8, 7): "OK"}),
        ({"list": 0, "entries": 64, "stride": 64, "positions": 8, "vocabulary": 9},
         {(9, 0): "RANGE", (0, 8): "RANGE", (0xFFFFFFFF, 0): "RANGE", (0, 0): "OK"}),
    ):  # fmt: skip
        assert driver.load(bare_image(encode(Opcode.END), **places).to_bytes()) == "OK"
        for given, code in calls.items():
            assert driver.call("start", driver.core, *given, 1000) == code, given


def test_constants():
    """The header says what the register map and the instruction set say."""
    text = (DRIVER / "systolith.h").read_text()
    found = {name: int(value, 0) for name, value in
             re.findall(r"SYSTOLITH_(\w+)(?: =)? (0x[0-9A-F]+|\d+)u?\b", text)}  # fmt: skip
    expected = {
        "IDENTITY": IDENTITY, "ISA_VERSION": ISA_VERSION, "IMAGE_FORMAT": FORMAT_VERSION,
        "COUNTER_COUNT": len(COUNTERS), "REGISTER_SPACE": REGISTER_SPACE, **OFFSETS,
        **{f"CONTROL_{bit.name}": bit.value for bit in Control},
        **{f"STATUS_{bit.name}": bit.value for bit in Status},
        **{f"IRQ_{bit.name}": bit.value for bit in Interrupt},
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected
    codes = text[text.index("enum systolith_code {") : text.index("SYSTOLITH_CODE_COUNT\n")]
    assert tuple(re.findall(r"SYSTOLITH_(\w+)(?: = 0)?,", codes)) == CODES


def test_names(bus):
    for kind, numbers in (("error_name", ErrorCode), ("unit_name", Unit)):
        for number in numbers:
            assert bus.driver.text(kind, number) == number.name.lower().replace("_", " ")
        assert bus.driver.text(kind, 99).startswith("unknown")
    names = [bus.driver.text("name", number) for number in range(len(CODES))]
    assert len(set(names)) == len(CODES) and bus.driver.text("name", 99) == "unknown code"


def test_refusals_of_an_image_write_nothing(bus, image):
    driver, other = bus.driver, preset("small")
    assert driver.load(image) == "ORDER"
    assert driver.open(0) == "EMPTY"
    assert driver.open() == "OK"
    flip = bytearray(image)
    flip[-30] ^= 4
    hashed = image[:8] + other.hash.to_bytes(4, "little") + image[12:]
    for raw, code in (
        (b"", "EMPTY"), (image[:50], "IMAGE"), (b"PK" + image, "IMAGE"), (image[:-1], "DAMAGED"),
        (image + b"\0", "DAMAGED"), (bytes(flip), "DAMAGED"), (hashed, "DAMAGED"),
        (image[:4] + b"\x09" + image[5:], "IMAGE"), (image[:6] + b"\x09" + image[7:], "ISA"),
    ):  # fmt: skip
        assert driver.load(raw) == code
    bus.device.registers[OFFSETS["CONFIG_HASH"]] = other.hash
    assert driver.load(image) == "CONFIG"
    bus.device.registers[OFFSETS["CONFIG_HASH"]] = CONFIG.hash
    assert driver.open(5000) == "OK" and driver.load(image) == "RANGE"
    assert not any(bus.memory)


def test_any_damage_is_noticed(bus, image, seed):
    """Bytes at random, and every one of the header: nothing is read beyond the image."""
    rng = np.random.default_rng(seed)
    assert bus.driver.open() == "OK"
    for place in [*range(64), *rng.integers(64, len(image), 30)]:
        raw = bytearray(image)
        raw[place] ^= 1 << int(rng.integers(8))
        assert bus.driver.load(bytes(raw)) in ("IMAGE", "ISA", "DAMAGED")
    assert not any(bus.memory)


def test_calls_out_of_order(bus, image):
    driver = bus.driver
    for name, more in (("setup", (9,)), ("start", (0, 0, 0)), ("poll", ()), ("abort", (9,)),
                       ("reset", (9,)), ("force_reset", (9,))):  # fmt: skip
        assert driver.call(name, driver.core, *more) == "ORDER"
    assert driver.prompt([1], 1) == "ORDER" and driver.token(0) == "ORDER"
    assert driver.open() == "OK"
    assert driver.call("setup", driver.core, 9) == "ORDER"
    assert driver.call("start", driver.core, 0, 0, 0) == "ORDER"
    assert driver.load(image) == "OK"
    assert driver.call("start", driver.core, 0, 0, 0) == "ORDER"  # setup comes first
    assert driver.call("setup", driver.core, 9) == "OK"
    assert driver.call("wait", driver.core, 0) == "EMPTY"


def test_prompts_that_are_none(bus, image):
    driver = bus.driver
    assert driver.open() == "OK" and driver.load(image) == "OK"
    for tokens, make, code in (
        ([], 1, "EMPTY"), ([1], 0, "EMPTY"), ([27], 1, "RANGE"), ([1] * 30, 11, "RANGE"),
        ([1], 0xFFFFFFFF, "RANGE"), ([1] * 30, 10, "OK"),
    ):  # fmt: skip
        assert driver.prompt(tokens, make) == code
    assert driver.token(40) == "RANGE"


def test_null_pointers(bus):
    driver = bus.driver
    for name, arguments in {
        "open": (None, driver.core, driver.core, 9), "load": (driver.core, None, 9),
        "setup": (None, 1), "start": (None, 0, 0, 0), "poll": (None,), "wait": (None, 1),
        "abort": (None, 1), "reset": (None, 1), "force_reset": (None, 1),
        "why": (driver.core, None), "counter": (driver.core, 0, None),
        "prompt": (driver.core, None, 1, 1), "token": (driver.core, 0, None),
    }.items():  # fmt: skip
        assert driver.call(name, *arguments) == "NULL"


def test_refused_calls_write_nothing(bus, image, monkeypatch):
    """Null pointers, lengths of zero, what is out of order or out of range: no register is written,
    and no byte of memory."""
    driver = bus.driver
    written: list[tuple[int, int]] = []
    assert driver.open() == "OK" and driver.load(image) == "OK"
    before = bytes(bus.memory)
    monkeypatch.setattr(bus.device, "write_register", lambda *access: written.append(access))
    core, token = driver.core, (ctypes.c_uint32 * 1)(1)
    for code, name, *arguments in (
        ("NULL", "open", None, core, core, 9), ("NULL", "open", core, None, core, 9),
        ("NULL", "load", core, None, 9), ("NULL", "setup", None, 1),
        ("NULL", "start", None, 0, 0, 0), ("NULL", "wait", None, 1), ("NULL", "abort", None, 1),
        ("NULL", "reset", None, 1), ("NULL", "prompt", core, None, 1, 1),
        ("EMPTY", "load", core, image, 0), ("EMPTY", "setup", core, 0), ("EMPTY", "wait", core, 0),
        ("EMPTY", "abort", core, 0), ("EMPTY", "reset", core, 0), ("EMPTY", "force_reset", core, 0),
        ("EMPTY", "prompt", core, token, 0, 1), ("EMPTY", "prompt", core, token, 1, 0),
        ("RANGE", "prompt", core, token, 1, 40), ("ORDER", "start", core, 0, 0, 0),
    ):  # fmt: skip
        assert driver.call(name, *arguments) == code, name
        assert not written and bytes(bus.memory) == before, name
    monkeypatch.undo()
    assert driver.call("setup", core, 9) == "OK"


def test_a_foreign_core(bus):
    bus.device.registers[OFFSETS["VERSION"]] = ISA_VERSION + 1
    assert bus.driver.open() == "ISA"
    bus.device.registers[OFFSETS["ID"]] = 0xFFFFFFFF
    assert bus.driver.open() == "FOREIGN"
    assert bus.driver.call("poll", bus.driver.core) == "ORDER"


def test_a_program_that_stops(bus, image):
    driver, registers = bus.driver, bus.device.registers
    assert driver.open() == "OK" and driver.load(image) == "OK"
    assert driver.call("setup", driver.core, 9) == "OK"
    registers[OFFSETS["STATUS"]] = Status.RUNNING
    assert driver.load(image) == "BUSY" and driver.call("start", driver.core, 0, 0, 0) == "BUSY"
    assert driver.call("wait", driver.core, 3) == "TIMEOUT"
    registers[OFFSETS["STATUS"]] = Status.ERROR
    registers[OFFSETS["ERROR"]] = ErrorCode.WATCHDOG | Unit.ROW << 8
    registers[OFFSETS["ERROR_PC"]] = 17
    assert driver.call("poll", driver.core) == "STOPPED"
    assert driver.why() == [ErrorCode.WATCHDOG, Unit.ROW, 17]
    assert driver.call("start", driver.core, 0, 0, 0) == "ORDER"  # reset comes first
    registers[OFFSETS["STATUS"]] = Status.ABORTED
    assert driver.call("poll", driver.core) == "ABORTED"


def test_only_who_asks_for_it_forces_a_reset(bus, monkeypatch):
    """A second RESET while the first one waits would let the core forget what memory owes it."""
    driver, written = bus.driver, []
    assert driver.open() == "OK"
    bus.device.registers[OFFSETS["STATUS"]] = Status.RUNNING
    monkeypatch.setattr(bus.device, "write_register", lambda *access: written.append(access))
    abort, reset = ((OFFSETS["CONTROL"], bit) for bit in (Control.ABORT, Control.RESET))
    for _ in range(3):  # as long as the core is on the bus, one may be waiting
        assert driver.call("reset", driver.core, 3) == "TIMEOUT"
    assert written == [abort] * 3
    assert driver.call("force_reset", driver.core, 3) == "TIMEOUT"
    assert written[3:] == [reset] * 2
    bus.device.registers[OFFSETS["STATUS"]] = 0
    assert driver.call("reset", driver.core, 3) == "OK"
    assert written[5:] == [reset]
    assert driver.call("force_reset", driver.core, 3) == "OK"
    assert written[6:] == [reset] * 2


def test_a_reset_that_somebody_else_began(model, image):
    """Whoever opens the core meanwhile is told that it is busy, and his reset forces nothing."""
    with VerilatedDevice(CONFIG, memory_bytes=SIZE, timing=LATE) as device:
        first = Bus(device)
        assert first.driver.open() == "OK" and first.driver.load(image) == "OK"
        assert first.driver.call("setup", first.driver.core, 1) == "TIMEOUT"
        device.write_register(OFFSETS["CONTROL"], Control.RESET)
        second = Bus(device)
        driver = second.driver
        assert driver.open() == "OK"
        assert driver.load(image) == "BUSY" and driver.call("poll", driver.core) == "BUSY"
        for _ in range(3):
            assert driver.call("reset", driver.core, 2) == "TIMEOUT"
        device.run(2 * LATE.latency)
        assert driver.call("reset", driver.core, 200) == "OK"
        generate(second, model, image, [3, 1, 4], 2)


class Sleeper:
    """A CPU that sleeps until the core's interrupt, or is woken by something else."""

    def __init__(self, device, driver, *, cycles=LONG, handler=False):
        self.device, self.driver, self.cycles, self.handler = device, driver, cycles, handler
        self.calls, self.contexts, self.faults = 0, [], []
        self.function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.sleep)

    def sleep(self, context):
        self.calls += 1
        self.contexts.append(context)
        woken = self.device.wait(self.cycles)
        if not woken and self.cycles == LONG:
            self.faults.append("the core never called")  # C has no way for an exception
        if woken and self.handler:
            code = self.driver.call("interrupt", self.driver.core)
            if code != "OK" or self.device.wait(1):
                self.faults.append("the line is still high")

    def wait(self, wakes):
        code = self.driver.call("wait_interrupt", self.driver.core, wakes, self.function, 77)
        assert not self.faults
        return code


@pytest.mark.parametrize("handler", [False, True])
def test_asleep(model, image, handler):
    """The CPU looks twice, and not all the time; what it reads then is the golden model's."""
    with VerilatedDevice(CONFIG, memory_bytes=SIZE) as device:
        looks = []

        def read(offset):
            looks.append(offset)
            return device.read_register(offset)

        memory = bytearray(SIZE)
        driver = CDriver(read, device.write_register, memory)
        sleeper = Sleeper(device, driver, handler=handler)
        assert driver.open() == "OK" and driver.load(image) == "OK"
        device.write_memory(0, bytes(memory))
        assert driver.call("setup", driver.core, 100_000) == "OK"
        assert driver.prompt([3, 1, 4], 4) == "OK"
        device.write_memory(0, bytes(memory))
        for _ in range(2):
            assert driver.call("start", driver.core, 0, 0, 100_000) == "OK"
            looks.clear()
            assert sleeper.wait(1) == "OK"
            assert looks == [OFFSETS["STATUS"]] * 2
            assert device.read_register(OFFSETS["IRQ_ENABLE"]) == 0
        assert sleeper.calls == 2 and sleeper.contexts == [77, 77]
        memory[:] = device.read_memory(0, SIZE)
        made = [driver.token(3 + number) for number in range(4)]
        assert made == golden_tokens(model, [3, 1, 4], 4)


def test_asleep_for_nothing(image):
    """Other interrupts wake it, too; an error does; and what has ended does not let it sleep."""
    with VerilatedDevice(CONFIG, memory_bytes=SIZE, timing=LATE) as device:
        driver = Bus(device).driver
        brief, patient = (Sleeper(device, driver, cycles=cycles) for cycles in (3, LONG))
        assert driver.call("wait_interrupt", None, 1, brief.function, None) == "NULL"
        assert driver.call("wait_interrupt", driver.core, 1, None, None) == "NULL"
        assert driver.call("interrupt", None) == "NULL"
        assert brief.wait(1) == "ORDER" and driver.call("interrupt", driver.core) == "ORDER"
        assert driver.open() == "OK"
        assert brief.wait(0) == "EMPTY" and brief.wait(1) == "ORDER" and not brief.calls
        assert driver.load(bare_image(encode(Opcode.END)).to_bytes()) == "OK"
        assert driver.call("start", driver.core, 1, 0, 2000) == "OK"
        assert brief.wait(4) == "TIMEOUT" and brief.calls == 4
        assert device.read_register(OFFSETS["IRQ_ENABLE"]) == 0
        assert patient.wait(3) == "TIMEOUT" and patient.calls == 3  # the watchdog; memory hangs
        device.run(2 * LATE.latency)
        assert patient.wait(1) == "STOPPED"
        calls = patient.calls
        assert patient.wait(1) == "STOPPED" and patient.calls == calls


def test_memory_that_never_answers():
    """The core waits for it, and goes on where memory's side has been reset and a reset forced."""
    with VerilatedDevice(CONFIG, memory_bytes=SIZE) as device:
        bus = Bus(device)
        driver = bus.driver
        assert driver.open() == "OK"
        assert driver.load(bare_image(encode(Opcode.END)).to_bytes()) == "OK"
        device.host.hang(reads=True)
        assert driver.call("start", driver.core, 1, 0, 500) == "OK"
        assert driver.call("wait", driver.core, 5) == "TIMEOUT"
        assert driver.call("reset", driver.core, 5) == "TIMEOUT"
        assert driver.call("reset", driver.core, 5) == "TIMEOUT"
        assert driver.call("start", driver.core, 1, 0, 500) == "BUSY"
        assert driver.call("force_reset", driver.core, 5) == "OK"


def test_barriers_are_between_memory_and_registers():
    """Before the core may read memory, and before its results are."""
    device, memory, done = MachineDevice(CONFIG, SIZE), bytearray(SIZE), []
    names = {offset: name for name, offset in OFFSETS.items()}

    def read(offset):
        done.append(f"read {names[offset]}")
        return device.read_register(offset)

    def write(offset, value):
        done.append(f"write {names[offset]}")
        device.write_memory(0, bytes(memory))
        device.write_register(offset, value)

    driver = CDriver(read, write, memory, lambda: done.append("barrier"))
    assert driver.open() == "OK"
    assert driver.load(bare_image(encode(Opcode.END)).to_bytes()) == "OK"
    for _ in range(2):
        done.clear()
        assert driver.call("start", driver.core, 1, 0, 0) == "OK"
        first = done.index("barrier")
        assert first < min(place for place, what in enumerate(done) if what.startswith("write"))
        assert done[-1] == "write CONTROL"
        done.clear()
        assert driver.call("poll", driver.core) == "OK"
        assert done == ["read STATUS", "barrier"]


def test_the_compiler_moves_no_memory_past_a_start(tmp_path):
    """With the header's own barrier: words written before a start are written by then."""
    source, target = tmp_path / "moved.c", tmp_path / "moved.s"
    source.write_text("""
#include "systolith.h"
uint32_t mailbox;
void moved(volatile uint32_t *start);
void moved(volatile uint32_t *start) {
    mailbox = 0x1111;
    SYSTOLITH_BARRIER();
    *start = 1;
    mailbox = 0x2222;
}
""")
    driver = c_compiler()
    command = [driver, *STRICT, "-O2", "-S", f"-I{DRIVER}", source, "-o", target]
    subprocess.run(command, check=True)
    assert str(0x1111) in target.read_text() and str(0x2222) in target.read_text()
    subprocess.run([*command, "-DSYSTOLITH_BARRIER()=((void)0)"], check=True)
    assert str(0x1111) not in target.read_text()  # what the barrier is for


def test_places_that_overlap(tmp_path, image):
    """Registers, memory and image, at addresses: what can be wrong is found before an access."""
    target = tmp_path / "driver.so"
    driver = c_compiler()
    subprocess.run(
        [driver, *STRICT, "-O1", "-shared", "-fPIC", DRIVER / "systolith.c", "-o", target],
        check=True,
    )
    library = ctypes.CDLL(str(target))
    room = (ctypes.c_uint8 * (SIZE + 3 * len(image) + 2048))()
    core, at = (ctypes.c_uint32 * 32)(), -(-ctypes.addressof(room) // 64) * 64
    words = (ctypes.c_uint32 * 64).from_address(at)
    words[0], words[1], words[2] = IDENTITY, ISA_VERSION, CONFIG.hash
    top, memory = (1 << 8 * ctypes.sizeof(ctypes.c_void_p)) - 4096, at + REGISTER_SPACE

    def opened(registers, memory, size=SIZE):
        return CODES[library.systolith_open(core, ctypes.c_void_p(registers),
                                            ctypes.c_void_p(memory), size)]  # fmt: skip

    for registers, place, size in (
        (at + 2, memory, SIZE), (at, at, SIZE), (at, memory - 1, SIZE), (at, memory - 5, 8),
        (memory, at, REGISTER_SPACE + 1), (memory + SIZE - 4, memory, SIZE), (at, top, 4097),
        (top + 4096 - REGISTER_SPACE + 4, memory, SIZE),
    ):  # fmt: skip
        assert opened(registers, place, size) == "RANGE", (registers, place, size)
    assert opened(at, memory) == "OK"

    def loaded(place):
        ctypes.memmove(place, image, len(image)) if place < top else None
        return CODES[library.systolith_load(core, ctypes.c_void_p(place), len(image))]

    assert loaded(memory + SIZE - 1) == "RANGE" and loaded(memory) == "RANGE"
    assert loaded(top + 4000) == "RANGE"
    assert loaded(memory + SIZE) == "OK"
    behind = memory + SIZE + len(image)  # registers there end an image, or begin with one
    behind += -behind % 4
    their = (ctypes.c_uint32 * 64).from_address(behind)
    their[0], their[1], their[2] = IDENTITY, ISA_VERSION, CONFIG.hash
    assert opened(behind, memory) == "OK"
    state = bytes(core)
    for place in (behind - len(image) + 16, behind + REGISTER_SPACE - 4, behind):
        code = library.systolith_load(core, ctypes.c_void_p(place), len(image))
        assert CODES[code] == "RANGE" and bytes(core) == state


def test_it_needs_no_library(tmp_path):
    """As for a CPU without an operating system, and in C++."""
    target = tmp_path / "systolith.o"
    driver = c_compiler()
    source = DRIVER / "systolith.c"
    subprocess.run(
        [driver, *STRICT, "-ffreestanding", "-fno-builtin", "-O2", "-c", source, "-o", target],
        check=True,
    )
    undefined = subprocess.run(
        ["nm", "--undefined-only", target], capture_output=True, text=True, check=True
    ).stdout
    assert set(undefined.split()) <= {"U", "memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}
    header = tmp_path / "header.cpp"
    header.write_text(f'#include "{DRIVER / "systolith.h"}"\n')
    subprocess.run([compiler(), "-Wall", "-Werror", "-fsyntax-only", header], check=True)
