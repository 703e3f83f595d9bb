"""Model images: a whole model in one file, ready for one configuration."""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION

from .image import ImageError
from .whole_file import whole_file

__all__ = ["FORMAT_VERSION", "PLACES", "ModelImage"]

MAGIC = b"SLTM"

FORMAT_VERSION = 2

HEADER = struct.Struct("<4sHHI")
"""Magic, versions of format and ISA, configuration hash; behind them CRC-32 of all the rest."""

SIZES = struct.Struct("<III")
"""Bytes of the manifest, parts, and their bytes."""

PLACES = ("setup", "program", "list", "entries", "stride", "positions", "vocabulary", "size")
"""What a driver without JSON must know: byte addresses of the program that brings a model to the
chip, of the other one, of a list of tokens and of its first entry; bytes from entry to entry, most
tokens of a run, and how many the vocabulary has; bytes of external memory that are used."""

NO_PLACE = 0xFFFFFFFF

PLACE = struct.Struct(f"<{len(PLACES)}I")
PART = struct.Struct("<II")


@dataclass(frozen=True)
class ModelImage:
    """Contents of external memory, bound to a configuration.

    A file holds, little endian: ``SLTM``, uint16 format version, uint16 ISA version, uint32
    configuration hash, uint32 CRC-32 of everything else; uint32 bytes of the manifest, uint32
    number of parts, uint32 bytes of all of them; a uint32 for each of :data:`PLACES`, all ones for
    what is not there; uint32 address and uint32 bytes of each part; the parts; and the manifest, as
    JSON, which a driver does not need (``sw/c/systolith.c``).

    Parameters
    ----------
    manifest : dict
        What the model is and how it was compiled.
    parts : dict of bytes
        Program, tables and weights by address.
    config_hash : int
        :attr:`systolith_hw.config.Config.hash` of the configuration.
    places : dict of int
        Those of :data:`PLACES` that there are.
    """

    manifest: Mapping[str, Any]
    parts: Mapping[int, bytes]
    config_hash: int
    places: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the contents of the file."""
        return b"".join(self.pieces())

    def pieces(self) -> list[bytes]:
        """Return the same in pieces, of which the large ones are those that lie in memory."""
        manifest = json.dumps(self.manifest, sort_keys=True).encode()
        rows = [PART.pack(address, len(content)) for address, content in self.parts.items()]
        head = HEADER.pack(MAGIC, FORMAT_VERSION, ISA_VERSION, self.config_hash)
        rest = [
            SIZES.pack(len(manifest), len(self.parts), sum(map(len, self.parts.values()))),
            PLACE.pack(*(self.places.get(name, NO_PLACE) for name in PLACES)),
            *rows, *self.parts.values(), manifest,
        ]  # fmt: skip
        return [head, _checksum(head, *rest), *rest]

    @classmethod
    def from_bytes(cls, raw: bytes, config: Config) -> "ModelImage":
        """Read the contents of a file.

        Raises
        ------
        ImageError
            If it is damaged, of another version, or for another configuration.
        """
        if len(raw) < HEADER.size + 4 + SIZES.size + PLACE.size or raw[:4] != MAGIC:
            raise ImageError("this is not a Systolith model image")
        head, checksum, rest = raw[: HEADER.size], raw[HEADER.size :][:4], raw[HEADER.size + 4 :]
        _, version, isa, config_hash = HEADER.unpack(head)
        if (version, isa) != (FORMAT_VERSION, ISA_VERSION):
            raise ImageError(
                f"the image has format {version} and instruction set {isa}, but this software "
                f"reads format {FORMAT_VERSION} and instruction set {ISA_VERSION}"
            )
        manifest, count, payload = SIZES.unpack_from(rest)
        table = SIZES.size + PLACE.size
        start = table + count * PART.size
        if len(rest) != start + payload + manifest:
            raise ImageError(
                f"the image announces {HEADER.size + 4 + start + payload + manifest} bytes, but "
                f"holds {len(raw)}"
            )
        if _checksum(head, rest) != checksum:
            raise ImageError("the image is damaged: its checksum does not match")
        if config_hash != config.hash:
            raise ImageError(
                f"the image is for configuration {config_hash:#010x}, but this one is "
                f"{config.hash:#010x}; compile the model again"
            )
        tree = json.loads(rest[start + payload :])
        parts = {}
        for address, size in PART.iter_unpack(rest[table:start]):
            parts[address] = rest[start : start + size]
            start += size
        found = zip(PLACES, PLACE.unpack_from(rest, SIZES.size), strict=True)
        places = {name: place for name, place in found if place != NO_PLACE}
        return cls(tree, parts, config_hash, places)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with whole_file(path) as file:
            file.writelines(self.pieces())

    @classmethod
    def load(cls, path: Path, config: Config) -> "ModelImage":
        """Read the file; see :meth:`from_bytes`. The sentence of an error names it."""
        try:
            return cls.from_bytes(path.read_bytes(), config)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error


def _checksum(*contents: bytes) -> bytes:
    checksum = 0
    for content in contents:
        checksum = zlib.crc32(content, checksum)
    return checksum.to_bytes(4, "little")
