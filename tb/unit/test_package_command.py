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
    assert "13 files" in result.stderr
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
    for name in ("file/part", "file/deeper/part"):
        said = refused(2, *SMALL, "--package", str(tmp_path / name))
        assert f"{tmp_path / 'file'} is no folder" in said
    said = refused(2, *SMALL, "--package", str(tmp_path / ("long" * 100)))
    assert "cannot be" in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_force_leaves_the_folder_that_one_is_in(tmp_path, monkeypatch):
    write_package({"manifest.json": '{"name": "systolith"}', "systolith.core": "", "c/x": ""},
                  tmp_path / "part")  # fmt: skip
    for place, name in (("part", "."), ("part", str(tmp_path / "part")), ("part/c", "..")):
        monkeypatch.chdir(tmp_path / place)
        said = refused(2, *SMALL, "--package", name, "--force")
        assert "is the folder that you are in" in said
    assert (tmp_path / "part" / "c" / "x").exists()


def test_failure_leaves_what_was_there(tmp_path):
    folder = tmp_path / "part"
    write_package({"manifest.json": "{}"}, folder)
    with pytest.raises(UnicodeEncodeError):
        write_package({"manifest.json": "new", "bad": "\ud800"}, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert (folder / "manifest.json").read_text() == "{}"
