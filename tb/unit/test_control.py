"""ControlBlock: the behaviour of every register, and the block behind its bus adapters."""

import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.lib.wiring import connect

from systolith_hw.bus.axi_lite import AxiLiteSlave
from systolith_hw.bus.axi_reader import AxiReader
from systolith_hw.control.block import ControlBlock
from systolith_hw.control.counters import scan
from systolith_hw.control.lifecycle import SETTLE_CYCLES
from systolith_hw.isa import ISA_VERSION, ErrorCode, Unit
from systolith_hw.presets import PRESETS, preset
from systolith_hw.registers import (
    IDENTITY,
    KEPT,
    OFFSETS,
    REGISTERS,
    Control,
    Interrupt,
    Status,
    counter_offsets,
)

from .axi_model import ReadMemory, get, put, send, simulate, take

CONFIG = preset("tiny")
TOLD = ("POSITION", "LENGTH", "PROGRAM")
PERIOD = 2 * len(scan(CONFIG))


def offsets(config=CONFIG):
    """Return the offset of every register and counter by name."""
    return OFFSETS | counter_offsets(config)


class Host:
    """Reads and writes registers at the port, and watches the outputs in every cycle."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut
        self.trace = []
        self.settings = {}
        self.offsets = offsets(dut.config)
        ctx.set(dut.bus_idle, 1)

    async def cycle(self, count=1):
        """Pass cycles; note some outputs in each, and the settings that come by."""
        dut = self.dut
        for _ in range(count):
            _, _, start, program, halt, reset, irq, half, *told = await self.ctx.tick().sample(
                dut.start, dut.program_write, dut.halt, dut.soft_reset, dut.irq,
                Cat(dut.settings.high, dut.settings.data),
                *(getattr(dut.settings, name.lower()) for name in TOLD))
            for name, here in zip(TOLD, told, strict=True):
                if here:
                    high, value = half & 1, half >> 1
                    keep = self.settings.get(name, 0) & (0xFFFF if high else 0xFFFF_0000)
                    self.settings[name] = keep | value << 16 * high
            self.trace.append({"start": start, "program_write": program, "halt": halt,
                               "soft_reset": reset, "irq": irq})  # fmt: skip

    def count(self, name, since=0):
        return sum(row[name] for row in self.trace[since:])

    async def write(self, name, value):
        ctx, port = self.ctx, self.dut.port
        ctx.set(port.address, self.offsets[name])
        ctx.set(port.write_data, value)
        ctx.set(port.write, 1)
        assert not ctx.get(port.error)
        await self.cycle()
        ctx.set(port.write, 0)
        while not ctx.get(port.valid):
            await self.cycle()

    async def read_address(self, address):
        """Return value and error of any address."""
        ctx, port = self.ctx, self.dut.port
        ctx.set(port.address, address)
        ctx.set(port.read, 1)
        await self.cycle()
        ctx.set(port.read, 0)
        for _ in range(120):
            if ctx.get(port.valid):
                return ctx.get(port.read_data), ctx.get(port.error)
            await self.cycle()
        raise AssertionError(f"no answer from {address:#x}")

    async def read(self, name):
        value, error = await self.read_address(self.offsets[name])
        assert not error
        return value

    async def status(self):
        return Status(await self.read("STATUS"))

    async def pulse(self, name, value=1):
        self.ctx.set(getattr(self.dut, name), value)
        await self.cycle()
        self.ctx.set(getattr(self.dut, name), 0)

    def fault(self, unit, code, pc):
        fault = getattr(self.dut, f"fault_{unit.name.lower()}")
        self.ctx.set(fault.valid, code != 0)
        self.ctx.set(fault.code, code)
        self.ctx.set(fault.pc, pc)

    async def reset_units(self):
        """Reset, until the units have only to leave it."""
        await self.write("CONTROL", Control.RESET)
        while not self.ctx.get(self.dut.soft_reset):
            await self.cycle()
        while self.ctx.get(self.dut.soft_reset):
            await self.cycle()

    async def reset(self):
        """Reset, as the core does it: units withdraw their faults."""
        await self.write("CONTROL", Control.RESET)
        while not self.ctx.get(self.dut.soft_reset):
            await self.cycle()
        for unit in Unit:
            self.fault(unit, 0, 0)
        while await self.status() & Status.RUNNING:
            await self.cycle()


def check(body, config=CONFIG, **settings):
    """Run ``body(host)`` on a ControlBlock."""
    dut = ControlBlock(config)

    async def bench(ctx):
        await body(Host(ctx, dut))

    simulate(dut, bench, **settings)


@pytest.mark.parametrize("name", PRESETS)
def test_identity_and_values_after_power_up(name):
    async def body(host):
        assert await host.read("ID") == IDENTITY
        assert await host.read("VERSION") == ISA_VERSION
        assert await host.read("CONFIG_HASH") == preset(name).hash
        for register in offsets(preset(name)):
            if register not in ("ID", "VERSION", "CONFIG_HASH"):
                assert await host.read(register) == 0, register

    check(body, preset(name))


def test_writable_registers_keep_what_is_written():
    widths = {"PROGRAM": 32, "IRQ_ENABLE": 2, "WATCHDOG": 32, "LENGTH": 32, "POSITION": 32}

    async def body(host):
        rng = random.Random(1)
        values = {name: rng.getrandbits(32) for name in widths}
        for name, value in values.items():
            await host.write(name, value)
        for name, value in values.items():
            assert await host.read(name) == value & (1 << widths[name]) - 1, name
        await host.cycle(PERIOD + 1)
        assert host.settings == {name: values[name] for name in TOLD}

    assert set(widths) == {register.name for register in REGISTERS if register.access == "rw"}
    check(body)


def test_read_only_registers_ignore_writes():
    names = [register.name for register in REGISTERS if register.access == "ro"]

    async def body(host):
        for name in [*names, "CYCLES", "FLUSHES"]:
            before = await host.read(name)
            await host.write(name, 0xFFFFFFFF)
            assert await host.read(name) == before, name

    check(body)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_unmapped_addresses(name):
    config = preset(name)
    known = set(offsets(config).values())
    assert len(known) == len(REGISTERS) + (24 if name == "small" else 8)

    async def body(host):
        for address in [*range(0x110), 0x200, 0x410, 0x80C, 0xFFC]:
            value, error = await host.read_address(address)
            assert error == (address not in known), hex(address)
            assert not error or value == 0

    check(body, config)


def test_latency():
    async def body(host):
        for name in offsets():
            stored = name in KEPT or name not in OFFSETS
            for access in (host.read(name), host.write(name, 0)):
                before = len(host.trace)
                await access
                latency = len(host.trace) - before
                assert latency <= (PERIOD + 5 if stored else 6), name
                await host.cycle()

    check(body)


@pytest.mark.parametrize("length", [1, 2, 31, 32, 100])
def test_start_to_done(length):
    """``start`` follows the write; CYCLES counts from it to ``done``, both included."""

    async def body(host):
        await host.cycle(3)
        await host.write("CONTROL", Control.START)
        assert host.ctx.get(host.dut.start)
        await host.cycle(length - 1)
        await host.pulse("done")
        assert await host.read("CYCLES") == length
        assert await host.status() == Status.DONE
        assert host.count("start") == 1
        assert host.count("halt") == 0

    check(body)


def test_running_shows_and_done_without_start_does_not():
    async def body(host):
        await host.pulse("done")
        assert await host.status() == 0
        await host.write("CONTROL", Control.START)
        assert await host.status() == Status.RUNNING
        await host.pulse("done")
        await host.write("CONTROL", Control.START)
        assert await host.status() == Status.RUNNING, "START clears DONE"

    check(body)


def test_start_is_ignored_unless_ready():
    async def body(host):
        async def try_start():
            before = len(host.trace)
            await host.write("CONTROL", Control.START)
            await host.cycle(3)
            return host.count("start", before)

        assert await try_start() == 1
        assert await try_start() == 0, "while running"
        host.fault(Unit.LOAD, ErrorCode.BUS_READ, 3)
        await host.cycle(2)
        assert await try_start() == 0, "after an error"
        await host.reset()
        assert await try_start() == 1
        await host.write("CONTROL", Control.ABORT)
        assert await try_start() == 0, "after an abort"
        await host.reset()
        assert await try_start() == 1

    check(body)


def test_events_count_only_while_running():
    async def body(host):
        ctx, dut = host.ctx, host.dut
        ctx.set(dut.events, {"array_busy": 1, "saturations": 5})
        await host.cycle(7)
        await host.write("CONTROL", Control.START)
        await host.cycle(10)
        await host.pulse("done")
        ctx.set(dut.events, {"load_beats": 1})
        await host.cycle(20)
        expected = {"CYCLES": 11, "ARRAY_BUSY": 11, "SATURATIONS": 55}
        for name in counter_offsets(CONFIG):
            assert await host.read(name) == expected.get(name, 0), name
        ctx.set(dut.events, {})
        await host.write("CONTROL", Control.START)
        await host.pulse("done")
        for name in counter_offsets(CONFIG):
            assert await host.read(name) == (name == "CYCLES"), name

    check(body)


@pytest.mark.parametrize("unit", Unit)
def test_fault(unit):
    async def body(host):
        await host.write("IRQ_ENABLE", Interrupt.ERROR)
        await host.write("CONTROL", Control.START)
        await host.cycle(5)
        host.fault(unit, ErrorCode.ZERO_COUNT, 1000 + unit)
        await host.cycle()
        assert host.ctx.get(host.dut.halt), "one cycle after the fault"
        # A later one, even of a lower unit, changes nothing.
        for other in Unit:
            if other != unit:
                host.fault(other, ErrorCode.ILLEGAL_INSTRUCTION, 5)
        await host.cycle(2)
        assert host.ctx.get(host.dut.irq)
        assert await host.status() == Status.ERROR
        assert await host.read("ERROR") == ErrorCode.ZERO_COUNT | unit << 8
        assert await host.read("ERROR_PC") == 1000 + unit
        cycles = await host.read("CYCLES")
        await host.cycle(10)
        assert await host.read("CYCLES") == cycles == 6
        await host.reset()
        assert not host.ctx.get(host.dut.halt) and not host.ctx.get(host.dut.irq)
        for name in ("STATUS", "ERROR", "ERROR_PC", "IRQ_PENDING", "CYCLES"):
            assert await host.read(name) == 0, name
        assert await host.read("IRQ_ENABLE") == Interrupt.ERROR

    check(body)


def test_lowest_unit_of_one_cycle_wins():
    async def body(host):
        rng = random.Random(2)
        for _ in range(12):
            units = rng.sample(list(Unit), rng.randint(1, 5))
            for unit in units:
                host.fault(unit, ErrorCode.ADDRESS_RANGE, 10 * unit)
            host.ctx.set(host.dut.semaphore_misuse, rng.randrange(2))
            host.ctx.set(host.dut.semaphore_unit, Unit.STORE)
            await host.cycle()
            host.ctx.set(host.dut.semaphore_misuse, 0)
            await host.cycle()
            assert await host.read("ERROR") == ErrorCode.ADDRESS_RANGE | min(units) << 8
            assert await host.read("ERROR_PC") == 10 * min(units)
            await host.reset()

    check(body)


@pytest.mark.parametrize("unit", Unit)
def test_misused_semaphore(unit):
    async def body(host):
        await host.write("CONTROL", Control.START)
        for each in Unit:
            host.ctx.set(getattr(host.dut, f"fault_{each.name.lower()}").pc, 40 + each)
        host.ctx.set(host.dut.semaphore_unit, unit)
        await host.pulse("semaphore_misuse")
        host.ctx.set(host.dut.semaphore_unit, 0)
        await host.cycle(2)
        assert await host.read("ERROR") == ErrorCode.SEMAPHORE | unit << 8
        assert await host.read("ERROR_PC") == 40, "the sequencer's"
        assert await host.status() == Status.ERROR

    check(body)


def test_fault_without_a_program_running():
    """A bus error of the prefetch stops the core before START."""

    async def body(host):
        host.fault(Unit.SEQUENCER, ErrorCode.BUS_READ, 0)
        await host.cycle(3)
        assert await host.status() == Status.ERROR
        await host.write("CONTROL", Control.START)
        await host.cycle(2)
        assert host.count("start") == 0

    check(body)


def test_fault_together_with_done_is_an_error():
    async def body(host):
        await host.write("CONTROL", Control.START)
        host.fault(Unit.STORE, ErrorCode.BUS_WRITE, 9)
        await host.pulse("done")
        await host.cycle(2)
        assert await host.status() == Status.ERROR
        assert await host.read("IRQ_PENDING") == Interrupt.ERROR

    check(body)


def test_fault_after_done_is_an_error():
    """A program that failed late has not ended well: DONE does not stay."""

    async def body(host):
        await host.cycle(2)
        await host.write("CONTROL", Control.START)
        await host.pulse("done")
        assert await host.status() == Status.DONE
        await host.pulse("semaphore_misuse")
        await host.cycle(2)
        assert await host.status() == Status.ERROR

    check(body)


def test_interrupts():
    async def body(host):
        async def program():
            await host.write("CONTROL", Control.START)
            await host.cycle(3)
            await host.pulse("done")

        await program()
        assert await host.read("IRQ_PENDING") == Interrupt.DONE, "pending without enable"
        assert host.count("irq") == 0
        await host.write("IRQ_ENABLE", Interrupt.DONE)
        await host.cycle(2)
        assert host.ctx.get(host.dut.irq)
        await host.write("IRQ_PENDING", Interrupt.ERROR)
        assert await host.read("IRQ_PENDING") == Interrupt.DONE, "other bits stay"
        await host.write("CONTROL", Control.START)
        assert await host.read("IRQ_PENDING") == Interrupt.DONE, "START acknowledges nothing"
        await host.pulse("done")
        await host.write("IRQ_PENDING", Interrupt.DONE)
        await host.cycle(2)
        assert not host.ctx.get(host.dut.irq)
        await host.write("IRQ_ENABLE", Interrupt.ERROR)
        await program()
        await host.cycle(2)
        assert not host.ctx.get(host.dut.irq)
        # The event wins over an acknowledgement in the same cycle.
        await host.write("CONTROL", Control.START)
        host.ctx.set(host.dut.done, 1)
        await host.write("IRQ_PENDING", Interrupt.DONE)
        host.ctx.set(host.dut.done, 0)
        assert await host.read("IRQ_PENDING") == Interrupt.DONE

    check(body)


def test_abort():
    async def body(host):
        ctx, dut = host.ctx, host.dut
        await host.write("CONTROL", Control.ABORT)
        assert await host.status() == 0, "nothing to abort"
        await host.write("CONTROL", Control.START)
        ctx.set(dut.bus_idle, 0)
        await host.cycle(4)
        await host.write("CONTROL", Control.ABORT)
        assert ctx.get(dut.halt)
        await host.cycle(30)
        assert await host.status() == Status.ABORTED | Status.RUNNING
        await host.pulse("done")
        ctx.set(dut.bus_idle, 1)
        assert await host.status() == Status.ABORTED
        assert await host.read("CYCLES") == 5
        assert await host.read("IRQ_PENDING") == 0
        host.fault(Unit.LOAD, ErrorCode.BUS_READ, 1)
        await host.cycle(3)
        assert await host.status() == Status.ABORTED, "what happens after the halt is no error"
        assert host.count("soft_reset") == 0
        await host.reset()
        assert await host.status() == 0
        assert not ctx.get(dut.halt)

    check(body)


@pytest.mark.parametrize("running", [False, True])
def test_reset_waits_for_the_bus(running):
    async def body(host):
        ctx, dut = host.ctx, host.dut
        await host.write("LENGTH", 5)
        if running:
            await host.write("CONTROL", Control.START)
        ctx.set(dut.bus_idle, 0)
        # RESET comes before the other bits.
        await host.write("CONTROL", Control.RESET | Control.ABORT | Control.START)
        assert ctx.get(dut.halt)
        await host.cycle(50)
        assert await host.status() == Status.RUNNING
        # A gap between two bursts is not the end.
        ctx.set(dut.bus_idle, 1)
        await host.cycle(SETTLE_CYCLES - 1)
        ctx.set(dut.bus_idle, 0)
        await host.cycle(20)
        assert host.count("soft_reset") == 0
        ctx.set(dut.bus_idle, 1)
        before = len(host.trace)
        await host.cycle(5 * SETTLE_CYCLES)
        assert host.count("soft_reset") == SETTLE_CYCLES >= 2
        rows = host.trace[before:]
        assert all(row["halt"] for row in rows if row["soft_reset"])
        assert not rows[-1]["halt"]
        assert host.count("program_write") == 0, "PROGRAM was never written"
        assert host.count("start") == running
        assert await host.status() == 0
        assert await host.read("LENGTH") == 5

    check(body)


def test_second_reset_waits_no_longer():
    async def body(host):
        host.ctx.set(host.dut.bus_idle, 0)
        await host.write("CONTROL", Control.RESET)
        await host.cycle(100)
        assert host.count("soft_reset") == 0
        await host.write("CONTROL", Control.RESET)
        await host.cycle(2 * SETTLE_CYCLES)
        assert host.count("soft_reset") == SETTLE_CYCLES
        assert not host.ctx.get(host.dut.halt)
        assert await host.status() == 0

    check(body)


def test_reset_during_reset_is_ignored():
    async def body(host):
        for delay in range(3 * SETTLE_CYCLES):
            await host.write("CONTROL", Control.RESET)
            await host.cycle(delay)
            await host.write("CONTROL", Control.RESET)
            await host.cycle(5 * SETTLE_CYCLES)
            assert await host.status() == 0
            assert not host.ctx.get(host.dut.halt)

    check(body)


@pytest.mark.parametrize("after", ["power-up", "reset"])
def test_start_waits_for_units_that_leave_a_reset(after):
    """Nothing starts and no error counts until the last of them has; then START does, once."""

    async def body(host):
        host.ctx.set(host.dut.resetting, 1)
        if after == "reset":
            await host.reset_units()
        before = len(host.trace)
        await host.write("CONTROL", Control.START)
        await host.pulse("semaphore_misuse")
        await host.cycle(20)
        assert host.count("start", before) == 0
        assert await host.status() == Status.RUNNING
        left = len(host.trace)
        host.ctx.set(host.dut.resetting, 0)
        await host.cycle(20)
        starts = [row["start"] for row in host.trace[left:]]
        assert starts.index(1) == 2 and sum(starts) == 1
        await host.pulse("done")
        assert await host.status() == Status.DONE

    check(body)


def test_reset_forgets_a_start_that_waits():
    async def body(host):
        host.ctx.set(host.dut.resetting, 1)
        await host.write("CONTROL", Control.START)
        await host.write("CONTROL", Control.RESET)
        await host.cycle(5 * SETTLE_CYCLES)
        host.ctx.set(host.dut.resetting, 0)
        await host.cycle(5 * SETTLE_CYCLES)
        assert host.count("soft_reset") == SETTLE_CYCLES
        assert host.count("start") == 0
        assert await host.status() == 0

    check(body)


def test_program_is_fetched_when_written_and_after_reset():
    async def body(host):
        await host.write("PROGRAM", 0x1240)
        await host.cycle(3)
        assert host.count("program_write") == 1
        assert host.settings["PROGRAM"] == 0x1240
        before = len(host.trace)
        await host.reset()
        await host.cycle(2)
        rows = host.trace[before:]
        pulses = [cycle for cycle, row in enumerate(rows) if row["program_write"]]
        last_reset = max(cycle for cycle, row in enumerate(rows) if row["soft_reset"])
        assert len(pulses) == 1 and pulses[0] > last_reset
        assert not rows[pulses[0]]["halt"]
        assert await host.read("PROGRAM") == 0x1240

    check(body)


def test_program_written_while_running_is_put_off():
    async def body(host):
        await host.write("CONTROL", Control.START)
        await host.write("PROGRAM", 0x2000)
        await host.cycle(9)
        assert host.count("program_write") == 0
        await host.pulse("done")
        await host.write("CONTROL", Control.START)
        await host.cycle(3)
        assert host.count("program_write") == 1
        order = [name for row in host.trace for name in ("program_write", "start") if row[name]]
        assert order == ["start", "program_write", "start"]

    check(body)


@pytest.mark.parametrize("name", ["tiny", "small"])
@pytest.mark.parametrize("limit", [1, 2, 3, 10, 200])
def test_watchdog(limit, name):
    """Never early, and at most two rounds late."""
    config = preset(name)
    period = 2 * len(scan(config))

    async def body(host):
        ctx, dut = host.ctx, host.dut
        await host.write("WATCHDOG", limit)
        await host.cycle(300)
        assert await host.status() == 0, "only a running program"
        ctx.set(dut.events, {"load_beats": 1})
        await host.write("CONTROL", Control.START)
        await host.cycle(5)
        for quiet in (limit - 1, limit - 1, 0):
            ctx.set(dut.events, {})
            await host.cycle(quiet)
            ctx.set(dut.events, {"load_beats": 1})
            await host.cycle()
        assert not ctx.get(dut.halt), "one cycle short"
        ctx.set(dut.events, {})
        host.fault(Unit.SEQUENCER, 0, 123)
        quiet = 0
        while not ctx.get(dut.halt):
            await host.cycle()
            quiet += 1
        assert limit <= quiet <= limit + 2 * period + 4
        assert await host.status() == Status.ERROR
        assert await host.read("ERROR") == ErrorCode.WATCHDOG | Unit.SEQUENCER << 8
        assert await host.read("ERROR_PC") == 123
        assert await host.read("WATCHDOG") == limit

    check(body, config, deadline=250_000)


def test_watchdog_of_zero_never_fires_and_may_change():
    async def body(host):
        await host.write("CONTROL", Control.START)
        await host.cycle(300)
        assert await host.status() == Status.RUNNING
        await host.write("WATCHDOG", 140)
        await host.cycle(100)
        await host.write("WATCHDOG", 160)
        await host.cycle(120)
        assert await host.status() == Status.RUNNING
        await host.write("WATCHDOG", 0)
        await host.cycle(300)
        assert await host.status() == Status.RUNNING
        await host.write("WATCHDOG", 20)
        await host.cycle(24 + 2 * PERIOD)
        assert await host.status() == Status.ERROR

    check(body)


class System(Elaboratable):
    """The block behind AXI4-Lite, with the reader whose bursts it waits for."""

    def __init__(self):
        self.lite = AxiLiteSlave()
        self.control = ControlBlock(CONFIG)
        self.reader = AxiReader(CONFIG)

    def elaborate(self, platform):
        m = Module()
        m.submodules.lite = self.lite
        m.submodules.control = self.control
        m.submodules.reader = self.reader
        connect(m, self.lite.port, self.control.port)
        m.d.comb += [
            self.control.bus_idle.eq(self.reader.idle),
            self.reader.client_0.data.ready.eq(1),
        ]
        return m


class AxiHost:
    """Reads and writes registers on AXI4-Lite."""

    def __init__(self, ctx, axi, rng, p):
        self.ctx, self.axi, self.rng, self.p = ctx, axi, rng, p

    async def write(self, name, value):
        axi = self.axi
        await put(self.ctx, axi.awvalid, axi.awready, [(axi.awaddr, offsets()[name])])
        await put(self.ctx, axi.wvalid, axi.wready, [(axi.wdata, value), (axi.wstrb, 15)])
        (response,) = await get(self.ctx, axi.bvalid, axi.bready, [axi.bresp], self.rng, self.p)
        assert response == 0

    async def read(self, name):
        axi = self.axi
        await put(self.ctx, axi.arvalid, axi.arready, [(axi.araddr, offsets()[name])])
        value, response = await get(
            self.ctx, axi.rvalid, axi.rready, [axi.rdata, axi.rresp], self.rng, self.p)
        assert response == 0
        return value


@pytest.mark.parametrize("p", [1.0, 0.3])
def test_random_registers_on_the_bus(p):
    """Writable registers and counters, in any order, against plain variables."""
    rng = random.Random(4)
    system = System()

    async def bench(ctx):
        host = AxiHost(ctx, system.lite.bus, rng, p)
        values = {"WATCHDOG": 0, "LENGTH": 0, "POSITION": 0, "IRQ_ENABLE": 0, "PROGRAM": 0}
        masks = {"IRQ_ENABLE": 3}
        for _ in range(120):
            name = rng.choice(list(values))
            if rng.random() < 0.5:
                value = rng.getrandbits(32)
                await host.write(name, value)
                values[name] = value & masks.get(name, 0xFFFFFFFF)
            else:
                assert await host.read(name) == values[name]
            if rng.random() < 0.2:
                assert await host.read(rng.choice(list(counter_offsets(CONFIG)))) == 0

    simulate(system, bench)


@pytest.mark.parametrize("command", [Control.ABORT, Control.RESET])
def test_stop_with_bursts_under_way(command):
    """RUNNING stays until the last beat has been delivered; the reset waits for it too."""
    rng = random.Random(5)
    system = System()
    client = system.reader.client_1
    memory = ReadMemory(system.reader.axi, lambda address: (address, 0), 2, rng, 0.5, latency=60)
    requests = [{"address": 64 * index, "last": 15} for index in range(2)]
    delivered = []

    async def ask(ctx):
        await send(ctx, client.request, requests, rng, 1.0)

    async def collect(ctx):
        delivered.extend(await take(ctx, client.data, 32, rng, 0.7))

    async def watch_reset(ctx):
        while True:
            await ctx.tick()
            if ctx.get(system.control.soft_reset):
                assert len(delivered) == 32

    async def bench(ctx):
        host = AxiHost(ctx, system.lite.bus, rng, 1.0)
        await host.write("CONTROL", Control.START)
        await host.write("CONTROL", command)
        flag = Status.ABORTED if command == Control.ABORT else 0
        polls = 0
        while (status := await host.read("STATUS")) & Status.RUNNING:
            assert status == flag | Status.RUNNING
            polls += 1
        assert polls > 5 and status == flag
        assert len(delivered) == 32

    simulate(system, ask, collect, bench,
             background=(memory.addresses, memory.data, watch_reset))  # fmt: skip


@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_verilog(name):
    assert "module" in verilog.convert(ControlBlock(preset(name)), emit_src=False)
