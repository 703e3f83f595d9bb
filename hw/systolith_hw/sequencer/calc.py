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
    with m.State("CALC_START"):
        micro.take()
        m.next = "CALC_WORD_1"
    with m.State("CALC_WORD_1"):
        micro.patch()
        micro.read(Read.FIRST, micro.ready(1))
        with m.If(micro.ready(1)):
            micro.do(micro.target_field)
            micro.set_count(Count.UPPER)
            m.next = "CALC_A"
    with m.State("CALC_A"):
        micro.read(Read.SECOND)
        micro.add(Operand.VALUE, Source.ZERO)
        m.next = "CALC_B"
    with m.State("CALC_B"):
        micro.add(Operand.VALUE, Source.HIGH)
        m.next = "CALC_SUM"
    with m.State("CALC_SUM"):
        m.next = "CALC_KEEP"
    with m.State("CALC_KEEP"):
        # The patches of word 2 need the operand, so the sum waits in its target.
        micro.write_target()
        micro.take()
        m.next = "CALC_WORD_2"
    with m.State("CALC_WORD_2"):
        micro.patch()
        micro.read(Read.TARGET, micro.ready(2))
        with m.If(micro.ready(2)):
            m.next = "CALC_OPERAND"
    with m.State("CALC_OPERAND"):
        micro.add_low(Operand.VALUE)
        m.next = "CALC_ADD"
    with m.State("CALC_ADD"):
        m.next = "CALC_RIGHT"
    _add_shift_states(m, micro)


def _add_shift_states(m: Module, micro: Micro) -> None:
    """Shift ``low`` right by ``count``, then left by the number in ``high``."""
    with m.State("CALC_RIGHT"):
        with m.If(micro.count != 0):
            micro.do(micro.datapath.low_shift)
            micro.set_count(Count.DOWN)
        with m.Else():
            micro.set_count(Count.LOWER)
            micro.add(Operand.ZERO, Source.LOW)
            m.next = "CALC_MOVE"
    with m.State("CALC_MOVE"):
        m.next = "CALC_WRITE"
    with m.State("CALC_WRITE"):
        micro.write_target()
        m.next = "CALC_AGAIN"
        with m.If(micro.count == 0):
            micro.flush()
            m.next = "NEXT"
    with m.State("CALC_AGAIN"):
        micro.read(Read.TARGET)
        m.next = "CALC_DOUBLE"
    with m.State("CALC_DOUBLE"):
        micro.add(Operand.VALUE, Source.HIGH)
        m.next = "CALC_LEFT"
    with m.State("CALC_LEFT"):
        micro.set_count(Count.DOWN)
        m.next = "CALC_WRITE"
