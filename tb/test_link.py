"""The host link's endpoint, as emitted Verilog, against its golden model."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run, settings_from_env
from systolith_fpga.link.endpoint import LinkEndpoint
from unit.link_bench import flood, identity, link_config
from unit.test_link import STALLS, random_talk

GATE = {"2-64": ["verilator"], "4-4": ["icarus"]}


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def answers_as_the_golden_model(dut, stalls):
    burst_bytes, seed = settings_from_env()["burst_bytes"], random.randrange(1 << 16)
    frames = settings_from_env()["frames"]
    if stalls in settings_from_env()["stalls"]:
        await on_verilog(dut, LinkEndpoint, random_talk, config_from_env(), burst_bytes,
                         STALLS[stalls], seed, frames=frames)  # fmt: skip


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def survives_a_flood(dut):
    burst_bytes, seed = settings_from_env()["burst_bytes"], random.randrange(1 << 16)
    if settings_from_env()["flood"]:
        await on_verilog(dut, LinkEndpoint, flood, config_from_env(), seed=seed,
                         burst_bytes=burst_bytes)  # fmt: skip


@pytest.mark.parametrize("sizes", ["1-1", "2-64", "4-4", "4-64", "16-16", "16-256"])
def test_link(sizes, sim, seed):
    data_bytes, burst_bytes = map(int, sizes.split("-"))
    config = link_config(data_bytes)
    gate = sim in GATE.get(sizes, [])
    settings = {
        "burst_bytes": burst_bytes, "frames": 5 if gate else 60,
        "stalls": ["never", "all"] if gate else list(STALLS),
        "flood": not gate,
    }  # fmt: skip
    run(LinkEndpoint(config, identity(config), burst_bytes), config, test_module="test_link",
        tag=sizes, sim=sim, seed=seed, settings=settings)  # fmt: skip
