"""What the tests of the sequencer share: configurations, random programs, memory, queues."""

import random
from collections import deque

from amaranth.hdl import Value
from amaranth.sim import Simulator

from systolith_hw.config import BusConfig, Config, MemoryConfig, SequencerConfig, VectorConfig
from systolith_hw.interfaces import SLOT_ORDER
from systolith_hw.isa import Opcode, encode
from systolith_hw.limits import queues, slot_limits
from systolith_hw.sequencer.program_memory import read_bits
from systolith_hw.sequencer.sequencer import Sequencer

WORDS = 0x8000
"""Where the words are that random programs read, :data:`WORD_COUNT` of them."""

WORD_COUNT = 40


def issued(config: Config) -> dict[int, str]:
    """Return the name of the queue of every instruction that has one."""
    return {
        opcode: unit.name.lower() for unit, opcodes in queues(config).items() for opcode in opcodes
    }


def small_config(
    *, data_bytes=8, burst_beats=16, window=16, loop_depth=4, rows=0, **sequencer
) -> Config:
    """Return a config for the sequencer alone; the rest is the default."""
    return Config(
        vector=VectorConfig(rows=rows),
        memory=MemoryConfig(program_instructions=window),
        bus=BusConfig(data_bytes=data_bytes, burst_beats=burst_beats),
        sequencer=SequencerConfig(loop_depth=loop_depth, **sequencer),
    )


def unit_instruction(rng: random.Random, config: Config, *, patches: int = 0) -> bytes:
    """Return an instruction for a queue, random in all its slots."""
    raw = bytearray(rng.randbytes(32))
    raw[0] = rng.choice([*issued(config)])
    raw[4:8] = bytes(4)
    for index in rng.sample(range(4), patches):
        raw[4 + index] = rng.randrange(4, 16) | rng.randrange(16) << 4
    return bytes(raw)


def calc(rng: random.Random, *, standing: bool) -> bytes:
    """Return a random CALC."""
    shifts = rng.choice([(0, 0), (rng.randrange(6), 0), (0, rng.randrange(4)), (3, 2), (31, 31)])
    return encode(
        Opcode.CALC, target=rng.randrange(16), a=rng.randrange(16), b=rng.randrange(16),
        immediate=rng.randrange(-(2**31), 2**31), right=shifts[0], left=shifts[1],
        operation=0 if standing else rng.randrange(2),
    )  # fmt: skip


def outside(rng: random.Random, config: Config) -> bytes:
    """Return a random READ or CREDIT."""
    if rng.random() < 0.5:
        address = WORDS + 4 * rng.randrange(WORD_COUNT)
        return encode(Opcode.READ, target=rng.choice([0, *range(3, 16)]), immediate=address)
    semaphore = rng.randrange(config.sequencer.semaphores)
    return encode(Opcode.CREDIT, semaphore=semaphore, count=rng.choice([1, 1, 2, 3, 9]))


def random_program(
    rng: random.Random, size: int, config: Config, *, calculations: float = 0.15
) -> bytes:
    """Return a program of about ``size`` instructions with loops inside each other."""
    window = config.memory.program_instructions
    standing = config.sequencer.instructions_stand

    def block(count: int, depth: int) -> list[bytes]:
        body: list[bytes] = []
        while len(body) < count:
            kind = rng.random()
            left = min(count - len(body) - 1, window)
            if kind < 0.3 and left >= 1 and depth < config.sequencer.loop_depth:
                inner = block(rng.randint(1, left), depth + 1)
                # The count comes from the field, a register, or both; often it is zero or one.
                registers = {"count_register": rng.choice([0, 0, 1, 2])}
                body.append(encode(
                    Opcode.LOOP, counter=rng.choice([0, 3, 4, 5, 6]),
                    count=rng.choice([0, 1, 2, 3]), initial=rng.randrange(7),
                    step=rng.randrange(-(2**31), 2**31), body=len(inner), **registers,
                ))  # fmt: skip
                body += inner
            elif kind < 0.3 + calculations:
                if not standing and rng.random() < 0.4:
                    body.append(outside(rng, config))
                    continue
                target = calc(rng, standing=standing)
                # Registers 1 and 2 count trips, so they stay small.
                body.append(target if target[8] not in (1, 2) else encode(Opcode.BARRIER))
            else:
                body.append(unit_instruction(rng, config, patches=rng.choice([0, 0, 1, 2, 4])))
        return body

    return b"".join([*block(size, 0), encode(Opcode.END)])


