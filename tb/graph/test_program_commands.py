"""``systolith compile``, ``inspect`` and ``run MODEL.sysl``: what they print, and refuse."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest

import systolith
from systolith.cli.arrays import read_inputs
from systolith.model_image import ModelImage
from systolith_hw.config import ConfigError
from unit.test_cli import refused, run

from .graph_bench import Builder, encoder
from .test_engine import CONFIG, example
from .test_model_program import rewrite


@pytest.fixture(scope="module")
def program():
    return systolith.compile(encoder(layers=1), example(1), config=CONFIG)


@pytest.fixture
def files(program, tmp_path):
    """Return the paths of a compiled model, and of inputs."""
    program.save(tmp_path / "model.sysl")
    np.savez(tmp_path / "x.npz", **example(2))
    return str(tmp_path / "model.sysl"), str(tmp_path / "x.npz")


@pytest.mark.parametrize("command", ["compile", "inspect", "run MODEL.sysl"])
def test_help(command):
    assert run(*command.split(), "--help").exit_code == 0


def test_compile_a_file(tmp_path):
    """An ONNX file, its typical batch, and a core with settings."""
    pytest.importorskip("onnx")
    from .onnx_files import write_onnx

    model = write_onnx(tmp_path / "model.onnx", encoder(layers=1))
    output = tmp_path / "new" / "m.sysl"
    np.savez(tmp_path / "x.npz", **example(1))
    settings = [f"{name}={value}" for name, value in {
        "memory.operand_tiles": 160, "memory.activation_words": 400, "memory.scale_words": 200,
        "vector.rows": 64, "device": "", "memory.wide_words": 600,
    }.items()]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    words = [str(model), "-o", str(output), "--preset", "small", *words,
             "--inputs", str(tmp_path / "x.npz")]  # fmt: skip
    result = run("compile", *words, "--json")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["core_layers"] == 1 and 0.99 < values["core_share"] < 1
    assert values["stacks"][0]["tokens"] == 32 and values["file"] == str(output)
    assert values["accuracy"]["worst_layer"] == values["accuracy"]["layers"][0]["name"]
    assert systolith.load(output).config.vector.rows == 64
    assert "1 nodes with matrices" in refused(2, "compile", *words, "--strict-matrices")
    assert "strict, but" in refused(2, "compile", *words, "--strict")


def test_inspect(program, files, tmp_path):
    text = run("inspect", files[0]).stdout
    assert "EncoderLayer(x, " in text and "a run has at most 32 tokens in 3 sentences" in text
    assert "  layers\n" in text and "on chip operand_tiles: " in text and "MATMUL" not in text
    assert "MATMUL" in run("inspect", files[0], "--listing").stdout
    values = json.loads(run("inspect", files[0], "--json", "--listing").stdout)
    (stack,) = values["stacks"]
    assert len(values["listing"]["stack 0"].splitlines()) == stack["instructions"]
    assert stack["bytes"] == program.stacks[0].size
    assert all(row["used"] <= row["words"] for row in stack["chip"])
    ends = [row["address"] + row["bytes"] for row in stack["regions"]]
    assert all(end <= row["address"] for end, row in zip(ends, stack["regions"][1:], strict=False))


def test_a_picture(program, files, tmp_path):
    """Every node has a box with its operator, and each tensor a line."""
    path = tmp_path / "graph.svg"
    assert run("inspect", files[0], "--svg", str(path)).exit_code == 0
    root = ElementTree.parse(path).getroot()
    space = {"svg": "http://www.w3.org/2000/svg"}
    titles = [title.text or "" for title in root.iterfind("svg:g/svg:title", space)]
    graph = program.parts.graph
    assert len(titles) == len(graph.nodes) + len(graph.inputs) + len(graph.outputs)
    assert sum("core: encoder layers 1" in title for title in titles) == 1
    assert any("Gather" in title for title in titles)
    taken = sum(name not in graph.constants for node in graph.nodes for name in set(node.inputs))
    assert len(root.findall("svg:path", space)) == taken + len(graph.outputs)
    boxes = [(rect.get("x"), rect.get("y")) for rect in root.iterfind("svg:g/svg:rect", space)]
    assert len(set(boxes)) == len(boxes), "no box covers another"


def test_run(program, files, tmp_path):
    """The file's outputs are those of the engine; float's are near."""
    output = tmp_path / "y.npz"
    words = ("run", files[0], "--inputs", files[1], "-o", str(output), "--json")
    result = run(*words, "--backend", "machine")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["runs"] == 1 and values["cycles"] is None and "bit_exact" not in values
    assert values["signals"][0]["decibels"] > 35
    got = dict(np.load(output))
    wanted = systolith.InferenceEngine(program)(**example(2))
    for name, want in zip(program.graph.outputs, wanted, strict=True):
        np.testing.assert_array_equal(got[name], want)
        assert values["outputs"][name] == {"dtype": "float32", "shape": list(want.shape)}
    assert json.loads(run(*words, "--backend", "float").stdout)["outputs"] == values["outputs"]
    seen = example(2)["mask"] == 1
    for name in program.graph.outputs[:1]:
        np.testing.assert_allclose(np.load(output)[name][seen], got[name][seen], atol=0.1)


@pytest.mark.parametrize("place, content, words", [
    (5, bytes(32), "ILLEGAL_INSTRUCTION in unit sequencer at 5: opcode 0x00 is illegal"),
    (-1, None, r"program is wrong \("),
])  # fmt: skip
def test_instructions_that_are_others(files, place, content, words):
    """A file whose checksums are right, but whose program is not the compiler's, says so."""
    model, inputs = files
    with zipfile.ZipFile(model) as archive:
        image = ModelImage.from_bytes(archive.read("stacks/0.image"), CONFIG)
    address = image.manifest["program"]
    lines = np.frombuffer(image.parts[address], np.uint8).reshape(-1, 32).copy()
    lines[place] = lines[0] if content is None else np.frombuffer(content, np.uint8)
    other = dataclasses.replace(image, parts={**image.parts, address: lines.tobytes()})
    rewrite(model, "stacks/0.image", lambda raw: other.to_bytes())
    last = refused(1, "run", model, "--inputs", inputs, "--backend", "machine")
    assert re.search(words, last) and last.endswith("compile the model again")


