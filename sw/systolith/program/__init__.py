"""Write programs as Python, with every field checked against the configuration."""

from .instructions import Patches, Semaphores
from .listing import disassemble
from .program import Program
from .purpose import programming

__all__ = ["Patches", "Program", "Semaphores", "disassemble", "programming"]
