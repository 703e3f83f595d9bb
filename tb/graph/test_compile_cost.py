"""What compiling takes: seconds, and memory in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from .llama_bench import LlamaBuilder, tensors_of

SCRIPT = """
import json, resource, sys, time

import numpy as np
import onnx.inliner
import systolith, systolith.graph.onnx_reader, systolith.model_compiler
from systolith_hw.presets import preset


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


path, output, names = sys.argv[1:]
ids = np.random.default_rng(0).integers(1000, 30000, (2, 32))
constant = {"attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
inputs = {name: constant.get(name, ids) for name in names.split(",")}
config = preset("ulx3s").replace({"bus.address_bits": 32})
before, begin = peak(), time.process_time()
program = systolith.compile(path, inputs, config=config, strict="matrices")
program.save(output)
print(json.dumps({"seconds": time.process_time() - begin, "bytes": peak() - before,
                  "weights": sum(value.nbytes for value in program.graph.constants.values())}))
"""


def cost_of(path, output, names, cache):
    """Return what a process takes that compiles a model."""
    pytest.importorskip("onnxruntime")
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(output), names], check=True,
        capture_output=True, text=True, timeout=1500,
        env={**os.environ, "SYSTOLITH_CACHE": str(cache)},
    )  # fmt: skip
    return json.loads(result.stdout)


@pytest.mark.slow
def test_minilm(tmp_path):
    """At most 20 seconds, and three times the weights in float beyond what imports take."""
    from systolith.models.errors import FetchError
    from systolith.models.fetch import INT8_MINILM, fetch

    try:
        path = fetch(INT8_MINILM) / "model.onnx"
    except FetchError as error:
        pytest.skip(str(error))
    names = "input_ids,attention_mask,token_type_ids"
    cost = cost_of(path, tmp_path / "out.sysl", names, tmp_path)
    assert cost["weights"] > 80e6 and cost["bytes"] <= 3 * cost["weights"]
    assert cost["seconds"] <= 20


class Tied(LlamaBuilder):
    """A model whose head is its embedding."""

    def model(self, layers=2):
        table = self.tensors["model.embed_tokens.weight"]
        self.tensors["model.embed_tokens.weight"] = self.graph.add_constant("table", table)
        return super().model(layers)

    def head(self, x):
        table = self.add("Transpose", self.tensors["model.embed_tokens.weight"], perm=[1, 0])
        return self.add("MatMul", self.rms(x, "model.norm"), table)


@pytest.mark.slow
def test_smollm2(tmp_path):
    """At most 90 seconds with nothing kept from before, and three times the weights in float."""
    pytest.importorskip("onnx")
    pytest.importorskip("gguf")
    from systolith.models.errors import FetchError
    from systolith.models.library import load_language_model

    from .onnx_files import write_onnx

    try:
        decoder = load_language_model("smollm2").decoder
    except FetchError as error:
        pytest.skip(str(error))
    tensors = tensors_of(decoder) | {"model.embed_tokens.weight": decoder.embedding}
    del tensors["lm_head.weight"]
    weights = sum(value.nbytes for value in tensors.values())
    builder = Tied(tensors, decoder.heads, 64, base=decoder.rotary_base, turning="pairs",
                   mask="added")  # fmt: skip
    graph = builder.model(len(decoder.layers))
    path = write_onnx(tmp_path / "smollm2.onnx", graph)
    del decoder, tensors, builder, graph
    cost = cost_of(path, tmp_path / "out.sysl", "ids", tmp_path / "empty")
    assert 500e6 < weights < 600e6 and cost["bytes"] <= 3 * weights, cost
    assert cost["seconds"] <= 90, cost
