"""What is around the host link's endpoint in benches: the line, memory, registers."""

import random
import zlib
from collections import deque

import numpy as np

from systolith_fpga.link.compact_endpoint import CompactEndpoint
from systolith_fpga.link.endpoint import LinkEndpoint
from systolith_hw.config import Config
from systolith_hw.isa import ISA_VERSION
from systolith_hw.link_protocol import (
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    HEADER,
    IDENTITY_BYTES,
    PROTOCOL_VERSION,
    Identity,
    Operation,
)
from systolith_sim.board.link_bridge import LinkBridge

from .dma_bench import Held, make_config, simulate

SIZE = 0x1C00
"""Bytes of memory: no power of two, and 64 KiB can be addressed."""
REFUSED = range(0x1200, 0x1240)
"""Addresses whose beats answer with an error."""
REGISTERS = 24
"""Bytes of registers."""


def link_config(data_bytes: int) -> Config:
    return make_config(data_bytes=data_bytes, address_bits=16)


def identity(config: Config, payload_bytes: int = 64) -> Identity:
    return Identity(
        protocol=PROTOCOL_VERSION, payload_bytes=payload_bytes, isa=ISA_VERSION,
        config_hash=config.hash, memory_bytes=SIZE, clock_hz=80_000_000, baud=3_000_000,
        board="bench", gateware="0.0",
    )  # fmt: skip


class Memory:
    """Bytes, some of which refuse."""

    def __init__(self, width: int, seed: int) -> None:
        self.width = width
        self.bytes = bytearray(np.random.default_rng(seed).bytes(SIZE))

    def read_beat(self, address: int) -> bytes | None:
        if address in REFUSED:
            return None
        return bytes(self.bytes[address : address + self.width])

    def write_beat(self, address: int, data: bytes, strobe: int) -> bool:
        if address in REFUSED:
            return False
        for lane in range(self.width):
            if strobe >> lane & 1:
                self.bytes[address + lane] = data[lane]
        return True


