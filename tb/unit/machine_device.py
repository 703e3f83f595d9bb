"""A device in which the functional machine stands in for the core."""

from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION, Register
from systolith_hw.registers import IDENTITY, OFFSETS, Control, Status, counter_offsets
from systolith_sim.device.device import Device
from systolith_sim.machine import Machine

CYCLES = 1000
"""What it claims to take for every program."""


class MachineDevice(Device):
    """Runs a program at the moment it is started."""

    def __init__(self, config: Config, memory_bytes: int) -> None:
        super().__init__(config, memory_bytes)
        self.machine = Machine(config, memory_bytes)
        self.registers = {
            OFFSETS["ID"]: IDENTITY,
            OFFSETS["VERSION"]: ISA_VERSION,
            OFFSETS["CONFIG_HASH"]: config.hash,
        }

    def read_register(self, offset: int) -> int:
        return self.registers.get(offset, 0)

    def write_register(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        if offset == OFFSETS["CONTROL"] and value == Control.START:
            self._run()

    def wait(self, cycles: int) -> bool:
        return True

    def _run(self) -> None:
        program = self.machine.memory.array[self.registers[OFFSETS["PROGRAM"]] :].tobytes()
        settings: dict[int, int] = {
            Register[name]: self.registers[OFFSETS[name]] for name in ("LENGTH", "POSITION")
        }
        counts = {**self.machine.run(program, settings).counts, "CYCLES": CYCLES}
        for name, offset in counter_offsets(self.config).items():
            self.registers[offset] = counts.get(name, 0)
        self.registers[OFFSETS["STATUS"]] = Status.DONE

    def _read(self, address: int, count: int) -> bytes:
        return self.machine.memory.array[address : address + count].tobytes()

    def _write(self, address: int, data: bytes) -> None:
        self.machine.memory.write(address, data)
