"""Write programs as Python, with every field checked against the configuration."""

from .instructions import Patches, Semaphores
from .listing import disassemble
from .program import Program

__all__ = ["Patches", "Program", "Semaphores", "disassemble"]
