"""A device in which the functional machine stands in for the core, and claims to take time."""

from systolith_hw.config import Config
from systolith_sim.device import machine_device

CYCLES = 1000
"""What it claims to take for every program."""


class MachineDevice(machine_device.MachineDevice):
    """Runs a program at the moment it is started."""

    def __init__(self, config: Config, memory_bytes: int) -> None:
        super().__init__(config, memory_bytes, cycles=CYCLES)
