"""How long programs take: instructions with their times, in place of what they compute."""

from .replay import Timing, Unending, is_modelled, replay

__all__ = ["Timing", "Unending", "is_modelled", "replay"]
