"""``systolith generate --package``: what it refuses, and that nothing is left of what fails."""

import json

import pytest

from systolith.package import write_package

from .test_cli import refused, run

SMALL = ("generate", "--preset", "tiny", "--bus", "native")


def test_package_is_written_and_replaced(tmp_path):
    folder = tmp_path / "deep" / "part"
    result = run(*SMALL, "--package", str(folder))
    assert result.exit_code == 0, result.output
    assert "12 files" in result.stderr
    assert json.loads((folder / "manifest.json").read_text())["bus"] == "native"
    kept = (folder / "systolith.v").read_text()
    assert "exists already; --force" in refused(2, *SMALL, "--package", str(folder))
    (folder / "notes.txt").write_text("mine")
    (folder / "systolith.v").write_text("broken")
    assert run(*SMALL, "--package", str(folder), "--force").exit_code == 0
    assert (folder / "systolith.v").read_text() == kept
    assert not (folder / "notes.txt").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["part"]


@pytest.mark.parametrize("content", [{"notes.txt": "mine"}, {"manifest.json": "{}"},
                                     {"manifest.json": "no JSON"}])  # fmt: skip
def test_force_replaces_only_packages(tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    said = refused(2, *SMALL, "--package", str(tmp_path), "--force")
    assert "is no package of this command" in said
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == content


def test_unknown_bus_lists_those_that_there_are(tmp_path):
    folder = tmp_path / "part"
    result = run("generate", "--bus", "apb", "--package", str(folder))
    assert result.exit_code == 2
    assert all(name in result.stderr for name in ("axi4", "wishbone", "native"))
    assert not folder.exists()


@pytest.mark.parametrize("words, sentence", [
    ((), "one of --output FOLDER and --package DIR"),
    (("-o", "a", "--package", "b"), "one of --output FOLDER and --package DIR"),
    (("-o", "a", "--force"), "--force does nothing without --package"),
    (("--package", " "), "--package must name a folder"),
    (("--package", "x", "--set", "array.rows=3"), "array.rows must be a power of two"),
])  # fmt: skip
def test_contradictions(tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(2, "generate", *words)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    refused(1, *SMALL, "--package", str(tmp_path / "file" / "part"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failure_leaves_what_was_there(tmp_path):
    folder = tmp_path / "part"
    write_package({"manifest.json": "{}"}, folder)
    with pytest.raises(UnicodeEncodeError):
        write_package({"manifest.json": "new", "bad": "\ud800"}, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert (folder / "manifest.json").read_text() == "{}"
