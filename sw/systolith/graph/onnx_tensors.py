"""Numbers in ONNX files: their types, and values beside the file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import GraphError

__all__ = ["tensor_dtype", "tensor_value"]

DTYPES = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
    9: np.bool, 10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64,
}  # fmt: skip
"""By ONNX's number."""


def tensor_dtype(number: int, where: str) -> np.dtype:
    """Return numpy's type for ONNX's number.

    Raises
    ------
    GraphError
        If it is none that is supported; ``where`` says whose it is.
    """
    if number not in DTYPES:
        known = ", ".join(np.dtype(kind).name for kind in DTYPES.values())
        raise GraphError(
            f"{where} is of ONNX's type {number}, which is not supported; known are {known}"
        )
    return np.dtype(DTYPES[number])


def tensor_value(tensor: Any, folder: Path) -> NDArray:
    """Return a tensor's value; what lies outside the file lies in ``folder``."""
    from onnx import TensorProto, numpy_helper

    dtype = tensor_dtype(tensor.data_type, f"tensor {tensor.name}")
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    return _external(tensor, dtype, folder)


def _external(tensor: Any, dtype: np.dtype, folder: Path) -> NDArray:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = folder / entries.get("location", "")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise GraphError(
            f"tensor {tensor.name} has its values in {entries['location']}, which is outside the "
            "model's folder; move it there"
        )
    shape = tuple(tensor.dims)
    count, offset = math.prod(shape), int(entries.get("offset", 0))
    if not path.is_file():
        raise GraphError(
            f"tensor {tensor.name} has its values in {path}, which is missing; put the file there"
        )
    if path.stat().st_size < offset + count * dtype.itemsize:
        raise GraphError(
            f"tensor {tensor.name} needs {count * dtype.itemsize} bytes from byte {offset} of "
            f"{path} on, which is shorter; copy the file again"
        )
    return np.fromfile(path, dtype.newbyteorder("<"), count, offset=offset).reshape(shape)
