"""Which nodes of ONNX numpy computes here: those of which every attribute is understood."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NATIVE", "is_native"]

_PLAIN = (
    "Add Sub Mul Div Pow Neg Abs Sign Sqrt Reciprocal Exp Log Erf Sin Cos Tanh Floor Ceil Round "
    "Sigmoid Softplus Relu Clip Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor Not IsNaN "
    "IsInf Where Max Min Sum Identity MatMul CumSum GatherND Slice Squeeze Unsqueeze Expand Range "
    "Size Pad Tile"
)

_REDUCTIONS = "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL2"

NATIVE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_PLAIN.split(), ()),
    **dict.fromkeys(_REDUCTIONS.split(), ("axes", "keepdims", "noop_with_empty_axes")),
    **dict.fromkeys(("ArgMax", "ArgMin"), ("axis", "keepdims", "select_last_index")),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Gather", "GatherElements", "Concat", "Flatten"),
                    ("axis",)),
    "LayerNormalization": ("axis", "epsilon"), "RMSNormalization": ("axis", "epsilon"),
    "Mod": ("fmod",), "Elu": ("alpha",), "LeakyRelu": ("alpha",), "Gelu": ("approximate",),
    "Cast": ("to",), "Dropout": ("seed",), "Gemm": ("alpha", "beta", "transA", "transB"),
    "Einsum": ("equation",), "DequantizeLinear": ("axis",),
    "Conv": ("kernel_shape", "strides", "pads", "dilations", "group"),
    "Split": ("axis", "num_outputs"), "Trilu": ("upper",), "Reshape": ("allowzero",),
    "Transpose": ("perm",), "Shape": ("start", "end"), "ConstantOfShape": ("value",),
}  # fmt: skip
"""Operators of ONNX, and the attributes that are read. Others must have their default, else the
node is for onnxruntime."""

OUTPUTS = {"Split": 1 << 20, "Dropout": 2}
"""Most outputs; of all others 1."""


def is_native(proto: Any, version: int, constants: Mapping[str, NDArray]) -> bool:
    """Return whether numpy computes a node of ONNX's own domain.

    Parameters
    ----------
    proto : onnx.NodeProto
    version : int
        Of the operators.
    constants : dict of arrays
        All that is known in front of the node.
    """
    import onnx

    kind = proto.op_type
    if kind not in NATIVE or sum(map(bool, proto.output)) > OUTPUTS.get(kind, 1):
        return False
    try:
        schema = onnx.defs.get_schema(kind, version, "")
    except onnx.defs.SchemaError:  # not of this version
        return False
    for attribute in proto.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            return False
        if attribute.name not in NATIVE[kind] and not _same(attribute, known.default_value):
            return False
    if kind == "Conv":
        return _side_by_side(proto, constants)
    if kind == "Dropout" and len(proto.input) > 2 and proto.input[2]:
        training = constants.get(proto.input[2])
        return training is not None and not training.any()
    return True


def _same(attribute: Any, default: Any) -> bool:
    import onnx

    if default.type == onnx.AttributeProto.UNDEFINED:
        return False
    return onnx.helper.get_attribute_value(attribute) == onnx.helper.get_attribute_value(default)


def _side_by_side(proto: Any, constants: Mapping[str, NDArray]) -> bool:
    """Return whether a convolution's windows do not overlap, and leave nothing out."""
    import onnx

    given = {one.name: onnx.helper.get_attribute_value(one) for one in proto.attribute}
    weights = constants.get(proto.input[1])
    kernel = given.get("kernel_shape", [] if weights is None else weights.shape[2:])
    return bool(
        kernel and np.array_equal(given.get("strides", [1] * len(kernel)), kernel)
        and not np.any(given.get("pads", 0)) and np.all(np.equal(given.get("dilations", 1), 1))
        and given.get("group", 1) == 1
    )  # fmt: skip
