"""RowStatistics, as emitted Verilog: rows of all kinds at once, with pauses."""

import cocotb

from black_box import on_verilog
from harness import run
from systolith_hw.vector.row_statistics import RowStatistics
from unit import row_statistics_bench
from unit import test_row_statistics as unit

LANES = 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.2, 0.6])
async def equals_golden(dut, pause):
    await on_verilog(dut, RowStatistics, unit.test_rows, LANES, pause, seed=cocotb.RANDOM_SEED)


def test_row_statistics(sim, seed):
    config = row_statistics_bench.make(LANES)
    dut = RowStatistics(config)
    run(dut, config, test_module="test_row_statistics", tag="rows", sim=sim, seed=seed)
