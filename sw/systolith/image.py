"""Program images: instructions in a file that says which configuration they are for."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import ISA_VERSION

__all__ = ["FORMAT_VERSION", "Image", "ImageError"]

MAGIC = b"SLTI"

FORMAT_VERSION = 1

HEADER = struct.Struct("<4sHHIII")
"""Magic, format version, ISA version, configuration hash, instructions, CRC-32 of them."""


class ImageError(ValueError):
    """A file that is not an intact image for the configuration at hand."""


@dataclass(frozen=True)
class Image:
    """A program bound to a configuration.

    A file holds, little endian: ``SLTI``, uint16 format version, uint16 ISA version, uint32
    configuration hash, uint32 number of instructions, uint32 CRC-32 of everything else, then
    the instructions of 32 bytes.

    Parameters
    ----------
    program : bytes
        The instructions, as :meth:`systolith.program.Program.assemble` returns them.
    config_hash : int
        :attr:`systolith_hw.config.Config.hash` of the configuration.
    """

    program: bytes
    config_hash: int

    def __post_init__(self) -> None:
        """Refuse what is not whole instructions."""
        if not self.program or len(self.program) % INSTRUCTION_BYTES:
            raise ImageError(
                f"a program is one or more instructions of {INSTRUCTION_BYTES} bytes, not "
                f"{len(self.program)} bytes"
            )

    @classmethod
    def of(cls, program: bytes, config: Config) -> "Image":
        """Return ``program`` bound to ``config``."""
        return cls(program, config.hash)

    def to_bytes(self) -> bytes:
        """Return the contents of the file."""
        count = len(self.program) // INSTRUCTION_BYTES
        head = (MAGIC, FORMAT_VERSION, ISA_VERSION, self.config_hash, count)
        checksum = zlib.crc32(HEADER.pack(*head, 0) + self.program)
        return HEADER.pack(*head, checksum) + self.program

    @classmethod
    def from_bytes(cls, raw: bytes, config: Config | None = None) -> "Image":
        """Read the contents of a file.

        Raises
        ------
        ImageError
            If it is damaged, of another version, or, with ``config``, for another
            configuration.
        """
        if len(raw) < HEADER.size or raw[:4] != MAGIC:
            raise ImageError("this is not a Systolith program image")
        *head, checksum = HEADER.unpack_from(raw)
        _, version, isa, config_hash, count = head
        if (version, isa) != (FORMAT_VERSION, ISA_VERSION):
            raise ImageError(
                f"the image has format {version} and instruction set {isa}, but this software "
                f"reads format {FORMAT_VERSION} and instruction set {ISA_VERSION}"
            )
        program = raw[HEADER.size :]
        if len(program) != count * INSTRUCTION_BYTES:
            raise ImageError(
                f"the image announces {count} instructions, {count * INSTRUCTION_BYTES} bytes, "
                f"but holds {len(program)} bytes"
            )
        if zlib.crc32(HEADER.pack(*head, 0) + program) != checksum:
            raise ImageError("the image is damaged: its checksum does not match")
        image = cls(program, config_hash)
        if config is not None:
            image.check(config)
        return image

    def check(self, config: Config) -> None:
        """Raise :class:`ImageError` unless the image is for ``config``."""
        if self.config_hash != config.hash:
            raise ImageError(
                f"the image is for configuration {self.config_hash:#010x}, but this one is "
                f"{config.hash:#010x}; compile the program again"
            )

    def save(self, path: Path | str) -> None:
        """Write the file."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path | str, config: Config | None = None) -> "Image":
        """Read the file; see :meth:`from_bytes`."""
        return cls.from_bytes(Path(path).read_bytes(), config)
