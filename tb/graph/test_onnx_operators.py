"""Every operator of ONNX, by ONNX's own tests: right, or refused in a sentence with its name."""

import warnings

import numpy as np
import pytest

from systolith.graph import GraphError
from systolith.graph.executor import run
from systolith.graph.onnx_reader import onnx_graph

onnx = pytest.importorskip("onnx", reason="the extra systolith[onnx] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra systolith[onnx] is not installed")

OLDEST = 13


def cases():
    """Return ONNX's cases of one operator each, whose inputs and outputs are arrays of ours."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for case in found:
        if case.model is None or not case.data_sets:
            continue
        versions = {one.domain: one.version for one in case.model.opset_import}
        values = [value for values in case.data_sets[0] for value in values]
        plain = all(isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
                    and value.dtype.isbuiltin for value in values)  # fmt: skip
        if versions.get("", OLDEST) >= OLDEST and plain:
            yield case


def expected(case):
    """Return onnxruntime's results, or ONNX's own where it cannot compute the case."""
    inputs, outputs = case.data_sets[0]
    feeds = dict(zip([value.name for value in case.model.graph.input], inputs, strict=False))
    names = [value.name for value in case.model.graph.output]
    try:
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        session = runtime.InferenceSession(case.model.SerializeToString(), options)
        return feeds, dict(zip(names, session.run(None, feeds), strict=True))
    except Exception:  # onnxruntime's are not public
        return feeds, dict(zip(names, outputs, strict=True))


@pytest.mark.slow
def test_every_operator():
    right: set[str] = set()
    refused: dict[str, str] = {}
    for case in cases():
        node = case.model.graph.node[-1]
        try:
            graph = onnx_graph(case.model)
            feeds, want = expected(case)
            with np.errstate(all="ignore"):
                got = run(graph, feeds)
        except GraphError as error:
            assert "node " in str(error) or "input " in str(error), (case.name, str(error))
            refused.setdefault(node.op_type, str(error))
            continue
        for name, value in want.items():
            assert got[name].dtype == value.dtype, case.name
            near = 2e-3 if value.dtype == np.float16 else 1e-4
            np.testing.assert_allclose(got[name], value, near, near, err_msg=case.name)
        right.add(node.op_type)
    assert len(right) > 150, sorted(refused.keys() - right)


def selection(rng):
    """Return a node that picks elements, of which array, and its constants: bounds beyond the axis,
    either direction, fewer indices than elements."""
    shape = rng.integers(1, 5, int(rng.integers(1, 4))).tolist()
    x, axis = rng.normal(size=shape).astype(np.float32), int(rng.integers(len(shape)))
    if rng.random() < 0.5:
        sizes = [int(rng.integers(1, size + 1)) for size in shape]
        sizes[axis] = int(rng.integers(1, 6))
        indices = rng.integers(-shape[axis], shape[axis], sizes)
        return onnx.helper.make_node("GatherElements", ["x", "i"], ["y"], axis=axis), x, [indices]
    start, end = (int(value) for value in rng.integers(-9, 10, 2))
    step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
    numbers = [np.array([value]) for value in (start, end, axis, step)]
    names = ["x", *(f"c{number}" for number in range(4))]
    return onnx.helper.make_node("Slice", names, ["y"]), x, numbers


def test_selections_are_those_of_onnxruntime():
    """What is picked, of 300 random nodes, is what onnxruntime picks."""
    rng, seen = np.random.default_rng(5), set()
    for _ in range(300):
        node, x, constants = selection(rng)
        seen.add(node.op_type)
        initializers = [onnx.numpy_helper.from_array(value, name)
                        for value, name in zip(constants, node.input[1:], strict=True)]  # fmt: skip
        kind = onnx.TensorProto.FLOAT
        model = onnx.helper.make_model(
            onnx.helper.make_graph(
                [node], "one", [onnx.helper.make_tensor_value_info("x", kind, x.shape)],
                [onnx.helper.make_tensor_value_info("y", kind, [None] * x.ndim)], initializers,
            ),
            opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8,
        )  # fmt: skip
        want = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
        got = run(onnx_graph(model), {"x": x})["y"]
        assert got.shape == want.shape and np.array_equal(got, want), (node, x.shape, constants)
    assert seen == {"GatherElements", "Slice"}
