"""The package as LiteX module."""

from .description import CoreDescription

__all__ = ["litex_module"]

HEAD = '''\
"""Systolith in a LiteX SoC; generated, bus {bus}, configuration {hash:08x}.

    from systolith_litex import Systolith

    soc.systolith = Systolith(soc.platform)
    soc.systolith.connect(soc, memory_origin=soc.mem_map["main_ram"], memory_size=0x1000000)

The core then sees bytes from ``memory_origin`` on as its addresses from zero on, its registers are
the region ``systolith``, and its interrupt is ``soc.irq``'s "systolith" if the SoC has a CPU with
interrupts. Files beside this one are found by their place.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import {interconnect}
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

DATA_BYTES = {data_bytes}
ADDRESS_BITS = {address_bits}
REGISTER_BYTES = 0x1000


class Systolith(LiteXModule):
    """The core; ``memory`` and ``registers`` are its buses, ``irq`` its interrupt."""

    def __init__(self, platform, clock_domain="sys"):
        self.irq = Signal()
        self.ev = EventManager()
        self.ev.core = EventSourceLevel(description="The core asks for attention.")
        self.ev.finalize()
        self.comb += self.ev.core.trigger.eq(self.irq)
'''

WISHBONE = '''\
        self.memory = memory = wishbone.Interface(
            data_width=8 * DATA_BYTES, address_width=32, addressing="word", bursting=True
        )
        self.cti = Signal(3)
        self.registers = registers = wishbone.Interface(
            data_width=32, address_width=32, addressing="word"
        )
        self.specials += Instance(
            "systolith",
            i_clk=ClockSignal(clock_domain),
            i_rst=ResetSignal(clock_domain),
            o_irq=self.irq,
            o_m_wb_cyc=memory.cyc,
            o_m_wb_stb=memory.stb,
            o_m_wb_we=memory.we,
            o_m_wb_adr=memory.adr,
            o_m_wb_sel=memory.sel,
            o_m_wb_dat_w=memory.dat_w,
            o_m_wb_cti=self.cti,
            o_m_wb_bte=memory.bte,
            # LiteX's Wishbone is not pipelined: each strobe stays until it is answered.
            i_m_wb_stall=memory.cyc & ~(memory.ack | memory.err),
            i_m_wb_ack=memory.ack,
            i_m_wb_err=memory.err,
            i_m_wb_dat_r=memory.dat_r,
            i_s_wb_cyc=registers.cyc,
            i_s_wb_stb=registers.stb,
            i_s_wb_we=registers.we,
            i_s_wb_adr=registers.adr[:10],
            i_s_wb_sel=registers.sel,
            i_s_wb_dat_w=registers.dat_w,
            o_s_wb_ack=registers.ack,
            o_s_wb_err=registers.err,
            o_s_wb_dat_r=registers.dat_r,
        )
'''

AXI = '''\
        self.memory = memory = axi.AXIInterface(
            data_width=8 * DATA_BYTES, address_width=32, id_width=1, bursting=True
        )
        self.registers = registers = axi.AXILiteInterface(data_width=32, address_width=32)
        ports = dict(
            i_clk=ClockSignal(clock_domain), i_rst=ResetSignal(clock_domain), o_irq=self.irq
        )
        # What the master of a channel drives; the other side drives ready.
        address = ("addr", "len", "size", "burst", "lock", "cache", "prot")
        channels = {
            "ar": (memory.ar, address),
            "aw": (memory.aw, address),
            "w": (memory.w, ("data", "strb")),
            "r": (memory.r, ("data", "resp")),
            "b": (memory.b, ("resp",)),
        }
        for name, (channel, payload) in channels.items():
            ours, theirs = ("i", "o") if name in ("r", "b") else ("o", "i")
            ports[f"{ours}_m_axi_{name}valid"] = channel.valid
            ports[f"{theirs}_m_axi_{name}ready"] = channel.ready
            if name != "w":
                ports[f"{ours}_m_axi_{name}id"] = channel.id
            if name in ("w", "r"):
                ports[f"{ours}_m_axi_{name}last"] = channel.last
            for field in payload:
                ports[f"{ours}_m_axi_{name}{field}"] = getattr(channel, field)
        channels = {
            "ar": (registers.ar, ("addr", "prot")),
            "aw": (registers.aw, ("addr", "prot")),
            "w": (registers.w, ("data", "strb")),
            "r": (registers.r, ("data", "resp")),
            "b": (registers.b, ("resp",)),
        }
        for name, (channel, payload) in channels.items():
            ours, theirs = ("o", "i") if name in ("r", "b") else ("i", "o")
            ports[f"{ours}_s_axil_{name}valid"] = channel.valid
            ports[f"{theirs}_s_axil_{name}ready"] = channel.ready
            for field in payload:
                signal = getattr(channel, field)
                ports[f"{ours}_s_axil_{name}{field}"] = signal[:12] if field == "addr" else signal
        self.specials += Instance("systolith", **ports)
'''

TAIL = '''\
        platform.add_source(str(Path(__file__).resolve().parent / "systolith.v"), "verilog")

    def connect(self, soc, memory_origin, memory_size, register_origin=None, name="systolith"):
        """Put the core on the SoC's bus; its interrupt on the CPU's, if it has any."""
        if memory_size > 1 << ADDRESS_BITS:
            raise ValueError(
                f"memory_size {memory_size:#x} is more than the {1 << ADDRESS_BITS:#x} bytes that "
                "the core can address"
            )
{bursts}        soc.bus.add_master(
            name, master=self.memory, region=SoCRegion(origin=memory_origin, size=memory_size)
        )
        soc.bus.add_slave(
            name, self.registers,
            region=SoCRegion(origin=register_origin, size=REGISTER_BYTES, cached=False),
        )
        if soc.irq.enabled:
            soc.irq.add(name, use_loc_if_exists=True)
'''

BURSTS = '''\
        # LiteX's converters of width pass CTI on as if a beat were as wide on both sides.
        if soc.bus.data_width == 8 * DATA_BYTES:
            self.comb += self.memory.cti.eq(self.cti)
'''


def litex_module(core: CoreDescription) -> str:
    """Return ``systolith_litex.py``; LiteX has no interface for the native ports."""
    bus = core.config.bus
    head = HEAD.replace("{bus}", core.bus).replace("{hash:08x}", f"{core.config.hash:08x}")
    head = head.replace("{interconnect}", "wishbone" if core.bus == "wishbone" else "axi")
    head = head.replace("{data_bytes}", str(bus.data_bytes))
    head = head.replace("{address_bits}", str(bus.address_bits))
    tail = TAIL.replace("{bursts}", BURSTS if core.bus == "wishbone" else "")
    return head + {"wishbone": WISHBONE, "axi4": AXI}[core.bus] + tail