class Memory:
    """Answers bursts with random pauses, and checks that each is legal.

    No more than ``outstanding`` bursts are taken at once, as by the bus.
    Beats of ``errors``, a set of byte addresses, come with the bus's error reply.
    """

    def __init__(
        self, config: Config, rng: random.Random, *, pace=1.0, delay=0, outstanding=1000
    ):
        self.config = config
        self.rng = rng
        self.pace = pace
        self.delay = delay
        self.content: dict[int, int] = {}
        self.errors: set[int] = set()
        self.requests: list[tuple[int, int]] = []
        self.outstanding = outstanding

    def place(self, program: bytes, address: int) -> None:
        for index, value in enumerate(program):
            self.content[address + index] = value

    def beat(self, address: int) -> dict[str, int]:
        size = self.config.bus.data_bytes
        wrap = (1 << self.config.bus.address_bits) - 1
        raw = bytes(self.content.get(address + index & wrap, 0) for index in range(size))
        return {"data": int.from_bytes(raw, "little"), "error": int(address & wrap in self.errors)}

    def check(self, address: int, beats: int) -> None:
        size = self.config.bus.data_bytes
        assert address % size == 0
        assert 1 <= beats <= self.config.bus.burst_beats
        assert address // 4096 == (address + beats * size - 1) // 4096, "crosses 4096 bytes"
        self.requests.append((address, beats))

    async def serve(self, ctx, bus):
        """Run as a background testbench on a ``ReadPort``."""
        waiting: deque[tuple[int, int, bool]] = deque()
        size = self.config.bus.data_bytes
        cycle = 0
        offered = False
        while True:
            if not offered and waiting and waiting[0][1] <= cycle and self.rng.random() < self.pace:
                ctx.set(bus.data.payload, self.beat(waiting[0][0]))
                ctx.set(bus.data.valid, 1)
                offered = True
            bursts = sum(last for *_, last in waiting)
            ctx.set(bus.request.ready,
                    bursts < self.outstanding and self.rng.random() < self.pace)
            *_, ask, ask_ready, payload, taken = await ctx.tick().sample(
                bus.request.valid, bus.request.ready, bus.request.payload,
                bus.data.valid & bus.data.ready,
            )  # fmt: skip
            cycle += 1
            if taken:
                waiting.popleft()
                offered = False
                ctx.set(bus.data.valid, 0)
            if ask and ask_ready:
                self.check(payload.address, payload.last + 1)
                for beat in range(payload.last + 1):
                    due = cycle + self.delay
                    waiting.append((payload.address + beat * size, due, beat == payload.last))


class Teller:
    """Tells POSITION, LENGTH and PROGRAM over and over, as the control registers do."""

    NAMES = ("position", "length", "program")
    PERIOD = 26

    def __init__(self, settings):
        self.settings = settings
        self.values = dict.fromkeys(self.NAMES, 0)
        self.cycle = 0

    def restart(self):
        """Begin anew, as START does one cycle before the sequencer sees it."""
        self.cycle = -2

    async def tell(self, ctx):
        """Run as a background testbench."""
        settings = self.settings
        while True:
            self.cycle = (self.cycle + 1) % self.PERIOD if self.cycle >= 0 else self.cycle + 1
            slot, high = divmod(self.cycle, 2)
            for index, name in enumerate(self.NAMES):
                ctx.set(getattr(settings, name), slot == index)
            ctx.set(settings.high, high)
            value = self.values[self.NAMES[slot]] if 0 <= slot < len(self.NAMES) else 0xFFFF_FFFF
            ctx.set(settings.data, value >> 16 * high & 0xFFFF)
            await ctx.tick()


NUMBERS = 0x8000
"""What READ finds as VECTOR's number before any instruction; each makes it one more."""


