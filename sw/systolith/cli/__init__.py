"""The ``systolith`` command: one file for each command, and nothing heavy until one runs."""

from .app import app, main

__all__ = ["app", "main"]
