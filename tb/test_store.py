"""STORE, as emitted Verilog: activation and wide words become the bursts that layouts say."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run
from systolith_hw.dma.store import StoreUnit
from systolith_hw.isa import Opcode, StoreKind
from systolith_hw.presets import preset
from unit import test_store as unit
from unit.dma_bench import instruction

STALLS = {
    "never": {},
    "random": {"p_memory": 0.6, "p_stream": 0.6, "p_wait": 0.5, "p_issue": 0.5},
    "heavy": {"p_memory": 0.15, "p_stream": 0.1, "p_wait": 0.1, "p_issue": 0.1},
}
"""Of the bus, the vector unit's stream, the semaphores and the queue."""


def store_everything(config, stalls, seed):
    """Run two STOREs of each kind, in any order."""
    rng = random.Random(seed)
    stores, address = [], rng.randrange(0, 4096, config.bus.data_bytes)
    for kind in rng.sample([*StoreKind] * 2, 4):
        fields, address = unit.random_store(rng, config, kind, address, most=50)
        stores.append(fields)
    count = sum(
        fields["rows"] * fields["elements"]
        for fields in stores if fields["kind"] == StoreKind.STREAM
    )  # fmt: skip
    words, wide = unit.random_words(config, rng, count), unit.random_wide(config, seed)
    programs = [instruction(Opcode.STORE, **fields) for fields in stores]
    result = unit.run(
        config, programs, words=words, wide=wide, seed=seed, deadline=20_000, **stalls
    )
    unit.check(config, stores, result, words, wide)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def leaves_what_the_layout_says(dut, stalls):
    for _ in range(2):
        seed = random.randrange(1 << 16)
        await on_verilog(dut, StoreUnit, store_everything, config_from_env(), STALLS[stalls], seed)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_store(name, sim, seed):
    config = preset(name).replace({"bus.address_bits": 16})
    run(StoreUnit(config), config, test_module="test_store", tag=name, sim=sim, seed=seed)
