"""Executes the program: issues the units' instructions, and does the control instructions."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..control.settings import Settings
from ..interfaces import PC_BITS, SEMAPHORE_ID_BITS
from ..isa import WORD_BITS, WORDS, ErrorCode, Opcode
from ..limits import queues
from ..stream.spare import Spare
from .calc import add_calc_states
from .datapath import Operand, Source
from .fetch import FetchShape
from .loops import add_loop_end_states, add_loop_states
from .micro import Count, Micro
from .outside import add_credit_states, add_read_states
from .states import States
from .word_reader import QUIET_CYCLES

__all__ = ["Issue"]

class Issue(wiring.Component):
    """Executes the program: issues the units' instructions, and does the control instructions.

    A state machine above one 64-bit word, one 32-bit adder and a small memory. ::

        IDLE ──► WAIT ──► HEADER ──┬─► WORDS ──────────┬─► HEADER (read ahead), or NEXT
                  ▲                ├─► LOOP_..., CALC_..., READ_..., CREDIT_...
                  │                └─► QUIET ── END ───┼─► CLEAR ──► IDLE
                  └── TRIP_... ◄── NEXT ◄──────────────┘

    =========== ==========================================================
    Latency     9 cycles from ``start`` to the first word of a queue, if POSITION
                comes by from 2 cycles after ``start`` on
    Throughput  5 cycles for a unit's instruction, 1 to 2 more for each patch;
                11 for a trip of a loop; the others as said in their files,
                and 7 before the next instruction, but for those behind CALC
    Stall       one instruction waits for its queue, and all behind it; a word of it in a
                register in front of the queues
    Golden      :func:`systolith_sim.sequencer.expand`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.program_instructions``, ``sequencer.loop_depth`` and ``bus.address_bits``.

    Members
    -------
    start : In(1)
        Run the program. A start that comes within 20 cycles of the last end waits.
    settings : In(Settings)
        What registers 1 and 2 begin with; looked at from the cycle after ``start`` on.
    fetched : In(index_bits), failed : In(1)
        What is in the program memory, and whether no more will come.
    oldest : Out(index_bits), starving : Out(1)
        The oldest instruction still needed; whether fetching holds up the program.
    read_enable : Out(1), read_address : Out, read_data : In(64)
        The program memory.
    units_idle : In(1)
        All queues are empty and all units idle.
    array, vector, load, store, row : Out(stream of 64 bits)
        Instructions, four words each; one for each of :func:`~systolith_hw.limits.queues`.
    credit : Out(stream of a semaphore's number)
        Counts that CREDIT gives.
    word_read : Out(1), word_address : Out, word_numbered : Out(1), word_fresh : Out(1)
        Read a word for READ, or VECTOR's number; all hold until ``word_done``.
    word_done : In(1), word_failed : In(1), word : In(32)
        It is there.
    done : Out(1)
        END has completed, for one cycle.
    fault_valid : Out(1), fault_code : Out(8)
        The instruction at ``pc`` is at fault.
    pc : Out(16)
        The instruction under work.
    running : Out(1)
        From start to done.
    busy, wait_queue : Out(1)
        For the counters.
    """

    start: Signal
    settings: Any
    fetched: Signal
    failed: Signal
    oldest: Signal
    starving: Signal
    read_enable: Signal
    read_address: Signal
    read_data: Signal
    units_idle: Signal
    array: Any
    vector: Any
    load: Any
    store: Any
    row: Any
    credit: Any
    word_read: Signal
    word_address: Signal
    word_numbered: Signal
    word_fresh: Signal
    word_done: Signal
    word_failed: Signal
    word: Signal
    done: Signal
    fault_valid: Signal
    fault_code: Signal
    pc: Signal
    running: Signal
    busy: Signal
    wait_queue: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.shape = FetchShape(config)
        self.queues = queues(config)
        super().__init__({
            "start": In(1),
            "settings": In(Settings()),
            "fetched": In(self.shape.index_bits),
            "failed": In(1),
            "oldest": Out(self.shape.index_bits),
            "starving": Out(1),
            "read_enable": Out(1),
            "read_address": Out(range(config.memory.program_instructions * WORDS)),
            "read_data": In(WORD_BITS),
            "units_idle": In(1),
            **{unit.name.lower(): Out(stream.Signature(WORD_BITS)) for unit in self.queues},
            "credit": Out(stream.Signature(SEMAPHORE_ID_BITS)),
            "word_read": Out(1),
            "word_address": Out(config.bus.address_bits),
            "word_numbered": Out(1),
            "word_fresh": Out(1),
            "word_done": In(1),
            "word_failed": In(1),
            "word": In(32),
            "done": Out(1),
            "fault_valid": Out(1),
            "fault_code": Out(8),
            "pc": Out(PC_BITS),
            "running": Out(1),
            "busy": Out(1),
            "wait_queue": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        states = States(m, init="ZERO")
        micro = Micro(m, states, self.config)
        datapath, picker, reader = micro.datapath, micro.picker, micro.reader

        unit = Signal(len(self.queues))  # the queue of the instruction under work; 0 if it has none
        streams_on = Signal()  # the next instruction's words may come right behind this one's
        final = Signal()  # the instruction under work is the last of a loop's body
        hold = Signal()  # the body of the outermost loop begins
        word = Signal(WORD_BITS, reset_less=True)  # block RAM is slow: no logic behind it
        here, next_too = self._watch_fetch(m, micro)
        last = micro.pc[: len(micro.end)] == micro.end  # as in the body there is one such
        m.d.sync += final.eq(last & (micro.level != 0))
        m.d.comb += [
            reader.follow.eq(streams_on & ~final & next_too),
            self.read_enable.eq(reader.stage),
            self.read_address.eq(Cat(reader.read_word, micro.pc)),
            datapath.load.eq(reader.load),
            datapath.word.eq(word),
            datapath.value.eq(micro.memory.read_data),
            datapath.pc.eq(micro.pc),
            datapath.setting.eq(self.settings.data),
            datapath.memory.eq(self.word),
            self.word_address.eq(micro.low),
            self.credit.payload.eq(micro.target),
            picker.header.eq(micro.high),
            picker.held.eq(reader.held),
            picker.index.eq(reader.index),
            picker.take.eq(reader.take),
            self.pc.eq(micro.pc),
            self.fault_code.eq(micro.error),
        ]
        with m.If(reader.stage):
            m.d.sync += word.eq(self.read_data)
        with m.If(reader.last & reader.follow):
            micro.do(micro.pc_step)
        with m.If((micro.level == 0) | hold):
            m.d.sync += self.oldest.eq(micro.pc)

        pending = Signal()  # a start that waits for the settings, or for clear registers
        whole = Signal()  # ``high`` holds a setting
        quiet = Signal(QUIET_CYCLES - 1)
        stop = Signal()  # the control instruction under work is END, not BARRIER
        m.d.comb += [self.running.eq(1), self.busy.eq(1)]
        m.d.sync += [self.done.eq(0), whole.eq(0)]
        with m.If(whole):
            micro.write_counted()
        with m.If(self.start):
            m.d.sync += pending.eq(1)
        self._add_rest_states(m, micro, pending, whole)
        self._add_flow_states(m, micro, here, final)
        self._add_quiet_state(m, micro, stop, quiet)
        self._add_header_state(m, micro, unit, streams_on, stop)
        spare = self._add_word_state(m, micro, unit)
        add_calc_states(m, micro)
        add_loop_states(m, micro, self.config, hold)
        add_loop_end_states(m, micro)
        add_read_states(
            m, micro, self.config, self.word_read, self.word_numbered, self.word_fresh,
            self.word_done, self.word_failed,
        )  # fmt: skip
        give = Signal()
        m.d.comb += self.credit.valid.eq(give & spare.i.ready)  # behind all words before it
        add_credit_states(m, micro, give, self.credit.ready & spare.i.ready)
        with m.If(self.word_read):
            m.d.comb += self.busy.eq(0)
        with micro.states.state("FAULT"):
            m.d.comb += [self.fault_valid.eq(1), self.busy.eq(0)]
        states.elaborate()
        micro.elaborate()
        return m

    def _watch_fetch(self, m: Module, micro: Micro) -> tuple[Signal, Signal]:
        """Return whether this instruction, and the next, are in the program memory."""
        here = Signal()
        next_too = Signal()
        ahead = Signal(signed(self.shape.index_bits))
        m.d.comb += ahead.eq(self.fetched - micro.pc)
        m.d.sync += [here.eq(ahead > 0), next_too.eq(ahead > 1)]
        return here, next_too

    def _add_rest_states(
        self, m: Module, micro: Micro, pending: Signal, whole: Signal
    ) -> None:
        """Clear the registers when there is time, and start, with POSITION and LENGTH in them."""
        settings = self.settings
        with micro.states.state("ZERO"):
            m.d.comb += [self.running.eq(0), self.busy.eq(0)]
            micro.add(Operand.ZERO, Source.ZERO)
            micro.set_count(Count.REGISTERS)
            micro.states.go("CLEAR_BEGIN")
        with micro.states.state("CLEAR_BEGIN"):
            m.d.comb += [self.running.eq(0), self.busy.eq(0)]
            micro.states.go("CLEAR")
        with micro.states.state("CLEAR"):
            m.d.comb += [self.running.eq(0), self.busy.eq(0)]
            micro.write_counted()
            with m.If(micro.count == 0):
                micro.states.go("IDLE")
        with micro.states.state("IDLE"):
            m.d.comb += [self.running.eq(0), self.busy.eq(0)]
            micro.set_count(Count.POSITION)
            micro.bring_setting(settings.high)
            with m.If(pending & settings.position & ~settings.high):
                micro.do(micro.pc_clear)
                m.d.sync += pending.eq(0)
                micro.states.go("SETTINGS")
        with micro.states.state("SETTINGS"):
            micro.bring_setting(settings.high)
            m.d.sync += whole.eq(settings.high)
            with m.If(settings.high & settings.length):
                micro.states.go("WAIT")

    def _add_flow_states(self, m: Module, micro: Micro, here: Value, final: Value) -> None:
        """Find the next instruction, and wait for it."""
        with micro.states.state("COMPARE"):
            micro.states.go("NEXT")  # `final` is a cycle late
        with micro.states.state("NEXT"):
            with m.If(final):
                micro.states.go("TRIP_REMAINING")
            with m.Else():
                micro.do(micro.pc_step)
                micro.states.go("SETTLE")
        with micro.states.state("SETTLE"):
            micro.states.go("WAIT")  # so is `here`
        with micro.states.state("WAIT"):
            with m.If(here):
                m.d.comb += micro.reader.begin.eq(1)
                micro.states.go("HEADER")
            with m.Else():
                m.d.comb += [self.starving.eq(1), self.busy.eq(0)]
                with m.If(self.failed):
                    micro.fail(ErrorCode.BUS_READ)

    def _add_quiet_state(
        self, m: Module, micro: Micro, stop: Signal, quiet: Signal
    ) -> None:
        """Wait for the units."""
        with micro.states.state("QUIET"):
            m.d.comb += self.busy.eq(0)
            micro.flush()
            m.d.sync += quiet.eq(Mux(self.units_idle, Cat(Const(1, 1), quiet), 0))
            with m.If(self.units_idle & quiet.all()):
                m.d.sync += quiet.eq(0)
                with m.If(stop):
                    m.d.sync += self.done.eq(1)
                    micro.do(micro.level_clear)
                    micro.states.go("ZERO")
                with m.Else():
                    micro.states.go("NEXT")

    def _add_header_state(
        self, m: Module, micro: Micro, unit: Signal, streams_on: Signal, stop: Signal
    ) -> None:
        """Look at the first word of an instruction."""
        with micro.states.state("HEADER"), m.If(micro.reader.held):
            micro.do(micro.picker.load)
            micro.bring_pc()
            m.d.sync += [unit.eq(0), streams_on.eq(micro.low[:8] == Opcode.CALC)]
            with m.Switch(micro.low[:8]):
                with m.Case(Opcode.END, Opcode.BARRIER):
                    m.d.sync += stop.eq(micro.low[:8] == Opcode.END)
                    micro.states.go("QUIET")
                for opcode in (Opcode.CALC, Opcode.READ, Opcode.CREDIT):
                    with m.Case(opcode):
                        micro.states.go(f"{opcode.name}_START")
                with m.Case(Opcode.LOOP):
                    micro.do(micro.level_up)
                    micro.states.go("LOOP_START")
                    with m.If(micro.level == self.config.sequencer.loop_depth):
                        micro.fail(ErrorCode.LOOP)
                for position, opcodes in enumerate(self.queues.values()):
                    with m.Case(*opcodes):
                        m.d.sync += [unit.eq(1 << position), streams_on.eq(1)]
                        micro.states.go("WORDS")
                with m.Default():
                    micro.fail(ErrorCode.ILLEGAL_INSTRUCTION)
            # The header itself cannot be patched.
            slots = [micro.high[8 * index : 8 * index + 4] for index in range(4)]
            with m.If(Cat((slot[2:] == 0) & (slot[:2] != 0) for slot in slots).any()):
                micro.fail(ErrorCode.ILLEGAL_INSTRUCTION)

    def _add_word_state(self, m: Module, micro: Micro, unit: Signal) -> Spare:
        """Hand the words of an instruction to a queue; return where one may wait for that."""
        # Whether the word is taken decides what the datapath, and much else, does next, so that
        # must not wait for five queues.
        layout = data.StructLayout({"unit": len(unit), "word": WORD_BITS})
        m.submodules.spare = spare = Spare(layout)
        offer = spare.i.valid
        queue_ready = Const(0)
        for queue, selected in zip(self.queues, spare.o.payload.unit, strict=True):
            port = getattr(self, queue.name.lower())
            m.d.comb += [
                port.payload.eq(spare.o.payload.word), port.valid.eq(spare.o.valid & selected)
            ]  # fmt: skip
            queue_ready = queue_ready | (port.ready & selected)
        m.d.comb += [
            spare.o.ready.eq(queue_ready),
            spare.i.payload.unit.eq(unit),
            spare.i.payload.word.eq(Cat(micro.low, micro.high)),
        ]
        with micro.states.state("WORDS"):
            m.d.comb += [
                micro.picker.enable.eq(1),
                offer.eq(micro.reader.held & micro.picker.patched),
                self.wait_queue.eq(offer & ~spare.i.ready),
            ]
            with m.If(self.wait_queue):
                m.d.comb += self.busy.eq(0)
            micro.take_patched(spare.i.ready)
            with m.If(offer & spare.i.ready):
                with m.If(micro.reader.index == WORDS - 1):
                    micro.states.go("NEXT")
                    with m.If(micro.reader.reading):
                        micro.states.go("HEADER")
        return spare
