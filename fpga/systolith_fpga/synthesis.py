"""From sources to the netlist of a design with a core in it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from systolith_hw.memory.register_copy import COPY

from .carry_ends import close_carry_ends_file
from .duplicate import duplicate_file
from .output_registers import use_output_registers_file
from .parts import Part
from .tools import run_tool

__all__ = ["CORE", "NETLIST", "synthesise"]

CORE = "systolith"
"""The core's module."""

NETLIST = "netlist.json"
"""What comes out."""


def synthesise(
    part: Part, folder: Path, read: Sequence[str], *, top: str, core: str = CORE,
    floorplan: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Make :data:`NETLIST` in ``folder``; return the commands that were run.

    The core stays a module of its own in it, so that it can be counted.

    Parameters
    ----------
    part : Part
        The device.
    folder : Path
        With the sources.
    read : sequence of str
        Yosys commands that read them.
    top : str
        The top module.
    core : str
        The core's module.
    floorplan : sequence of str
        Yosys commands, see :func:`.floorplan.floorplan`.
    """
    (folder / "floorplan.ys").write_text("\n".join(floorplan))
    script = "; ".join([
        *read,
        f"setattr -mod -set keep_hierarchy 1 {core}",
        part.synthesis.format(top=top),
        # Copies of registers have been kept apart for as long as anything is merged.
        f"setattr -mod -set keep_hierarchy 0 *.{COPY}_*; flatten",
        "script floorplan.ys",
        f"write_json {NETLIST}",
    ])
    yosys = ["-q", "-L", "yosys.log", "-p", script]
    run_tool("yosys", yosys, folder=folder, log="yosys.out", own_log="yosys.log")
    commands = [shlex.join(["yosys", *yosys])]
    if part.most_sinks is not None:
        # Registers have one reader each until they are copied.
        steps = {"output_registers": use_output_registers_file, "duplicate": duplicate_file}
        for name, step in steps.items():
            step(folder / NETLIST, core, part.most_sinks)
            commands.append(
                f"python -m systolith_fpga.{name} {NETLIST} {core} {part.most_sinks}"
            )
    if part.close_carries:
        modules = [*dict.fromkeys((top, core))]
        close_carry_ends_file(folder / NETLIST, modules)
        commands.append(f"python -m systolith_fpga.carry_ends {NETLIST} {' '.join(modules)}")
    return commands
