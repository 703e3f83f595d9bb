"""DRAIN: its loops, what becomes of a result, and where that goes."""

from .drain import drain

__all__ = ["drain"]
