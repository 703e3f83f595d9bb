"""CPUs that others have made, behind one port."""

from pathlib import Path
from typing import Any, ClassVar

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.config import ConfigError

from .wishbone import Wishbone

__all__ = ["CPUS", "Cpu", "Sentinel", "VexRiscv", "cpu_named"]


class Cpu(wiring.Component):
    """A RISC-V CPU of 32 bits, whose first instruction is at address 0.

    Members
    -------
    bus : Out(Wishbone(30, 4))
    irq : In(1)
        Machine external interrupt, level.

    Attributes
    ----------
    march : str
        Which instructions it has, as GCC calls it.
    title : str
        Its name, with what is to be known when its speed is told.
    irq_mask : int
        A control register of its own in which bit 0 lets ``irq`` through, or 0 if it has none.
    """

    march: ClassVar[str]
    title: ClassVar[str]
    irq_mask: ClassVar[int] = 0
    bus: Any
    irq: Signal

    def __init__(self) -> None:
        super().__init__({"bus": Out(Wishbone(30, 4)), "irq": In(1)})

    @classmethod
    def verilog(cls) -> str:
        """Return Verilog that must stand beside that of the component."""
        return ""


class Sentinel(Cpu):
    """Sentinel of William D. Jones (PyPI: sentinel-cpu, BSD-2-Clause).

    It is microcoded: an instruction takes 4 cycles and more, besides those of its accesses, and a
    shift up to 69. It cannot be told of a bus error, so an access that nobody answers reads what
    stands on the bus.
    """

    march = "rv32i"  # and Zicsr, for which Debian's libgcc has no variant
    title = "Sentinel, RV32I, microcoded, without a multiplier"

    def elaborate(self, platform) -> Module:
        # Not above: who only wants the UART need not have the CPU.
        from sentinel_cpu.top import Top

        m = Module()
        m.submodules.cpu = cpu = Top()
        for name in ("cyc", "stb", "we", "adr", "sel", "dat_w"):
            m.d.comb += getattr(self.bus, name).eq(getattr(cpu.bus, name))
        m.d.comb += [
            cpu.bus.dat_r.eq(self.bus.dat_r),
            cpu.bus.ack.eq(self.bus.ack | self.bus.err),
            cpu.irq.eq(self.irq),
        ]
        return m


class VexRiscv(Cpu):
    """VexRiscv of Charles Papon (PyPI: pythondata-cpu-vexriscv, MIT), as LiteX has it.

    RV32IM, five stages, a multiplication per cycle, 4 KiB of cache each for instructions and data.
    Addresses with bit 31 are not cached. Data go before instructions on the bus.
    """

    march = "rv32im"
    title = "VexRiscv, RV32IM, five stages, a multiplication per cycle, two caches of 4 KiB"
    irq_mask = 0xBC0

    @classmethod
    def verilog(cls) -> str:
        """Return the CPU's own Verilog."""
        import pythondata_cpu_vexriscv

        text = (Path(pythondata_cpu_vexriscv.data_location) / "VexRiscv.v").read_text()
        return text.replace("/* verilator public */", "")  # which would keep it slow

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        sides = {side: Wishbone(30, 4).create() for side in ("d", "i")}
        ports: dict[str, Value] = {}
        for side, wires in sides.items():
            outward = {"cyc": "CYC", "stb": "STB", "we": "WE", "adr": "ADR", "sel": "SEL",
                       "dat_w": "DAT_MOSI"}  # fmt: skip
            inward = {"ack": "ACK", "err": "ERR", "dat_r": "DAT_MISO"}
            for name, port in outward.items():
                ports[f"o_{side}BusWishbone_{port}"] = getattr(wires, name)
            for name, port in inward.items():
                ports[f"i_{side}BusWishbone_{port}"] = getattr(wires, name)
        m.submodules.cpu = Instance(
            "VexRiscv", i_clk=ClockSignal(), i_reset=ResetSignal(),
            i_externalResetVector=C(0, 32), i_timerInterrupt=C(0, 1), i_softwareInterrupt=C(0, 1),
            i_externalInterruptArray=Cat(self.irq, C(0, 31)), **ports,
        )  # fmt: skip

        data, code = sides["d"], sides["i"]
        open_, owner, chosen = Signal(), Signal(), Signal()
        m.d.comb += chosen.eq(Mux(open_, owner, ~(data.cyc & data.stb)))
        m.d.sync += [
            open_.eq(bus.cyc & bus.stb & ~(bus.ack | bus.err)),
            owner.eq(chosen),
        ]
        for number, wires in enumerate((data, code)):
            with m.If(chosen == number):
                m.d.comb += [getattr(bus, name).eq(getattr(wires, name))
                             for name in ("cyc", "stb", "we", "adr", "sel", "dat_w")]  # fmt: skip
                m.d.comb += [wires.ack.eq(bus.ack), wires.err.eq(bus.err)]
            m.d.comb += wires.dat_r.eq(bus.dat_r)
        return m


CPUS: dict[str, type[Cpu]] = {"sentinel": Sentinel, "vexriscv": VexRiscv}
"""By the names that settings have for them."""


def cpu_named(name: str) -> type[Cpu]:
    """Return a CPU.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in CPUS:
        raise ConfigError(f"there is no CPU {name}; known are {', '.join(CPUS)}")
    return CPUS[name]
