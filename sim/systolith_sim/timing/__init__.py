"""How long programs take: instructions with their times, in place of what they compute."""

from .replay import Timing, replay

__all__ = ["Timing", "replay"]
