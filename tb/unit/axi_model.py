"""Stream drivers and a memory on AXI4, for the checks of the bus adapters."""

from collections import deque

from amaranth.sim import Simulator


def simulate(dut, *benches, background=(), deadline=20_000):
    """Run ``benches`` to their end; fail after ``deadline`` cycles."""

    async def watch(ctx):
        for _ in range(deadline):
            await ctx.tick()
        raise AssertionError(f"not finished after {deadline} cycles")

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    for bench in benches:
        sim.add_testbench(bench)
    for bench in (*background, watch):
        sim.add_testbench(bench, background=True)
    sim.run()


async def send(ctx, stream, items, rng, p):
    """Offer each item until it is taken, with pauses."""
    for item in items:
        while rng.random() >= p:
            await ctx.tick()
        ctx.set(stream.payload, item)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


async def take(ctx, stream, count, rng, p):
    """Return the next ``count`` payloads, with pauses."""
    items: list = []
    while len(items) < count:
        ctx.set(stream.ready, rng.random() < p)
        *_, valid, ready, payload = await ctx.tick().sample(
            stream.valid, stream.ready, stream.payload)
        if valid and ready:
            items.append(payload)
    ctx.set(stream.ready, 0)
    return items


async def put(ctx, valid, ready, values):
    """Offer ``(signal, value)`` pairs on an AXI channel until they are taken."""
    for signal, value in values:
        ctx.set(signal, value)
    ctx.set(valid, 1)
    await ctx.tick().until(ready)
    ctx.set(valid, 0)


async def get(ctx, valid, ready, signals, rng, p):
    """Return the values of ``signals`` when an AXI channel gives them, with pauses."""
    while True:
        ctx.set(ready, rng.random() < p)
        _, _, valid_now, ready_now, *values = await ctx.tick().sample(valid, ready, *signals)
        if valid_now and ready_now:
            ctx.set(ready, 0)
            return values


def held(names, bus, valid, ready):
    """Return a bench that fails if what is offered changes before it is taken."""

    async def bench(ctx):
        signals = [getattr(bus, name) for name in (valid, ready, *names)]
        pending = None
        while True:
            _, _, offered, taken, *values = await ctx.tick().sample(*signals)
            if pending is not None:
                assert offered and values == pending, f"{valid}: {pending} became {values}"
            pending = values if offered and not taken else None

    return bench


class ReadMemory:
    """Memory on the read channels: answers different IDs in any order, beat by beat.

    ``beat(address)`` returns data and response of the beat at a byte address.
    """

    def __init__(self, bus, beat, data_bytes, rng, p=1.0, latency=0):
        self.bus, self.beat, self.data_bytes = bus, beat, data_bytes
        self.rng, self.p, self.latency = rng, p, latency
        self.queues = {}
        self.bursts = []
        self.most = {}
        self.switches = 0

    async def addresses(self, ctx):
        bus = self.bus
        while True:
            ctx.set(bus.arready, self.rng.random() < self.p)
            *_, valid, ready, number, address, last, size, burst = await ctx.tick().sample(
                bus.arvalid, bus.arready, bus.arid, bus.araddr, bus.arlen, bus.arsize, bus.arburst)
            if valid and ready:
                assert (1 << size, burst) == (self.data_bytes, 1)
                self.bursts.append((number, address, last))
                queue = self.queues.setdefault(number, deque())
                queue.append([address, last, self.latency])
                self.most[number] = max(self.most.get(number, 0), len(queue))

    async def data(self, ctx):
        bus = self.bus
        previous = None
        while True:
            if not any(self.queues.values()) or self.rng.random() >= self.p:
                await ctx.tick()
                continue
            number = self.rng.choice([key for key, queue in self.queues.items() if queue])
            queue = self.queues[number]
            address, last, latency = queue[0]
            if latency:
                queue[0][2] -= 1
                await ctx.tick()
                continue
            self.switches += previous is not None and previous != number
            previous = number if last else None
            value, response = self.beat(address)
            ctx.set(bus.rid, number)
            ctx.set(bus.rdata, value)
            ctx.set(bus.rresp, response)
            ctx.set(bus.rlast, last == 0)
            ctx.set(bus.rvalid, 1)
            await ctx.tick().until(bus.rready)
            ctx.set(bus.rvalid, 0)
            ctx.set(bus.rdata, self.rng.getrandbits(8 * self.data_bytes))
            if last:
                queue[0][:2] = address + self.data_bytes, last - 1
            else:
                queue.popleft()


class WriteMemory:
    """Memory on the write channels; ``respond(address)`` returns a burst's response."""

    def __init__(self, bus, respond, rng, p=1.0, latency=0):
        self.bus, self.respond, self.rng, self.p, self.latency = bus, respond, rng, p, latency
        self.bursts = []
        self.beats = []
        self.answered = 0
        self.most = 0

    async def addresses(self, ctx):
        bus = self.bus
        while True:
            ctx.set(bus.awready, self.rng.random() < self.p)
            *_, valid, ready, number, address, last = await ctx.tick().sample(
                bus.awvalid, bus.awready, bus.awid, bus.awaddr, bus.awlen)
            if valid and ready:
                assert number == 0
                self.bursts.append((address, last))
                self.most = max(self.most, len(self.bursts) - self.answered)

    async def data(self, ctx):
        bus = self.bus
        while True:
            ctx.set(bus.wready, self.rng.random() < self.p)
            *_, valid, ready, value, strobe, last = await ctx.tick().sample(
                bus.wvalid, bus.wready, bus.wdata, bus.wstrb, bus.wlast)
            if valid and ready:
                self.beats.append((value, strobe, last))

    async def responses(self, ctx):
        bus = self.bus
        while True:
            ended = sum(last for *_, last in self.beats)
            if self.answered == min(len(self.bursts), ended) or self.rng.random() >= self.p:
                await ctx.tick()
                continue
            if self.latency:
                await ctx.tick().repeat(self.latency)
            ctx.set(bus.bresp, self.respond(self.bursts[self.answered][0]))
            ctx.set(bus.bvalid, 1)
            await ctx.tick().until(bus.bready)
            ctx.set(bus.bvalid, 0)
            self.answered += 1
