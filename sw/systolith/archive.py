"""A file of a manifest and members: a zip of JSON and bytes, none of which is ever executed.

Members are not compressed, so that a small file cannot become large, and each has zip's checksum.
"""

import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .image import ImageError
from .whole_file import whole_file

__all__ = ["BROKEN", "Archive", "write_archive"]

MANIFEST = "manifest.json"

BROKEN = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError,
    RecursionError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged file may raise: in zip's tables, JSON, the heads of arrays, and what is
made of them."""

NUMBERS = "biufc"
"""Kinds of numpy's types that are numbers."""


def write_archive(
    path: Path, manifest: Mapping[str, Any], members: Iterable[tuple[str, NDArray | list[bytes]]]
) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    path : Path
    manifest : dict
    members : iterable of (name, array or list of bytes)
        Arrays become ``NAME.npy``; bytes come in pieces.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        for name, content in members:
            _write(archive, name, content)


def _write(archive: zipfile.ZipFile, name: str, content: NDArray | list[bytes]) -> None:
    file = name if isinstance(content, list) else f"{name}.npy"
    with archive.open(file, "w", force_zip64=True) as member:
        if isinstance(content, list):
            for piece in content:
                member.write(piece)
        else:
            np.lib.format.write_array(member, content, allow_pickle=False)


class Archive:
    """A file that :func:`write_archive` wrote, open for reading.

    Parameters
    ----------
    path : Path
    kind : str
        What it should be, for messages.

    Attributes
    ----------
    manifest : dict

    Raises
    ------
    ImageError
        If it is no such file, or damaged; the sentence names the file and the member.
    OSError
        If there is no file.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._check_sizes()
        except (*BROKEN, OSError) as error:
            self._file.close()
            raise ImageError(
                f"{path} is no {kind}, or its end is missing; copy it again, or compile the model "
                "again"
            ) from error
        try:
            self.manifest = self._manifest(kind)
        except ImageError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the archive."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        self._file.close()

    def content(self, name: str) -> bytes:
        """Return a member.

        Raises
        ------
        ImageError
            If it is missing or damaged.
        """
        try:
            if self._archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise self.damaged(name, "is compressed")
            return self._archive.read(name)
        except ImageError:
            raise
        except KeyError as error:
            raise self.damaged(name, "is missing") from error
        except (*BROKEN, OSError) as error:
            raise self.damaged(name, f"is damaged ({error})") from error

    def array(self, name: str) -> NDArray:
        """Return the array ``NAME.npy``, read-only.

        Raises
        ------
        ImageError
            If it is missing, damaged, or has objects of Python.
        """
        content = memoryview(self.content(f"{name}.npy"))
        try:
            return _array(content)
        except BROKEN as error:
            raise self.damaged(f"{name}.npy", f"is no array of numbers ({error})") from error

    def damaged(self, name: str, what: str) -> ImageError:
        """Return the error that says what a member is."""
        return ImageError(
            f"{self._path}: {name} {what}; copy the file again, or compile the model again"
        )

    def _check_sizes(self) -> None:
        """Refuse members that together are larger than the file, as those that overlap are."""
        size = sum(info.file_size for info in self._archive.infolist())
        if size > self._path.stat().st_size:
            raise ValueError("members are larger than the file")

    def _manifest(self, kind: str) -> dict[str, Any]:
        if MANIFEST not in self._archive.namelist():
            raise ImageError(f"{self._path} is no {kind}, but another zip file")
        try:
            manifest = json.loads(self.content(MANIFEST))
        except ImageError:
            raise
        except BROKEN as error:
            raise self.damaged(MANIFEST, f"is no JSON ({error})") from error
        if not isinstance(manifest, dict):
            raise self.damaged(MANIFEST, "is no JSON object")
        return manifest


def _array(content: memoryview) -> NDArray:
    """Return the array of an .npy file, without a copy of its numbers."""
    head = io.BytesIO(content[:1024])
    version = np.lib.format.read_magic(head)
    if version != (1, 0):
        raise ValueError(f"version {version} of .npy")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    if dtype.kind not in NUMBERS:
        raise ValueError(f"it has {'objects' if dtype.hasobject else dtype}")
    values = np.frombuffer(content, dtype, offset=head.tell())
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise ValueError(f"the shape {shape} of {values.size} numbers")
    return values.reshape(shape, order="F" if fortran else "C")
