"""CALC."""

from amaranth import *

from ..isa import CalcOperation
from .datapath import Operand, Source
from .micro import Count, Micro, Read

__all__ = ["add_calc_states"]


def add_calc_states(m: Module, micro: Micro) -> None:
    """Execute CALC, from CALC_START: 7 cycles, 2 more with a shift, 1 more for each bit of it, and
    1 if any is to the left; 4 more for MINIMUM, 2 of them where that has a shift.

    Where an instruction follows that is there, and is not the next trip of a loop, its words come
    meanwhile, and it begins 4 cycles sooner.

    Word 1 holds target, a, b and the right shift; word 2 the constant, the left shift and the
    operation.
    """
    plain = Signal(reset_less=True)  # a sum alone
    with micro.states.state("CALC_START"):
        micro.take()
        micro.states.go("CALC_WORD_1")
    with micro.states.state("CALC_WORD_1"):
        micro.patch()
        micro.take_patched(micro.reader.index == 1)
        with m.If(micro.ready(1)):
            micro.do(micro.fields)
            micro.set_count(Count.UPPER)
            micro.states.go("CALC_WORD_2")
    with micro.states.state("CALC_WORD_2"):
        micro.patch()
        micro.read(Read.A, micro.ready(2))
        with m.If(micro.ready(2)):
            micro.states.go("CALC_A")
    with micro.states.state("CALC_A"):
        micro.add_low(Operand.VALUE)
        micro.read(Read.B)
        m.d.sync += plain.eq(
            ~(micro.high[: len(micro.count)].any() | micro.count.any()
              | (micro.high[16] == CalcOperation.MINIMUM))
        )  # fmt: skip
        micro.states.go("CALC_B")
    with micro.states.state("CALC_B"):
        with m.If(micro.high[16] == CalcOperation.MINIMUM):
            micro.compare_low(Operand.VALUE)
            micro.states.go("CALC_COMPARE")
        with m.Elif(plain):
            micro.add(Operand.VALUE, Source.LOW)
            micro.states.go("CALC_MOVE")
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
        micro.take(micro.reader.reading)
        with m.If(micro.reader.reading):
            micro.states.go("CALC_SKIP")
        with m.Else():
            micro.flush()
            micro.states.go("NEXT")
    with micro.states.state("CALC_SKIP"):
        micro.take()  # word 3, of which nobody wants anything
        micro.states.go("HEADER")