class Registers:
    """Registers that count their accesses, so that one too many is seen."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int | None]] = []

    def exists(self, address: int) -> bool:
        return address < REGISTERS and address % 4 == 0

    def read(self, address: int) -> int | None:
        if not self.exists(address):
            return None
        self.log.append((address, None))
        return 0xC0DB0000 + 256 * len(self.log) + address

    def write(self, address: int, value: int) -> bool:
        if self.exists(address):
            self.log.append((address, value))
        return self.exists(address)


def slip(raw: bytes) -> bytes:
    """Escape, with END behind: as short as a frame on the line can be."""
    raw = raw.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPED_ESCAPE]))
    return raw.replace(bytes([END]), bytes([ESCAPE, ESCAPED_END])) + bytes([END])


def request(operation: int, address=0, payload=b"", *, length=None, sequence=0) -> bytes:
    """Return a frame as it goes over the line."""
    length = len(payload) if length is None else length
    body = HEADER.pack(sequence, operation, address, length) + payload
    return slip(body + zlib.crc32(body).to_bytes(4, "little"))


def random_request(rng: random.Random, longest: int) -> bytes:
    """Return a request that is good, or has one of all that can be wrong with it."""
    sequence = rng.randrange(3)  # so that registers are repeated
    address = rng.choice([0, SIZE - 3, SIZE, 0x11F9, 0x1237, 0xFFF, 0x10001, 0xFFFFFFF0,
                          rng.randrange(SIZE), rng.randrange(SIZE)])  # fmt: skip
    size = rng.choice([1, 2, 3, longest, rng.randint(1, longest)])
    payload = bytes(rng.choice([END, ESCAPE, rng.randrange(256)]) for _ in range(size))
    register = rng.choice([0, 4, 8, 20, REGISTERS, 2, 0x1000, 0x80000000])
    kind = rng.choice(["read", "read", "write", "write", "get", "set", "wait", "identify", "odd"])
    match kind:
        case "read":
            return request(Operation.READ, address, length=size, sequence=sequence)
        case "write":
            return request(Operation.WRITE, address, payload, sequence=sequence)
        case "get":
            return request(Operation.READ_REGISTER, register, length=4, sequence=sequence)
        case "set":
            return request(Operation.WRITE_REGISTER, register, rng.randbytes(4), sequence=sequence)
        case "wait":
            return request(Operation.WAIT, rng.choice([0, 5]), length=4, sequence=sequence)
        case "identify":
            return request(Operation.IDENTIFY, rng.getrandbits(32), length=IDENTITY_BYTES)
    operation = rng.choice([*Operation, 6, 0x11, 0x7F, 0x81, 0xFF])
    lengths = [0, 1, 3, 4, 5, 64, longest, longest + 1, 0x104, 0xFFFF, 0x8000 + len(payload)]
    return request(operation, address, rng.choice([b"", payload, payload[:4]]),
                   length=rng.choice(lengths), sequence=sequence)  # fmt: skip


def random_junk(rng: random.Random, longest: int) -> bytes:
    """Return what is no frame, and ends whatever it began."""
    frame = bytearray(random_request(rng, longest))
    match rng.choice(["flip", "lose", "double", "swap", "noise", "long", "escape", "short", "end"]):
        case "flip":
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        case "lose":
            del frame[rng.randrange(len(frame))]
        case "double":
            place = rng.randrange(len(frame))
            frame.insert(place, frame[place])
        case "swap":
            place = rng.randrange(len(frame) - 1)
            frame[place : place + 2] = frame[place + 1], frame[place]
        case "noise":
            frame = bytearray(rng.randbytes(rng.randint(1, 2 * longest)))
        case "long":
            body = rng.randbytes(longest + 9)
            frame = bytearray(slip(body + zlib.crc32(body).to_bytes(4, "little")))
        case "escape":
            frame[-1:] = bytes([ESCAPE, rng.choice([END, ESCAPE, 0])])
        case "short":
            body = rng.randbytes(rng.randint(0, 7))
            frame = bytearray(slip(body + zlib.crc32(body).to_bytes(4, "little")))
        case "end":
            frame = bytearray([END] * rng.randint(1, 3))
    return bytes(frame) + bytes([END])


class Sides:
    """Memory and registers of the endpoint, cycle by cycle."""

    def __init__(self, dut, config, memory, registers, rng, p):
        self.dut, self.config = dut, config
        self.memory, self.registers, self.rng, self.p = memory, registers, rng, p
        self.reads: deque[int] = deque()
        self.writes: deque[list[int]] = deque()
        self.responses: deque[bool] = deque()
        self.failed = False
        self.answer: int | None = None
        self.offered = False
        self.held = Held(), Held(), Held()

    def goes(self) -> bool:
        return self.rng.random() < self.p

    def signals(self) -> list:
        load, store, port = self.dut.load, self.dut.store, self.dut.registers
        return [
            load.request.valid, load.request.ready, load.request.p.address, load.request.p.last,
            load.data.valid, load.data.ready, store.request.valid, store.request.ready,
            store.request.p.address, store.request.p.last, store.data.valid, store.data.ready,
            store.data.p.data, store.data.p.strobe, store.data.p.last, port.read, port.write,
            port.address, port.write_data,
        ]  # fmt: skip

    def drive(self, ctx) -> None:
        """Set inputs for the coming cycle."""
        load, store, port = self.dut.load, self.dut.store, self.dut.registers
        ctx.set(load.request.ready, self.goes())
        self.offered = bool(self.reads) and (self.offered or self.goes())
        ctx.set(load.data.valid, self.offered)
        if self.offered:
            beat = self.memory.read_beat(self.reads[0])
            noise = self.rng.randbytes(self.config.bus.data_bytes)
            ctx.set(load.data.p.data, int.from_bytes(beat or noise, "little"))
            ctx.set(load.data.p.error, beat is None)
        ctx.set(store.request.ready, self.goes())
        ctx.set(store.data.ready, bool(self.writes) and self.goes())
        answers = bool(self.responses) and self.goes()
        ctx.set(store.response.valid, answers)
        ctx.set(store.response.payload, self.responses.popleft() if answers else 0)
        done = self.answer is not None and self.goes()
        ctx.set(port.valid, done)
        if done:
            ctx.set(port.read_data, self.answer)
            self.answer = None
        ctx.set(port.error, not self.registers.exists(ctx.get(port.address)))

    def observe(self, sampled) -> None:
        """Take what happened in a cycle."""
        (ar, ar_go, ar_address, ar_last, r, r_go, aw, aw_go, aw_address, aw_last, w, w_go, data,
         strobe, last, get, put, register, value) = sampled  # fmt: skip
        width = self.config.bus.data_bytes
        self.held[0](ar, ar_go, (ar_address, ar_last))
        self.held[1](aw, aw_go, (aw_address, aw_last))
        self.held[2](w, w_go, (data, strobe, last))
        for go, address, count in ((ar & ar_go, ar_address, ar_last + 1),
                                   (aw & aw_go, aw_address, aw_last + 1)):  # fmt: skip
            if go:
                assert address % width == 0 and address + count * width <= SIZE
                assert address // 4096 == (address + count * width - 1) // 4096
        if ar & ar_go:
            self.reads.extend(ar_address + index * width for index in range(ar_last + 1))
        if r & r_go:
            self.reads.popleft()
            self.offered = False
        if w & w_go:
            burst = self.writes[0]
            raw = data.to_bytes(width, "little")
            self.failed |= not self.memory.write_beat(burst[0], raw, strobe)
            burst[:] = burst[0] + width, burst[1] - 1
            assert last == (burst[1] == 0)
            if last:
                self.writes.popleft()
                self.responses.append(self.failed)
                self.failed = False
        if aw & aw_go:
            self.writes.append([aw_address, aw_last + 1])
        if get:
            self.answer = self.registers.read(register)
            assert self.answer is not None
        if put:
            assert self.registers.write(register, value)
            self.answer = self.rng.getrandbits(32)


TALK_CYCLES = {LinkEndpoint: 100_000, CompactEndpoint: 200_000}
FLOOD_CYCLES = {LinkEndpoint: 40_000, CompactEndpoint: 300_000}
"""Deadlines: the compact endpoint takes its time."""

QUIET_CYCLES = {LinkEndpoint: 500, CompactEndpoint: 25_000}
"""After which nothing more is to be expected: the compact one has a ring of 255 bytes, and takes 90
cycles for each."""


def endpoint(link, config, who, burst_bytes):
    """Return an endpoint of a kind; the compact one's bursts are of a byte."""
    if link is LinkEndpoint:
        return LinkEndpoint(config, who, burst_bytes)
    assert burst_bytes == 1
    return CompactEndpoint(config, who)


