"""Keeps the first error."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import PC_BITS, Fault
from ..isa import ErrorCode, Unit

__all__ = ["ErrorLatch"]


class ErrorLatch(wiring.Component):
    """Keeps the first error: its code, its unit and the instruction it belongs to.

    Of several in one cycle, units come before a misused semaphore, that before the watchdog,
    and among units the lowest number wins. Semaphores and the watchdog know no instruction: they
    report the one that the sequencer is at in that cycle.

    =========== ==========================================================
    Latency     ``error`` and all that goes with it, 2 cycles after the fault
    =========== ==========================================================

    Members
    -------
    fault_sequencer ... fault_store : In(Fault), one for each :class:`~systolith_hw.isa.Unit`
        Hold from the first cycle of ``valid`` until reset.
    semaphore_misuse : In(1), semaphore_unit : In(range(5))
        A semaphore was misused, and by which unit.
    watchdog : In(1)
        The watchdog fires.
    pc : In(16)
        The instruction that the sequencer is at.
    listen : In(1)
        Take an error in this cycle, unless there is one.
    clear : In(1)
        Forget it.
    caught : Out(1)
        An error is taken in this cycle; combinational.
    error : Out(1)
        There is an error.
    code : Out(8), unit : Out(range(5)), error_pc : Out(16)
        Its code, unit and instruction, while ``error``.
    """

    fault_sequencer: Any
    fault_array: Any
    fault_vector: Any
    fault_load: Any
    fault_store: Any
    semaphore_misuse: Signal
    semaphore_unit: Signal
    watchdog: Signal
    pc: Signal
    listen: Signal
    clear: Signal
    caught: Signal
    error: Signal
    code: Signal
    unit: Signal
    error_pc: Signal

    def __init__(self) -> None:
        super().__init__({
            **{f"fault_{unit.name.lower()}": In(Fault()) for unit in Unit},
            "semaphore_misuse": In(1),
            "semaphore_unit": In(range(len(Unit))),
            "watchdog": In(1),
            "pc": In(PC_BITS),
            "listen": In(1),
            "clear": In(1),
            "caught": Out(1),
            "error": Out(1),
            "code": Out(8),
            "unit": Out(range(len(Unit))),
            "error_pc": Out(PC_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        faults = [getattr(self, f"fault_{unit.name.lower()}") for unit in Unit]
        anywhere = Cat(fault.valid for fault in faults).any()

        taken = Signal()
        source = Signal(len(Unit))  # the unit whose code and instruction to keep; one or none
        m.d.comb += self.caught.eq(
            self.listen & ~taken & (anywhere | self.semaphore_misuse | self.watchdog)
        )

        with m.If(~taken):
            m.d.sync += [
                taken.eq(self.caught),
                source.eq(0),
                self.unit.eq(Mux(self.semaphore_misuse, self.semaphore_unit, Unit.SEQUENCER)),
                self.code.eq(Mux(
                    self.semaphore_misuse, ErrorCode.SEMAPHORE, ErrorCode.WATCHDOG
                )),
                self.error_pc.eq(self.pc),
            ]  # fmt: skip
            for unit, fault in reversed(list(zip(Unit, faults, strict=True))):
                with m.If(fault.valid):
                    m.d.sync += [source.eq(1 << unit), self.unit.eq(unit)]
        with m.Elif(~self.error):
            m.d.sync += self.error.eq(1)
            with m.If(source.any()):
                m.d.sync += [
                    self.code.eq(_select(source, [fault.code for fault in faults])),
                    self.error_pc.eq(_select(source, [fault.pc for fault in faults])),
                ]
        with m.If(self.clear):
            m.d.sync += [taken.eq(0), self.error.eq(0)]

        return m


def _select(one_hot: Value, values: list[Value]) -> Value:
    """Return the value whose bit is one: half the logic cells of a multiplexer by number."""
    picked: Value = Const(0)
    for bit, value in zip(one_hot, values, strict=True):
        picked = picked | (value & bit.replicate(len(value)))
    return picked
