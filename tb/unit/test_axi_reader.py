"""AxiReader between two clients and a memory that answers in any order."""

import random

import pytest
from amaranth.back import verilog

from systolith_hw.bus.axi import Axi4
from systolith_hw.bus.axi_reader import AxiReader
from systolith_hw.bus.kinds import BUSES
from systolith_hw.config import FETCH_OUTSTANDING, BusConfig, Config
from systolith_hw.presets import preset

from .axi_model import ReadMemory, held, send, simulate, take

Requests = tuple[list[tuple[int, int]], list[tuple[int, int]]]
AR = ("arid", "araddr", "arlen", "arsize", "arburst")


def make(short=False, **bus):
    bus = {"data_bytes": 2, "burst_beats": 16, "outstanding": 3, **bus}
    return Config(bus=BusConfig(**bus), short_pipelines=short)


def content(address):
    """Return data and response of a beat: every 13th address is an error, of three kinds."""
    return address * 0x9E37 >> 3 & 0xFFFF, (address // 2 % 3 + 1) * (address % 13 == 0)


def expect(requests, data_bytes=2):
    return [
        {"data": content(base + index * data_bytes)[0],
         "error": int(content(base + index * data_bytes)[1] != 0)}
        for base, last in requests for index in range(last + 1)
    ]  # fmt: skip


def random_requests(rng, count):
    return [(rng.randrange(0, 1 << 14, 2), rng.randrange(16)) for _ in range(count)]


def run(config, requests, *, seed=0, p_client=1.0, p_memory=1.0, latency=0, deadline=20_000):
    """Return the memory model, each client's beats, and a trace of every cycle."""
    rng = random.Random(seed)
    dut = AxiReader(config)
    memory = ReadMemory(dut.axi, content, config.bus.data_bytes, rng, p_memory, latency)
    clients = (dut.client_0, dut.client_1)
    received = {}
    trace = []

    def ask(number):
        items = [{"address": base, "last": last} for base, last in requests[number]]

        async def bench(ctx):
            await send(ctx, clients[number].request, items, rng, p_client)

        return bench

    def collect(number):
        async def bench(ctx):
            count = sum(last + 1 for _, last in requests[number])
            beats = await take(ctx, clients[number].data, count, rng, p_client)
            received[number] = [{"data": beat.data, "error": beat.error} for beat in beats]
            ctx.set(clients[number].data.ready, 1)  # as clients are that expect nothing
            if len(received) == 2:
                await ctx.tick().repeat(2)
                assert ctx.get(dut.idle)

        return bench

    async def observe(ctx):
        while True:
            trace.append((await ctx.tick().sample(
                dut.client_1.request.valid & dut.client_1.request.ready, dut.axi.arvalid,
                dut.axi.rvalid & dut.axi.rready,
                dut.client_1.data.valid & dut.client_1.data.ready, dut.idle,
            ))[-5:])  # fmt: skip
            if any(memory.queues.values()):
                assert not trace[-1][4], "idle with bursts under way"

    simulate(dut, ask(0), ask(1), collect(0), collect(1), deadline=deadline, background=(
        memory.addresses, memory.data, observe, held(AR, dut.axi, "arvalid", "arready"),
    ))  # fmt: skip
    return memory, received, trace


@pytest.mark.parametrize("p_client", [1.0, 0.4])
@pytest.mark.parametrize("p_memory", [1.0, 0.4])
@pytest.mark.parametrize("outstanding", [1, 3])
@pytest.mark.parametrize("short", [False, True])
def test_random_traffic(short, outstanding, p_client, p_memory):
    rng = random.Random(outstanding)
    requests = random_requests(rng, 25), random_requests(rng, 25)
    memory, received, _ = run(make(short, outstanding=outstanding), requests, p_client=p_client,
                              p_memory=p_memory, latency=5)  # fmt: skip
    assert received == {0: expect(requests[0]), 1: expect(requests[1])}
    for number, limit in enumerate((FETCH_OUTSTANDING, outstanding)):
        assert [(a, b) for who, a, b in memory.bursts if who == number] == requests[number]
        assert memory.most[number] <= limit
    assert memory.switches > 10, "the memory never interleaved"


def test_error_replies_reach_their_beat():
    requests: Requests = [], [(0, 15), (26, 0), (2, 3)]
    _, received, _ = run(make(), requests)
    assert [beat["error"] for beat in received[1]] == [1] + [0] * 12 + [1] + [0] * 2 + [1] + [0] * 4


@pytest.mark.parametrize("short", [False, True])
def test_latency_and_throughput(short):
    requests: Requests = [], [(0x100 * index, 15) for index in range(8)]
    _, received, trace = run(make(short), requests)
    assert received[1] == expect(requests[1])
    accept = [cycle for cycle, row in enumerate(trace) if row[0]]
    address = [cycle for cycle, row in enumerate(trace) if row[1]]
    reply = [cycle for cycle, row in enumerate(trace) if row[2]]
    beat = [cycle for cycle, row in enumerate(trace) if row[3]]
    assert address[0] == accept[0] + 1
    latency = AxiReader(make(short)).latency
    assert latency == (0 if short else 1)
    assert [cycle + latency for cycle in reply] == beat
    assert beat == list(range(beat[0], beat[0] + 128))


def test_single_beat_bursts_need_two_cycles_each():
    requests: Requests = [], [(2 * index, 0) for index in range(40)]
    _, received, trace = run(make(outstanding=16), requests)
    assert received[1] == expect(requests[1])
    accept = [cycle for cycle, row in enumerate(trace) if row[0]]
    assert accept == list(range(accept[0], accept[0] + 80, 2))


def test_fetch_wins():
    dut = AxiReader(make())

    async def bench(ctx):
        for client, address in ((dut.client_0, 0x40), (dut.client_1, 0x80)):
            ctx.set(client.request.valid, 1)
            ctx.set(client.request.p.address, address)
        *_, first, second = await ctx.tick().sample(
            dut.client_0.request.ready, dut.client_1.request.ready)
        assert (first, second) == (1, 0)
        assert (ctx.get(dut.axi.arid), ctx.get(dut.axi.araddr)) == (0, 0x40)
        ctx.set(dut.client_0.request.valid, 0)
        ctx.set(dut.axi.arready, 1)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.axi.arid), ctx.get(dut.axi.araddr)) == (1, 0x80)

    simulate(dut, bench)


