"""Crossing, as emitted Verilog, between clocks of any ratio: nothing lost, doubled or reordered."""

import random
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from harness import run, settings_from_env
from systolith_fpga.memory.crossing import Crossing
from systolith_fpga.memory.sdram_admission import LEVEL_DELAY
from systolith_hw.presets import preset

ADDRESS_BITS = 25


class Far:
    """The SDRAM's side: it does requests in order, and looks only at levels.

    Beats to write are kept; beats read are numbers that follow one another.
    """

    def __init__(self, dut, capacity: int, pause: float) -> None:
        self.dut, self.capacity, self.pause = dut, capacity, pause
        self.requests: list[int] = []
        self.written: list[int] = []
        self.given = 0

    async def play(self) -> None:
        dut = self.dut
        jobs: deque[list[int]] = deque()  # write, beats
        late = deque([(0, 0)] * (LEVEL_DELAY + 1))
        while True:
            asks = len(jobs) < 2 and random.random() >= self.pause
            dut.far__request__ready.value = asks
            # What was moved so lately may not be in the levels yet.
            room = int(dut.read_room.value) - sum(given for given, _ in late)
            level = int(dut.write_level.value) - sum(taken for _, taken in late)
            assert 0 <= int(dut.read_room.value) <= self.capacity
            goes = jobs and random.random() >= self.pause
            takes = bool(goes and jobs[0][0] and level > 0)
            gives = bool(goes and not jobs[0][0] and room > 0)
            dut.far__write__ready.value = takes
            dut.far__read__valid.value = gives
            if gives:
                dut.far__read__payload.value = self.given
            await RisingEdge(dut.sdram_clk)
            if takes:
                assert dut.far__write__valid.value, "a beat that the level promised is not there"
                self.written.append(int(dut.far__write__payload.value))
            if gives:
                assert dut.far__read__ready.value, "a beat that had room has none"
                self.given += 1
            if takes or gives:
                jobs[0][1] -= 1
                if not jobs[0][1]:
                    jobs.popleft()
            late.append((gives, takes))
            late.popleft()
            if asks and dut.far__request__valid.value:
                payload = int(dut.far__request__payload.value)
                self.requests.append(payload)
                beats = (payload >> ADDRESS_BITS & 0xFF) + 1
                jobs.append([payload >> ADDRESS_BITS + 8, beats])


async def put(dut, name: str, payloads: list[int], pause: float) -> None:
    valid, ready = getattr(dut, f"near__{name}__valid"), getattr(dut, f"near__{name}__ready")
    for payload in payloads:
        while random.random() < pause:
            await RisingEdge(dut.clk)
        getattr(dut, f"near__{name}__payload").value = payload
        valid.value = 1
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
        valid.value = 0


async def get(dut, count: int, pause: float) -> list[int]:
    beats: list[int] = []
    while len(beats) < count:
        takes = random.random() >= pause
        dut.near__read__ready.value = takes
        await RisingEdge(dut.clk)
        if takes and dut.near__read__valid.value:
            beats.append(int(dut.near__read__payload.value))
    dut.near__read__ready.value = 0
    return beats


async def begin(dut, near_ps: int, far_ps: int) -> None:
    for name in ("near__request__valid", "near__write__valid", "near__read__ready",
                 "far__request__ready", "far__write__ready", "far__read__valid"):  # fmt: skip
        getattr(dut, name).value = 0
    dut.rst.value = dut.sdram_rst.value = 1
    Clock(dut.clk, near_ps, unit="ps").start()
    await Timer(random.randrange(1, far_ps), "ps")
    Clock(dut.sdram_clk, far_ps, unit="ps").start()
    for clk in (dut.clk, dut.sdram_clk):
        for _ in range(8):
            await RisingEdge(clk)
    dut.sdram_rst.value = 0
    for _ in range(8):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(ratio=["equal", "near slow", "far slow", "any", "any other"],
                    pause=[0.0, 0.6])  # fmt: skip
async def carries_all(dut, ratio, pause):
    settings = settings_from_env()
    known = {"equal": (8000, 8000), "near slow": (30_000, 7500), "far slow": (7500, 22_500)}
    any_one = 2 * random.randrange(3500, 15_000), 2 * random.randrange(3500, 15_000)
    near, far = known.get(ratio, any_one)
    await begin(dut, near, far)
    side = Far(dut, settings["capacity"], pause)
    player = cocotb.start_soon(side.play())
    requests, words, reads = [], [], 0
    for _ in range(settings["bursts"]):
        write, beats = random.randrange(2), random.choice([1, 2, random.randint(1, 90)])
        requests.append(random.randrange(1 << ADDRESS_BITS) | beats - 1 << ADDRESS_BITS
                        | write << ADDRESS_BITS + 8)  # fmt: skip
        if write:
            words += [random.getrandbits(36) for _ in range(beats)]
        else:
            reads += beats
    cocotb.start_soon(put(dut, "request", requests, pause))
    cocotb.start_soon(put(dut, "write", words, pause))
    assert await get(dut, reads, pause) == list(range(reads))
    while len(side.written) < len(words):
        await RisingEdge(dut.clk)
    assert side.written == words
    for _ in range(20):
        await RisingEdge(dut.clk)
    assert side.requests == requests
    player.cancel()


@pytest.mark.parametrize("capacity", [64])
def test_crossing(capacity, sim, seed):
    bursts = {"verilator": 25, "icarus": 12}[sim]
    run(
        Crossing(ADDRESS_BITS, 4, capacity), preset("tiny"), test_module="test_crossing",
        tag=f"{capacity}", sim=sim, seed=seed, settings={"capacity": capacity, "bursts": bursts},
    )  # fmt: skip
