"""AxiWriter between a client and a memory."""

import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import Signal, Value

from systolith_hw.bus.axi_writer import AxiWriter
from systolith_hw.config import BusConfig, Config
from systolith_hw.presets import preset

from .axi_model import WriteMemory, held, send, simulate


def make(short=False, **bus):
    bus = {"data_bytes": 2, "burst_beats": 16, "outstanding": 3, **bus}
    return Config(bus=BusConfig(**bus), short_pipelines=short)


def respond(address):
    """Every third burst is an error, of three kinds."""
    return (address // 6 % 3 + 1) * (address % 3 == 0)


def run(config, requests, *, seed=0, p_client=1.0, p_memory=1.0, latency=0):
    """Return the memory model, the beats sent, the responses and a trace of every cycle."""
    rng = random.Random(seed)
    dut = AxiWriter(config)
    memory = WriteMemory(dut.axi, respond, rng, p_memory, latency)
    client = dut.client
    beats = [
        {"data": rng.randrange(1 << 16), "strobe": rng.randrange(4), "last": int(index == last)}
        for _, last in requests for index in range(last + 1)
    ]  # fmt: skip
    responses: list[int] = []
    trace = []

    async def ask(ctx):
        items = [{"address": address, "last": last} for address, last in requests]
        await send(ctx, client.request, items, rng, p_client)

    async def give(ctx):
        await send(ctx, client.data, beats, rng, p_client)

    async def collect(ctx):
        while len(responses) < len(requests):
            *_, valid, error, idle = await ctx.tick().sample(
                client.response.valid, client.response.payload, dut.idle)
            if valid:
                responses.append(error)
                assert not idle, "idle with a response to deliver"
        await ctx.tick()
        assert ctx.get(dut.idle)

    async def observe(ctx):
        while True:
            *_, row, idle = await ctx.tick().sample(
                dut.axi.wvalid & dut.axi.wready, dut.idle)
            trace.append(row)
            if len(memory.bursts) > memory.answered:
                assert not idle, "idle with bursts under way"

    simulate(dut, ask, give, collect, background=(
        memory.addresses, memory.data, memory.responses, observe,
        held(("awid", "awaddr", "awlen", "awsize", "awburst"), dut.axi, "awvalid", "awready"),
        held(("wdata", "wstrb", "wlast"), dut.axi, "wvalid", "wready"),
    ))  # fmt: skip
    return memory, beats, responses, trace


@pytest.mark.parametrize("p_client", [1.0, 0.4])
@pytest.mark.parametrize("p_memory", [1.0, 0.4])
@pytest.mark.parametrize("outstanding", [1, 3])
@pytest.mark.parametrize("short", [False, True])
def test_random_traffic(short, outstanding, p_client, p_memory):
    rng = random.Random(outstanding)
    requests = [(rng.randrange(0, 1 << 14, 2), rng.randrange(16)) for _ in range(40)]
    memory, beats, responses, _ = run(
        make(short, outstanding=outstanding), requests, p_client=p_client, p_memory=p_memory,
        latency=4,
    )
    assert memory.bursts == requests
    assert memory.beats == [(beat["data"], beat["strobe"], beat["last"]) for beat in beats]
    assert responses == [int(respond(address) != 0) for address, _ in requests]
    assert memory.most <= outstanding


def test_full_throughput():
    _, _, _, trace = run(make(), [(0x40 * index, 15) for index in range(6)])
    moved = [cycle for cycle, row in enumerate(trace) if row]
    assert moved == list(range(moved[0], moved[0] + 96))


@pytest.mark.parametrize("short", [False, True])
def test_offers_before_ready(short):
    dut = AxiWriter(make(short))
    assert dut.latency == (0 if short else 1)

    async def bench(ctx):
        ctx.set(dut.client.request.valid, 1)
        ctx.set(dut.client.data.valid, 1)
        ctx.set(dut.client.data.p.data, 0xBEEF)
        for _ in range(dut.latency):
            await ctx.tick()
        assert ctx.get(dut.axi.awvalid) and ctx.get(dut.axi.wvalid)
        assert ctx.get(dut.axi.wdata) == 0xBEEF

    simulate(dut, bench)


@pytest.mark.parametrize("short", [False, True])
def test_limit_holds_the_request_back(short):
    dut = AxiWriter(make(short, outstanding=2))

    async def bench(ctx):
        ctx.set(dut.axi.awready, 1)
        ctx.set(dut.client.request.valid, 1)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.client.request.ready) and not ctx.get(dut.axi.awvalid)
        ctx.set(dut.axi.bvalid, 1)
        await ctx.tick()
        ctx.set(dut.axi.bvalid, 0)
        for _ in range(dut.latency):
            await ctx.tick()
        assert ctx.get(dut.client.request.ready)

    simulate(dut, bench)


def test_idle_sees_what_waits():
    dut = AxiWriter(make())

    async def bench(ctx):
        assert ctx.get(dut.idle)
        for stream in (dut.client.request, dut.client.data):
            ctx.set(stream.valid, 1)
            assert not ctx.get(dut.idle)
            ctx.set(stream.valid, 0)
        ctx.set(dut.client.data.valid, 1)
        await ctx.tick()
        ctx.set(dut.client.data.valid, 0)
        assert not ctx.get(dut.idle)

    simulate(dut, bench)


def emit(dut):
    # The constant `ready` of an always-ready stream is no port.
    leaves = (Value.cast(value) for *_, value in dut.signature.flatten(dut))
    return verilog.convert(
        dut, ports=[leaf for leaf in leaves if isinstance(leaf, Signal)], emit_src=False)


@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_verilog(name):
    assert "module" in emit(AxiWriter(preset(name)))


def test_extreme_configs():
    for bus in ({"data_bytes": 1, "burst_beats": 1, "outstanding": 1, "address_bits": 16},
                {"data_bytes": 128, "burst_beats": 32, "outstanding": 16}):
        emit(AxiWriter(make(**bus)))