def test_full_fetch_does_not_hold_up_load():
    """A client at its limit asks for nothing, so the other has the bus."""
    requests = [(0, 15)] * 6, [(0x200, 3)] * 6
    memory, received, _ = run(make(), requests, latency=40)
    assert received == {0: expect(requests[0]), 1: expect(requests[1])}
    assert {number for number, *_ in memory.bursts[:3]} == {0, 1}


def test_beats_are_offered_before_ready_and_hold():
    dut = AxiReader(make())

    async def bench(ctx):
        ctx.set(dut.axi.rvalid, 1)
        ctx.set(dut.axi.rid, 1)
        accepted = 0
        for cycle in range(10):
            ctx.set(dut.axi.rdata, cycle)
            *_, ready = await ctx.tick().sample(dut.axi.rready)
            accepted += ready
            assert ctx.get(dut.client_1.data.valid) and not ctx.get(dut.client_0.data.valid)
            assert ctx.get(dut.client_1.data.p.data) == 0
        assert accepted == 2

    simulate(dut, bench)


def test_short_ready_does_not_look_at_the_beat():
    """With short pipelines a beat waits for both clients, whoever's it is."""
    dut = AxiReader(make(short=True))

    async def bench(ctx):
        for ready in range(4):
            ctx.set(dut.client_0.data.ready, ready & 1)
            ctx.set(dut.client_1.data.ready, ready >> 1)
            for valid in range(2):
                for number in range(2):
                    ctx.set(dut.axi.rvalid, valid)
                    ctx.set(dut.axi.rid, number)
                    assert ctx.get(dut.axi.rready) == (ready == 3)
                    taken = [ctx.get(client.data.valid & client.data.ready)
                             for client in (dut.client_0, dut.client_1)]  # fmt: skip
                    assert taken == [valid and ready == 3 and number == n for n in range(2)]

    simulate(dut, bench)


def test_idle_sees_a_request_that_waits():
    dut = AxiReader(make())

    async def bench(ctx):
        assert ctx.get(dut.idle)
        ctx.set(dut.client_1.request.valid, 1)
        assert not ctx.get(dut.idle)
        await ctx.tick()
        ctx.set(dut.client_1.request.valid, 0)
        assert not ctx.get(dut.idle)

    simulate(dut, bench)


@pytest.mark.parametrize("name", ["tiny", "ulx3s"])
def test_verilog(name):
    assert "module" in verilog.convert(AxiReader(preset(name)), emit_src=False)


def test_extreme_configs():
    for bus in ({"data_bytes": 1, "burst_beats": 1, "outstanding": 1, "address_bits": 16},
                {"data_bytes": 128, "burst_beats": 32, "outstanding": 16}):
        verilog.convert(AxiReader(make(**bus)), emit_src=False)


def test_flat_ports():
    ports = BUSES["axi4"].ports(make())
    masters = [name for name in ports if name.startswith("m_axi_")]
    assert len(masters) == len(Axi4(make()).members)
    assert ports["m_axi_rready"].flow.name == "Out" and ports["m_axi_rvalid"].flow.name == "In"
    assert ports["s_axil_awaddr"].flow.name == "In" and ports["s_axil_rdata"].flow.name == "Out"
