"""Contents of main memory before a CPU begins."""

import dataclasses
from collections.abc import Sequence

from systolith.model_image import ModelImage

__all__ = ["Staging", "split"]

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
