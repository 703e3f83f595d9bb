"""LOOP, and what happens at the end of a loop's body."""

from amaranth import *
from amaranth.utils import exact_log2

from ..config import Config
from ..interfaces import PC_BITS
from ..isa import ErrorCode
from .datapath import Operand, Source
from .micro import Count, Micro, Read
from .registers import Frame

__all__ = ["add_loop_end_states", "add_loop_states"]


def add_loop_states(m: Module, micro: Micro, config: Config, hold: Signal) -> None:
    """Execute LOOP, from LOOP_START: 14 cycles, without patches.

    ``level`` has been counted up and ``high`` is the program address. Word 1 holds counter,
    count register, count and first value; word 2 step and length of the body. ``hold`` is raised
    when the body of the outermost loop begins.
    """
    with micro.states.state("LOOP_START"):
        micro.write_frame(Frame.START)
        micro.take()
        micro.states.go("LOOP_WORD_1")
    with micro.states.state("LOOP_WORD_1"):
        micro.patch()
        micro.read(Read.COUNT_FIELD, micro.ready(1))
        with m.If(micro.ready(1)):
            micro.do(micro.fields)
            micro.set_count(Count.UPPER)
            micro.trim()
            micro.states.go("LOOP_COUNT")
    with micro.states.state("LOOP_COUNT"):
        micro.add(Operand.VALUE, Source.HIGH)
        micro.read(Read.COUNT)
        micro.states.go("LOOP_TRIPS")
    with micro.states.state("LOOP_TRIPS"):
        micro.add(Operand.ONES, Source.HIGH)
        micro.states.go("LOOP_LESS_ONE")
    with micro.states.state("LOOP_LESS_ONE"):
        micro.do(micro.more_load)
        micro.add(Operand.VALUE, Source.ZERO)
        micro.states.go("LOOP_INITIAL")
    with micro.states.state("LOOP_INITIAL"):
        micro.write_frame(Frame.REMAINING)
        micro.states.go("LOOP_COUNTER")
    with micro.states.state("LOOP_COUNTER"):
        micro.write_target(micro.more)
        micro.take()
        micro.states.go("LOOP_WORD_2")
    _add_body_states(m, micro, config, hold)


def _add_body_states(m: Module, micro: Micro, config: Config, hold: Signal) -> None:
    """Check the body, keep its end and the step, and enter or skip it."""
    window_bits = exact_log2(config.memory.program_instructions)
    body = micro.high[:PC_BITS]
    with micro.states.state("LOOP_WORD_2"):
        micro.patch()
        micro.read_frame(Frame.START, micro.ready(2))
        with m.If(micro.ready(2)):
            micro.trim()
            micro.states.go("LOOP_BODY")
            beyond = body[window_bits + 1 :].any() | (
                body[window_bits] & body[:window_bits].any()
            )
            with m.If(beyond | (body == 0)):
                micro.fail(ErrorCode.LOOP)
    with micro.states.state("LOOP_BODY"):
        micro.add(Operand.VALUE, Source.HIGH)
        micro.states.go("LOOP_END")
    with micro.states.state("LOOP_END"):
        micro.add(Operand.ZERO, Source.LOW)
        micro.states.go("LOOP_STEP")
    with micro.states.state("LOOP_STEP"):
        micro.write_frame(Frame.END)
        micro.states.go("LOOP_FRAME")
        room = (micro.end - micro.high)[: len(micro.end)]
        with m.If((micro.level != 1) & room[-1]):
            micro.fail(ErrorCode.LOOP)
    with micro.states.state("LOOP_FRAME"):
        micro.write_frame(Frame.STEP)
        micro.read_frame(Frame.END)
        micro.states.go("LOOP_ENTER")
    with micro.states.state("LOOP_ENTER"):
        micro.flush()
        with m.If(micro.more):
            micro.do(micro.end_load)
            micro.do(micro.pc_step)
            micro.states.go("LOOP_HOLD")
        with m.Else():
            micro.do(micro.pc_jump)
            micro.do(micro.level_down)
            micro.states.go("COMPARE")
    with micro.states.state("LOOP_HOLD"):
        # The body of the outermost loop stays in the program memory.
        m.d.comb += hold.eq(micro.level == 1)
        micro.states.go("WAIT")


def add_loop_end_states(m: Module, micro: Micro) -> None:
    """Go back to the start of the body, or leave the loop, from TRIP_REMAINING: 7 or 8 cycles."""
    with micro.states.state("TRIP_REMAINING"):
        micro.read_frame(Frame.REMAINING)
        micro.states.go("TRIP_COUNTER")
    with micro.states.state("TRIP_COUNTER"):
        micro.read_frame(Frame.END)
        micro.add(Operand.VALUE, Source.ZERO)
        micro.states.go("TRIP_STEP")
    with micro.states.state("TRIP_STEP"):
        micro.read_frame(Frame.STEP)
        micro.add(Operand.ONES, Source.HIGH)
        micro.do(micro.target_frame)
        micro.states.go("TRIP_LESS_ONE")
    with micro.states.state("TRIP_LESS_ONE"):
        micro.read(Read.TARGET)
        micro.do(micro.more_load)
        micro.add(Operand.VALUE, Source.ZERO)
        micro.states.go("TRIP_START")
    with micro.states.state("TRIP_START"):
        micro.read_frame(Frame.START)
        micro.add(Operand.VALUE, Source.HIGH)
        with m.If(micro.more):
            micro.write_frame(Frame.REMAINING)
            micro.states.go("TRIP_ADD")
        with m.Else():
            micro.do(micro.level_down)
            micro.states.go("LEAVE_READ")
    with micro.states.state("TRIP_ADD"):
        micro.do(micro.pc_jump)
        micro.states.go("TRIP_NEXT")
    with micro.states.state("TRIP_NEXT"):
        micro.write_target()
        micro.do(micro.pc_step)
        micro.states.go("WAIT")

    with micro.states.state("LEAVE_READ"):
        micro.read_frame(Frame.END)
        micro.states.go("LEAVE_END")
    with micro.states.state("LEAVE_END"):
        micro.do(micro.end_load)
        micro.states.go("COMPARE")