def talk(config, chunks, *, seed, burst_bytes, link=LinkEndpoint, payload_bytes=64, irq=False,
         p_line=1.0, p_out=1.0, p_memory=1.0):  # fmt: skip
    """Send chunks of bytes to an endpoint; compare all it says and does with the golden model.

    A chunk goes when the one before has been answered. Returns bytes sent and received, and cycles.
    """
    width = config.bus.data_bytes
    who = identity(config, payload_bytes)
    want_memory, want_registers = Memory(width, seed), Registers()
    golden = LinkBridge(config, who, burst_bytes, want_memory, want_registers)
    golden.irq = irq
    answers = [golden.receive(chunk) for chunk in chunks]
    dut, deadline = endpoint(link, config, who, burst_bytes), TALK_CYCLES[link]
    rng = random.Random(seed)
    memory, registers = Memory(width, seed), Registers()
    sides = Sides(dut, config, memory, registers, rng, p_memory)
    got = bytearray()
    cycles = 0

    async def bench(ctx):
        nonlocal cycles
        ctx.set(dut.irq, irq)
        line: deque[int] = deque()
        left, due, offered = deque(zip(chunks, answers, strict=True)), 0, False
        held = Held()
        while cycles < deadline:
            if not line and left and len(got) >= due:
                chunk, answer = left.popleft()
                line.extend(chunk)
                due += len(answer)
            if not line and not left and len(got) >= due:
                for _ in range(50):  # nothing comes by itself
                    assert not ctx.get(dut.o.valid)
                    await ctx.tick()
                return
            offered = bool(line) and (offered or rng.random() < p_line)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, line[0] if offered else 0)
            ctx.set(dut.o.ready, rng.random() < p_out)
            sides.drive(ctx)
            *_, valid, payload, o_ready, i_ready = (await ctx.tick().sample(
                *sides.signals(), dut.o.valid, dut.o.payload, dut.o.ready, dut.i.ready,
            ))  # fmt: skip
            sides.observe(_[2:])
            held(valid, o_ready, payload)
            if valid & o_ready:
                got.append(payload)
            if offered and i_ready:
                line.popleft()
                offered = False
            cycles += 1
        raise AssertionError(f"{len(got)} of {due} bytes after {deadline} cycles")

    simulate(dut, bench)
    assert bytes(got) == b"".join(answers)
    assert memory.bytes == want_memory.bytes
    assert registers.log == want_registers.log
    return sum(map(len, chunks)), len(got), cycles


