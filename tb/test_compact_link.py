"""The host link's compact endpoint, as emitted Verilog, against the golden model."""

import random

import cocotb
import pytest

from black_box import on_verilog
from harness import config_from_env, run, settings_from_env
from systolith_fpga.link.compact_endpoint import CompactEndpoint
from unit.link_bench import flood, identity, link_config
from unit.test_link import STALLS, random_talk


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stalls=list(STALLS))
async def answers_as_the_golden_model(dut, stalls):
    settings, seed = settings_from_env(), random.randrange(1 << 16)
    if stalls in settings["stalls"]:
        await on_verilog(dut, CompactEndpoint, random_talk, config_from_env(), 1, STALLS[stalls],
                         seed, link=CompactEndpoint, frames=settings["frames"])  # fmt: skip


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def survives_a_flood(dut):
    if settings_from_env()["flood"]:
        seed = random.randrange(1 << 16)
        await on_verilog(dut, CompactEndpoint, flood, config_from_env(), burst_bytes=1, seed=seed,
                         link=CompactEndpoint, frames=40)  # fmt: skip


@pytest.mark.slow
def test_compact_link(sim, seed):
    config = link_config(2)
    frames = 12 if sim == "icarus" else 40
    run(CompactEndpoint(config, identity(config)), config, test_module="test_compact_link",
        tag="compact", sim=sim, seed=seed,
        settings={"frames": frames, "stalls": list(STALLS), "flood": True})  # fmt: skip


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("width, changes, says", [
    (4, {}, "bus.data_bytes must be 2, not 4"),
    (2, {"payload_bytes": 128}, "payload_bytes must be 64, not 128"),
    (2, {"memory_bytes": 1000}, "memory_bytes must be a multiple of 256 up to 32768, not 1000"),
    (2, {"memory_bytes": 1 << 16}, "memory_bytes must be a multiple of 256 up to 32768, not 65536"),
])  # fmt: skip
def test_refusals(width, changes, says):
    config = link_config(width)
    with pytest.raises(ValueError, match=says):
        CompactEndpoint(config, identity(config)._replace(**changes))
