"""What the system is given to do: contents of its memories, and the job of its CPU."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware import JOB_BYTES, Job, build
from simulation import Simulation
from system import Settings
from systolith.model_image import ModelImage
from systolith_fpga.soc.cpu import cpu_named
from systolith_hw.config import Config

__all__ = ["Staging", "Work", "split"]

LINE = 64
"""Contents of main memory begin at multiples of this."""


class Staging:
    """Main memory behind what is the core's: there a boot loader would put things for the CPU.

    Parameters
    ----------
    core_bytes : int
        What is the core's.
    """

    def __init__(self, core_bytes: int) -> None:
        self.core_bytes = _up(core_bytes)
        self.end = self.core_bytes
        self.parts: dict[int, bytes] = {}

    def add(self, content: bytes) -> int:
        """Return the address at which a content will be."""
        address = self.end
        self.parts[address] = content
        self.end = _up(address + len(content))
        return address

    def images(self, images: Sequence[ModelImage]) -> list[tuple[int, int]]:
        """Return address and bytes of images."""
        raw = [image.to_bytes() for image in images]
        return [(self.add(content), len(content)) for content in raw]


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


def split(image: ModelImage, most: int) -> tuple[ModelImage, dict[int, bytes]]:
    """Return an image of the parts of at most so many bytes, and the others.

    Large ones are weights and tables, which a boot loader, or a flash memory's DMA, would bring to
    main memory: one byte after the other, through the CPU, takes it a hundred cycles for each. The
    manifest, which is for Python alone, stays behind, too.
    """
    small = {at: part for at, part in image.parts.items() if len(part) <= most}
    large = {at: part for at, part in image.parts.items() if len(part) > most}
    return dataclasses.replace(image, parts=small, manifest={}), large


def _up(size: int) -> int:
    return -(-size // LINE) * LINE
