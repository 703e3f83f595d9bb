"""Wishbone slave in front of the control registers."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .register_port import RegisterPort
from .wishbone import WishboneRegisters

__all__ = ["WishboneSlave"]


class WishboneSlave(wiring.Component):
    """Classic Wishbone slave in front of the control registers, one access at a time.

    A master that gives up, by taking STB or CYC back for a cycle, gets no answer, nor does the
    access after it get what was meant for it: that waits until the registers are done with the old
    one. A write that has begun is completed. An answer that is already on its way comes, in the
    cycle in which STB falls. A pipelined master needs ``stall = cyc & ~(ack | err)``.

    =========== ==========================================================
    Latency     ACK or ERR 3 cycles after STB, and what the register port adds;
                as long again for what follows an access that was given up
    Stall       ACK and ERR are registers, and last one cycle
    Error       ERR, and nothing written or zero read, for an address without
                a register and a write that does not select all four bytes
    =========== ==========================================================

    Members
    -------
    bus : In(WishboneRegisters)
        To the host.
    port : Out(RegisterPort)
        To the registers.
    """

    bus: Any
    port: Any

    def __init__(self) -> None:
        super().__init__({"bus": In(WishboneRegisters()), "port": Out(RegisterPort())})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, port = self.bus, self.port

        here = Signal()
        refused = Signal()
        wanted = Signal()
        answer = Signal()
        abandoned = Signal()  # who asks now is not the one that began the access
        m.d.comb += [
            here.eq(bus.cyc & bus.stb),
            refused.eq(port.error | (bus.we & ~bus.sel.all())),
            port.write_data.eq(bus.dat_w),  # straight from the bus, which holds until the answer
            bus.dat_r.eq(port.read_data),
        ]
        m.d.sync += [bus.ack.eq(answer), bus.err.eq(0)]

        with m.FSM():
            with m.State("idle"):
                m.d.sync += port.address.eq(Cat(Const(0, 2), bus.adr))
                with m.If(here & ~bus.ack & ~bus.err):
                    m.next = "access"
            with m.State("access"):
                # A refused read goes there, too: it reads zero.
                m.d.comb += [
                    port.read.eq(here & ~bus.we),
                    port.write.eq(here & bus.we & ~refused),
                ]
                m.d.sync += [
                    wanted.eq(~refused), abandoned.eq(0), bus.err.eq(here & bus.we & refused)
                ]  # fmt: skip
                m.next = "idle"
                with m.If(port.read | port.write):
                    m.next = "wait"
            with m.State("wait"):
                with m.If(~here):
                    m.d.sync += abandoned.eq(1)
                with m.If(port.valid):
                    m.d.comb += answer.eq(wanted & here & ~abandoned)
                    m.d.sync += bus.err.eq(~wanted & here & ~abandoned)
                    m.next = "idle"

        return m
