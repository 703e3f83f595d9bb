"""What the system is given to do: contents of its memories, and the job of its CPU."""

from collections.abc import Mapping
from dataclasses import dataclass

from firmware import JOB_BYTES, Job, build
from simulation import Simulation
from system import Settings
from systolith_fpga.soc.cpu import cpu_named
from systolith_hw.config import Config

__all__ = ["Work"]

@dataclass(frozen=True, kw_only=True)
class Work:
    """A job, and all of main memory that it needs.

    Parameters
    ----------
    config : Config
        The core.
    memory : dict of bytes
        Contents by address, when the CPU begins.
    memory_bytes : int
    job : Job
    """

    config: Config
    memory: Mapping[int, bytes]
    memory_bytes: int
    job: Job

    def local(self, settings: Settings) -> bytes:
        """Return what the CPU's memory is to hold: program and job."""
        program = build(cpu_named(settings.cpu), settings.local_bytes, settings.optimize)
        return program.ljust(settings.local_bytes - JOB_BYTES, b"\0") + self.job.to_bytes()

    def image(self) -> bytes:
        """Return what main memory is to hold; what nobody has put there is zero."""
        content = bytearray(self.memory_bytes)
        for address, part in self.memory.items():
            content[address : address + len(part)] = part
        return bytes(content)

    def simulation(self, settings: Settings, **options) -> Simulation:
        """Return a system that is about to begin."""
        simulation = Simulation(self.config, settings, self.memory_bytes, **options)
        simulation.write_local(0, self.local(settings))
        for address, content in self.memory.items():
            simulation.write(address, content)
        return simulation
