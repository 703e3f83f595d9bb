"""Emission: what is in the Verilog, who can read it, and what the manifest says."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth import Cat, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.config import BusConfig, ConfigError
from systolith_hw.emit import NAME, Emitted, emit, manifest
from systolith_hw.ports import ports, ports_markdown
from systolith_hw.presets import PRESETS, preset
from systolith_hw.verilog import LINT_OFF, component_verilog
from systolith_sim import verilator

DECLARATION = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)


def icarus_says(source, top):
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    command = ["iverilog", "-g2005", "-Wall", "-t", "null", "-s", top, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr


# -- components -----------------------------------------------------------------------------------


class Odd(wiring.Component):
    """Everything that Amaranth writes in a way of its own: an empty field, a constant port,
    memories with and without contents."""

    address: Signal
    i: stream.Interface
    o: Any
    q: Signal

    def __init__(self):
        super().__init__({
            "address": In(4),
            "i": In(stream.Signature(8, always_ready=True)),
            "o": Out(data.StructLayout({"empty": 0, "full": 8})),
            "q": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        zero: memory.Memory = memory.Memory(shape=8, depth=11, init=[])
        table: memory.Memory = memory.Memory(shape=8, depth=4, init=[0, 7, 0, 9])
        m.submodules.zero = zero
        m.submodules.table = table
        write, read, look = zero.write_port(), zero.read_port(), table.read_port()
        empty = Signal(0)
        m.d.comb += [
            write.addr.eq(self.address), write.data.eq(self.i.payload),
            write.en.eq(self.i.valid), read.addr.eq(self.address), look.addr.eq(self.address),
            self.o.empty.eq(empty), self.o.full.eq(read.data), self.q.eq(Cat(empty, look.data)),
        ]  # fmt: skip
        return m


@pytest.fixture(scope="module")
def odd():
    return component_verilog(Odd(), name="odd")


def test_constant_port_is_left_out(odd):
    assert "i__valid" in odd and "i__ready" not in odd


def test_signals_without_bits_are_left_out(odd):
    assert "[-1:0]" not in odd


def test_zeros_are_a_loop_for_simulation(odd):
    loop = re.search(r"`ifndef SYNTHESIS\n  initial begin : \w+\n.*?`endif\n", odd, re.DOTALL)
    assert loop and "word < 11;" in loop[0] and "word] = 8'h00;" in loop[0]
    assert odd.count("initial begin") == 2, "only the table has lines of its own"
    assert "[1] = 8'h07;" in odd and "[3] = 8'h09;" in odd


def test_odd_component_is_read_by_all(odd, tmp_path):
    source = tmp_path / "odd.v"
    source.write_text(odd)
    assert icarus_says(source, "odd") == ""
    said = verilator.lint(source, "odd")
    assert not re.search("ASCRANGE|%Error", said)


def test_port_without_bits_is_refused():
    class Empty(wiring.Component):
        i: Signal
        o: Signal

        def __init__(self):
            super().__init__({"i": In(0), "o": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.o.eq(self.i)
            return m

    with pytest.raises(AssertionError, match="i has no bits, and is a port or used"):
        component_verilog(Empty(), name="empty")


# -- the core -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> Emitted:
    return emit(preset("tiny"))


def test_same_text_every_time(tiny):
    again = emit(preset("tiny"))
    assert again == tiny


def test_header(tiny):
    head = tiny.verilog[:400]
    assert f"configuration {preset('tiny').hash:08x}, target generic, bus axi4." in head
    assert "4 x 2 multipliers, 1 vector lanes, 16-bit port" in head
    assert str(Path(__file__).parents[2]) not in tiny.verilog


def test_verilator_has_nothing_to_say(tiny, tmp_path):
    source = tmp_path / f"{NAME}.v"
    source.write_text(tiny.verilog)
    assert verilator.lint(source, NAME) == ""


def test_what_is_waived_is_what_the_header_says(tiny, tmp_path):
    """Bits are lost only by `!` and by shifts to the right; and nothing else is waived."""
    source = tmp_path / f"{NAME}.v"
    source.write_text(re.sub(r"/\* verilator lint_off \w+ \*/\n", "", tiny.verilog))
    said = verilator.lint(source, NAME)
    assert set(re.findall(r"%Warning-(\w+)", said)) == set(LINT_OFF)
    lines = re.findall(r"%Warning-WIDTHTRUNC: \S+ (.*)", said)
    assert lines and all(
        line.startswith("Logical operator LOGNOT ") or line.split("'s ")[-1].startswith("SHIFTR ")
        for line in lines
    )


def test_icarus_has_nothing_to_say(tiny, tmp_path):
    source = tmp_path / f"{NAME}.v"
    source.write_text(tiny.verilog)
    assert icarus_says(source, NAME) == ""


def test_every_combinational_block_is_woken(tiny):
    """Each looks at a signal that is set behind all of them, or Icarus may never run it."""
    for module in tiny.verilog.split("endmodule\n"):
        blocks = re.findall(r"^  always @\*(.*\n.*)\n", module, re.MULTILINE)
        if blocks:
            last = module.rstrip().splitlines()[-1]
            waker = re.fullmatch(r"  initial (\S+) = 0;", last)
            assert waker, last
            assert set(blocks) == {f" begin\n    if ({waker[1]} ) begin end"}


def test_manifest_is_json_and_complete(tiny):
    tree = json.loads(json.dumps(tiny.manifest))
    assert tree["config"] == preset("tiny").to_dict()
    assert tree["config_hash"] == f"{preset('tiny').hash:08x}"
    assert {"name": "STATUS", "offset": 16, "access": "ro"}.items() <= tree["registers"][4].items()
    assert tree["counters"][0]["offset"] == 0x80
    assert len(tree["counters"]) == 8 and tree["counters"][-1]["offset"] == 0xD4
    assert len(manifest(preset("small"))["counters"]) == 24
    assert {use["name"] for use in tree["memories"]} >= {"operand", "activation", "wide"}


def test_ports_are_those_of_the_verilog(tiny):
    top = tiny.verilog[tiny.verilog.index(f"module {NAME}(") :]
    declared = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in DECLARATION.findall(top[: top.index("endmodule")])
    }
    assert declared == {
        port["name"]: (port["direction"], port["width"]) for port in tiny.manifest["ports"]
    }
    assert declared["m_axi_rdata"] == ("input", 16)
    assert declared["irq"] == ("output", 1)


@pytest.mark.parametrize("name", PRESETS)
def test_manifest_of_every_preset(name):
    config = preset(name)
    tree = manifest(config)
    widths = {port["name"]: port["width"] for port in tree["ports"]}
    assert widths["m_axi_wstrb"] * 8 == widths["m_axi_wdata"] == 8 * config.bus.data_bytes
    assert widths["m_axi_araddr"] == config.bus.address_bits
    assert all(port["meaning"] for port in tree["ports"])


def test_ports_markdown():
    config = preset("tiny")
    lines = ports_markdown(config).splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert len(rows) == len(ports(config))
    assert lines.count("| port | direction | width | meaning |") == 3
    assert "## Memory: AXI4 master" in lines
    assert "| `m_axi_araddr` | output | 24 | read address: byte address |" in lines


def test_single_byte_port():
    """A strobe of one bit, and no address bits inside a beat."""
    config = preset("tiny").replace({"bus.data_bytes": 1, "bus.burst_beats": 16})
    assert config.bus == BusConfig(data_bytes=1, address_bits=24, burst_beats=16, outstanding=2)
    widths = {port.name: port.width for port in ports(config)}
    assert (widths["m_axi_wstrb"], widths["m_axi_wdata"]) == (1, 8)


def test_unknown_target():
    with pytest.raises(ConfigError, match="no target xilinx; known are generic, ecp5, ice40"):
        emit(preset("tiny"), "xilinx")
