"""AxiLiteSlave between a host of any habits and registers of any latency."""

import random

import pytest
from amaranth.back import verilog

from systolith_hw.bus.axi import Response
from systolith_hw.bus.axi_lite import AxiLiteSlave

from .axi_model import get, held, put, simulate

MAPPED = 0x40
"""Addresses below this one, and multiples of 4, have a register."""


class Registers:
    """Plays the register port; keeps a log of what reached it."""

    def __init__(self, port, rng, latency):
        self.port, self.rng, self.latency = port, rng, latency
        self.words = {}
        self.writes = []
        self.reads = []

    def known(self, address):
        return address < MAPPED and address % 4 == 0

    async def decode(self, ctx):
        async for (address,) in ctx.changed(self.port.address):
            ctx.set(self.port.error, not self.known(address))

    async def serve(self, ctx):
        port = self.port
        while True:
            _, _, write, value, read, address = await ctx.tick().sample(
                port.write, port.write_data, port.read, port.address)
            if write:
                assert self.known(address)
                self.words[address] = value
                self.writes.append((address, value))
            if read:
                value = self.words.get(address, 0) if self.known(address) else 0
                self.reads.append((address, value))
            if read or write:
                for _ in range(self.rng.randrange(self.latency + 1)):
                    await ctx.tick()
                    assert not ctx.get(port.read | port.write)
                ctx.set(port.read_data, value)
                ctx.set(port.valid, 1)
                await ctx.tick()
                ctx.set(port.valid, 0)


async def pause(ctx, rng, p):
    while rng.random() >= p:
        await ctx.tick()


def run(count, *, seed=0, p=1.0, latency=0, read_only=False, strobes=(15,)):
    """Send random reads and writes on all five channels; check every answer."""
    rng = random.Random(seed)
    dut = AxiLiteSlave()
    axi = dut.bus
    registers = Registers(dut.port, rng, latency)
    space = [*range(0, MAPPED + 16), 0x800, 0xFFC]
    writes = [] if read_only else [
        (rng.choice(space), rng.getrandbits(32), rng.choice(strobes)) for _ in range(count)
    ]  # fmt: skip
    reads = [rng.choice(space) for _ in range(count)]
    answers = []
    cycles: list[None] = []

    async def write_address(ctx):
        for address, *_ in writes:
            await pause(ctx, rng, p)
            await put(ctx, axi.awvalid, axi.awready, [(axi.awaddr, address)])

    async def write_data(ctx):
        for _, value, strobe in writes:
            await pause(ctx, rng, p)
            await put(ctx, axi.wvalid, axi.wready, [(axi.wdata, value), (axi.wstrb, strobe)])

    async def write_response(ctx):
        for address, _, strobe in writes:
            (response,) = await get(ctx, axi.bvalid, axi.bready, (axi.bresp,), rng, p)
            good = strobe == 15 and registers.known(address)
            assert response == (Response.OKAY if good else Response.SLVERR)

    async def read_address(ctx):
        for address in reads:
            await pause(ctx, rng, p)
            await put(ctx, axi.arvalid, axi.arready, [(axi.araddr, address)])

    async def read_data(ctx):
        for address in reads:
            value, response = await get(
                ctx, axi.rvalid, axi.rready, (axi.rdata, axi.rresp), rng, p)
            assert response == (Response.OKAY if registers.known(address) else Response.SLVERR)
            answers.append((address, value))

    async def clock(ctx):
        while True:
            cycles.append(None)
            await ctx.tick()

    simulate(
        dut, write_address, write_data, write_response, read_address, read_data,
        background=(
            registers.decode, registers.serve, clock,
            held(("bresp",), axi, "bvalid", "bready"),
            held(("rdata", "rresp"), axi, "rvalid", "rready"),
        ),
    )  # fmt: skip
    assert registers.writes == [
        (address, value) for address, value, strobe in writes
        if strobe == 15 and registers.known(address)
    ]  # fmt: skip
    assert registers.reads == answers and [address for address, _ in answers] == reads
    return len(cycles)


@pytest.mark.parametrize("p", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("latency", [0, 9])
def test_random_traffic(p, latency):
    run(120, seed=latency, p=p, latency=latency)


def test_partial_strobes_write_nothing():
    run(200, strobes=(15, 15, 0, 1, 7, 14))


def test_read_takes_five_cycles():
    """AR offered, AR taken, register read, value there, R taken."""
    assert run(50, read_only=True) <= 50 * 5 + 3


@pytest.mark.parametrize("first", ["address", "data"])
def test_address_and_data_in_either_order(first):
    dut = AxiLiteSlave()
    axi = dut.bus

    async def bench(ctx):
        ctx.set(axi.awvalid, first == "address")
        ctx.set(axi.wvalid, first == "data")
        ctx.set(axi.wstrb, 15)
        ctx.set(axi.bready, 1)
        for _ in range(10):
            *_, awready, wready, write = await ctx.tick().sample(
                axi.awready & axi.awvalid, axi.wready & axi.wvalid, dut.port.write)
            assert not write
            if awready:
                ctx.set(axi.awvalid, 0)
            assert not wready
        ctx.set(axi.awvalid, first == "data")
        ctx.set(axi.wvalid, 1)
        await ctx.tick().until(dut.port.write)

    simulate(dut, bench)


def test_reads_and_writes_take_turns():
    dut = AxiLiteSlave()
    axi = dut.bus
    served = []

    async def bench(ctx):
        for signal in (axi.awvalid, axi.wvalid, axi.arvalid, axi.bready, axi.rready,
                       dut.port.valid):
            ctx.set(signal, 1)
        for _ in range(60):
            *_, write, read = await ctx.tick().sample(axi.awready, axi.arready)
            served.extend("w" * write + "r" * read)

    simulate(dut, bench)
    assert "".join(served[:8]) == "wrwrwrwr"


def test_verilog():
    assert "module" in verilog.convert(AxiLiteSlave(), emit_src=False)
