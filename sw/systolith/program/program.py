"""The assembler."""

from .compute import Compute
from .control import Control
from .transfer import Transfer

__all__ = ["Program"]


class Program(Control, Compute, Transfer):
    """A program under construction; each method appends one instruction.

    Fields are those of :mod:`systolith_hw.isa`. Semaphores are plain numbers, or None for none.
    ``patches`` names fields to which a runtime register is added at issue; their values aren't
    checked further.

    Parameters
    ----------
    config : Config
        What the program will run on.

    Raises
    ------
    ValueError
        From any method, for a value that the configuration does not allow; the sentence names
        the instruction, the field and the value.

    Examples
    --------
    >>> program = Program(config)
    >>> ready = program.semaphore("weights are there")
    >>> program.load(LoadKind.OPERAND_ROWS, address=0x1000, beats=48, elements=48, post_outer=ready)
    >>> program.matmul(steps=6, tokens=4, wait_outer=ready)
    >>> program.drain(DrainKind.WIDE, tokens=4, token_stride=2)
    >>> program.end()
    >>> machine.run(program.assemble())
    """
