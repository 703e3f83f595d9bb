"""Fetches the program ahead of its use."""

from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import INSTRUCTION_BYTES, Config
from ..control.settings import Settings
from ..interfaces import ReadPort
from ..isa import WORD_BITS, WORDS, Opcode
from .program_memory import part_bits
from .splitter import BeatSplitter

__all__ = ["FetchShape", "ProgramFetch"]

WORD_BYTES = WORD_BITS // 8

SETTLE_CYCLES = 3
"""Cycles from the last beat's arrival until the sequencer has seen it."""


@dataclass(frozen=True)
class FetchShape:
    """Sizes in which the program is fetched.

    A *grain* is the least that is asked for: an instruction, or a beat if that is more, or a
    whole burst if that is less. Positions in the program are kept modulo four windows, which
    is enough to tell which of two is ahead: they are never more than two windows apart.
    """

    config: Config

    @property
    def index_bits(self) -> int:
        """Width of an instruction's position."""
        return exact_log2(self.config.memory.program_instructions) + 2

    @property
    def grain_bytes(self) -> int:
        """Bytes of a grain."""
        bus = self.config.bus
        return min(max(INSTRUCTION_BYTES, bus.data_bytes), bus.burst_beats * bus.data_bytes)

    @property
    def grain_beats(self) -> int:
        """Beats of a grain."""
        return self.grain_bytes // self.config.bus.data_bytes

    @property
    def burst_grains(self) -> int:
        """Grains of the longest burst."""
        bus = self.config.bus
        return bus.burst_beats * bus.data_bytes // self.grain_bytes

    def position_bits(self, size: int) -> int:
        """Width of a position counted in units of ``size`` bytes."""
        return self.index_bits + exact_log2(INSTRUCTION_BYTES) - exact_log2(size)


