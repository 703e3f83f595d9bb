"""From sources to the netlist of a design with a core in it."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from systolith_hw.memory.register_copy import COPY
from systolith_sim.verilator import ToolError

from . import carry_ends, duplicate, gather, output_registers
from .carry_ends import close_carry_ends_file
from .duplicate import duplicate_file
from .gather import gather_file
from .netlist import undriven
from .output_registers import use_output_registers_file
from .parts import PARTS, Part
from .tools import run_tool

__all__ = ["CORE", "NETLIST", "STEPS", "synthesise"]

CORE = "systolith"
"""The core's module."""

NETLIST = "netlist.json"
"""What comes out."""

STEPS = (
    __file__, *(str(it.__file__) for it in (output_registers, duplicate, carry_ends, gather))
)  # fmt: skip
"""What becomes of a design is in these sources, too: whoever keeps results keeps them by these."""


def synthesise(
    part: Part, folder: Path, read: Sequence[str], *, top: str, core: str = CORE,
    floorplan: Sequence[str] = (), around: bool = False, together: str = "",
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
    around : bool
        Registers and LUTs of the top module are copied, too (:mod:`.duplicate`).
    together : str
        Block memories whose names begin so stand side by side (:mod:`.gather`).

    Raises
    ------
    ToolError
        Yosys failed, or what follows it left a bit without what drives it.
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
        steps = [("output_registers", use_output_registers_file, core),
                 *(("duplicate", duplicate_file, name)
                   for name in ((core, top) if around else (core,)))]  # fmt: skip
        for name, step, module in steps:
            step(folder / NETLIST, module, part.most_sinks)
            commands.append(
                f"python -m systolith_fpga.{name} {NETLIST} {module} {part.most_sinks}"
            )
    if part.close_carries:
        modules = [*dict.fromkeys((top, core))]
        close_carry_ends_file(folder / NETLIST, modules)
        commands.append(f"python -m systolith_fpga.carry_ends {NETLIST} {' '.join(modules)}")
    if together:
        device = next(name for name, known in PARTS.items() if known is part)
        gather_file(folder / NETLIST, together, device)
        commands.append(f"python -m systolith_fpga.gather {NETLIST} {together} {device}")
    _require_driven(folder / NETLIST)
    return commands


def _require_driven(path: Path) -> None:
    """Refuse a netlist in which something that is read has lost what drives it."""
    modules = json.loads(path.read_text())["modules"]
    lost = [f"{name}: {bit}" for name, module in modules.items()
            if module["cells"] and not module.get("attributes", {}).get("blackbox")
            for bit in undriven(module)]  # fmt: skip
    if lost:
        raise ToolError(f"nothing drives {len(lost)} bits of {path}, such as {lost[0]}")
