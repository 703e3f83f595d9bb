"""Compare the graph that was read of a module with the module itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .executor import run
from .graph import Graph, GraphError

__all__ = ["prove_graph"]

NOISE = 1e-3
"""Root mean square of the differences of floats, by that of what torch computes."""

SHORT_NOISE = 2e-2
"""The same of floats of fewer than 32 bits, and of what is a step behind rounding."""

Sizes = tuple[Callable[[int], int], ...]

OTHER_SIZES: tuple[Sizes, ...] = (
    (lambda size: size + 1, lambda size: size + 2, lambda size: size - 1),
    (lambda size: 2 * size, lambda size: 3 * size),
)
"""Sizes nearby and far away, of each of which the first is taken that the module accepts."""


def prove_graph(
    graph: Graph, module: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Run graph and module on an example, and on two of other sizes for each that may change.

    A size at which the module fails, or the graph is refused with a message of its own, is none at
    which they differ.

    Parameters
    ----------
    graph : Graph
    module : callable
        Returns tensors, or trees of them, and changes nothing.
    arguments, named : sequence and dict of torch.Tensor
        The example.

    Raises
    ------
    GraphError
        If they differ, or the graph cannot be computed on the example.
    """
    import torch

    order = [name for name in graph.inputs if name not in named]
    leaves = torch.utils._pytree.tree_leaves(tuple(arguments))
    if len(leaves) != len(order) or not all(
        isinstance(value, torch.Tensor) for value in (*leaves, *named.values())
    ):
        return  # an exported program that takes what is no tensor, which its graph does not
    example = {**dict(zip(order, leaves, strict=True)), **named}
    got = _computed(graph, example, "for the example")
    try:
        want = _made(module, arguments, named)
    except Exception as error:  # torch has many, of which few are public
        raise GraphError(f"the module itself fails on the example ({error})") from error
    _compare(graph, got, want, "for the example")
    for size, axes in _open(graph).items():
        for sizes in OTHER_SIZES:
            for other in sizes:
                name, axis = axes[0]
                number = other(example[name].shape[axis])
                changed = {
                    key: _resized(value, [at for owner, at in axes if owner == key], number)
                    for key, value in example.items()
                }
                parts = iter(changed[key] for key in order)
                try:
                    again = torch.utils._pytree.tree_map(lambda _: next(parts), tuple(arguments))  # noqa: B023
                    want = _made(module, again, {key: changed[key] for key in named})
                except Exception:  # the module takes no such size
                    continue
                _prove_size(graph, changed, want, f"{size}, axis {axis} of {name}, is {number}")
                break


def _prove_size(
    graph: Graph, example: Mapping[str, Any], want: Sequence[NDArray | None], size: str
) -> None:
    """Refuse a graph that makes something else than the module of inputs of other sizes."""
    try:
        got = _computed(graph, example, f"when {size}")
    except GraphError:  # which a call with such a size says, too
        return
    _compare(graph, got, want, f"when {size}")


def _open(graph: Graph) -> dict[str, list[tuple[str, int]]]:
    """Return the axes of inputs of each size that may change."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, kind in graph.inputs.items():
        for axis, size in enumerate(kind.shape):
            if isinstance(size, str):
                found.setdefault(size, []).append((name, axis))
    return found


def _resized(tensor: Any, axes: Sequence[int], size: int) -> Any:
    """Return a tensor of another size, of elements that it has, so that indices stay ones.

    Floats that are repeated change a little, lest equal ones are in an order by chance.
    """
    import torch

    for axis in axes:
        old = tensor.shape[axis]
        tensor = tensor.index_select(axis, torch.arange(size) % old)
        if tensor.is_floating_point():
            factors = 1 + 0.03 * (torch.arange(size) // old).to(tensor.dtype)
            tensor = tensor * factors.reshape(-1, *[1] * (tensor.dim() - 1 - axis))
    return tensor


def _made(
    module: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]
) -> list[NDArray | None]:
    """Return what a module makes, in order, without what is None."""
    import torch

    copy = torch.utils._pytree.tree_map(lambda value: value.clone(), (tuple(arguments), {**named}))
    made = torch.utils._pytree.tree_leaves(module(*copy[0], **copy[1]))
    return [_array(value) for value in made if value is not None]


def _array(value: Any) -> NDArray | None:
    """Return an output; None for types that numpy does not have."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    try:
        return value.detach().cpu().numpy()
    except TypeError:
        return None


def _computed(graph: Graph, example: Mapping[str, Any], where: str) -> dict[str, NDArray]:
    try:
        return run(graph, {name: value.detach().cpu().numpy() for name, value in example.items()})
    except GraphError as error:
        raise GraphError(f"{error}; it is so {where}") from error


def _compare(
    graph: Graph, got: Mapping[str, NDArray], want: Sequence[NDArray | None], where: str
) -> None:
    for name, fault in _faults(graph, got, want):
        raise GraphError(
            f"the output {name} is not what the module computes {where}: {fault}; if the module "
            "does something else for other sizes, give torch.export.export(module, example), whose "
            "sizes are fixed, otherwise export it to ONNX and report the module"
        )


def _faults(
    graph: Graph, got: Mapping[str, NDArray], want: Sequence[NDArray | None]
) -> Iterator[tuple[str, str]]:
    """Return the outputs that differ, and how."""
    if len(want) != len(graph.outputs):
        yield graph.outputs[0], f"there are {len(graph.outputs)} outputs instead of {len(want)}"
    for name, value in zip(graph.outputs, want, strict=False):
        if value is None:
            continue
        fault = _fault(got[name], value)
        if fault:
            yield name, fault


def _fault(got: NDArray, want: NDArray) -> str:
    """Return how two arrays differ beyond rounding; nothing if they do not."""
    kinds = [f"{value.dtype}{list(value.shape)}" for value in (got, want)]
    if kinds[0] != kinds[1]:
        return f"{kinds[0]} instead of {kinds[1]}"
    if want.dtype.kind not in "fc":
        number = int((got != want).sum())
        return f"{number} of {want.size} elements differ" if number else ""
    noise = SHORT_NOISE if want.dtype.itemsize < 4 else NOISE
    finite = np.isfinite(want)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    odd = int((~same & ~(finite & np.isfinite(got))).sum())
    if odd:
        return f"{odd} of {want.size} elements are infinite or no number in one of them"
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    error = np.abs(got[finite].astype(wide) - want[finite].astype(wide))
    size = float(np.sqrt(np.mean(np.abs(want[finite].astype(wide)) ** 2))) if finite.any() else 0.0
    rms = float(np.sqrt(np.mean(error**2))) if finite.any() else 0.0
    if rms > noise * max(size, 1e-6):
        return f"they differ by {rms:.3g}, root mean square, where torch's has {size:.3g}"
    return ""
