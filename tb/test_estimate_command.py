"""``systolith estimate``: what it tells of each kind of model, and what it refuses."""

import json

import numpy as np
import pytest

from systolith_hw.presets import PRESETS
from unit.test_cli import refused, run


def test_an_encoder():
    result = run("estimate", "minilm", "--tokens", "4", "--port-bytes", "16", "--json")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["preset"] == "ulx3s" and values["what"] == "4 tokens in 1 sentence"
    assert values["macs"] == 6 * 4 * (4 * 384**2 + 2 * 384 * 1536 + 2 * 4 * 384)
    assert values["bottleneck"] == "port" and values["weight_bytes"] > 6 * 1_769_472
    assert values["milliseconds"] == values["cycles"] / values["clock_mhz"] / 1000
    assert values["moved_bytes"] > values["weight_bytes"]
    names = [one["preset"] for one in values["presets"]]
    assert sorted(names) == sorted(PRESETS)
    fits = [one for one in values["presets"] if one["fits"]]
    assert [one["cycles"] for one in fits] == sorted(one["cycles"] for one in fits)
    own = next(one for one in fits if one["preset"] == "ulx3s")
    assert own["cycles"] == values["cycles"]
    reasons = {one["preset"]: one["reason"] for one in values["presets"] if not one["fits"]}
    assert "sequencer.queue_depth of at least 4" in reasons["tiny"]


def test_a_language_model(tmp_path):
    pytest.importorskip("tokenizers")
    from language_models import write_llama

    model = str(write_llama(tmp_path, eos_token_id=None))
    words = ("estimate", model, "--position", "5", "--json")
    values = json.loads(run(*words).stdout)
    assert values["what"].startswith("the token behind 5 others")
    assert values["preset"] == "ulx3s-resident" and values["cache_bytes"] > 0
    streamed = json.loads(run(*words, "--operands", "stream").stdout)
    assert streamed["preset"] == "ulx3s" and streamed["moved_bytes"] > streamed["weight_bytes"]
    text = run("estimate", model, "--position", "5").stdout
    assert "bottleneck" in text and "ulx3s-resident: " in text
    assert "--tokens does nothing beside" in refused(2, "estimate", model, "--tokens", "3")
    assert "the position must be 1 to" in refused(2, "estimate", model, "--position", "0")


def test_a_graph_and_a_file_of_it(tmp_path):
    """What a compiled file tells is what its graph does, and near what the engine runs."""
    pytest.importorskip("onnx")
    import systolith
    from graph.graph_bench import encoder
    from graph.onnx_files import write_onnx
    from graph.test_engine import CONFIG, example

    graph = encoder(layers=2, masked=False)
    model = str(write_onnx(tmp_path / "model.onnx", graph))
    settings = [f"{name}={value}" for name, value in {
        "memory.operand_tiles": 160, "memory.activation_words": 400, "memory.scale_words": 200,
        "vector.rows": 64, "device": "", "memory.wide_words": 600,
    }.items()]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    batch = {"x": example(1, tokens=16)["x"][:1]}
    np.savez(tmp_path / "x.npz", **batch)
    words += ["--preset", "small", "--inputs", str(tmp_path / "x.npz"), "--json"]
    values = json.loads(run("estimate", model, *words).stdout)
    assert values["what"] == "16 tokens in 1 sentence"
    program = systolith.compile(graph, batch, config=CONFIG)
    program.save(tmp_path / "m.sysl")
    path = str(tmp_path / "m.sysl")
    own = json.loads(run("estimate", path, "--tokens", "16", "--json").stdout)
    assert own["preset"] == "of the file" and own["presets"] == []
    assert own["cycles"] == pytest.approx(values["cycles"], rel=0.02)
    assert "--preset does nothing beside" in refused(2, "estimate", path, "--preset", "small")


def test_refusals(tmp_path):
    assert "there is no model none" in refused(2, "estimate", "none")
    assert "there is no preset huge" in refused(2, "estimate", "minilm", "--preset", "huge")
    assert "queue_depth of at least 4" in refused(2, "estimate", "minilm", "--preset", "tiny")
    assert "--position does nothing beside minilm" in refused(
        2, "estimate", "minilm", "--position", "3"
    )
    assert run("estimate", "--help").exit_code == 0
