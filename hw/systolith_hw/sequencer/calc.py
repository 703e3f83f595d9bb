"""CALC."""

from amaranth import *

from .datapath import Operand, Source
from .micro import Count, Micro, Read

__all__ = ["add_calc_states"]


def add_calc_states(m: Module, micro: Micro) -> None:
    """Execute CALC, from CALC_START: 11 cycles, 1 per shift right and 4 per shift left more.

    Word 1 holds target, a, b and the right shift; word 2 the constant and the left shift. A
    shift left adds the target to itself.
    """
    with micro.states.state("CALC_START"):
        micro.take()
        micro.states.go("CALC_WORD_1")
    with micro.states.state("CALC_WORD_1"):
        micro.patch()
        micro.read(Read.FIRST, micro.ready(1))
        with m.If(micro.ready(1)):
            micro.do(micro.target_field)
            micro.set_count(Count.UPPER)
            micro.states.go("CALC_A")
    with micro.states.state("CALC_A"):
        micro.read(Read.SECOND)
        micro.add(Operand.VALUE, Source.ZERO)
        micro.states.go("CALC_B")
    with micro.states.state("CALC_B"):
        micro.add(Operand.VALUE, Source.HIGH)
        micro.states.go("CALC_SUM")
    with micro.states.state("CALC_SUM"):
        micro.states.go("CALC_KEEP")
    with micro.states.state("CALC_KEEP"):
        # The patches of word 2 need the operand, so the sum waits in its target.
        micro.write_target()
        micro.take()
        micro.states.go("CALC_WORD_2")
    with micro.states.state("CALC_WORD_2"):
        micro.patch()
        micro.read(Read.TARGET, micro.ready(2))
        with m.If(micro.ready(2)):
            micro.states.go("CALC_OPERAND")
    with micro.states.state("CALC_OPERAND"):
        micro.add_low(Operand.VALUE)
        micro.states.go("CALC_ADD")
    with micro.states.state("CALC_ADD"):
        micro.states.go("CALC_RIGHT")
    _add_shift_states(m, micro)


def _add_shift_states(m: Module, micro: Micro) -> None:
    """Shift ``low`` right by ``count``, then left by the number in ``high``."""
    with micro.states.state("CALC_RIGHT"):
        with m.If(micro.count != 0):
            micro.do(micro.datapath.low_shift)
            micro.set_count(Count.DOWN)
        with m.Else():
            micro.set_count(Count.LOWER)
            micro.add(Operand.ZERO, Source.LOW)
            micro.states.go("CALC_MOVE")
    with micro.states.state("CALC_MOVE"):
        micro.states.go("CALC_WRITE")
    with micro.states.state("CALC_WRITE"):
        micro.write_target()
        micro.states.go("CALC_AGAIN")
        with m.If(micro.count == 0):
            micro.flush()
            micro.states.go("NEXT")
    with micro.states.state("CALC_AGAIN"):
        micro.read(Read.TARGET)
        micro.states.go("CALC_DOUBLE")
    with micro.states.state("CALC_DOUBLE"):
        micro.add(Operand.VALUE, Source.HIGH)
        micro.states.go("CALC_LEFT")
    with micro.states.state("CALC_LEFT"):
        micro.set_count(Count.DOWN)
        micro.states.go("CALC_WRITE")
