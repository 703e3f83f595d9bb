"""DRAIN: its loops, what becomes of a result, and where that goes; and SAMPLE."""

from .drain import drain
from .sample import sample

__all__ = ["drain", "sample"]
