"""Which source files a module depends on: what it made before one of them changed is stale."""

import ast
import functools
import importlib.util
from pathlib import Path

from systolith_sim.verilator import digest

__all__ = ["COMPILER", "compiler_version", "meaning", "sources"]

PACKAGES = {"systolith", "systolith_hw", "systolith_sim"}

COMPILER = ("systolith.encoder", "systolith.models.quantized")
"""Modules that make the images of encoders, with all that they import."""


@functools.cache
def compiler_version(modules: tuple[str, ...] = COMPILER) -> str:
    """Return what changes whenever a compiler does: images of another one mean nothing to it."""
    return digest(*(path.read_bytes() for path in sources(*modules).values()))


def sources(*modules: str) -> dict[str, Path]:
    """Return the files of modules, and of all of ours that they import, by the modules' names."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _path(name)
        if path is not None:
            found[name] = path
            waiting += _imports(name, path)
    return dict(sorted(found.items()))


def meaning(source: bytes) -> bytes:
    """Return what a file of Python does: comments, docstrings and lines of it make no difference.

    Differs between versions of Python.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _path(name: str) -> Path | None:
    """Return the file of one of our modules; nothing if it is none of those."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name inside of a module
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _imports(name: str, path: Path) -> list[str]:
    """Return what a module imports: modules, their packages, and names that may be modules."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names = [package]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(source, package)
            names += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    # A package runs before what is in it.
    return names + [name.rpartition(".")[0] for name in names]
