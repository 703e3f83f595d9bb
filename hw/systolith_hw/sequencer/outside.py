"""READ and CREDIT: what reaches beyond the sequencer without a unit."""

from amaranth import *

from ..config import Config
from ..isa import ErrorCode
from .datapath import Operand, Source
from .micro import Micro, Read
from .word_reader import READ_BYTES

__all__ = ["add_credit_states", "add_read_states"]

SETTLE_STATES = 4
"""Cycles after a CREDIT's last count in which its address stays, in case it was one too many."""


def add_read_states(
    m: Module, micro: Micro, config: Config, read: Signal, numbered: Signal, fresh: Signal,
    done: Value, failed: Value,
) -> None:  # fmt: skip
    """Execute READ, from READ_START: 9 cycles and those of the bus, of which 2 to ask it.

    Word 1 holds target and a, word 2 the constant, and which of both is wanted. ``read`` is raised
    until ``done``, with the address in ``low``; then the word is there, or if ``numbered`` VECTOR's
    number, perhaps a ``fresh`` one, unless ``failed``.
    """
    with micro.states.state("READ_START"):
        micro.take()
        micro.states.go("READ_WORD_1")
    with micro.states.state("READ_WORD_1"):
        micro.patch()
        micro.take_patched(micro.reader.index == 1)
        with m.If(micro.ready(1)):
            micro.do(micro.fields)
            micro.states.go("READ_WORD_2")
    with micro.states.state("READ_WORD_2"):
        micro.patch()
        micro.read(Read.A, micro.ready(2))
        with m.If(micro.ready(2)):
            micro.states.go("READ_A")
    with micro.states.state("READ_A"):
        micro.add_low(Operand.VALUE)
        micro.states.go("READ_ADD")
    with micro.states.state("READ_ADD"):
        micro.states.go("READ_CHECK")
    with micro.states.state("READ_CHECK"):
        micro.states.go("READ_BUS")
        m.d.sync += [numbered.eq(micro.high[0]), fresh.eq(micro.high[1])]
        with m.If(micro.low % READ_BYTES != 0):
            micro.fail(ErrorCode.MISALIGNED)
        with m.Elif(micro.low >> config.bus.address_bits != 0):
            micro.fail(ErrorCode.ADDRESS_RANGE)
        with m.Elif(micro.high[0] & (config.vector.rows == 0)):
            micro.fail(ErrorCode.ILLEGAL_INSTRUCTION)
    with micro.states.state("READ_BUS"):
        m.d.comb += read.eq(1)
        micro.bring_word()
        with m.If(done):
            micro.states.go("READ_WRITE")
            with m.If(failed):
                micro.fail(ErrorCode.BUS_READ)
    with micro.states.state("READ_WRITE"):
        micro.write_target()
        micro.flush()
        micro.states.go("NEXT")


def add_credit_states(m: Module, micro: Micro, valid: Signal, ready: Value) -> None:
    """Execute CREDIT, from CREDIT_START: 8 cycles, and 1 for each count.

    Word 1 holds the semaphore, which becomes ``target``, and the counts. A count is given in a
    cycle with ``valid`` and ``ready``.
    """
    with micro.states.state("CREDIT_START"):
        micro.take()
        micro.states.go("CREDIT_WORD_1")
    with micro.states.state("CREDIT_WORD_1"):
        micro.patch()
        with m.If(micro.ready(1)):
            micro.do(micro.fields)
            micro.add(Operand.ONES, Source.HIGH)
            micro.states.go("CREDIT_GIVE")
            with m.If(micro.high[:16] == 0):
                micro.fail(ErrorCode.ZERO_COUNT)
    with micro.states.state("CREDIT_GIVE"):
        # The count in `high` is that with this one; the sum on its way there is that without it.
        m.d.comb += valid.eq(1)
        micro.add(Operand.ONES, Source.HIGH)
        with m.If(~ready):
            micro.do(micro.keep_high)
        with m.Elif(micro.high[:16] == 1):
            micro.states.go("CREDIT_SETTLE_1")
    for index in range(1, SETTLE_STATES + 1):
        last = index == SETTLE_STATES
        with micro.states.state(f"CREDIT_SETTLE_{index}"):
            micro.flush()
            micro.states.go("NEXT" if last else f"CREDIT_SETTLE_{index + 1}")
