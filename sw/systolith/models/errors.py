"""What can go wrong with models and texts, in words; light to import."""

__all__ = ["FetchError", "TextError"]


class FetchError(Exception):
    """A model package could not be had; the message says why and what would help."""


class TextError(ValueError):
    """A text that has nothing to run on."""
