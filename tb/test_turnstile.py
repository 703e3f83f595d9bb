"""Turnstile, as emitted Verilog: whole blocks, in turn, and none that could be held up."""

import cocotb

from black_box import on_verilog
from harness import run
from systolith_hw.vector.turnstile import Turnstile
from unit import test_turnstile as unit

PAUSES = {"never": (1, 1, 1, 1), "some": (0.8, 0.8, 0.8, 0.3), "many": (0.4, 0.4, 0.4, 0.05)}
"""Whether beats, the gate, sums and room in the stream come in a cycle."""


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pauses=list(PAUSES))
async def keeps_blocks_whole(dut, pauses):
    await on_verilog(dut, Turnstile, unit.test_blocks, *PAUSES[pauses], cocotb.RANDOM_SEED)


def test_turnstile(sim, seed):
    dut = Turnstile(
        unit.CONFIG, credits=unit.CREDITS, addition=unit.ADDITION, flight=unit.FLIGHT,
        number_flight=unit.NUMBER_FLIGHT,
        wide_flight=unit.WIDE_FLIGHT,
    )  # fmt: skip
    run(dut, unit.CONFIG, test_module="test_turnstile", tag="blocks", sim=sim, seed=seed)
