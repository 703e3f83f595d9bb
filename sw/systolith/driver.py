"""Drive a core through its registers: load a program, run it, and say in words what went wrong."""

from __future__ import annotations

import typing
from collections.abc import Callable

from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import ISA_VERSION, ErrorCode, Unit, decode
from systolith_hw.registers import (
    COUNTERS,
    IDENTITY,
    OFFSETS,
    Control,
    Interrupt,
    Status,
    counter_offsets,
)

if typing.TYPE_CHECKING:
    from systolith_sim.device.device import Device

__all__ = [
    "BEHIND",
    "CoreError",
    "Counters",
    "Driver",
    "DriverError",
    "ForeignCoreError",
    "ForeignProgramError",
]

WORDS = {
    ErrorCode.ILLEGAL_INSTRUCTION: "an illegal instruction, or an undefined kind of one",
    ErrorCode.ADDRESS_RANGE: "an address outside its memory, or beyond what the bus can address",
    ErrorCode.SEMAPHORE: "a semaphore that the core does not have, or posted beyond its range",
    ErrorCode.BUS_READ: "external memory refused a read",
    ErrorCode.BUS_WRITE: "external memory refused a write",
    ErrorCode.WATCHDOG: "nothing moved for as long as the watchdog allows: the program blocks",
    ErrorCode.ZERO_COUNT: "a count of zero where at least one is needed",
    ErrorCode.LOOP: "loops too deep, or a loop body that does not fit the program memory",
    ErrorCode.MISALIGNED: "an external address or stride that is not a multiple of the port",
}

BEHIND = (ErrorCode.SEMAPHORE, ErrorCode.WATCHDOG)
"""Errors that are found behind an instruction; the core knows only where the sequencer is by then,
not which instruction it was."""

SETTLE_LOOKS, SETTLE_CYCLES = 100, 100
"""How often and how far apart to look whether the bus is quiet, after abort and reset."""

POLL_CYCLES = 1 << 20
"""Most cycles between two looks at the status."""

LOOK_CYCLES = 1000
"""Cycles between two looks at a short program."""


class DriverError(RuntimeError):
    """The core cannot do what it is asked for."""


class ForeignCoreError(DriverError):
    """The device is not the core that the config describes."""


class ForeignProgramError(DriverError):
    """A program was compiled for another configuration."""


class CoreError(DriverError):
    """A program stopped with an error.

    Parameters
    ----------
    code : int
        An :class:`~systolith_hw.isa.ErrorCode`, or a number that is none.
    unit : int
        A :class:`~systolith_hw.isa.Unit`, or a number that is none.
    pc : int
        Index of the instruction in the program; for SEMAPHORE and WATCHDOG the one that the
        sequencer was at.
    instruction : str
        That instruction in words, or nothing if the program is unknown.
    """

    def __init__(self, code: int, unit: int, pc: int, instruction: str = "") -> None:
        self.code = ErrorCode(code) if code in list(ErrorCode) else code
        self.unit = Unit(unit) if unit in list(Unit) else unit
        self.pc = pc
        self.instruction = instruction
        name = getattr(self.code, "name", f"code {code}")
        where = getattr(self.unit, "name", f"unit {unit}").lower()
        meaning = WORDS.get(typing.cast(ErrorCode, self.code), "an error this driver does not know")
        at = "while the sequencer was at" if self.code in BEHIND else "at"
        words = f" ({instruction})" if instruction else ""
        super().__init__(f"{name} in {where} {at} instruction {pc}{words}: {meaning}")


class Counters(dict[str, int]):
    """The counters of a run by name; says why one is not there."""

    def __missing__(self, name: str) -> int:
        """Raise what tells most."""
        counters = {counter.name: counter for counter in COUNTERS}
        if name not in counters:
            raise KeyError(name)
        setting = "vector.rows" if counters[name].rows else "control.stall_counters"
        raise DriverError(f"the core does not count {name}: it was generated without {setting}")


