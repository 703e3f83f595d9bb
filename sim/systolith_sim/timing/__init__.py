"""How long programs take: instructions with their times, in place of what they compute."""

from .replay import Timing, is_modelled, replay

__all__ = ["Timing", "is_modelled", "replay"]
