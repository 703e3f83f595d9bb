"""Registers in the middle of a bus."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .wishbone import Wishbone

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """Hold an access on its way to the slave, and its answer on the way back.

    No path leads through: a CPU whose access depends on the answer in the same cycle would else
    be timed together with all slaves.

    =========== ====================================
    Latency     2 cycles more for an access
    Stall       never by itself
    =========== ====================================

    Parameters
    ----------
    address_bits, data_bytes : int
        Of the bus.

    Members
    -------
    master : In(Wishbone(address_bits, data_bytes))
    slave : Out(Wishbone(address_bits, data_bytes))
    """

    master: Any
    slave: Any

    def __init__(self, address_bits: int, data_bytes: int) -> None:
        bus = Wishbone(address_bits, data_bytes)
        super().__init__({"master": In(bus), "slave": Out(bus)})

    def elaborate(self, platform) -> Module:
        m = Module()
        master, slave = self.master, self.slave
        answered = Signal()
        m.d.comb += answered.eq(slave.cyc & (slave.ack | slave.err))
        m.d.sync += [master.ack.eq(slave.cyc & slave.ack), master.err.eq(slave.cyc & slave.err)]
        with m.If(answered):
            m.d.sync += [slave.cyc.eq(0), slave.stb.eq(0), master.dat_r.eq(slave.dat_r)]
        with m.Elif(~slave.cyc & ~master.ack & ~master.err):
            wanted = master.cyc & master.stb
            m.d.sync += [
                slave.cyc.eq(wanted), slave.stb.eq(wanted),
                *(getattr(slave, name).eq(getattr(master, name))
                  for name in ("we", "adr", "sel", "dat_w")),
            ]  # fmt: skip
        return m
