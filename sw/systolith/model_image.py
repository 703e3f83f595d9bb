"""Model images: a whole model in one file, ready for one configuration."""

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION

from .image import ImageError

__all__ = ["FORMAT_VERSION", "ModelImage"]

MAGIC = b"SLTM"

FORMAT_VERSION = 1

HEADER = struct.Struct("<4sHHIIII")
"""Magic, versions of format and ISA, configuration hash, bytes of manifest and of parts, CRC-32."""


@dataclass(frozen=True)
class ModelImage:
    """Contents of external memory, bound to a configuration.

    A file holds, little endian: ``SLTM``, uint16 format version, uint16 ISA version, uint32
    configuration hash, uint32 bytes of the manifest, uint32 bytes of all parts, uint32 CRC-32 of
    everything else; then the manifest, as JSON, which gives address and size of each part; then
    the parts.

    Parameters
    ----------
    manifest : dict
        What the model is and how it was compiled.
    parts : dict of bytes
        Program, tables and weights by address.
    config_hash : int
        :attr:`systolith_hw.config.Config.hash` of the configuration.
    """

    manifest: Mapping[str, Any]
    parts: Mapping[int, bytes]
    config_hash: int

    def to_bytes(self) -> bytes:
        """Return the contents of the file."""
        places = [[address, len(content)] for address, content in self.parts.items()]
        manifest = json.dumps({**self.manifest, "parts": places}, sort_keys=True).encode()
        payload = b"".join(self.parts.values())
        sizes = len(manifest), len(payload)
        head = MAGIC, FORMAT_VERSION, ISA_VERSION, self.config_hash, *sizes
        return HEADER.pack(*head, _checksum(head, manifest, payload)) + manifest + payload

    @classmethod
    def from_bytes(cls, raw: bytes, config: Config) -> "ModelImage":
        """Read the contents of a file.

        Raises
        ------
        ImageError
            If it is damaged, of another version, or for another configuration.
        """
        if len(raw) < HEADER.size or raw[:4] != MAGIC:
            raise ImageError("this is not a Systolith model image")
        *head, checksum = HEADER.unpack_from(raw)
        _, version, isa, config_hash, *sizes = head
        if (version, isa) != (FORMAT_VERSION, ISA_VERSION):
            raise ImageError(
                f"the image has format {version} and instruction set {isa}, but this software "
                f"reads format {FORMAT_VERSION} and instruction set {ISA_VERSION}"
            )
        if len(raw) != HEADER.size + sum(sizes):
            raise ImageError(
                f"the image announces {HEADER.size + sum(sizes)} bytes, but holds {len(raw)}"
            )
        manifest, payload = raw[HEADER.size :][: sizes[0]], raw[HEADER.size + sizes[0] :]
        if _checksum(head, manifest, payload) != checksum:
            raise ImageError("the image is damaged: its checksum does not match")
        if config_hash != config.hash:
            raise ImageError(
                f"the image is for configuration {config_hash:#010x}, but this one is "
                f"{config.hash:#010x}; compile the model again"
            )
        tree = json.loads(manifest)
        parts, start = {}, 0
        for address, size in tree.pop("parts"):
            parts[address] = payload[start : start + size]
            start += size
        return cls(tree, parts, config_hash)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(self.to_bytes())
        os.replace(file.name, path)

    @classmethod
    def load(cls, path: Path, config: Config) -> "ModelImage":
        """Read the file; see :meth:`from_bytes`. The sentence of an error names it."""
        try:
            return cls.from_bytes(path.read_bytes(), config)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error


def _checksum(head: Any, manifest: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(manifest, zlib.crc32(HEADER.pack(*head, 0))))
