"""What can go wrong with models and texts, in words; light to import."""

__all__ = ["CheckpointError", "FetchError", "TextError"]


class FetchError(Exception):
    """A model package could not be had; the message says why and what would help."""


class CheckpointError(Exception):
    """A model whose tensors are not those of its kind; the message names the first."""


class TextError(ValueError):
    """A text that has nothing to run on, or too much."""
