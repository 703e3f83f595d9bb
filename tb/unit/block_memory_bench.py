"""A block memory under five clients, against bytes that change burst by burst."""

import random
from collections import deque

from systolith_fpga.memory.block_memory import BlockMemory, BlockRam

from .dma_bench import Held, make_config, simulate

RAM = BlockRam(bytes=512, data_bytes=2)
READERS, WRITERS = ("fetch", "load", "link_read"), ("store", "link_write")
BEATS = 8


def bench_config():
    return make_config(data_bytes=RAM.data_bytes, address_bits=16)


def ports(dut, name):
    """Return the signals of a client: of its requests, its data, and what answers a write."""
    if name.startswith("link"):
        port = getattr(dut, name)
        request, beat = port.request, port.data
        ask = request.valid, request.ready, request.p.address, request.p.last
        if name == "link_read":
            return ask, (beat.valid, beat.ready, beat.p.data, beat.p.error), ()
        data = beat.valid, beat.ready, beat.p.data, beat.p.strobe, beat.p.last
        return ask, data, (port.response.valid, port.response.payload)
    parts = ("valid", "ready", "data", "error", "last") if name != "store" else (
        "valid", "ready", "data", "strobe", "last")  # fmt: skip
    core = dut.core
    asks = ("valid", "ready", "address", "last")
    ask = tuple(getattr(core, f"{name}_request_{it}") for it in asks)
    data = tuple(getattr(core, f"{name}_data_{it}") for it in parts)
    if name == "store":
        return ask, data, (core.store_response_valid, core.store_response_error)
    return ask, data, ()


class Client:
    """Bursts of one port: asked for, under way, and what must come of them."""

    def __init__(self, dut, name, bursts, rng, p):
        self.name, self.rng, self.p = name, rng, p
        self.ask, self.data, self.response = ports(dut, name)
        words = RAM.bytes // 2
        self.bursts = deque(
            (2 * rng.choice([rng.randrange(words), words - 3, 3 * words - 3, 1 << 14]),
             rng.randrange(BEATS)) for _ in range(bursts)
        )  # fmt: skip
        self.wanted: deque[tuple[int, bool]] = deque()
        self.answers: deque[bool] = deque()
        self.asked = self.offered = False
        self.passed = 0
        self.beat, self.strobe = (0, 0), 0  # any
        self.held = Held(), Held()

    @property
    def done(self):
        return not (self.bursts or self.wanted or self.answers)

    def drive(self, ctx):
        """Offer a request, and beats, or take them."""
        self.asked = bool(self.bursts) and (self.asked or self.rng.random() < self.p)
        ctx.set(self.ask[0], self.asked)
        if self.asked:
            for signal, value in zip(self.ask[2:], self.bursts[0], strict=True):
                ctx.set(signal, value)
        if self.name in READERS:
            ctx.set(self.data[1], self.rng.random() < self.p)
            return
        if not self.offered and self.wanted and self.rng.random() < self.p:
            self.offered = True
            self.beat = self.rng.getrandbits(16), self.strobe or self.rng.getrandbits(2)
        ctx.set(self.data[0], self.offered)
        if self.offered:
            for signal, value in zip(self.data[2:], [*self.beat, self.wanted[0][1]], strict=True):
                ctx.set(signal, value)

    def observe(self, values, memory):
        """Take what happened in a cycle, and compare what was read with the bytes at that time."""
        ask, data, response = values
        if ask[0] and ask[1]:
            address, last = self.bursts.popleft()
            self.asked = False
            beats = [(address + 2 * beat, beat == last) for beat in range(last + 1)]
            self.wanted.extend(beats)
            if self.name in WRITERS:
                self.answers.append(any(place >= RAM.bytes for place, _ in beats))
        moved = data[0] and data[1]
        if self.name in READERS:
            self.held[0](data[0], data[1], data[2:])
            if moved:
                place, last = self.wanted.popleft()
                assert data[3] == (place >= RAM.bytes)
                if not data[3]:
                    assert data[2] == int.from_bytes(memory[place : place + 2], "little")
                if len(data) > 4:
                    assert data[4] == last
            return
        if moved:
            place, _ = self.wanted.popleft()
            for lane in range(2):
                if self.beat[1] >> lane & 1 and place < RAM.bytes:
                    memory[place + lane] = self.beat[0] >> 8 * lane & 0xFF
            self.offered = False
        if response[0]:
            assert not self.wanted or len(self.answers) > 1
            assert response[1] == self.answers.popleft()


def bursts_of_all(config, *, seed, p, bursts, deadline=20_000):
    """Let all five clients read and write anywhere."""
    rng = random.Random(seed)
    dut = BlockMemory(config, RAM)
    memory = bytearray(RAM.bytes)
    clients = [Client(dut, name, bursts, rng, p) for name in (*READERS, *WRITERS)]
    everywhere = Client(dut, "link_write", 0, rng, 1.0)
    everywhere.bursts = deque((2 * BEATS * n, BEATS - 1) for n in range(RAM.bytes // 2 // BEATS))
    everywhere.strobe = 3
    cycles = 0

    async def run(ctx, clients):
        nonlocal cycles
        counts = [[len(part) for part in (it.ask, it.data, it.response)] for it in clients]
        signals = [s for it in clients for part in (it.ask, it.data, it.response) for s in part]
        while not all(it.done for it in clients):
            assert cycles < deadline, f"{[it.name for it in clients if not it.done]} are not done"
            for client in clients:
                client.drive(ctx)
            *_, values = 0, iter((await ctx.tick().sample(*signals))[2:])
            for client, sizes in zip(clients, counts, strict=True):
                seen = [[next(values) for _ in range(size)] for size in sizes]
                if seen[0][0] and seen[0][1]:
                    for other in clients:
                        other.passed = other is not client and other.asked and other.passed + 1
                        assert other.passed < len(clients), f"{other.name} is not asked in turn"
                client.observe(seen, memory)
            cycles += 1
        for client in clients:
            ctx.set(client.ask[0], 0)
            ctx.set(client.data[client.name in READERS], 0)

    async def bench(ctx):
        await run(ctx, [everywhere])  # nobody reads what a reset has left there
        await run(ctx, clients)

    simulate(dut, bench)
    return cycles
