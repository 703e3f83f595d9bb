"""Numbers in ONNX files: their types, and values beside the file."""

import math
from collections.abc import Mapping
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
    """Return a tensor's value; what lies outside the file lies in ``folder``.

    Raises
    ------
    GraphError
        If there is none of its type and shape.
    """
    from onnx import TensorProto, numpy_helper

    dtype = tensor_dtype(tensor.data_type, f"tensor {tensor.name}")
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0:
        raise GraphError(
            f"tensor {tensor.name} has the shape {list(shape)}, with a size below zero; the file "
            "is damaged: export it again"
        )
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, dtype, folder)
    size = math.prod(shape) * dtype.itemsize
    if tensor.HasField("raw_data") and len(tensor.raw_data) != size:
        raise GraphError(
            f"tensor {tensor.name} has {len(tensor.raw_data)} bytes of values, but {dtype}"
            f"{list(shape)} takes {size}; the file is damaged: export it again"
        )
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise GraphError(
            f"tensor {tensor.name} has other values than {dtype}{list(shape)} takes ({error}); the "
            "file is damaged: export it again"
        ) from error


def _external(tensor: Any, dtype: np.dtype, folder: Path) -> NDArray:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    shape = tuple(tensor.dims)
    count = math.prod(shape)
    offset = _place(tensor, entries, "offset", 0)
    if _place(tensor, entries, "length", count * dtype.itemsize) != count * dtype.itemsize:
        raise GraphError(
            f"tensor {tensor.name} has its values in {entries['length']} bytes of another file, "
            f"but {dtype}{list(shape)} takes {count * dtype.itemsize}; export the model again"
        )
    path = _path(tensor, entries.get("location", ""), folder)
    if path.stat().st_size < offset + count * dtype.itemsize:
        raise GraphError(
            f"tensor {tensor.name} needs {count * dtype.itemsize} bytes from byte {offset} of "
            f"{path} on, which is shorter; copy the file again"
        )
    return np.fromfile(path, dtype.newbyteorder("<"), count, offset=offset).reshape(shape)


def _place(tensor: Any, entries: Mapping[str, str], name: str, usual: int) -> int:
    """Return a number of bytes of external data."""
    text = entries.get(name, str(usual))
    if not (text.isascii() and text.isdigit()):
        raise GraphError(
            f"tensor {tensor.name} has the {name} {text!r} in another file, which is no number of "
            "bytes; export the model again"
        )
    return int(text)


def _path(tensor: Any, location: str, folder: Path) -> Path:
    """Return the file that has a tensor's values."""
    try:
        path = folder / location
        if not path.resolve().is_relative_to(folder.resolve()):
            raise GraphError(
                f"tensor {tensor.name} has its values in {location}, which is outside the "
                "model's folder; move it there"
            )
        if path.is_file():
            return path
    except (OSError, ValueError) as error:  # a name that no file can have
        if isinstance(error, GraphError):
            raise
    raise GraphError(
        f"tensor {tensor.name} has its values in {str(folder / location)[:200]!r}, which is "
        "missing; put the file there"
    )
