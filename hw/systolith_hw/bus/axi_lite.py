"""AXI4-Lite slave in front of the control registers."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLite, Response
from .register_port import RegisterPort

__all__ = ["AxiLiteSlave"]


class AxiLiteSlave(wiring.Component):
    """AXI4-Lite slave in front of the control registers, one transaction at a time.

    A write needs both AW and W, in any order or together: AW is taken first, W as soon as AW
    has been. When reads and writes compete they take turns.

    =========== ==========================================================
    Latency     write: BVALID 4 cycles after AWVALID and WVALID; read: RVALID 2
                cycles after AR is taken; both, and what the register port adds
    Stall       no xREADY depends combinationally on an input
    Error       SLVERR, and nothing written or zero read, for an address
                without a register, an address that is not a multiple of 4,
                and a write with any strobe zero
    =========== ==========================================================

    Members
    -------
    bus : In(AxiLite)
        To the host. AWPROT and ARPROT are ignored.
    port : Out(RegisterPort)
        To the registers.
    """

    bus: Any
    port: Any

    def __init__(self) -> None:
        super().__init__({"bus": In(AxiLite()), "port": Out(RegisterPort())})

    def elaborate(self, platform) -> Module:
        m = Module()
        axi, port = self.bus, self.port

        whole = Signal()
        error = Signal()
        reads_next = Signal()
        m.d.comb += [
            whole.eq(axi.wstrb.all()),
            port.write_data.eq(axi.wdata),  # straight from W, which holds until it is taken
            axi.rdata.eq(port.read_data),
            axi.bresp.eq(Mux(error, Response.SLVERR, Response.OKAY)),
            axi.rresp.eq(Mux(error, Response.SLVERR, Response.OKAY)),
        ]

        with m.FSM():
            with m.State("idle"):
                with m.If(axi.awvalid & ~(axi.arvalid & reads_next)):
                    m.d.sync += [port.address.eq(axi.awaddr), reads_next.eq(1)]
                    m.next = "write address"
                with m.Elif(axi.arvalid):
                    m.d.sync += [port.address.eq(axi.araddr), reads_next.eq(0)]
                    m.next = "read address"
            with m.State("write address"):
                m.d.comb += axi.awready.eq(1)
                m.d.sync += error.eq(port.error)
                m.next = "write data"
            with m.State("write data"):
                m.d.comb += [axi.wready.eq(1), port.write.eq(axi.wvalid & whole & ~error)]
                with m.If(axi.wvalid):
                    m.d.sync += error.eq(error | ~whole)
                    m.next = "write response"
                with m.If(port.write):
                    m.next = "write wait"
            with m.State("write wait"):
                with m.If(port.valid):
                    m.next = "write response"
            with m.State("write response"):
                m.d.comb += axi.bvalid.eq(1)
                with m.If(axi.bready):
                    m.next = "idle"
            with m.State("read address"):
                m.d.comb += [axi.arready.eq(1), port.read.eq(1)]
                m.d.sync += error.eq(port.error)
                m.next = "read wait"
            with m.State("read wait"):
                with m.If(port.valid):
                    m.next = "read data"
            with m.State("read data"):
                m.d.comb += axi.rvalid.eq(1)
                with m.If(axi.rready):
                    m.next = "idle"

        return m