def flood(config, *, seed, burst_bytes, link=LinkEndpoint, frames=16):
    """Send more requests than there is room for, to an endpoint that cannot say anything.

    Those that it had room for are answered, in order; it counts the others, and goes on. The
    compact one may count several that it lost as one.
    """
    who = identity(config)
    dut, deadline = endpoint(link, config, who, burst_bytes), FLOOD_CYCLES[link]
    rng = random.Random(seed)
    memory, registers = Memory(config.bus.data_bytes, seed), Registers()
    golden = LinkBridge(config, who, burst_bytes, Memory(config.bus.data_bytes, seed), Registers())
    enough = QUIET_CYCLES[link]
    sides = Sides(dut, config, memory, registers, rng, 1.0)
    chunks = [request(Operation.READ, 64 * number, length=16, sequence=number)
              for number in range(frames)]  # fmt: skip
    answers = [golden.receive(chunk) for chunk in chunks]
    got = bytearray()
    cycles = quiet = 0

    async def bench(ctx):
        nonlocal cycles, quiet
        line = deque(b"".join(chunks))
        asked = False
        while cycles < deadline:
            if not line and quiet > enough and not asked:
                # What the compact one had no room for ends with the next END.
                line.extend(bytes([END] * (link is not LinkEndpoint)))
                line.extend(request(Operation.WAIT, length=4))
                asked, quiet = True, 0
            if asked and not line and quiet > enough:
                return
            ctx.set(dut.i.valid, bool(line))
            ctx.set(dut.i.payload, line[0] if line else 0)
            # Nothing is taken before all has been sent.
            ctx.set(dut.o.ready, not line or asked)
            sides.drive(ctx)
            *_, valid, payload, o_ready, i_ready = (await ctx.tick().sample(
                *sides.signals(), dut.o.valid, dut.o.payload, dut.o.ready, dut.i.ready,
            ))  # fmt: skip
            sides.observe(_[2:])
            if valid & o_ready:
                got.append(payload)
            if line and i_ready:
                line.popleft()
            quiet = 0 if valid or line else quiet + 1
            cycles += 1
        raise AssertionError(f"not quiet after {deadline} cycles")

    simulate(dut, bench)
    replies = bytes(got)
    kept = 0
    for answer in answers:
        if replies.startswith(answer):
            replies = replies[len(answer) :]
            kept += 1
    assert 10 <= kept < frames
    wanted = []
    for golden.dropped in [frames - kept] if link is LinkEndpoint else range(1, frames - kept + 1):
        wanted.append(golden.receive(request(Operation.WAIT, length=4)))
    assert replies in wanted
