"""Who is next on a shared memory, and what a memory system refuses."""

import dataclasses

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_fpga.memory.choice import BurstChoice
from systolith_fpga.memory.crossing import Crossing
from systolith_fpga.memory.memory_system import MemorySystem
from systolith_fpga.memory.sdram_chips import SdramTiming, sdram_chip
from systolith_fpga.memory.sdram_controller import SdramController
from systolith_fpga.memory.sharing import Sharing
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

TIMING = SdramTiming(sdram_chip("IS42S16160G-7"), 133e6)


def winners(clients: int, wishes) -> list[int]:
    """Return who is chosen, cycle by cycle."""
    dut, chosen = BurstChoice(clients), []

    async def bench(ctx):
        ctx.set(dut.take, 1)
        for wish in wishes:
            ctx.set(dut.wishes, wish)
            chosen.append(int(ctx.get(dut.winner)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return chosen


@pytest.mark.parametrize("clients", [2, 3, 5])
def test_everybody_always_wants(clients):
    """The first has every second turn, and the others share the rest evenly."""
    chosen = winners(clients, [(1 << clients) - 1] * 8 * clients)
    assert chosen[::2] == [0] * len(chosen[::2])
    assert chosen[1::2] == [1 + (1 + turn) % (clients - 1) for turn in range(4 * clients)]


def test_first_goes_first_and_alone():
    assert winners(4, [0b0001] * 3) == [0, 0, 0]
    assert winners(4, [0b1001, 0b1001, 0b1000, 0b1001]) == [0, 3, 3, 0]


@pytest.mark.parametrize("clients", [3, 5])
def test_nobody_starves(clients, seed):
    """Whoever wants, and others at random: at most two turns of each other one pass."""
    rng = np.random.default_rng(seed)
    for client in range(clients):
        wishes = [int(rng.integers(0, 1 << clients)) | 1 << client for _ in range(200)]
        chosen = winners(clients, wishes)
        assert all(wish >> winner & 1 for wish, winner in zip(wishes, chosen, strict=True))
        gaps = np.diff([-1, *np.flatnonzero(np.array(chosen) == client), len(chosen)])
        assert gaps.max() <= (2 if client == 0 else 2 * (clients - 1))


def config_with(**bus):
    config = preset("ulx3s")
    return dataclasses.replace(config, bus=dataclasses.replace(config.bus, **bus))


@pytest.mark.parametrize("width", [1, 16])
def test_widths_that_cannot_be(width):
    with pytest.raises(ConfigError, match=f"one of 2, 4, 8 on a board with SDRAM, not {width}"):
        MemorySystem(config_with(data_bytes=width), TIMING)
    with pytest.raises(ConfigError, match=f"data_bytes must be one of 2, 4, 8, not {width}"):
        SdramController(TIMING, width, capacity=64)


def test_room_for_a_burst():
    config = config_with(burst_beats=128)
    with pytest.raises(ConfigError, match="writers keep room for 200, 64 beats, but a burst of"):
        Sharing(config, 25, readers=(128,), writers=(200, 64), ahead=64)
    with pytest.raises(ConfigError, match="readers keep room for nothing beats"):
        Sharing(config, 25, readers=(), writers=(128,), ahead=64)


@pytest.mark.parametrize("capacity", [4, 48])
def test_capacities_that_cannot_be(capacity):
    with pytest.raises(ValueError, match=f"power of two of at least 8, not {capacity}"):
        Crossing(25, 4, capacity)
