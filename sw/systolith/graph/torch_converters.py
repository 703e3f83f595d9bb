"""Operators of torch's aten that take more than a name in our place.

Each function takes the emitter, the node of torch.fx, and its arguments as torch has them.
"""

from typing import Any

import numpy as np

from .torch_moves import MOVES
from .torch_operators import FAR, Emitter, NotHereError
from .torch_types import dtype_of

__all__ = ["CONVERTERS"]


def _require_same(node: Any, x: Any) -> None:
    """Leave to torch what makes another type than it is given."""
    if dtype_of(x) != dtype_of(node):
        raise NotHereError("types that differ")


def _linear(e: Emitter, node: Any, x: Any, weight: Any, bias: Any = None) -> None:
    product = e.emit("Transpose", weight.name, perm=[1, 0])
    if bias is None:
        e.emit("MatMul", x.name, product, makes=node)
    else:
        e.emit("Add", e.emit("MatMul", x.name, product), bias.name, makes=node)


def _addmm(e: Emitter, node: Any, bias: Any, x: Any, weight: Any) -> None:
    e.emit("Add", e.emit("MatMul", x.name, weight.name), bias.name, makes=node)


def _outer(e: Emitter, node: Any, one: Any, other: Any) -> None:
    column = e.emit("Unsqueeze", one.name, e.numbers(1))
    e.emit("Mul", column, e.emit("Unsqueeze", other.name, e.numbers(0)), makes=node)


def _einsum(e: Emitter, node: Any, equation: str, parts: Any, **_: Any) -> None:
    e.emit("Einsum", *(part.name for part in parts), makes=node, equation=equation)


def _layer_norm(
    e: Emitter, node: Any, x: Any, shape: Any, weight: Any = None, bias: Any = None,
    epsilon: float = 1e-5, *_: Any,
) -> None:  # fmt: skip
    names = [part.name if part is not None else "" for part in (weight, bias)]
    e.emit("LayerNormalization", x.name, *names, makes=node, axis=-len(shape), epsilon=epsilon)


def _rms_norm(
    e: Emitter, node: Any, x: Any, shape: Any, weight: Any = None, epsilon: float | None = None
) -> None:
    names = [weight.name] if weight is not None else []
    small = float(np.finfo(np.float32).eps) if epsilon is None else epsilon
    e.emit("RMSNormalization", x.name, *names, makes=node, axis=-len(shape), epsilon=small)


def _softmax(e: Emitter, node: Any, x: Any, axis: int, *_: Any, **__: Any) -> None:
    same = dtype_of(x) == dtype_of(node)
    e.emit("Softmax", x.name if same else e.cast(x.name, dtype_of(node)), makes=node, axis=axis)


def _gelu(e: Emitter, node: Any, x: Any, approximate: str = "none") -> None:
    e.emit("Gelu", x.name, makes=node, approximate=approximate)


def _rsqrt(e: Emitter, node: Any, x: Any) -> None:
    _require_same(node, x)
    e.emit("Reciprocal", e.emit("Sqrt", x.name), makes=node)


def _rsub(e: Emitter, node: Any, x: Any, other: Any) -> None:
    _require_same(node, x)
    e.emit("Sub", e.typed(other, dtype_of(x)), x.name, makes=node)


def _ne(e: Emitter, node: Any, x: Any, other: Any) -> None:
    e.emit("Not", e.emit("Equal", *e.alike(x, other)), makes=node)


def _clamp(e: Emitter, node: Any, x: Any, low: Any = None, high: Any = None) -> None:
    _require_same(node, x)
    names = ["" if value is None else e.typed(value, dtype_of(x)) for value in (low, high)]
    e.emit("Clip", x.name, *names, makes=node)


def _where(e: Emitter, node: Any, test: Any, one: Any, other: Any) -> None:
    kind = dtype_of(node)
    e.emit("Where", test.name, e.typed(one, kind), e.typed(other, kind), makes=node)


def _fill_masked(e: Emitter, node: Any, x: Any, mask: Any, value: Any) -> None:
    e.emit("Where", mask.name, e.typed(value, dtype_of(x)), x.name, makes=node)


def _cast(e: Emitter, node: Any, x: Any, *_: Any, **__: Any) -> None:
    e.cast(x.name, dtype_of(node), makes=node)


# -- reductions ------------------------------------------------------------------------------


def _reduce(kind: str) -> Any:
    def convert(
        e: Emitter, node: Any, x: Any, axes: Any = None, keep: bool = False, **_: Any
    ) -> None:
        axes = [axes] if isinstance(axes, int) else axes
        name = x.name if dtype_of(x) == dtype_of(node) else e.cast(x.name, dtype_of(node))
        inputs = [e.numbers(*axes)] if axes else []
        e.emit(kind, name, *inputs, makes=node, keepdims=int(keep))

    return convert


def _argmax(e: Emitter, node: Any, x: Any, axis: int, keep: bool = False) -> None:
    e.emit("ArgMax", x.name, makes=node, axis=axis, keepdims=int(keep))


# -- made from nothing -----------------------------------------------------------------------


def _range(e: Emitter, node: Any, *ends: Any, **_: Any) -> None:
    start, end, step = {1: (0, *ends, 1), 2: (*ends, 1), 3: ends}[len(ends)]
    names = [e.tensor(value) for value in (start, end, step)]
    e.cast(e.emit("Range", *names), dtype_of(node), makes=node)


