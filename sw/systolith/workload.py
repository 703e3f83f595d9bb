"""Programs with all they need, and their runs on the machine and on simulated hardware."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import INSTRUCTION_BYTES, Config, ConfigError
from systolith_hw.isa import Register
from systolith_hw.registers import Status
from systolith_sim.device import VerilatedDevice
from systolith_sim.device.device import Device
from systolith_sim.machine import Machine
from systolith_sim.timing import is_modelled, replay

from .compiler.layout import pad
from .compiler.roofline import roofline_cycles
from .driver import Driver, DriverError
from .link.ports import SIMULATED, is_port, split_port
from .progress import Progress
from .watched_device import WatchedDevice

if TYPE_CHECKING:
    from .link.serial_device import SerialDevice

__all__ = [
    "CLOCK_MHZ", "FREQUENCY", "ORDER", "Outcome", "Workload", "clock_mhz_of", "let_fetch",
    "moved_bytes", "open_device", "timed",
]  # fmt: skip

CLOCK_MHZ = 80.0
"""At which cycles are told as time, unless another clock is given."""

FREQUENCY = 100e6
"""Cycles per second at which benchmarks tell tokens per second."""

PAGE = 4096

FETCH_LATENCY = 500
"""More cycles than the first beats of a program take to come."""

ORDER = ("setup", "main", "readout")
"""In which programs run; not every workload has all. Only main is measured."""


@dataclass(frozen=True)
class Outcome:
    """What a workload left behind.

    Parameters
    ----------
    memory : (bytes,) uint8
        External memory.
    counters : dict
        Of main: the hardware's, or those that the machine has.
    seconds : float
        Of this computer's time for all programs.
    """

    memory: NDArray[np.uint8]
    counters: dict[str, int]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Programs, by the names in :data:`ORDER`, and external memory at their start.

    Parameters
    ----------
    config : Config
    size : int
        Bytes of external memory.
    parts : dict of bytes
        Its contents by address, without the programs.
    programs : dict
        Address and instructions of each program.
    length : int
        Runtime register 1.
    expected_cycles : float
        About how many cycles all programs take.
    """

    config: Config
    size: int
    parts: Mapping[int, bytes]
    programs: Mapping[str, tuple[int, bytes]]
    length: int = 0
    expected_cycles: float = 0.0

    def predict(self, progress: Progress | None = None) -> Outcome:
        """Return what the functional machine gives.

        It refuses programs whose outcome could depend on timing.
        """
        (progress or Progress())("running the functional machine")
        begin = time.perf_counter()
        machine = Machine(self.config, pad(self.size, PAGE))
        for address, part in self.parts.items():
            machine.memory.write(address, part)
        counters: dict[str, int] = {}
        for name, (address, program) in self._in_order().items():
            machine.memory.write(address, program)
            ran = machine.run(program, {Register.LENGTH: self.length}).counts
            counters = ran if name == "main" else counters
        seconds = time.perf_counter() - begin
        return Outcome(machine.memory.array[: self.size], counters, seconds)

    def estimate(self) -> int | None:
        """Return main's cycles by the times of its instructions; None for cores without those."""
        if not is_modelled(self.config):
            return None
        address, program = self.programs["main"]
        return replay(
            self.config, program, address=address, parts=self.parts,
            registers={Register.LENGTH: self.length},
        ).cycles  # fmt: skip

    def execute(self, device: Device) -> Outcome:
        """Return what a device gives."""
        begin = time.perf_counter()
        for address, part in self.parts.items():
            device.write_memory(address, part)
        driver = Driver(device, self.config)
        counters: dict[str, int] = {}
        for name, (address, program) in self._in_order().items():
            driver.load_program(address, program, config_hash=self.config.hash)
            let_fetch(driver, device)
            ran = driver.run(length=self.length)
            counters = ran if name == "main" else counters
        seconds = time.perf_counter() - begin
        memory = np.frombuffer(device.read_memory(0, self.size), np.uint8)
        return Outcome(memory, counters, seconds)

    def simulate(self, simulator: str, progress: Progress, what: str) -> Outcome:
        """Return what a simulated core gives; ``what`` it does is told on the way."""
        with open_device(self.config, self.size, simulator, progress) as device:
            progress(f"running {what} in {simulator}")
            return self.execute(WatchedDevice(device, progress, self.expected_cycles))

    def _in_order(self) -> dict[str, tuple[int, bytes]]:
        return {name: self.programs[name] for name in ORDER if name in self.programs}


