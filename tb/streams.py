"""Drive and drain Amaranth streams from cocotb."""

import itertools
import random
from collections.abc import Iterable, Iterator

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from numpy.typing import NDArray

__all__ = ["get", "pack", "put", "stall_never", "stall_often", "start", "unpack"]


def stall_never() -> Iterator[int]:
    """Pause for no cycle, ever."""
    return itertools.repeat(0)


def stall_often() -> Iterator[int]:
    """Pause for some cycles, every other time."""
    return (random.choice([0, 0, 1, 4]) for _ in itertools.count())


async def start(dut) -> None:
    """Start a 100 MHz clock and pulse reset; return after a rising edge, with reset low."""
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0


async def put(dut, name: str, payloads: Iterable[int], stall: Iterator[int]) -> None:
    """Send ``payloads`` into stream ``name``; idle for ``next(stall)`` cycles before each."""
    valid, ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
    payload = getattr(dut, f"{name}__payload")
    for value in payloads:
        valid.value = 0
        for _ in range(next(stall)):
            await RisingEdge(dut.clk)
        valid.value, payload.value = 1, value
        accepted = False
        while not accepted:
            await ReadOnly()
            accepted = bool(ready.value)
            await RisingEdge(dut.clk)
    valid.value = 0


async def get(dut, name: str, count: int, stall: Iterator[int]) -> list[int]:
    """Receive ``count`` payloads from stream ``name``; stay unready for ``next(stall)`` cycles."""
    valid, ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")
    received: list[int] = []
    while len(received) < count:
        ready.value = 0
        for _ in range(next(stall)):
            await RisingEdge(dut.clk)
        ready.value = 1
        await ReadOnly()
        if valid.value:
            received.append(int(getattr(dut, f"{name}__payload").value))
        await RisingEdge(dut.clk)
    ready.value = 0
    return received


def pack(lanes: Iterable[int], bits: int) -> int:
    """Concatenate signed lanes into one payload, lane 0 in the low bits."""
    return sum((int(lane) & (1 << bits) - 1) << index * bits for index, lane in enumerate(lanes))


def unpack(payload: int, bits: int, lanes: int) -> NDArray[np.int64]:
    """Split a payload into ``lanes`` signed integers."""
    fields = (payload >> np.arange(lanes, dtype=object) * bits) & (1 << bits) - 1
    return np.where(fields >> bits - 1, fields - (1 << bits), fields).astype(np.int64)
