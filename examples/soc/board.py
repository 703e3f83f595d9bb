"""The system for the ULX3S-85F: a bitstream, and what it takes of the chip.

    python examples/soc/board.py [--cpu sentinel] [--preset small] [--only synthesis] [--json]

Main memory is block RAM here. What a model of stories-260k's size needs, 375,040 bytes with weights
of 4 bits, does not fit beside a core: for that the board's SDRAM is needed.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from amaranth import *
from amaranth_boards.ulx3s import ULX3S_85F_Platform

import firmware
from system import Settings, Soc, memory_bus
from systolith_fpga.netlist import count_cells
from systolith_fpga.soc.cpu import cpu_named
from systolith_fpga.soc.main_memory import MainMemory
from systolith_fpga.soc.wishbone import flat, join
from systolith_fpga.tools import run_tool
from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import preset
from systolith_sim.verilator import ToolError

__all__ = ["Ulx3s", "build"]

CLOCK = 25_000_000
BAUD = 115_200


class Ulx3s(Elaboratable):
    """The system, block RAM, and the board's serial line.

    Parameters
    ----------
    config : Config
    settings : Settings
        With the CPU's program.
    memory_bytes : int
        Of main memory.
    """

    def __init__(self, config: Config, settings: Settings, memory_bytes: int) -> None:
        self.config, self.settings, self.memory_bytes = config, settings, memory_bytes

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = memory_bus(self.config)
        m.submodules.soc = soc = Soc(self.config, self.settings, target="ecp5")
        m.submodules.memory = memory = MainMemory(
            self.memory_bytes, bus.address_bits, bus.data_bytes
        )
        join(m, flat(soc, "memory_", bus), memory.bus)
        line = platform.request("uart", 0, dir={"rts": "-", "dtr": "-"})
        m.d.comb += [line.tx.o.eq(soc.tx), soc.rx.eq(line.rx.i)]
        text = cpu_named(self.settings.cpu).verilog()
        if text:
            platform.add_file("cpu.v", text)
        return m


def build(
    config: Config, cpu: str, memory_bytes: int, folder: Path, *, place: bool = True,
    seed: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """Write everything to ``folder``, run the tools, and return what the chip has to give."""
    sizes = Settings(cpu=cpu, divisor=round(CLOCK / BAUD))
    program = firmware.build(cpu_named(cpu).march, sizes.local_bytes)
    settings = Settings(cpu=cpu, divisor=sizes.divisor, local=program)
    platform = ULX3S_85F_Platform()
    plan = platform.build(Ulx3s(config, settings, memory_bytes), do_build=False)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in plan.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    print("synthesis", file=sys.stderr)
    run_tool("yosys", ["-q", "-L", "yosys.log", "top.ys"], folder=folder, log="yosys.out",
             own_log="yosys.log")  # fmt: skip
    modules = json.loads((folder / "top.json").read_text())["modules"]
    cells = Counter(cell["type"] for cell in modules["top"]["cells"].values())
    result: dict[str, Any] = {
        "board": "ULX3S-85F", "cpu": cpu_named(cpu).title, "config_hash": f"{config.hash:08x}",
        "memory_bytes": memory_bytes, "local_bytes": settings.local_bytes, **count_cells(cells),
    }  # fmt: skip
    if not place:
        return result
    print("place and route", file=sys.stderr)
    run_tool("nextpnr-ecp5", [
        "--85k", "--package", "CABGA381", "--speed", "6", "--json", "top.json", "--lpf", "top.lpf",
        "--textcfg", "top.config", "--report", "report.json", "--seed", str(seed),
        "--timing-allow-fail",
    ], folder=folder, log="nextpnr.log")  # fmt: skip
    run_tool("ecppack", ["--input", "top.config", "--bit", "top.bit", "--compress"],
             folder=folder, log="ecppack.log")  # fmt: skip
    clocks = json.loads((folder / "report.json").read_text())["fmax"]
    result |= {
        "fmax_mhz": min(round(clock["achieved"], 2) for clock in clocks.values()),
        "wanted_mhz": CLOCK / 1e6, "bitstream": str(folder / "top.bit"),
    }  # fmt: skip
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The system for the ULX3S-85F.")
    parser.add_argument("--cpu", default="sentinel")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--memory-kib", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path("build/soc-ulx3s"))
    parser.add_argument("--only", choices=["synthesis"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        made = build(preset(options.preset), options.cpu, options.memory_kib << 10, options.folder,
                     place=options.only is None, seed=options.seed)  # fmt: skip
    except (ConfigError, ToolError) as error:
        sys.exit(str(error))
    print(json.dumps(made, indent=2) if options.json else
          "\n".join(f"{name}: {value}" for name, value in made.items()))  # fmt: skip
