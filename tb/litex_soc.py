"""A LiteX SoC around a package: memory, a host on pads, and the core, all on one bus."""

import importlib.util
import re
from pathlib import Path

from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import wishbone
from migen import ClockDomain

__all__ = ["MEMORY", "REGISTERS", "build_soc"]

MEMORY, MEMORY_BYTES = 0x4000_0000, 0x1_0000
REGISTERS = 0x3000_0000

HOST = (
    ("adr", 30), ("dat_w", 32), ("dat_r", 32), ("sel", 4), ("cyc", 1), ("stb", 1), ("ack", 1),
    ("we", 1), ("cti", 3), ("bte", 2), ("err", 1),
)  # fmt: skip

IO = [
    ("clk", 0, Pins(1)),
    ("rst", 0, Pins(1)),
    ("irq", 0, Pins(1)),
    ("host", 0, *(Subsignal(name, Pins(width)) for name, width in HOST)),
]


class Platform(GenericPlatform):
    """Pads of any chip; nothing is synthesised."""

    def __init__(self) -> None:
        super().__init__("none", IO, name="board")


def build_soc(package: Path, data_width: int) -> str:
    """Return the Verilog of an SoC with the core of ``package``, which is not included.

    The SoC's bus is Wishbone, ``data_width`` bits wide.
    """
    spec = importlib.util.spec_from_file_location("litex_part", package / "systolith_litex.py")
    assert spec is not None and spec.loader is not None
    part = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(part)

    platform = Platform()
    soc = SoCMini(
        platform, clk_freq=50_000_000, bus_data_width=data_width, bus_bursting=True,
        integrated_main_ram_size=MEMORY_BYTES, csr_data_width=32,
    )  # fmt: skip
    soc.cd_sys = ClockDomain("sys")
    soc.comb += [soc.cd_sys.clk.eq(platform.request("clk")),
                 soc.cd_sys.rst.eq(platform.request("rst"))]  # fmt: skip
    host = wishbone.Interface(data_width=32, address_width=32, addressing="word")
    soc.comb += host.connect_to_pads(platform.request("host"), mode="slave")
    soc.bus.add_master("host", master=host)
    soc.systolith = part.Systolith(platform)
    soc.systolith.connect(soc, memory_origin=MEMORY, memory_size=MEMORY_BYTES,
                          register_origin=REGISTERS)  # fmt: skip
    soc.comb += platform.request("irq").eq(soc.systolith.irq)
    soc.finalize()
    text = platform.get_verilog(soc, name="board").main_source
    return re.sub(r"initial begin\n\s*\$readmemh.*\nend\n", "", text)  # memory starts with nothing
