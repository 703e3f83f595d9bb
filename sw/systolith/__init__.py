"""Systolith: bring a model, see it run, exactly, on hardware you can read."""

from typing import Any

__all__ = ["InferenceEngine", "compile"]


def __getattr__(name: str) -> Any:
    """Import what is asked for then, so that the command line starts without it."""
    if name == "compile":
        from .model_compiler import compile_model

        return compile_model
    if name == "InferenceEngine":
        from .engine import InferenceEngine

        return InferenceEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
