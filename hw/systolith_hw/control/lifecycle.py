"""Start, done, abort and reset of the core."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Lifecycle"]

SETTLE_CYCLES = 16
"""Cycles in a row in which the bus must be idle before a reset, and length of a reset: more than
it takes to come to every unit."""


class Lifecycle(wiring.Component):
    """Start, done, abort and reset of the core.

    ::

                  START            done
        ready ──────────► running ──────► ready
          ▲                  │ error, ABORT
          │                  ▼
          │               halted        (an error can also halt it when it does not run)
          │                  │ RESET, from any state
          │    bus idle      ▼
          └── resetting ◄── draining

    A RESET waits for the bus to be idle for 16 cycles, since what a unit has offered before the
    halt may still be on its way to the bus. A second RESET waits no longer: the way out when
    memory never answers. ``soft_reset`` then lasts 16 cycles, in which RESET is ignored. Units
    leave it later, one after the other, as they do after the reset of this block itself; a START
    that comes in this time waits for the last of them.

    Members
    -------
    start_write, abort_write, reset_write : In(1)
        Strobes from CONTROL. START counts only when ready, or when there is nothing to wait for
        but units that leave a reset; ABORT only when running; RESET comes before ABORT, that
        before START.
    program_write : In(1)
        PROGRAM is written.
    done : In(1)
        The program has ended.
    caught : In(1)
        An error.
    bus_idle : In(1)
        No burst is under way.
    resetting : In(1)
        A reset is on its way to the units, or some are in it.
    starting : Out(1)
        Strobe: a program starts.
    start : Out(1)
        Strobe, the cycle after ``starting``; ``running`` rises with it.
    running : Out(1)
        A program runs.
    halt : Out(1)
        No unit may start anything new.
    listen : Out(1)
        What units tell of errors counts: they are neither halted nor in a reset.
    soft_reset : Out(1)
        Reset the core.
    load_program : Out(1)
        Strobe: fetch the program. One for each write of PROGRAM, put off until ready, and after
        a reset if PROGRAM was ever written.
    finished : Out(1)
        ``done`` of a running program, in that cycle.
    ended : Out(1)
        The last program has ended, until START, an error or a reset.
    aborted : Out(1)
        Halted by ABORT, until a reset.
    busy : Out(1)
        Running, or halted and not yet off the bus, or being reset.
    """

    start_write: Signal
    abort_write: Signal
    reset_write: Signal
    program_write: Signal
    done: Signal
    caught: Signal
    bus_idle: Signal
    resetting: Signal
    starting: Signal
    start: Signal
    running: Signal
    halt: Signal
    listen: Signal
    soft_reset: Signal
    load_program: Signal
    finished: Signal
    ended: Signal
    aborted: Signal
    busy: Signal

    def __init__(self) -> None:
        super().__init__({
            "start_write": In(1),
            "abort_write": In(1),
            "reset_write": In(1),
            "program_write": In(1),
            "done": In(1),
            "caught": In(1),
            "bus_idle": In(1),
            "resetting": In(1),
            "starting": Out(1),
            "start": Out(1),
            "running": Out(1),
            "halt": Out(1),
            "listen": Out(1),
            "soft_reset": Out(1),
            "load_program": Out(1),
            "finished": Out(1),
            "ended": Out(1),
            "aborted": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        ready = Signal()
        draining = Signal()
        leaving = Signal(init=1)  # units are in a reset, or have just left it
        early = Signal()  # there was a START meanwhile
        settle = Signal(range(SETTLE_CYCLES))
        m.d.comb += [
            ready.eq(~self.running & ~self.halt & ~leaving),
            self.listen.eq(~self.halt & ~leaving),
            self.finished.eq(self.running & self.done & ~self.caught),
            self.busy.eq(
                self.running | draining | self.soft_reset | leaving
                | (self.halt & ~self.bus_idle)
            ),
        ]  # fmt: skip
        m.d.sync += [
            leaving.eq(self.soft_reset | self.resetting),
            early.eq((early | self.start_write) & leaving & ~self.halt),
            self.start.eq(self.starting),
        ]
        with m.If(self.reset_write | self.caught):
            m.d.sync += [self.running.eq(0), self.halt.eq(1), self.ended.eq(0)]
        with m.Elif(self.finished):
            m.d.sync += [self.running.eq(0), self.ended.eq(1)]
        with m.Elif(self.abort_write & self.running):
            m.d.sync += [self.running.eq(0), self.halt.eq(1), self.aborted.eq(1)]
        with m.Elif((self.start_write | early) & ready):
            m.d.comb += self.starting.eq(1)
            m.d.sync += [self.running.eq(1), self.ended.eq(0)]

        settled = settle == SETTLE_CYCLES - 1
        m.d.sync += settle.eq(settle + 1)
        with m.If(self.soft_reset):
            m.d.sync += [self.ended.eq(0), self.aborted.eq(0)]
            with m.If(settled):
                m.d.sync += [self.soft_reset.eq(0), self.halt.eq(0)]
        with m.Elif(draining):
            with m.If(self.reset_write | (settled & self.bus_idle)):
                m.d.sync += [draining.eq(0), self.soft_reset.eq(1), settle.eq(0)]
            with m.Elif(~self.bus_idle):
                m.d.sync += settle.eq(0)
        with m.Elif(self.reset_write):
            m.d.sync += [draining.eq(1), settle.eq(0)]

        self._program(m, ready)
        return m

    def _program(self, m: Module, ready: Value) -> None:
        """Have the program fetched when PROGRAM is new, and again after each reset."""
        known = Signal()
        stale = Signal()
        m.d.comb += self.load_program.eq(stale & ready)
        with m.If(self.program_write):
            m.d.sync += [known.eq(1), stale.eq(1)]
        with m.Elif(self.soft_reset):
            m.d.sync += stale.eq(known)
        with m.Elif(ready):
            m.d.sync += stale.eq(0)
