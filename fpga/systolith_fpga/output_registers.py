"""Registers right behind block memories, which those have inside."""

import collections
import json
import sys
import typing
from pathlib import Path

__all__ = ["use_output_registers", "use_output_registers_file"]

Cell = dict[str, typing.Any]
"""A cell of a netlist as yosys writes it in JSON."""

BLOCK, REGISTER = "DP16KD", "TRELLIS_FF"
PORTS = "AB"
BOTH_SIDES = 36
"""Width at which what is read on side B comes out of both sides."""


def use_output_registers_file(path: Path, name: str, most: int) -> int:
    """Replace the netlist in ``path`` by one in which module ``name`` has
    :func:`use_output_registers` done. Returns how many registers are gone.
    """
    netlist = json.loads(path.read_text())
    gone = use_output_registers(netlist["modules"][name], most)
    path.write_text(json.dumps(netlist))
    return gone


def use_output_registers(module: Cell, most: int) -> int:
    """Take the registers behind ECP5's block memories into them; return how many are gone.

    A block shows its output 5.8 ns after the clock, and much sooner from its own output register,
    which synthesis does not use. That can stand for registers that have no reset, begin with zero,
    share an enable or have none, and are all that looks at what the block reads. The block must
    read in every cycle: whether its enable holds the output register, too, vendors do not say.
    Nothing but wires changes: the bits that the registers drove come from the block. One that
    drives more than ``most`` cells stays, since it can be copied and a block cannot.
    """
    sinks = _sinks(module)
    gone = 0
    for block in [cell for cell in module["cells"].values() if cell["type"] == BLOCK]:
        for side in PORTS:
            gone += _take_in(module, block, side, sinks, most)
    return gone


def _sinks(module: Cell) -> dict[int, list[str]]:
    """Return the inputs that each bit drives: names of cells, or "" for the module's ports."""
    sinks: dict[int, list[str]] = collections.defaultdict(list)
    for port in module["ports"].values():
        if port["direction"] == "output":
            for bit in port["bits"]:
                sinks[bit].append("")
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    sinks[bit].append(name)
    return sinks


def _take_in(module: Cell, block: Cell, side: str, sinks: dict[int, list[str]], most: int) -> int:
    """Take in the registers behind what is read on one side of a block, if all of them can be."""
    wide = int(block["parameters"][f"DATA_WIDTH_{side}"], 2) == BOTH_SIDES
    if wide and side != "B":
        return 0
    sides = PORTS if wide else side
    free = all(block["parameters"][f"REGMODE_{each}"].strip() == "NOREG" for each in sides)
    if not free or block["connections"][f"CE{side}"] != ["1"]:
        return 0
    outputs = {
        port: bits[0]
        for port, bits in block["connections"].items()
        if port.startswith(tuple(f"DO{each}" for each in sides)) and sinks[bits[0]]
    }
    clock = block["connections"][f"CLK{side}"]
    registers, enables = {}, set()
    for port, bit in outputs.items():
        names = sinks[bit]
        register = module["cells"].get(names[0])
        if len(names) != 1 or register is None or not _fits(register, bit, clock):
            return 0
        if len(sinks[register["connections"]["Q"][0]]) > most:
            return 0
        registers[port] = names[0]
        enables.add(_enable(register))
    if len(enables) != 1:
        return 0
    for each in sides:
        block["parameters"][f"REGMODE_{each}"] = "OUTREG"
        block["connections"][f"OCE{each}"] = [*enables]
        block["port_directions"][f"OCE{each}"] = "input"
    for port, name in registers.items():
        block["connections"][port] = module["cells"].pop(name)["connections"]["Q"]
    return len(registers)


def _fits(cell: Cell, bit: int, clock: list[int]) -> bool:
    """Return whether a cell is a register of ``bit`` such as a block has."""
    if cell["type"] != REGISTER:
        return False
    parameters, connections = cell["parameters"], cell["connections"]
    return (
        connections.get("DI") == [bit]
        and connections["CLK"] == clock
        and connections.get("LSR", ["0"]) == ["0"]
        and parameters["CLKMUX"].strip() == "CLK"
        and parameters["CEMUX"].strip() in ("1", "CE")
        and parameters["REGSET"].strip() == "RESET"
    )


def _enable(register: Cell) -> int | str:
    """Return the bit that lets a register change."""
    always = register["parameters"]["CEMUX"].strip() == "1"
    return "1" if always else register["connections"]["CE"][0]


if __name__ == "__main__":
    file, module_name, number = sys.argv[1:]
    print(use_output_registers_file(Path(file), module_name, int(number)), "registers")
