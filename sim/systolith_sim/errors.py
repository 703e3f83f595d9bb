"""What a program can do wrong, as the hardware's error register would report it."""

from systolith_hw.isa import ErrorCode, Unit

__all__ = ["MachineError", "ProgramError"]


class MachineError(Exception):
    """A program met an error that stops the hardware.

    Parameters
    ----------
    code : ErrorCode
        What the error register would hold.
    unit : Unit
        Who met it.
    pc : int
        Index of the instruction in its program.
    message : str
        A sentence that says what was wrong.
    """

    def __init__(self, code: ErrorCode, unit: Unit, pc: int, message: str) -> None:
        self.code = code
        self.unit = unit
        self.pc = pc
        self.message = message
        super().__init__(f"{code.name} in unit {unit.name.lower()} at {pc}: {message}")


class ProgramError(Exception):
    """A program that machine and compiler refuse though the hardware would not: its timing could
    change the outcome, it would never end, or it breaks a rule that no unit checks."""
