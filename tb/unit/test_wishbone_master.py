"""WishboneMaster between three clients and a memory of any habits."""

import random
from collections import deque

import pytest

from systolith_hw.bus.wishbone_master import WishboneMaster
from systolith_hw.bus.wishbone_turns import TURN_BEATS
from systolith_hw.config import BusConfig, Config

from .axi_model import send, simulate, take

SINGLE, INCREMENTING, LAST = 0, 2, 7


def make(**bus):
    bus = {"data_bytes": 2, "address_bits": 20, "burst_beats": 16, "outstanding": 3, **bus}
    return Config(bus=BusConfig(**bus))


def content(word):
    return word * 0x9E37 >> 3 & 0xFFFF


def refused(word):
    return word % 13 == 0


class Memory:
    """Wishbone memory: pipelined with a latency, or with registered feedback.

    With registered feedback the first beat of a burst takes ``latency`` cycles, the others one.
    """

    def __init__(self, bus, rng, *, pipelined=True, p=1.0, latency=1):
        self.bus, self.rng, self.pipelined, self.p, self.latency = bus, rng, pipelined, p, latency
        self.writes = []
        self.turns = []  # beats of each turn, and whether they are writes
        self.busy = self.cycles = 0

    async def run(self, ctx):
        bus = self.bus
        answers: deque = deque()
        expected = None
        was_cyc = 0
        first = True
        while True:
            if self.pipelined:
                stall = self.rng.random() >= self.p
            else:
                stall = not (answers and answers[0][0] <= 0)
            give = bool(answers) and answers[0][0] <= 0 and (
                not self.pipelined or self.rng.random() < self.p
            )
            if give:
                _, value, error = answers.popleft()
                ctx.set(bus.dat_r, value)
                ctx.set(bus.err, error)
                ctx.set(bus.ack, not error or self.rng.randrange(2))  # ERR, alone or beside ACK
            else:
                ctx.set(bus.dat_r, self.rng.getrandbits(16))
                ctx.set(bus.err, 0)
                ctx.set(bus.ack, 0)
            ctx.set(bus.stall, stall)
            _, _, cyc, stb, we, adr, sel, dat_w, cti, bte = await ctx.tick().sample(
                bus.cyc, bus.stb, bus.we, bus.adr, bus.sel, bus.dat_w, bus.cti, bus.bte)
            for answer in answers:
                answer[0] -= 1
            assert cyc or not (stb or answers or give), "CYC ends before everything is answered"
            if cyc and not was_cyc:
                self.turns.append([0, we])
            was_cyc = cyc
            self.cycles += 1
            if expected is not None:
                assert stb and (we, adr) == expected, "a gap within a burst"
            if not stb:
                continue
            assert cti in (SINGLE, INCREMENTING, LAST) and bte == 0
            new = not self.pipelined and not answers and not give
            if self.pipelined and not stall or new:
                error = refused(adr)
                answers.append([self.latency - 1 if first or self.pipelined else 0,
                                content(adr), error])  # fmt: skip
            if not stall:
                self.busy += 1
                if self.turns[-1][0] == 0:
                    self.turns[-1][1] = we
                assert self.turns[-1][1] == we, "reads and writes in one turn"
                self.turns[-1][0] += 1
                if we:
                    self.writes.append((adr, dat_w, sel))
                else:
                    assert sel == 3
                expected = (we, adr + 1) if cti == INCREMENTING else None
                first = cti != INCREMENTING
                if expected and not self.pipelined:
                    # The next beat is fetched ahead, as CTI allows.
                    answers.append([0, content(adr + 1), refused(adr + 1)])
            elif expected is None:
                expected = (we, adr)


