"""Accesses to registers that happen once, however often they are asked for."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.register_port import RegisterPort

__all__ = ["RegisterAccess"]


class RegisterAccess(wiring.Component):
    """Access a register, unless the last access had the same sequence and direction: then that
    was it.

    ``read_data`` of the port keeps what was read, so a repeated read gives the same value.

    Members
    -------
    registers : Out(RegisterPort)
    sequence : In(8), address : In(32), value : In(32), writes : In(1)
        What is asked for; steady from ``go`` to ``done``.
    go : In(1)
        Begin, for a cycle.
    forget : In(1)
        Take the next access for a new one.
    done : Out(1)
        Strobe, 1 cycle after ``go``, or 1 more than the access takes.
    error : Out(1)
        With ``done``: there is no such register, and none was accessed.
    """

    registers: Any
    sequence: Signal
    address: Signal
    value: Signal
    writes: Signal
    go: Signal
    forget: Signal
    done: Signal
    error: Signal

    def __init__(self) -> None:
        super().__init__({
            "registers": Out(RegisterPort()), "sequence": In(8), "address": In(32),
            "value": In(32), "writes": In(1), "go": In(1), "forget": In(1), "done": Out(1),
            "error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        port = self.registers
        kept, accessing, key, kept_key = Signal(), Signal(), Signal(9), Signal(9)
        new, error = Signal(), Signal()
        # What goes to the registers comes from registers: they may be far away.
        m.d.sync += [port.write.eq(new & self.writes & ~error),
                     port.read.eq(new & ~self.writes & ~error)]  # fmt: skip
        m.d.comb += [
            port.address.eq(self.address),
            port.write_data.eq(self.value),
            key.eq(Cat(self.sequence, self.writes)),
            new.eq(self.go & ~(kept & (kept_key == key))),
            error.eq(port.error | (self.address >= 1 << len(port.address))),
        ]
        m.d.sync += self.done.eq(self.go & (~new | error))
        with m.If(new):
            m.d.sync += [kept.eq(1), kept_key.eq(key), self.error.eq(error),
                         accessing.eq(~error)]  # fmt: skip
        with m.If(accessing & port.valid):
            m.d.sync += [accessing.eq(0), self.done.eq(1)]
        with m.If(self.forget):
            m.d.sync += kept.eq(0)
        return m