class Bench:
    """A Sequencer with memory and queues that stall; run it with :meth:`run`.

    ``issued`` becomes the list of whole instructions in the order of their first words,
    ``cycles`` that of the cycles in which those were offered, and ``credits`` that of the numbers
    of instructions issued before and the semaphore, for each count that CREDIT gives.
    """

    def __init__(self, config: Config, *, seed=0, pace=1.0, delay=0, p_ready=1.0, limit=20000):
        self.config = config
        self.rng = random.Random(seed)
        self.dut = Sequencer(config)
        self.memory = Memory(config, self.rng, pace=pace, delay=delay)
        self.teller = Teller(self.dut.settings)
        self.p_ready = p_ready
        self.limit = limit * (10 if config.sequencer.instructions_stand else 1)
        self.issued: list[bytes] = []
        self.cycles: list[int] = []
        self.credits: list[tuple[int, int]] = []
        self.cycle = 0
        self.outcome: str = ""
        self.counts = dict.fromkeys(("busy", "wait_queue", "wait_fetch", "fetch_beats"), 0)
        self.units_busy = 0
        self.tells = False  # VECTOR's number comes some time behind each instruction, and is told

    async def queues(self, ctx):
        """Take words, and check that an offer holds until it is taken."""
        streams = {
            opcodes: getattr(self.dut, unit.name.lower())
            for unit, opcodes in queues(self.config).items()
        }
        bits = read_bits(self.config)
        words: list[int] = []
        offer, known = None, 0
        while True:
            for queue in streams.values():
                ctx.set(queue.ready, self.rng.random() < self.p_ready)
            if self.units_busy:
                self.units_busy -= 1
            ctx.set(self.dut.units_idle, self.units_busy == 0)
            # VECTOR's number counts instructions, once it is idle.
            ctx.set(self.dut.vector_idle, self.units_busy == 0)
            told = self.tells and len(self.issued) > known and self.rng.random() < 0.1
            known = len(self.issued) if told or not self.tells else known
            unknown = self.units_busy and not self.tells
            ctx.set(self.dut.number, self.rng.randrange(1 << 16) if unknown else NUMBERS + known)
            ctx.set(self.dut.number_told, told)
            state = []
            for queue in streams.values():
                state += [queue.valid, queue.ready, Value.cast(queue.payload)]
            events = [self.dut.events[name] for name in self.counts]
            _, _, halt, *values = await ctx.tick().sample(self.dut.halt, *events, *state)
            state = values[len(events) :]
            self.cycle += 1
            for name, event in zip(self.counts, values, strict=False):
                self.counts[name] += event
            offers = [
                (opcodes, *state[3 * index : 3 * index + 3])
                for index, opcodes in enumerate(streams)
                if state[3 * index]
            ]
            assert len(offers) <= 1
            if offer is not None and not halt:
                assert offers and (offers[0][0], offers[0][3]) == offer, "an offer was taken back"
            offer = None
            for opcodes, _valid, ready, payload in offers:
                if not words and (not self.cycles or len(self.cycles) == len(self.issued)):
                    self.cycles.append(self.cycle - 1)
                if not ready:
                    offer = opcodes, payload
                    continue
                words.append(payload & (1 << bits) - 1)
                if self.config.sequencer.instructions_stand:
                    self.check_slot(opcodes[0], words, payload >> bits)
                else:
                    assert words[0] & 0xFF in opcodes, "words of an instruction in another queue"
                self.units_busy = self.rng.randrange(1, 12)
                if len(words) == 256 // bits:
                    if self.config.sequencer.instructions_stand:
                        words = words[-2:] + words[:-2]
                    self.issued.append(
                        b"".join(word.to_bytes(bits // 8, "little") for word in words)
                    )
                    words.clear()

    def check_slot(self, opcode: Opcode, slots: list[int], beside: int):
        """Check what comes with the latest slot: its number, and whether it is beyond its limit."""
        number = SLOT_ORDER[len(slots) - 1]
        assert beside & 15 == number
        limit = slot_limits(self.config, opcode)[number]
        if number > SLOT_ORDER[0]:
            assert beside >> 4 == (slots[-1] > limit)
        if number == 0:
            assert slots[-1] & 0xFF == opcode, "slots of an instruction in another queue"

    async def take_credits(self, ctx):
        """Take what CREDIT gives."""
        credit = self.dut.credit
        while True:
            ctx.set(credit.ready, self.rng.random() < self.p_ready)
            *_, valid, ready, semaphore = await ctx.tick().sample(
                credit.valid, credit.ready, credit.payload
            )
            if valid and ready:
                self.credits.append((len(self.issued), semaphore))

    async def write_program(self, ctx, address: int):
        self.teller.values["program"] = address
        ctx.set(self.dut.program_write, 1)
        await ctx.tick()
        ctx.set(self.dut.program_write, 0)

    async def start(self, ctx, registers=()):
        """Start; return when the program has ended or failed, and keep how in ``outcome``."""
        values = dict(registers)
        self.teller.values.update(length=values.get(1, 0), position=values.get(2, 0))
        self.teller.restart()
        self.issued.clear()
        self.credits.clear()
        self.cycles.clear()
        ctx.set(self.dut.start, 1)
        await ctx.tick()
        ctx.set(self.dut.start, 0)
        self.started = self.cycle  # the queues have not counted it yet
        while not ctx.get(self.dut.done | self.dut.fault.valid):
            await ctx.tick()
        self.outcome = "done"
        if ctx.get(self.dut.fault.valid):
            self.outcome = f"{ctx.get(self.dut.fault.code)} at {ctx.get(self.dut.fault.pc)}"

    def run(self, script):
        """Run ``script(ctx)`` with everything around it."""

        async def watch(ctx):
            for _ in range(self.limit):
                await ctx.tick()
            raise AssertionError(f"no end after {self.limit} cycles; pc {ctx.get(self.dut.pc)}")

        async def serve(ctx):
            await self.memory.serve(ctx, self.dut.bus)

        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(script)
        for process in (serve, self.queues, self.take_credits, self.teller.tell, watch):
            sim.add_testbench(process, background=True)
        sim.run()

    def execute(self, program: bytes, registers=(), *, address=0x1000):
        """Fetch and run one program from reset."""
        self.memory.place(program, address)

        async def script(ctx):
            await self.write_program(ctx, address)
            await self.start(ctx, registers)

        self.run(script)
        return self