def run(config, requests, *, seed=0, p_client=1.0, deadline=30_000, **memory):
    """Do reads of fetch and load and writes of store, all at once; return memory and what came."""
    rng = random.Random(seed)
    dut = WishboneMaster(config)
    model = Memory(dut.bus, rng, **memory)
    received: dict = {}

    def ask(name):
        items = [{"address": 2 * word, "last": last} for word, last in requests.get(name, [])]

        async def bench(ctx):
            await send(ctx, getattr(dut, name).request, items, rng, p_client)

        return bench

    def collect(name):
        async def bench(ctx):
            count = sum(last + 1 for _, last in requests.get(name, []))
            beats = await take(ctx, getattr(dut, name).data, count, rng, p_client)
            received[name] = [(beat.data, beat.error) for beat in beats]
            ctx.set(getattr(dut, name).data.ready, 1)

        return bench

    allowed: deque = deque()

    async def ask_store(ctx):
        request = dut.store.request
        for word, last in requests.get("store", []):
            while rng.random() >= p_client:
                await ctx.tick()
            ctx.set(request.payload, {"address": 2 * word, "last": last})
            ctx.set(request.valid, 1)
            await ctx.tick().until(request.ready)
            ctx.set(request.valid, 0)
            allowed.append((word, last))

    async def write(ctx):
        """Give data as STORE does: after the request, and without a pause."""
        beats = dut.store.data
        for _ in requests.get("store", []):
            while not allowed:
                await ctx.tick()
            word, last = allowed.popleft()
            for index in range(last + 1):
                ctx.set(beats.payload, {
                    "data": word + index, "strobe": 3 if index % 5 else 1, "last": index == last,
                })
                ctx.set(beats.valid, 1)
                await ctx.tick().until(beats.ready)
            ctx.set(beats.valid, 0)

    async def respond(ctx):
        received["store"] = []
        while len(received["store"]) < len(requests.get("store", [])):
            *_, valid, error = await ctx.tick().sample(
                dut.store.response.valid, dut.store.response.payload)
            if valid:
                received["store"].append(error)

    async def rest(ctx):
        while len(received) < 3 or len(received["store"]) < len(requests.get("store", [])):
            await ctx.tick()
        await ctx.tick().repeat(8)
        assert ctx.get(dut.idle) and not ctx.get(dut.bus.cyc)

    simulate(
        dut, ask("fetch"), ask("load"), collect("fetch"), collect("load"), ask_store, write,
        respond, rest, deadline=deadline, background=(model.run,),
    )  # fmt: skip
    return model, received


def expect(requests):
    beats = {
        name: [(content(word + index), refused(word + index))
               for word, last in requests.get(name, []) for index in range(last + 1)]
        for name in ("fetch", "load")
    }  # fmt: skip
    stored = [any(refused(word + index) for index in range(last + 1))
              for word, last in requests.get("store", [])]  # fmt: skip
    return {**beats, "store": stored}


def random_requests(rng, count):
    return [(rng.randrange(1 << 18), rng.randrange(16)) for _ in range(count)]


@pytest.mark.parametrize("p_client, p", [(1.0, 1.0), (0.5, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize("outstanding", [1, 3])
@pytest.mark.parametrize("pipelined, latency", [(True, 1), (True, 6), (False, 1), (False, 4)])
def test_random_traffic(pipelined, latency, outstanding, p_client, p):
    rng = random.Random(latency)
    requests = {name: random_requests(rng, 10) for name in ("fetch", "load", "store")}
    memory, received = run(make(outstanding=outstanding), requests, p_client=p_client, p=p,
                           pipelined=pipelined, latency=latency)  # fmt: skip
    assert received == expect(requests)
    assert memory.writes == [
        (word + index, word + index & 0xFFFF, 3 if index % 5 else 1)
        for word, last in requests["store"] for index in range(last + 1)
    ]  # fmt: skip
    assert max(beats for beats, _ in memory.turns) < TURN_BEATS + 16


@pytest.mark.parametrize("pipelined, latency, share", [
    (True, 1, 0.96), (True, 4, 0.95), (True, 8, 0.93), (False, 1, 0.93), (False, 2, 0.91),
])  # fmt: skip
@pytest.mark.parametrize("name", ["load", "store"])
def test_bandwidth(name, pipelined, latency, share):
    """Long transfers keep the bus busy, turns included."""
    bursts = [(32 * index, 31) for index in range(24)]
    memory, received = run(make(burst_beats=32, outstanding=4), {name: bursts},
                           pipelined=pipelined, latency=latency)  # fmt: skip
    assert received == expect({name: bursts})
    measured = memory.busy / memory.cycles
    print(f"{name}: {measured:.1%}")
    assert memory.busy == 24 * 32 and measured >= share
