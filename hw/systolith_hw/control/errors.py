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
    report the one that the sequencer is at. Codes and instructions are not kept here, since the
    units hold them.

    =========== ==========================================================
    Latency     ``error`` and all that goes with it, 1 cycle after the fault
    =========== ==========================================================

    Members
    -------
    fault_sequencer ... fault_store : In(Fault), one for each :class:`~systolith_hw.isa.Unit`
        Hold from the first cycle of ``valid`` until reset. The sequencer's ``pc`` is the
        instruction that it is at, and holds from the cycle after any error.
    semaphore_misuse : In(1), semaphore_unit : In(range(5))
        A semaphore was misused, and by which unit.
    watchdog : In(1)
        The watchdog fires.
    listen : In(1)
        Take an error in this cycle, unless there is one.
    clear : In(1)
        Forget it.
    caught : Out(1)
        An error is taken in this cycle; combinational.
    error : Out(1)
        There is an error.
    code : Out(8), unit : Out(range(5)), pc : Out(16)
        Its code, unit and instruction; zero without one.
    inspect : Out(range(5))
        The unit whose instruction that is.
    """

    fault_sequencer: Any
    fault_array: Any
    fault_vector: Any
    fault_load: Any
    fault_store: Any
    semaphore_misuse: Signal
    semaphore_unit: Signal
    watchdog: Signal
    listen: Signal
    clear: Signal
    caught: Signal
    error: Signal
    code: Signal
    unit: Signal
    pc: Signal
    inspect: Signal

    def __init__(self) -> None:
        super().__init__({
            **{f"fault_{unit.name.lower()}": In(Fault()) for unit in Unit},
            "semaphore_misuse": In(1),
            "semaphore_unit": In(range(len(Unit))),
            "watchdog": In(1),
            "listen": In(1),
            "clear": In(1),
            "caught": Out(1),
            "error": Out(1),
            "code": Out(8),
            "unit": Out(range(len(Unit))),
            "pc": Out(PC_BITS),
            "inspect": Out(range(len(Unit))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        faults = [getattr(self, f"fault_{unit.name.lower()}") for unit in Unit]
        valid = Cat(fault.valid for fault in faults)
        first = valid & ~(valid - 1)

        source = Signal(len(Unit))  # whose instruction it is, one hot
        faulty = Signal()  # it is that unit's own fault
        code = Signal(ErrorCode)  # if it is not
        m.d.comb += [
            self.error.eq(source.any()),
            self.caught.eq(
                self.listen & ~self.error & (valid.any() | self.semaphore_misuse | self.watchdog)
            ),
            self.code.eq(Mux(faulty, _select(source, [fault.code for fault in faults]), code)),
            self.pc.eq(_select(source, [fault.pc for fault in faults])),
            self.inspect.eq(_select(source, [Const(unit, 3) for unit in Unit])),
        ]
        with m.If(self.caught):
            m.d.sync += [
                source.eq(Mux(valid.any(), first, 1 << Unit.SEQUENCER)),
                faulty.eq(valid.any()),
                code.eq(Mux(self.semaphore_misuse, ErrorCode.SEMAPHORE, ErrorCode.WATCHDOG)),
                self.unit.eq(Mux(self.semaphore_misuse, self.semaphore_unit, Unit.SEQUENCER)),
            ]
            for unit, fault in reversed(list(zip(Unit, faults, strict=True))):
                with m.If(fault.valid):
                    m.d.sync += self.unit.eq(unit)
        with m.If(self.clear):
            m.d.sync += [source.eq(0), code.eq(0), faulty.eq(0), self.unit.eq(0)]
        return m


def _select(one_hot: Value, values: list[Value]) -> Value:
    """Return the value whose bit is one: half the logic cells of a multiplexer by number."""
    picked: Value = Const(0)
    for bit, value in zip(one_hot, values, strict=True):
        picked = picked | (value & bit.replicate(len(value)))
    return picked
