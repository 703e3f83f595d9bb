"""Fetches and executes the program; wiring only."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import Config
from ..control.settings import Settings
from ..interfaces import PC_BITS, SEMAPHORE_ID_BITS, Fault, ReadPort, issue_word
from ..isa import SLOT_BITS, Unit
from ..limits import queues
from .fetch import ProgramFetch
from .issue import Issue
from .program_memory import ProgramMemory
from .serial.issue import SerialIssue
from .word_reader import WordReader

__all__ = ["EVENTS", "Sequencer"]

EVENTS = data.StructLayout({"busy": 1, "wait_queue": 1, "wait_fetch": 1, "fetch_beats": 1})
"""Strobes for the counters SEQUENCER_* and FETCH_BEATS."""


class Sequencer(wiring.Component):
    """Fetches and executes the program; wiring only.

    ::

        bus ──►[ WordReader ]──►[ ProgramFetch ]──►[ ProgramMemory ]──►[ Issue ]──► array, vector,
                     │  ▲              ▲                                  │ ▲ │      load, store
                     │  │              └────────────── oldest ◄───────────┘ │ └────► credit
                     │  └─ read ◄───────────────────────────────────────────┤
                     └──── word ────────────────────────────────────────────┘

    Where instructions stand there is no READ and no CREDIT, and so no WordReader.

    =========== ==========================================================
    Latency     9 cycles from ``start`` to the first word of a queue, when the
                program is on chip and POSITION comes by from 2 cycles after
                ``start`` on
    Throughput  see :class:`Issue`, or where instructions stand, as they do in small cores,
                :class:`~.serial.issue.SerialIssue`
    Golden      :func:`systolith_sim.sequencer.expand`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer``, ``bus`` and ``memory.program_instructions``.

    Members
    -------
    bus : Out(ReadPort)
        Program fetch, and READ.
    settings : In(Settings)
        Where the program is, and runtime registers 1 and 2 at the start.
    program_write : In(1)
        Forget what is on chip and fetch ahead. Not while ``busy``.
    start : In(1)
        Run the program from its first instruction, fetched again only if it is no more on chip.
    halt : In(1)
        Stop at once. The program is lost.
    units_idle : In(1)
        All queues are empty and all units idle.
    vector_idle : In(1), number : In(16), number_told : In(1)
        VECTOR's queue is empty and it is idle; what BEST or SAMPLE has found last, and that this is
        a new one.
    array, vector, load, store, row : Out(stream of issue_word)
        Instructions for the queues, one for each of :func:`~systolith_hw.limits.queues`.
    credit : Out(stream of a semaphore's number)
        Counts that CREDIT gives.
    done : Out(1)
        END has completed, for one cycle.
    busy : Out(1)
        A program runs.
    idle : Out(1)
        No read is outstanding.
    inspect : In(3)
        In a halt, and only where instructions stand: whose program address ``pc`` is, from two
        cycles later on.
    pc : Out(16)
        The instruction under work; kept by a halt.
    fault : Out(Fault)
        ILLEGAL_INSTRUCTION, LOOP, BUS_READ, and of READ and CREDIT MISALIGNED, ADDRESS_RANGE and
        ZERO_COUNT.
    events : Out(EVENTS)
        ``busy`` in cycles in which something got on.
    """

    bus: Any
    settings: Any
    program_write: Signal
    start: Signal
    halt: Signal
    units_idle: Signal
    vector_idle: Signal
    number: Signal
    number_told: Signal
    array: Any
    vector: Any
    load: Any
    store: Any
    row: Any
    credit: Any
    done: Signal
    busy: Signal
    idle: Signal
    inspect: Signal
    pc: Signal
    fault: Any
    events: Any

    def __init__(self, config: Config) -> None:
        self.config = config
        self.queues = queues(config)
        super().__init__({
            "bus": Out(ReadPort(config)),
            "settings": In(Settings()),
            "program_write": In(1),
            "start": In(1),
            "halt": In(1),
            "units_idle": In(1),
            "vector_idle": In(1),
            "number": In(SLOT_BITS),
            "number_told": In(1),
            **{
                unit.name.lower(): Out(stream.Signature(issue_word(config)))
                for unit in self.queues
            },
            "credit": Out(stream.Signature(SEMAPHORE_ID_BITS)),
            "done": Out(1),
            "busy": Out(1),
            "idle": Out(1),
            "inspect": In(range(len(Unit))),
            "pc": Out(PC_BITS),
            "fault": Out(Fault()),
            "events": Out(EVENTS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        fetch = ProgramFetch(self.config)
        issue: Any
        reading: Value = Const(0)
        if self.config.sequencer.instructions_stand:
            issue = SerialIssue(self.config)
            m.d.comb += [
                issue.inspect.eq(self.inspect), self.credit.valid.eq(0), self.credit.payload.eq(0)
            ]  # fmt: skip
            connect(m, fetch.bus, flipped(self.bus))
        else:
            issue = Issue(self.config)
            connect(m, issue.credit, flipped(self.credit))
            self._read_words(m, fetch, issue)
            reading = issue.word_read
        m.submodules.fetch = fetch
        m.submodules.memory = memory = ProgramMemory(self.config)
        # A halt is a reset of the state machine; the fault that caused it is kept here.
        m.submodules.issue = ResetInserter(self.halt)(issue)

        connect(m, flipped(self.settings), issue.settings)
        connect(m, flipped(self.settings), fetch.settings)
        for unit in self.queues:
            name = unit.name.lower()
            connect(m, getattr(issue, name), flipped(getattr(self, name)))
        m.d.comb += [
            memory.write_address.eq(fetch.write_address),
            memory.write_data.eq(fetch.write_data),
            memory.write_enable.eq(fetch.write_enable),
            memory.read_address.eq(issue.read_address),
            memory.read_enable.eq(issue.read_enable),
            fetch.program_write.eq(self.program_write),
            fetch.start.eq(self.start),
            fetch.halt.eq(self.halt),
            fetch.oldest.eq(issue.oldest),
            fetch.starving.eq(issue.starving),
            issue.read_data.eq(memory.read_data),
            issue.fetched.eq(fetch.fetched),
            issue.start.eq(self.start),
            issue.units_idle.eq(self.units_idle),
            self.done.eq(issue.done),
            self.busy.eq(issue.running),
            self.idle.eq(fetch.idle),
            self.pc.eq(issue.pc),
            self.fault.pc.eq(issue.pc),
            self.events.busy.eq(issue.busy),
            self.events.wait_queue.eq(issue.wait_queue),
            self.events.wait_fetch.eq(issue.starving | reading),
            self.events.fetch_beats.eq(self.bus.data.valid & self.bus.data.ready),
        ]
        # The last instructions before an error are counted a cycle later than the error.
        m.d.sync += issue.failed.eq(fetch.failed)
        with m.If(issue.fault_valid & ~self.fault.valid):
            m.d.sync += [self.fault.valid.eq(1), self.fault.code.eq(issue.fault_code)]

        return m

    def _read_words(self, m: Module, fetch: ProgramFetch, issue: Issue) -> None:
        """Let READ read on the fetch's port."""
        m.submodules.words = words = WordReader(self.config)
        connect(m, fetch.bus, words.fetch)
        connect(m, words.bus, flipped(self.bus))
        m.d.comb += [
            words.quiet.eq(fetch.quiet),
            words.halt.eq(self.halt),
            words.read.eq(issue.word_read),
            words.address.eq(issue.word_address),
            words.numbered.eq(issue.word_numbered),
            words.fresh.eq(issue.word_fresh),
            words.number.eq(self.number),
            words.told.eq(self.number_told),
            words.forget.eq(self.start),
            words.vector_idle.eq(self.vector_idle),
            issue.word_done.eq(words.done),
            issue.word_failed.eq(words.failed),
            issue.word.eq(words.word),
        ]