class ProgramFetch(wiring.Component):
    """Fetches the program ahead of its use.

    Instruction i is written to slot i modulo the size P of the program memory, as long as
    i < ``oldest`` + P. The first P instructions are kept for the next start: fetching goes
    beyond them only when all of them have come, none is END, and the program has moved on.
    After an END nothing more is asked for, unless the sequencer waits for it. ::

        oldest ──►[ room ]──►[ burst ]──► request
                                          data ──►[ splitter, if wide ]──► program memory
                                                                     └───► fetched

    =========== ==========================================================
    Latency     3 cycles from the last half of the address to the first request;
                2 from an instruction's last beat to ``fetched`` (narrow port)
    Throughput  1 beat or 1 word per cycle, whichever is slower; a burst every 3 cycles
    Stall       ``data.ready`` is constant one for ports of up to 8 bytes
    Errors      an error reply ends fetching for good: ``failed``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus`` and ``memory.program_instructions``.

    Members
    -------
    bus : Out(ReadPort)
        Bursts end at multiples of the longest burst, so none crosses 4096 bytes.
    settings : In(Settings)
        The program's address, a multiple of 32 and of the port.
    program_write : In(1)
        Forget the program and fetch this one.
    start : In(1)
        The program begins; fetch it again if its first instruction has been overwritten.
    oldest : In(index_bits)
        The oldest instruction that is still needed.
    starving : In(1)
        The sequencer waits for an instruction that has not come.
    halt : In(1)
        Ask for nothing more, drop what comes.
    fetched : Out(index_bits)
        Instructions before this one have come.
    failed : Out(1)
        No more will come.
    idle : Out(1)
        No read is outstanding.
    quiet : Out(1)
        No read that has been asked for is.
    beat : Out(1)
        A beat comes in this cycle.
    write_address, write_data, write_enable : Out
        To the program memory.
    """

    bus: Any
    settings: Any
    program_write: Signal
    start: Signal
    oldest: Signal
    starving: Signal
    halt: Signal
    fetched: Signal
    failed: Signal
    idle: Signal
    quiet: Signal
    beat: Signal
    write_address: Signal
    write_data: Signal
    write_enable: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.shape = FetchShape(config)
        size = config.memory.program_instructions * INSTRUCTION_BYTES * 8
        super().__init__({
            "bus": Out(ReadPort(config)),
            "settings": In(Settings()),
            "program_write": In(1),
            "start": In(1),
            "oldest": In(self.shape.index_bits),
            "starving": In(1),
            "halt": In(1),
            "fetched": Out(self.shape.index_bits),
            "failed": Out(1),
            "idle": Out(1),
            "quiet": Out(1),
            "beat": Out(1),
            "write_address": Out(exact_log2(size // part_bits(config))),
            "write_data": Out(part_bits(config)),
            "write_enable": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shape, bus = self.shape, self.bus

        active = Signal()  # asking for bursts
        flushing = Signal()  # waiting for the last beats of another program
        drop = Signal()
        first = Signal()  # the window still begins with the program's first instruction
        ended = Signal()  # an END has come
        base = Signal(shape.index_bits)
        grain = Signal(
            self.config.bus.address_bits - exact_log2(shape.grain_bytes), reset_less=True
        )
        requested = Signal(shape.position_bits(shape.grain_bytes))
        received = Signal(shape.position_bits(self.config.bus.data_bytes))
        outstanding = Signal()
        m.d.comb += [
            base.eq(Mux(first, 0, self.oldest)),
            drop.eq(~active | self.failed),
            outstanding.eq(Cat(Const(0, exact_log2(shape.grain_beats)), requested) != received),
            self.idle.eq(~bus.request.valid & ~outstanding),
            self.quiet.eq(~outstanding),
            self.beat.eq(bus.data.valid & bus.data.ready),
        ]
        with m.If(self.beat):
            m.d.sync += received.eq(received + 1)

        pending, written, fresh_end = self._receive(m, base, received, drop)
        settled = self._settle(m, outstanding | bus.request.valid | pending)
        full = self._request(m, base, requested, grain, active & ~ended & ~self.failed)
        with m.If(first & full & settled & (self.oldest != 0)):
            m.d.sync += first.eq(0)
        with m.If(fresh_end):
            m.d.sync += ended.eq(1)
        with m.Elif(settled & self.starving):
            m.d.sync += ended.eq(0)

        addressed = self._take_address(m, flushing & ~bus.request.valid, grain)
        with m.If(addressed & self.idle):
            m.d.sync += [
                flushing.eq(0), active.eq(1), ended.eq(0), self.failed.eq(0),
                requested.eq(0), received.eq(0), written.eq(0),
            ]  # fmt: skip
        with m.If(self.program_write | (self.start & ~first)):
            m.d.sync += [
                flushing.eq(1), active.eq(0), first.eq(1), self.fetched.eq(0), self.failed.eq(0)
            ]  # fmt: skip
        with m.If(self.halt):
            m.d.sync += [flushing.eq(0), active.eq(0), first.eq(0)]
        return m

    def _take_address(self, m: Module, enable: Value, grain: Signal) -> Value:
        """Take the program's address when it comes by; return whether it is there."""
        settings = self.settings
        unused = exact_log2(self.shape.grain_bytes)
        begun = Signal()
        with m.If(settings.program & ~settings.high):
            m.d.sync += begun.eq(enable)
        with m.If(enable & settings.program):
            with m.If(settings.high):
                m.d.sync += grain[16 - unused :].eq(settings.data)
            with m.Else():
                m.d.sync += grain[: 16 - unused].eq(settings.data[unused:])
        return enable & begun & settings.program & settings.high

    def _settle(self, m: Module, moving: Value) -> Value:
        """Return whether everything asked for has come, and has been seen by the sequencer."""
        still = Signal(SETTLE_CYCLES)
        m.d.sync += still.eq(Mux(moving, 0, Cat(Const(1, 1), still)))
        return ~moving & still.all()

    def _request(
        self, m: Module, base: Signal, requested: Signal, grain: Signal, enable: Value
    ) -> Value:
        """Ask for as much as there is room for; return whether there is no room."""
        shape, request = self.shape, self.bus.request
        window = self.config.memory.program_instructions

        # Grains that may be asked for: those that begin inside the window.
        limit = Signal(len(requested))
        if shape.grain_bytes <= INSTRUCTION_BYTES:
            m.d.comb += limit.eq((base + window) * (INSTRUCTION_BYTES // shape.grain_bytes))
        else:
            instructions = shape.grain_bytes // INSTRUCTION_BYTES
            m.d.comb += limit.eq((base + window + instructions - 1) // instructions)

        measured = Signal()
        room = Signal(len(requested), reset_less=True)
        burst = self._burst(room, grain)
        grains = burst
        if shape.burst_grains > 1:
            grains = Signal.like(burst, name="grains", reset_less=True)
        m.d.comb += [
            request.payload.address.eq(grain << exact_log2(shape.grain_bytes)),
            request.payload.last.eq(grains * shape.grain_beats - 1),
        ]
        m.d.sync += measured.eq(0)
        with m.If(request.valid):
            with m.If(request.ready):
                m.d.sync += [
                    request.valid.eq(0),
                    grain.eq(grain + grains),
                    requested.eq(requested + grains),
                ]
        with m.Else():
            m.d.sync += room.eq(limit - requested)
            if shape.burst_grains > 1:
                m.d.sync += grains.eq(burst)
            with m.If(enable):
                m.d.sync += [measured.eq(~measured), request.valid.eq(measured & (room != 0))]
        return measured & (room == 0)

    def _burst(self, room: Value, grain: Value) -> Value:
        """Return the grains of the next burst."""
        longest = self.shape.burst_grains
        if longest == 1:
            return Const(1)
        to_border = longest - grain[: exact_log2(longest)]
        return Mux(room < to_border, room, to_border)

    def _receive(
        self, m: Module, base: Signal, received: Signal, drop: Value
    ) -> tuple[Value, Signal, Value]:
        """Write what comes to the program memory.

        Returns
        -------
        pending : Value
            A word waits to be written, and can be.
        written : Signal
            Position of what is written next.
        fresh_end : Value
            An END is written.
        """
        beat = self.bus.data
        if self.config.bus.data_bytes <= WORD_BYTES:
            parts = WORD_BYTES // self.config.bus.data_bytes
            written, incoming, error = received, beat.payload.data, beat.payload.error
            strobe, pending = beat.valid & ~drop, Const(0)
            m.d.comb += beat.ready.eq(1)
        else:
            m.submodules.splitter = splitter = BeatSplitter(self.config)
            parts = 1
            written = Signal(self.shape.position_bits(WORD_BYTES), name="written")
            incoming, error = splitter.o.payload.data, splitter.o.payload.error
            # The end of a beat of several instructions may have to wait for the window. No other
            # beat is outstanding then.
            ahead = Signal(signed(self.shape.index_bits))
            inside = ahead < self.config.memory.program_instructions
            m.d.comb += ahead.eq(written[exact_log2(WORDS) :] - base)
            pending = splitter.o.valid & inside
            strobe = pending & ~drop
            wiring.connect(m, wiring.flipped(self.bus.data), splitter.i)
            m.d.comb += [splitter.drop.eq(drop), splitter.o.ready.eq(inside)]
            with m.If(strobe):
                m.d.sync += written.eq(written + 1)

        per_instruction = exact_log2(parts * WORDS)
        good = strobe & ~error
        m.d.comb += [
            self.write_address.eq(written),
            self.write_data.eq(incoming),
            self.write_enable.eq(good),
        ]
        with m.If(strobe & error):
            m.d.sync += self.failed.eq(1)
        with m.If(~drop):
            m.d.sync += self.fetched.eq(written >> per_instruction)
        is_end = (written[:per_instruction] == 0) & (incoming[:8] == Opcode.END)
        return pending, written, good & is_end
