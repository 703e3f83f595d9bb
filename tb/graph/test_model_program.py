"""Files of compiled models: what they keep, and what they refuse."""

import copy
import dataclasses
import io
import json
import os
import zipfile
from typing import Any

import numpy as np
import pytest

import systolith
from systolith.archive import Archive, write_archive
from systolith.graph import Graph, GraphError, Node
from systolith.graph.text import graph_text
from systolith.graph.tree import graph_from_tree, graph_tree
from systolith.image import ImageError
from systolith.model_image import ModelImage
from systolith.model_program import FORMAT_VERSION
from systolith.report.program import program_text
from systolith.stack import CompiledStack
from systolith_hw.isa import ISA_VERSION

from .graph_bench import encoder
from .test_engine import CONFIG, example


@pytest.fixture(scope="module")
def program():
    return systolith.compile(encoder(layers=1), example(1), config=CONFIG)


@pytest.fixture
def path(program, tmp_path):
    program.save(tmp_path / "folder" / "model.sysl")
    return tmp_path / "folder" / "model.sysl"


def rewrite(path, name, change):
    """Write a zip anew, with one member changed, or left out."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members[name] = change(members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in members.items():
            if content is not None:
                archive.writestr(each, content)


def edited(path, **fields):
    """Change fields of the manifest."""
    rewrite(path, "manifest.json", lambda raw: json.dumps({**json.loads(raw), **fields}))


def test_round_trip(program, path):
    """What comes out of a file is the same, and computes and reports the same."""
    again = systolith.load(path, CONFIG)
    assert again.config == CONFIG
    assert graph_text(again.graph) == graph_text(program.graph)
    assert graph_text(again.parts.graph) == graph_text(program.parts.graph)
    assert str(again.parts) == str(program.parts)
    assert again.accuracy == program.accuracy
    inputs = example(2)
    engines = [systolith.InferenceEngine(one) for one in (program, again)]
    for got, want in zip(*(engine(**inputs) for engine in engines), strict=True):
        np.testing.assert_array_equal(got, want)
    assert str(engines[0].report()) == str(engines[1].report())
    assert [item.name for item in path.parent.iterdir()] == ["model.sysl"]


@pytest.mark.parametrize("member", ["manifest.json", "constants/0.npy", "stacks/0.image"])
def test_a_damaged_part_is_named(path, member):
    with zipfile.ZipFile(path) as archive:
        content = archive.read(member)
    raw = bytearray(path.read_bytes())
    raw[raw.index(content) + len(content) // 2] ^= 4
    path.write_bytes(raw)
    with pytest.raises(ImageError, match=f"model.sysl: {member} is damaged .* compile the model"):
        systolith.load(path)


def test_damage_anywhere(program, path, seed):
    """Whatever byte is another, the file is refused, or is the same still."""
    raw = path.read_bytes()
    for place in np.random.default_rng(seed).integers(0, len(raw), 40):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 16]) + raw[place + 1 :])
        try:
            again = systolith.load(path)
        except ImageError:
            continue
        assert graph_text(again.graph) == graph_text(program.graph)
        assert again.stacks[0].parts == program.stacks[0].parts


@pytest.mark.parametrize("member", ["constants/1.npy", "stacks/0.image"])
def test_a_missing_part_is_named(path, member):
    rewrite(path, member, lambda raw: None)
    with pytest.raises(ImageError, match=f"{member} is missing; copy the file again"):
        systolith.load(path)


def test_truncated_and_other_files(path):
    raw = path.read_bytes()
    path.write_bytes(raw[:-30])
    with pytest.raises(ImageError, match="no Systolith program .* or its end is missing"):
        systolith.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "text")
    with pytest.raises(ImageError, match="but another zip file"):
        systolith.load(path)
    with pytest.raises(FileNotFoundError):
        systolith.load(path.parent / "none.sysl")


@pytest.mark.parametrize("fields, words", [
    ({"format": 9}, f"format 9 and .* reads format {FORMAT_VERSION} .* compile the model again"),
    ({"instruction_set": 0}, f"instruction set 0, but .* instruction set {ISA_VERSION}"),
    ({"kind": "else"}, "is no Systolith program, but a zip file of something else"),
    ({"config_hash": 1}, "is for configuration 0x00000001, but the fields that it lists now make"),
    ({"config": {"speed": 3}}, "a configuration of another version of this software"),
    ({"host": []}, "manifest.json is damaged .*nodes of the host"),
    ({"graph": {}}, "manifest.json is damaged"),
    ({"stacks": [["none"]]}, "manifest.json is damaged"),
    ({"stacks": [[]]}, "manifest.json is damaged .*list index"),
    ({"stacks": [-1]}, "manifest.json is damaged .*-1 is no list"),
    ({"core_macs": "many"}, "manifest.json is damaged .*'many' is no number"),
    ({"graph": {"inputs": {"x": {"dtype": "1f2,{", "shape": []}}}}, "manifest.json is damaged"),
])  # fmt: skip
def test_manifests_that_do_not_fit(path, fields, words):
    edited(path, **fields)
    with pytest.raises(ImageError, match=words):
        systolith.load(path)


@pytest.mark.parametrize("change, words", [
    (lambda node: node["inputs"].pop(1), "has 17 inputs, not 18"),
    (lambda node: node["inputs"].pop(5), "has 17 inputs, not 18"),
    (lambda node: node["inputs"].reverse(), "has no query.weights of floats"),
    (lambda node: node["inputs"].__setitem__(4, node["inputs"][10]),
     "has 64 features of heads in key.weights, but 32 before"),
    (lambda node: node["attributes"].update(heads=5), "an attribute heads of 5"),
    (lambda node: node["attributes"].update(heads=4), "'heads': 4, .* stacks/0.image .*'heads': 2"),
    (lambda node: node["attributes"].pop("scale"), "an attribute scale of None"),
    (lambda node: node["attributes"].update(activation="Tanh"), "activation of 'Tanh'"),
    (lambda node: node.update(operator="Gelu"), "is no EncoderLayer"),
])  # fmt: skip
def test_layers_that_are_none(path, change, words):
    """What the image was not made of is refused when the file is read, not when it runs."""
    with zipfile.ZipFile(path) as archive:
        graph = json.loads(archive.read("manifest.json"))["graph"]
    (node,) = [node for node in graph["nodes"] if node["operator"] == "EncoderLayer"]
    change(node)
    edited(path, graph=graph)
    with pytest.raises(ImageError, match=f"manifest.json is damaged .*{words}"):
        systolith.load(path)


def test_layers_that_do_not_follow(tmp_path):
    path = tmp_path / "model.sysl"
    systolith.compile(encoder(layers=2), example(1), config=CONFIG).save(path)
    (stack,) = systolith.load(path).parts.stacks
    names = [node.output for node in stack.nodes]
    edited(path, stacks=[names[::-1]])
    with pytest.raises(ImageError, match="manifest.json is damaged .* does not follow"):
        systolith.load(path)
    edited(path, stacks=[names[:1]])
    with pytest.raises(ImageError, match="manifest.json is damaged"):
        systolith.load(path)


def test_a_file_is_for_everybody_whom_the_umask_lets(path):
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_another_configuration(path):
    other = CONFIG.replace({"bus.data_bytes": 4})
    with pytest.raises(ImageError, match=f"for configuration {CONFIG.hash:#010x}, but this one"):
        systolith.load(path, other)
    with pytest.raises(ImageError, match="but this one"):
        systolith.load(path, "small")
    systolith.load(path, CONFIG.replace({"device": "ecp5-85k"}))


def test_another_compiler(path, monkeypatch):
    monkeypatch.setattr(CompiledStack, "made_by", ("systolith.image",))
    with pytest.raises(ImageError, match=r"stacks/0.image: the image is another version's"):
        systolith.load(path)


def test_objects_are_not_unpickled(path):
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    rewrite(path, "constants/0.npy", lambda raw: file.getvalue())
    with pytest.raises(ImageError, match="constants/0.npy is no array of numbers .*objects"):
        systolith.load(path)


def test_attributes():
    """Every kind of attribute comes back as it was; other kinds are refused by name."""
    attributes = {"axis": -1, "eps": 1e-5, "mode": "linear", "perm": [0, 2, 1], "flag": True,
                  "to": np.dtype(np.bool), "ends": np.array([[1.5], [np.inf]], np.float32),
                  "count": np.int64(3), "sizes": ()}  # fmt: skip
    graph = Graph({}, ["y"], {}, [Node("Any", (), ("y",), attributes, "name")])
    tree = json.loads(json.dumps(graph_tree(graph)))
    (node,) = graph_from_tree(tree, {}).nodes
    got = dict(node.attributes)
    np.testing.assert_array_equal(got.pop("ends"), attributes.pop("ends"))
    assert got == {**attributes, "sizes": []} and node.name == "name"
    graph.nodes[0] = Node("Any", (), ("y",), {"body": graph})
    with pytest.raises(GraphError, match=r"node y \(Any\) has an attribute body of Graph"):
        graph_tree(graph)


def test_json_that_is_too_deep(path):
    rewrite(path, "manifest.json", lambda raw: b"[" * 100_000)
    with pytest.raises(ImageError, match="manifest.json is no JSON"):
        systolith.load(path)


HEAD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }"


@pytest.mark.parametrize("head, words", [
    (HEAD.replace("(2, 4)", "(-1, 4)"), r"the shape \(-1, 4\) of 8 numbers"),
    (HEAD.replace("(2, 4)", "(1 << 62, 4)"), "no array of numbers"),
    (HEAD.replace("(2, 4)", f"({1 << 62}, 4)"), "the shape .* of 8 numbers"),
    (HEAD.replace("<f4", "<U4"), "it has <U4"), (HEAD.replace("<f4", "|O"), "it has objects"),
    ("(" * 900, "no array of numbers"), ("(((", "no array of numbers"),
    (HEAD.replace("(2, 4)", "__import__('os').abort()"), "no array of numbers"),
])  # fmt: skip
def test_heads_of_arrays(path, head, words):
    """Whatever they say, it is refused; none of it is computed, and no memory is taken for it."""
    line = head.encode().ljust(118) + b"\n"
    content = b"\x93NUMPY\1\0" + len(line).to_bytes(2, "little") + line + bytes(32)
    rewrite(path, "constants/0.npy", lambda raw: content)
    with pytest.raises(ImageError, match=f"constants/0.npy is .*{words}"):
        systolith.load(path)


def test_members_that_overlap(path):
    """Those that share bytes could be far more than the file has."""
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(50):
            info = zipfile.ZipInfo(f"more/{number}")
            inside = archive.getinfo("stacks/0.image")
            info.header_offset, info.CRC = inside.header_offset, inside.CRC
            info.file_size = info.compress_size = inside.file_size
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
        archive.writestr("last", b"")  # so that the table is written anew
    with pytest.raises(ImageError, match="no Systolith program"):
        systolith.load(path)


def places(tree, behind=()):
    """Yield where each value of a tree is."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*behind, key)
        if isinstance(value, dict | list):
            yield from places(value, (*behind, key))


