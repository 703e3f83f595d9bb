"""Fifo, as emitted Verilog: order, capacity, and words that wait."""

import collections
import random

import cocotb
import pytest
from cocotb.triggers import ReadOnly, RisingEdge

from harness import run, settings_from_env
from streams import get, put, stall_never, stall_often, start
from systolith_hw.presets import preset
from systolith_hw.stream.fifo import Fifo

WIDTH = 12


def words(count):
    return [random.randrange(1 << WIDTH) for _ in range(count)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(stall_in=[stall_never, stall_often], stall_out=[stall_never, stall_often])
async def keeps_order(dut, stall_in, stall_out):
    sent = words(200)
    await start(dut)
    cocotb.start_soon(put(dut, "i", sent, stall_in()))
    assert await get(dut, "o", len(sent), stall_out()) == sent


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def holds_depth_words(dut):
    """Without a taker it accepts ``depth`` words, offers the first one, and keeps offering it."""
    depth = settings_from_env()["depth"]
    sent = words(depth + 3)
    dut.o__ready.value = 0
    await start(dut)
    cocotb.start_soon(put(dut, "i", sent, stall_never()))
    for _ in range(depth + 4):
        await RisingEdge(dut.clk)
    for _ in range(5):
        await ReadOnly()
        assert (dut.i__ready.value, dut.o__valid.value) == (0, 1)
        assert (dut.level.value, dut.o__payload.value) == (depth, sent[0])
        await RisingEdge(dut.clk)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_what_it_holds(dut):
    held: collections.deque[int] = collections.deque()
    await start(dut)
    for _ in range(300):
        dut.i__valid.value, dut.i__payload.value = random.choice([(0, 0), (1, *words(1))])
        dut.o__ready.value = random.randrange(2)
        await ReadOnly()
        assert int(dut.level.value) == len(held)
        if dut.o__valid.value and dut.o__ready.value:
            assert int(dut.o__payload.value) == held.popleft()
        if dut.i__valid.value and dut.i__ready.value:
            held.append(int(dut.i__payload.value))
        await RisingEdge(dut.clk)


@pytest.mark.parametrize("depth", [1, 3, 16])
def test_fifo(depth, sim, seed):
    run(
        Fifo(WIDTH, depth), preset("tiny"), test_module="test_fifo", tag=f"depth{depth}",
        sim=sim, seed=seed, settings={"depth": depth},
    )  # fmt: skip
