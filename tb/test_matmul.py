"""Compiled matrix products on the whole core, bit for bit, with cocotbext-axi around it."""

import numpy as np
import pytest

from jobs import Job, Region, Run
from systolith.bench import ORDER, image, predict
from systolith.compiler.matmul import plan_matmul
from systolith.compiler.weight_codecs import CODECS
from systolith.product import Product
from systolith_hw.emit import emit
from systolith_hw.presets import preset
from test_top import run_job

CASES = {
    # Single-port operands, R > C, one lane, queues of one, a port narrower than everything.
    "tiny": ("tiny", {}, [("stream", "auto", (3, 21, 7)), ("onchip", "wide", (2, 9, 5)),
                          ("onchip", "activation", (3, 18, 5))]),
    # R = C, two beats per result.
    "small": ("small", {"memory.operand_tiles": 20, "memory.activation_words": 24},
              [("stream", "auto", (5, 37, 29)), ("onchip", "wide", (1, 40, 19)),
               ("onchip", "activation", (2, 23, 17))]),
    # C > R, a port wider than a tile row, wide mantissas, in one bank for both stages.
    "broad": ("small", {
        "array.rows": 4, "array.columns": 8, "array.mantissa_bits": 12, "array.window": 16,
        "bus.data_bytes": 32, "memory.operand_tiles": 24, "memory.activation_words": 32,
        "memory.activation_rows": 4, "control.counters_distributed": True,
    }, [("stream", "auto", (5, 18, 29)), ("onchip", "activation", (2, 10, 17))]),
    # 4-bit weights, panels of which do not end with a page of them.
    "coded": ("small", {
        "array.columns": 4, "bus.data_bytes": 4, "bus.codecs": True, "memory.operand_tiles": 20,
    }, [("stream", "auto", (3, 40, 13)), ("onchip", "wide", (1, 33, 7))]),
}  # fmt: skip


GATE = {"tiny": ["icarus"], "small": ["verilator"], "broad": ["verilator"], "coded": ["icarus"]}


@pytest.mark.parametrize("case", CASES)
def test_matmul_equals_machine(case, sim, seed):
    """The bytes that each product leaves in memory are those of the functional machine."""
    name, settings, products = CASES[case]
    config = preset(name).replace(settings)
    rng = np.random.default_rng(seed)
    runs: list[Run] = []
    for operands, out, (m, k, n) in products:
        codec = CODECS["int4" if config.bus.codecs else "int8"]
        plan = plan_matmul(config, m, k, n, operands=operands, out=out, kind=codec.kind)
        product = Product.quantize(
            config, rng.normal(size=(m, k)), rng.normal(size=(k, n)), rng.normal(size=n), codec
        )
        programs = [plan.regions[name].address for name in ORDER if name in plan.programs]
        steps = [Run(program=address) for address in programs]
        steps[0].before = [Region(0, image(plan, product))]
        output = plan.regions["output"]
        expected = predict(plan, product)[output.address : output.end]
        steps[-1].after = [Region(output.address, expected)]
        runs += steps
    job = Job(program_address=0, memory=[], runs=runs)
    run_job(emit(config).verilog, config, job, top="systolith", tag=case, sim=sim, seed=seed)