OTHERS: tuple[Any, ...] = (
    None, -1, 0, 1, 10**12, 1 << 70, 1.5, np.inf, np.nan, "x", "", [], {}, [[]], True, "f4", "|O",
    [1, [2]], {"dtype": "<f4"}, {"base64": "!"}, {"dtype": "<f4", "shape": [-1], "values": [1]},
)  # fmt: skip
"""Values that a field may have in a damaged file."""


def altered(rng, tree):
    """Return a tree with one value that is another, or missing."""
    tree = inside = copy.deepcopy(tree)
    spots = list(places(tree))
    *behind, last = spots[rng.integers(len(spots))]
    for key in behind:
        inside = inside[key]
    inside[last] = OTHERS[rng.integers(len(OTHERS))]
    if rng.integers(5) == 0:
        del inside[last]
    return tree


def test_whatever_a_field_holds(program, path, seed):
    """A file is refused as damaged, or can be looked at still; nothing else comes."""
    rng, counts = np.random.default_rng(seed), {True: 0, False: 0}
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    image = ModelImage.from_bytes(members["stacks/0.image"], CONFIG)
    for number in range(300):
        changed = dict(members)
        if number % 3:
            changed["manifest.json"] = json.dumps(altered(rng, manifest)).encode()
        else:
            other = dataclasses.replace(image, manifest=altered(rng, dict(image.manifest)))
            changed["stacks/0.image"] = other.to_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in changed.items():
                archive.writestr(each, content)
        try:
            program_text(systolith.load(path))
            counts[True] += 1
        except ImageError:
            counts[False] += 1
    assert min(counts.values()) > 10


@pytest.mark.parametrize("value", [
    np.zeros((0, 3), np.float32), np.array(2.5), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([True, False]),
])  # fmt: skip
def test_arrays_of_every_kind(value, tmp_path):
    write_archive(tmp_path / "file", {}, [("a", value)])
    with Archive(tmp_path / "file", "file") as archive:
        got = archive.array("a")
    assert got.dtype == value.dtype and got.shape == value.shape
    np.testing.assert_array_equal(got, value)