def let_fetch(driver: Driver, device: Device) -> None:
    """Give the core time to fetch as much of the program as it keeps, before it is started.

    What a host writes to memory before a start takes time, too, but none in a simulation.
    """
    config = driver.config
    kept = config.memory.program_instructions * INSTRUCTION_BYTES
    driver.write("IRQ_ENABLE", 0)  # else the end of the program before would end the wait
    device.wait(2 * kept // config.bus.data_bytes + FETCH_LATENCY)


def open_device(
    config: Config, size: int, simulator: str, progress: Progress, *, activity: int = 0
) -> Device:
    """Return a core with external memory of ``size`` bytes or more.

    Parameters
    ----------
    config : Config
    size : int
    simulator : str
        "verilator" or "icarus", or the serial port of a board, as in ``/dev/ttyUSB0`` or
        ``/dev/ttyUSB0@1000000`` with its rate.
    progress : Progress
    activity : int
        Count what units do, in bins of so many cycles; 0 to do without.

    Raises
    ------
    ConfigError
        If there is no such simulator.
    DriverError, DeviceError
        If the board does not answer, has another core, or too little memory.
    """
    if simulator.startswith(SIMULATED):
        from .link.simulated import SimulatedBoard

        return _with_room(SimulatedBoard(config, simulator, progress), size, simulator)
    if is_port(simulator):
        return _open_board(config, size, simulator, progress, activity)
    size = pad(size, PAGE)
    if simulator == "verilator":
        return VerilatedDevice(config, memory_bytes=size, report=progress, activity=activity)
    if activity:
        raise ConfigError(f"{simulator} does not tell what units do; verilator does")
    if simulator in ("icarus", "netlist"):
        from systolith_sim.device.icarus import IcarusDevice

        verilog = None
        if simulator == "netlist":
            from systolith_fpga.post_synthesis import synthesised_core

            verilog = synthesised_core(config, report=progress)
        return IcarusDevice(config, memory_bytes=size, report=progress, verilog=verilog)
    raise ConfigError(f"there is no simulator {simulator}; known are verilator, icarus, netlist, "
                      "and serial ports such as /dev/ttyUSB0")


def _open_board(
    config: Config, size: int, port: str, progress: Progress, activity: int
) -> Device:
    """Return the core behind a serial port."""
    from .link.serial_device import SerialDevice

    if activity:
        raise ConfigError("a board does not tell what units do; verilator does")
    name, baud = split_port(port)
    progress(f"looking for a board at {name}")
    device = _with_room(SerialDevice(config, name, baud=baud, progress=progress), size, name)
    try:
        _wake(Driver(device, config))
    except BaseException:
        device.close()
        raise
    return device


def _with_room(device: "SerialDevice", size: int, name: str) -> "SerialDevice":
    """Return a board that has so much memory; close it otherwise."""
    if device.memory_bytes < size:
        device.close()
        raise DriverError(
            f"{device.identity.board} at {name} has {device.memory_bytes:,} bytes of memory, and "
            f"the program needs {size:,}: take a smaller model or a larger board"
        )
    return device


def _wake(driver: Driver) -> None:
    """Bring a core to its state after power-up, whatever whoever used it before has left."""
    if driver.status & Status.RUNNING:
        driver.abort()
    driver.reset()


def clock_mhz_of(device: Device, asked: float | None) -> float:
    """Return the clock at which a device's cycles are told as time: that of a board is known."""
    return asked or (getattr(device, "clock_hz", None) or CLOCK_MHZ * 1e6) / 1e6


def moved_bytes(config: Config, counters: Mapping[str, int]) -> int:
    """Return all that crossed the port: data both ways, and the program."""
    names = ("LOAD_BEATS", "STORE_BEATS", "FETCH_BEATS")
    return config.bus.data_bytes * sum(counters.get(name, 0) for name in names)


def timed(
    config: Config, counters: Mapping[str, int], seconds: float, *, macs: int,
    compulsory_bytes: int,
) -> dict[str, Any]:  # fmt: skip
    """Return what counters say of useful work, by the names that measurements have for it.

    What needs the hardware's time is None where it was not measured.
    """
    array, cycles = config.array, counters.get("CYCLES")
    roofline = roofline_cycles(config, macs, compulsory_bytes)
    return {
        "port_bytes": config.bus.data_bytes, "macs": macs, "cycles": cycles,
        "utilization": cycles and macs / (cycles * array.rows * array.columns),
        "bytes": moved_bytes(config, counters), "compulsory_bytes": compulsory_bytes,
        "roofline_cycles": roofline, "roofline_utilization": cycles and roofline / cycles,
        "simulated_per_second": cycles and cycles / seconds,
    }  # fmt: skip
