"""Systolith: bring a model, see it run, exactly, on hardware you can read."""

import importlib
from typing import Any

__all__ = ["InferenceEngine", "compile", "load"]

PLACES = {
    "compile": ("model_compiler", "compile_model"),
    "load": ("model_program", "load_program"),
    "InferenceEngine": ("engine", "InferenceEngine"),
}
"""Module and name of each."""


def __getattr__(name: str) -> Any:
    """Import what is asked for only then, so that the command line starts without it."""
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, place = PLACES[name]
    return getattr(importlib.import_module(f".{module}", __name__), place)