def _fill(e: Emitter, node: Any, sizes: str, value: Any) -> None:
    if hasattr(value, "op"):
        raise NotHereError("a number that is computed")
    content = np.array([value], dtype_of(node))
    e.emit("ConstantOfShape", sizes, makes=node, value=content)


def _like(value: Any = None) -> Any:
    """Return the converter of a tensor of one value as large as another."""

    def convert(e: Emitter, node: Any, x: Any, *given: Any, **_: Any) -> None:
        _fill(e, node, e.emit("Shape", x.name), given[0] if value is None else value)

    return convert


def _filled(value: Any = None, *, first: int = 0) -> Any:
    """Return the converter of a tensor of one value, whose sizes are an argument."""

    def convert(e: Emitter, node: Any, *args: Any, **_: Any) -> None:
        sizes, *given = args[first:]
        _fill(e, node, e.sizes(sizes), given[0] if value is None else value)

    return convert


def _triangle(upper: int) -> Any:
    def convert(e: Emitter, node: Any, x: Any, place: int = 0) -> None:
        e.emit("Trilu", x.name, e.tensor(place), makes=node, upper=upper)

    return convert


# -- attention -------------------------------------------------------------------------------


def _attend(
    e: Emitter, node: Any, query: Any, key: Any, value: Any, mask: Any = None,
    dropout: float = 0.0, causal: bool = False, *, scale: float | None = None,
    enable_gqa: bool = False,
) -> None:  # fmt: skip
    """Scores, mask, softmax, and context, (..., tokens, features)."""
    if dropout:
        raise NotHereError("training")
    rank, features = query.meta["val"].dim(), query.meta["val"].shape[-1]
    if not isinstance(features, int):
        raise NotHereError("a scale that depends on a size")
    order = [*range(rank - 2), rank - 1, rank - 2]
    factor = e.tensor(features**-0.5 if scale is None else scale, query)
    keys, values = ((_repeated(e, query, one) if enable_gqa else one.name) for one in (key, value))
    scores = e.emit("MatMul", query.name, e.emit("Transpose", keys, perm=order))
    scores = e.emit("Mul", scores, factor)
    if causal:
        scores = e.emit("Add", scores, _behind(e, query, scores))
    if mask is not None:
        scores = e.emit("Add", scores, _additive(e, query, mask))
    weights = e.emit("Softmax", scores, axis=-1)
    if mask is not None:  # queries that see nothing get zeros, and not what is no number
        most = e.emit("ReduceMax", scores, e.numbers(-1))
        hidden = e.emit("Equal", most, e.tensor(-np.inf, query))
        weights = e.emit("Where", hidden, e.tensor(0.0, query), weights)
    e.emit("MatMul", weights, values, makes=node)


def _repeated(e: Emitter, query: Any, heads: Any) -> str:
    """Return keys or values (..., G, tokens, D), each once for every head of queries."""
    count, groups = (one.meta["val"].shape[-3] for one in (query, heads))
    if not isinstance(count, int) or not isinstance(groups, int):
        raise NotHereError("heads whose number may change")
    numbers = np.repeat(np.arange(groups), count // groups)
    places = e.numbers(*numbers.tolist())
    return e.emit("Gather", heads.name, places, axis=heads.meta["val"].dim() - 3)


def _additive(e: Emitter, query: Any, mask: Any) -> str:
    """Return what is added for a mask, which may be of booleans."""
    if dtype_of(mask) != np.bool:
        return mask.name
    return e.emit("Where", mask.name, e.tensor(0.0, query), e.tensor(-np.inf, query))


def _behind(e: Emitter, query: Any, scores: str) -> str:
    """Return what hides keys behind each query."""
    shape = e.emit("Slice", e.emit("Shape", scores), e.numbers(-2), e.numbers(FAR))
    ones = e.emit("ConstantOfShape", shape, value=np.array([1], np.int64))
    hidden = e.cast(e.emit("Trilu", ones, e.tensor(1), upper=1), np.dtype(np.bool))
    return e.emit("Where", hidden, e.tensor(-np.inf, query), e.tensor(0.0, query))


CONVERTERS = {
    **MOVES, "linear": _linear, "addmm": _addmm, "outer": _outer, "einsum": _einsum,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm, "softmax": _softmax, "_softmax": _softmax, "gelu": _gelu,
    "rsqrt": _rsqrt, "rsub": _rsub, "ne": _ne, "clamp": _clamp, "where": _where,
    "masked_fill": _fill_masked, "_to_copy": _cast, "to": _cast,
    "mean": _reduce("ReduceMean"), "sum": _reduce("ReduceSum"),
    "amax": _reduce("ReduceMax"), "amin": _reduce("ReduceMin"), "argmax": _argmax,
    "zeros_like": _like(0), "ones_like": _like(1), "full_like": _like(),
    "zeros": _filled(0), "ones": _filled(1), "full": _filled(),
    "new_zeros": _filled(0, first=1), "new_ones": _filled(1, first=1),
    "arange": _range, "triu": _triangle(1), "tril": _triangle(0),
    "scaled_dot_product_attention": _attend,
}  # fmt: skip
