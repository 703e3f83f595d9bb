"""CALC."""

from amaranth import *

from ..isa import CalcOperation
from .datapath import Operand, Source
from .micro import Count, Micro, Read

__all__ = ["add_calc_states"]


def add_calc_states(m: Module, micro: Micro) -> None:
    """Execute CALC, from CALC_START: 9 cycles, 11 or 12 for MINIMUM; 1 more for each bit of a
    shift, and 2 if any is to the left.

    Word 1 holds target, a, b and the right shift; word 2 the constant, the left shift and the
    operation.
    """
    with micro.states.state("CALC_START"):
        micro.take()
        micro.states.go("CALC_WORD_1")
    with micro.states.state("CALC_WORD_1"):
        micro.patch()
        with m.If(micro.ready(1)):
            micro.do(micro.fields)
            micro.set_count(Count.UPPER)
            micro.take()
            micro.states.go("CALC_WORD_2")
    with micro.states.state("CALC_WORD_2"):
        micro.patch()
        micro.read(Read.A, micro.ready(2))
        with m.If(micro.ready(2)):
            micro.states.go("CALC_A")
    with micro.states.state("CALC_A"):
        micro.add_low(Operand.VALUE)
        micro.read(Read.B)
        micro.states.go("CALC_B")
    with micro.states.state("CALC_B"):
        with m.If(micro.high[16] == CalcOperation.MINIMUM):
            micro.compare_low(Operand.VALUE)
            micro.states.go("CALC_COMPARE")
        with m.Else():
            micro.add_low(Operand.VALUE)
            micro.states.go("CALC_SUM")
    with micro.states.state("CALC_SUM"):
        micro.states.go("CALC_RIGHT")
    _add_minimum_states(m, micro)
    _add_shift_states(m, micro)


def _add_minimum_states(m: Module, micro: Micro) -> None:
    """Make ``low`` the smaller of itself and the register that has been read."""
    with micro.states.state("CALC_COMPARE"):
        micro.do(micro.more_load)  # the register is more than ``low``
        micro.states.go("CALC_CHOOSE")
    with micro.states.state("CALC_CHOOSE"):
        micro.states.go("CALC_RIGHT")
        with m.If(~micro.more):
            micro.add_low(Operand.VALUE, Source.ZERO)
            micro.states.go("CALC_SUM")


def _add_shift_states(m: Module, micro: Micro) -> None:
    """Shift ``low`` right by ``count``, then left by the number in ``high``."""
    with micro.states.state("CALC_RIGHT"):
        with m.If(micro.count != 0):
            micro.do(micro.datapath.low_shift)
            micro.set_count(Count.DOWN)
        with m.Elif(micro.high[: len(micro.count)] != 0):
            micro.set_count(Count.LOWER)
            micro.states.go("CALC_LEFT")
        with m.Else():
            micro.add(Operand.ZERO, Source.LOW)
            micro.states.go("CALC_MOVE")
    with micro.states.state("CALC_LEFT"):
        with m.If(micro.count != 0):
            micro.do(micro.datapath.low_left)
            micro.set_count(Count.DOWN)
        with m.Else():
            micro.add(Operand.ZERO, Source.LOW)
            micro.states.go("CALC_MOVE")
    with micro.states.state("CALC_MOVE"):
        micro.states.go("CALC_WRITE")
    with micro.states.state("CALC_WRITE"):
        micro.write_target()
        micro.flush()
        micro.states.go("NEXT")
