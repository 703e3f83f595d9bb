"""The functional machine in the place of a core: a device without time."""

from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION, Register
from systolith_hw.registers import IDENTITY, OFFSETS, Control, Status, counter_offsets

from ..machine import Machine
from .device import Device

__all__ = ["MachineDevice"]


class MachineDevice(Device):
    """Runs a program at the moment it is started.

    Parameters
    ----------
    config : Config
    memory_bytes : int
    cycles : int
        What each program is said to take; the machine itself counts none.

    Attributes
    ----------
    machine : Machine
    registers : dict of int
        By offset.
    """

    def __init__(self, config: Config, memory_bytes: int, *, cycles: int = 0) -> None:
        super().__init__(config, memory_bytes)
        self.machine = Machine(config, memory_bytes)
        self.registers = {
            OFFSETS["ID"]: IDENTITY,
            OFFSETS["VERSION"]: ISA_VERSION,
            OFFSETS["CONFIG_HASH"]: config.hash,
        }
        self._cycles = cycles

    def read_register(self, offset: int) -> int:
        """Return the 32-bit register at byte ``offset``."""
        return self.registers.get(offset, 0)

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at byte ``offset``."""
        self.registers[offset] = value
        if offset == OFFSETS["CONTROL"] and value == Control.START:
            self._run()

    def wait(self, cycles: int) -> bool:
        """Return true: whatever was started has ended."""
        return True

    def _run(self) -> None:
        program = self.machine.memory.array[self.registers[OFFSETS["PROGRAM"]] :].tobytes()
        settings: dict[int, int] = {
            Register[name]: self.registers[OFFSETS[name]] for name in ("LENGTH", "POSITION")
        }
        counts = {**self.machine.run(program, settings).counts, "CYCLES": self._cycles}
        for name, offset in counter_offsets(self.config).items():
            self.registers[offset] = counts.get(name, 0)
        self.registers[OFFSETS["STATUS"]] = Status.DONE

    def _read(self, address: int, count: int) -> bytes:
        return self.machine.memory.array[address : address + count].tobytes()

    def _write(self, address: int, data: bytes) -> None:
        self.machine.memory.write(address, data)