class Driver:
    """Runs programs on a core.

    Parameters
    ----------
    device : Device
        The core with its memory.
    config : Config
        What programs are compiled for; the core must have been generated from it.
    describe : callable
        Gives the instruction at a program address in words, for error messages. Without it
        the program that was loaded is disassembled.

    Raises
    ------
    ForeignCoreError
        If the device answers with another identity, ISA version or configuration.
    """

    def __init__(
        self, device: Device, config: Config, *, describe: Callable[[int], str] | None = None
    ) -> None:
        self.device = device
        self.config = config
        self._describe = describe or self._disassemble
        self._program = b""
        self._program_address: int | None = None
        self._resetting = self._interrupts = False
        self._check_identity()

    def _check_identity(self) -> None:
        identity = self.read("ID")
        if identity != IDENTITY:
            raise ForeignCoreError(
                f"this is not a Systolith core: ID reads {identity:#010x}, not {IDENTITY:#010x}"
            )
        version = self.read("VERSION")
        if version != ISA_VERSION:
            raise ForeignCoreError(
                f"the core has instruction set {version}, this software has {ISA_VERSION}: "
                "generate the core again, or use the software it came with"
            )
        core_hash = self.read("CONFIG_HASH")
        if core_hash != self.config.hash:
            raise ForeignCoreError(
                f"the core was generated from configuration {core_hash:08x}, not from "
                f"{self.config.hash:08x}: use its own preset and settings"
            )

    def read(self, register: str) -> int:
        """Return a register of :data:`systolith_hw.registers.REGISTERS` by its name."""
        return self.device.read_register(OFFSETS[register])

    def write(self, register: str, value: int) -> None:
        """Write a register of :data:`systolith_hw.registers.REGISTERS` by its name."""
        self.device.write_register(OFFSETS[register], value)

    @property
    def status(self) -> Status:
        """What the core says it does."""
        return Status(self.read("STATUS"))

    def load_program(
        self, address: int, program: bytes, *, config_hash: int | None = None
    ) -> None:
        """Put a program into external memory and have the core fetch it.

        Parameters
        ----------
        address : int
            A multiple of the instruction size and of the port.
        program : bytes
            Whole instructions.
        config_hash : int
            The configuration it was compiled for, if that is known.
        """
        if config_hash is not None and config_hash != self.config.hash:
            raise ForeignProgramError(
                f"the program was compiled for configuration {config_hash:08x}, and the core is "
                f"{self.config.hash:08x}: compile it again"
            )
        unit = max(INSTRUCTION_BYTES, self.config.bus.data_bytes)
        if address % unit:
            raise DriverError(f"the program's address must be a multiple of {unit}, not {address}")
        if not program or len(program) % INSTRUCTION_BYTES:
            raise DriverError(
                f"a program is one or more instructions of {INSTRUCTION_BYTES} bytes, not "
                f"{len(program)} bytes"
            )
        self.device.write_memory(address, program)
        self._program = bytes(program)
        self._program_address = address
        self.write("PROGRAM", address)

    def run(
        self, address: int | None = None, *, length: int = 0, position: int = 0,
        watchdog: int = 100_000, timeout: int = 1 << 40,
    ) -> dict[str, int]:  # fmt: skip
        """Run a program to its end and return the counters by name.

        Parameters
        ----------
        address, length, position, watchdog
            As for :meth:`start`.
        timeout : int
            Cycles after which the program is aborted, progress or not.

        Raises
        ------
        CoreError
            The program met an error; call :meth:`reset` before the next one.
        TimeoutError
            It did not end in time; it has been aborted.
        """
        self.start(address, length=length, position=position, watchdog=watchdog)
        if not self.advance(timeout):
            self.abort()
            raise TimeoutError(f"the program did not end within {timeout} cycles; it was aborted")
        return self.counters()

    def start(
        self, address: int | None = None, *, length: int = 0, position: int = 0,
        watchdog: int = 100_000,
    ) -> None:  # fmt: skip
        """Start a program.

        Parameters
        ----------
        address : int
            A program that is already in memory, which is fetched; without it the one of the last
            start or :meth:`load_program`, which the core may keep: it does not see what has been
            written over it since.
        length, position : int
            Runtime registers 1 and 2.
        watchdog : int
            Cycles without any progress after which the core gives up; 0 for never.
        """
        status = self.status
        if status & Status.RUNNING:
            raise DriverError("a program is running already")
        if status & (Status.ERROR | Status.ABORTED):
            raise DriverError("the last program was stopped; call reset before the next one")
        if address is not None:
            self._program, self._program_address = b"", address
            self.write("PROGRAM", address)
        if self._program_address is None:
            raise DriverError("there is no program: call load_program first, or give its address")
        self.write("LENGTH", length)
        self.write("POSITION", position)
        self.write("WATCHDOG", watchdog)
        self._interrupts = True
        self.write("IRQ_ENABLE", Interrupt.DONE | Interrupt.ERROR)
        self.write("IRQ_PENDING", Interrupt.DONE | Interrupt.ERROR)
        self.write("CONTROL", Control.START)

    def rerun(
        self, address: int | None = None, *, position: int = 0, timeout: int = 1 << 40
    ) -> int:
        """Run a short program in memory and return its cycles, with as few accesses as can be.

        Length and watchdog are those of the last :meth:`start`, which must have been. Interrupts
        are off until the next one: over a line the program has ended before one could tell of it.

        Parameters
        ----------
        address : int
            Of another program than the last one; what is kept of that is not fetched again.
        position : int
            Runtime register 2.
        timeout
            As for :meth:`run`.

        Raises
        ------
        CoreError, TimeoutError
            As from :meth:`run`.
        """
        if self._interrupts:
            self.write("IRQ_ENABLE", 0)
            self._interrupts = False
        if address is not None and address != self._program_address:
            self._program, self._program_address = b"", address
            self.write("PROGRAM", address)
        self.write("POSITION", position)
        self.write("CONTROL", Control.START)
        waited = 0
        while not self._has_ended(self.status):
            if waited >= timeout:
                self.abort()
                raise TimeoutError(f"the program did not end within {timeout} cycles")
            self.device.wait(LOOK_CYCLES)
            waited += LOOK_CYCLES
        return self.device.read_register(counter_offsets(self.config)["CYCLES"])

    def advance(self, cycles: int) -> bool:
        """Let a program that was started go on for ``cycles``; return whether it has ended.

        Raises
        ------
        CoreError
            The program met an error; call :meth:`reset` before the next one.
        """
        return self._has_ended(self._wait(cycles))

    def _has_ended(self, status: Status) -> bool:
        """Return whether a status is that of a program that has ended, and not by an error."""
        if status & Status.ERROR:
            self._raise_error()
        if status & Status.RUNNING:
            return False
        if not status & Status.DONE:
            raise DriverError(f"the core stopped without a reason: status {status!r}")
        return True

    def _wait(self, cycles: int) -> Status:
        """Wait for the end of a program, at most ``cycles`` cycles; return the status."""
        while cycles > 0:
            step = min(cycles, POLL_CYCLES)
            interrupted = self.device.wait(step)
            cycles -= step
            status = self.status
            if interrupted or not status & Status.RUNNING:
                return status
        return self.status

    def _settle(self) -> Status:
        """Wait until the core is off the bus, for a limited time; return the status."""
        for _ in range(SETTLE_LOOKS):
            status = self.status
            if not status & Status.RUNNING:
                break
            self.device.wait(SETTLE_CYCLES)
        return status

    def _raise_error(self) -> typing.NoReturn:
        error = self.read("ERROR")
        pc = self.read("ERROR_PC")
        raise CoreError(error & 0xFF, error >> 8 & 0xFF, pc, self._describe(pc))

    def counters(self) -> dict[str, int]:
        """Return all counters that the core has, of the last run, by name."""
        offsets = counter_offsets(self.config)
        return Counters(
            (name, self.device.read_register(offset)) for name, offset in offsets.items()
        )

    def abort(self) -> None:
        """Stop the running program; the core needs :meth:`reset` before the next one."""
        self.write("CONTROL", Control.ABORT)
        self._settle()

    def reset(self, *, force: bool = False) -> None:
        """Bring the core to its state after power-up; memories keep their contents.

        Parameters
        ----------
        force : bool
            Do not wait until memory has answered. Only where it never does, and its side of the bus
            is reset, too: else answers to what was asked before come to a core that does not
            expect them.

        Raises
        ------
        DriverError
            Memory has not answered in time; another call waits on.
        """
        if not self.status & Status.RUNNING:
            self._resetting = False
        # A second RESET, while the first one waits, forces.
        for _ in range((not self._resetting) + force):
            self.write("CONTROL", Control.RESET)
        self._resetting = bool(self._settle() & Status.RUNNING)
        if self._resetting:
            raise DriverError(
                "the core is not idle after a reset; reset the whole device" if force else
                "the reset waits for memory to answer: call reset again, or reset memory's side of "
                "the bus, and then call reset(force=True)"
            )  # fmt: skip

    def _disassemble(self, pc: int) -> str:
        raw = self._program[pc * INSTRUCTION_BYTES : (pc + 1) * INSTRUCTION_BYTES]
        if len(raw) < INSTRUCTION_BYTES:
            return ""
        try:
            instruction, values = decode(raw)
        except ValueError as error:
            return str(error)
        fields = (f"{name}={value}" for name, value in values.items() if value)
        words = (word for word in fields if not word.startswith("opcode="))
        return " ".join([instruction.opcode.name, *words])