def test_run_on_the_hardware(program, files, monkeypatch):
    """It is compared with the machine, which here stands in for it, once with a wrong bit."""
    from systolith import engine
    from unit.machine_device import CYCLES, MachineDevice

    monkeypatch.setattr(engine, "open_device",
                        lambda config, size, *_: MachineDevice(config, -(-size // 4096) * 4096))
    words = ("run", files[0], "--inputs", files[1], "--json")
    values = json.loads(run(*words).stdout)
    assert values["bit_exact"] is True and values["cycles"] == CYCLES
    assert values["milliseconds"] == CYCLES / values["clock_mhz"] / 1000
    run_core = engine.DeviceEncoder.run

    def wrong(self, sentences):
        result = run_core(self, sentences)
        result.states[0][0, 0] ^= 1 << 12
        return result

    monkeypatch.setattr(engine.DeviceEncoder, "run", wrong)
    result = run(*words)
    assert result.exit_code == 1 and json.loads(result.stdout)["bit_exact"] is False


def test_no_number_is_the_same_bits(tmp_path):
    """The host's logarithm of negative numbers is what the machine's is."""
    build = Builder()
    graph = build.finish(build.add("Log", build.input("x", "batch", 8)))
    x = -np.ones((2, 8), np.float32)
    systolith.compile(graph, {"x": x}, config=CONFIG).save(tmp_path / "m.sysl")
    np.savez(tmp_path / "x.npz", x=x)
    result = run("run", str(tmp_path / "m.sysl"), "--inputs", str(tmp_path / "x.npz"), "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["bit_exact"] is True


def test_refusals(files, tmp_path):
    model, inputs = files
    other = tmp_path / "text"
    other.write_text("no zip")
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    np.savez(tmp_path / "less.npz", x=example(2)["x"])
    with zipfile.ZipFile(tmp_path / "junk.npz", "w") as archive:
        archive.writestr("x", "no array")
    for path, words in (
        (other, f"--inputs {other} is no .npz file of numbers"),
        (tmp_path / "one.npy", "it is one array without a name"),
        (tmp_path / "objects.npz", "is no .npz file of numbers"),
        (tmp_path / "junk.npz", "its member x is no array"),
        (tmp_path / "less.npz", "the input mask, int64[batch, tokens], is not given"),
    ):
        assert words in refused(2, "run", model, "--inputs", str(path), "--backend", "machine")
    machine = ("run", model, "--inputs", inputs, "--backend", "machine")
    assert "--sim takes --backend rtl" in refused(2, *machine, "--sim", "icarus")
    assert "there is no folder" in refused(2, *machine, "-o", str(tmp_path / "none" / "y.npz"))
    assert "there is no folder" in refused(2, "inspect", model, "--svg", "none/graph.svg")
    (tmp_path / "bad.sysl").write_bytes(b"PK")
    assert "is no Systolith program" in refused(2, "inspect", str(tmp_path / "bad.sysl"))
    assert "No such file" in refused(2, "inspect", str(tmp_path / "none.sysl"))
    assert "No such file" in refused(2, "run", model, "--inputs", str(tmp_path / "none.npz"))
    assert "cannot be read" in refused(2, "compile", "none.onnx", "-o", str(tmp_path / "m.sysl"))


def test_damaged_inputs(files, tmp_path, seed):
    """Whatever byte of a file is another: a sentence, or numbers, but never a traceback."""
    raw, path = (tmp_path / "x.npz").read_bytes(), tmp_path / "damaged.npz"
    rng = np.random.default_rng(seed)
    for place, value in zip(rng.integers(0, len(raw), 300), rng.integers(0, 256, 300),
                            strict=True):  # fmt: skip
        path.write_bytes(raw[:place] + bytes([value]) + raw[place + 1 :])
        try:
            read_inputs(path)
        except ConfigError as error:
            assert "is no .npz file of numbers" in str(error)
