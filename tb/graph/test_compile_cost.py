"""What compiling takes: seconds, and memory in a process of its own."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys, time

import numpy as np
import onnx.inliner
import systolith, systolith.graph.onnx_reader, systolith.model_compiler


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


ids = np.random.default_rng(0).integers(1000, 30000, (2, 32))
inputs = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
before, begin = peak(), time.process_time()
program = systolith.compile(sys.argv[1], inputs, config="ulx3s", strict="matrices")
print(json.dumps({
    "seconds": time.process_time() - begin, "bytes": peak() - before,
    "weights": sum(value.nbytes for value in program.graph.constants.values()),
}))
"""


@pytest.mark.slow
def test_minilm():
    """At most 20 seconds, and three times the weights in float beyond what imports take."""
    pytest.importorskip("onnxruntime")
    from systolith.models.errors import FetchError
    from systolith.models.fetch import INT8_MINILM, fetch

    try:
        path = fetch(INT8_MINILM) / "model.onnx"
    except FetchError as error:
        pytest.skip(str(error))
    result = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True,
                            capture_output=True, text=True, timeout=300)  # fmt: skip
    cost = json.loads(result.stdout)
    assert cost["weights"] > 80e6 and cost["bytes"] <= 3 * cost["weights"]
    assert cost["seconds"] <= 20
