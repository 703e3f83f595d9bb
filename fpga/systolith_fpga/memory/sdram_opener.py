"""Open the rows that segments need, while others are being read or written."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import SdramTiming
from .sdram_shapes import command, segment

__all__ = ["SdramOpener"]

HAND_OVER = 3
"""Least cycles from an ACTIVATE to the first column command of the segment it was for."""


class SdramOpener(wiring.Component):
    """Know which rows are open; close and open rows, one segment after the other.

    ::

        take ──► look up ──► compare ──► same row: hand over
                                    ├──► bank closed: ACTIVATE, hand over
                                    └──► other row: PRECHARGE, wait tRP, ACTIVATE, hand over

    A bank is closed only when no segment that was handed over before still uses it, and tRAS and
    tWR have passed. Pages stay open until another row of the bank is asked for, or a refresh.

    =========== ==========================================================
    Latency     4 cycles from ``i`` to ``o`` for an open row, 5 for a
                closed bank, 6 + tRP for another row
    Throughput  1 segment in that time
    Stall       ``i`` waits for ``admitted`` and for ``hold`` to end
    =========== ==========================================================

    Parameters
    ----------
    timing : SdramTiming
        The chip at its clock.

    Members
    -------
    i, o : In, Out(stream of :func:`~.sdram_shapes.segment`)
        Segments; those at ``o`` have their row open, tRCD before they can begin.
    admitted : In(1)
        ``i`` may be taken.
    command : Out(:func:`~.sdram_shapes.command`)
        PRECHARGE or ACTIVATE; nobody else may have a command in that cycle.
    issues : Out(1)
        ``command`` is one; from a register.
    used : In(4)
        Banks that segments from ``o`` still use, as of a cycle ago.
    written : In(4)
        A WRITE to the bank was issued a cycle ago.
    hold : In(1)
        Take no segment.
    closed : In(1)
        All banks have been closed.
    quiet : Out(1)
        ``hold`` is there, no segment is under way and every bank may be closed.
    """

    i: stream.Interface
    o: stream.Interface
    command: Any
    admitted: Signal
    issues: Signal
    used: Signal
    written: Signal
    hold: Signal
    closed: Signal
    quiet: Signal

    def __init__(self, timing: SdramTiming) -> None:
        assert timing.rrd <= timing.rcd + HAND_OVER, "an ACTIVATE cannot follow one so fast"
        self.timing = timing
        chip = timing.chip
        banks = 1 << chip.bank_bits
        super().__init__({
            "i": In(stream.Signature(segment(chip))),
            "o": Out(stream.Signature(segment(chip))),
            "admitted": In(1),
            "command": Out(command(chip)),
            "issues": Out(1),
            "used": In(banks),
            "written": In(banks),
            "hold": In(1),
            "closed": In(1),
            "quiet": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        timing, chip = self.timing, self.timing.chip
        item: Any = Signal(segment(chip), reset_less=True)
        banks = 1 << chip.bank_bits
        opened = Signal(banks)
        rows = Array(Signal(chip.row_bits, name=f"row_{bank}", reset_less=True)
                     for bank in range(banks))  # fmt: skip
        row = Signal(chip.row_bits, reset_less=True)
        is_open, same = Signal(), Signal()
        wait = Signal(range(max(timing.rp, timing.rcd)))
        # What is issued is known from registers: columns must know early that they may not.
        activates, precharges, closable = Signal(), Signal(), Signal()
        guards = self._guards(m, activates, item.bank)

        m.d.sync += [
            row.eq(rows[item.bank]),
            is_open.eq(opened.bit_select(item.bank, 1)),
            same.eq(row == item.row),
            closable.eq(~(self.used | guards).bit_select(item.bank, 1)),
        ]
        m.d.comb += [
            self.o.payload.eq(item),
            self.command.ras.eq(self.issues),
            self.command.we.eq(precharges),
            self.command.bank.eq(Mux(self.issues, item.bank, 0)),
            self.command.address.eq(Mux(activates, item.row, 0)),
        ]
        def activate() -> None:
            m.d.sync += [activates.eq(1), self.issues.eq(1)]
            m.next = "activate"

        def precharge() -> None:
            m.d.sync += [precharges.eq(closable), self.issues.eq(closable)]
            m.next = "precharge"

        def precharged() -> None:
            if timing.rp > 1:
                m.next = "precharging"
            else:
                activate()

        m.d.sync += [activates.eq(0), precharges.eq(0), self.issues.eq(0)]
        with m.FSM() as states:
            with m.State("take"):
                m.d.comb += self.i.ready.eq(self.admitted & ~self.hold)
                m.d.sync += item.eq(self.i.payload)
                with m.If(self.i.valid & self.i.ready):
                    m.next = "look up"
            with m.State("look up"):
                m.next = "compare"
            with m.State("compare"):
                m.next = "decide"
            with m.State("decide"):
                m.d.comb += self.o.valid.eq(is_open & same)
                m.d.sync += wait.eq(timing.rp - 1)
                with m.If(~is_open):
                    activate()
                with m.Elif(~same):
                    precharge()
                with m.Elif(self.o.ready):
                    m.next = "take"
            with m.State("precharge"):
                with m.If(~precharges):
                    precharge()
                with m.Else():
                    precharged()
            with m.State("precharging"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 1):
                    activate()
            with m.State("activate"):
                m.d.sync += wait.eq(max(timing.rcd - HAND_OVER, 0))
                m.next = "activating" if timing.rcd > HAND_OVER else "hand over"
            with m.State("activating"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 1):
                    m.next = "hand over"
            with m.State("hand over"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "take"
        with m.If(activates):
            m.d.sync += [rows[item.bank].eq(item.row), opened.bit_select(item.bank, 1).eq(1)]
        with m.If(self.closed):
            m.d.sync += opened.eq(0)
        # `used` knows of a segment a cycle after its row's opener has gone back to "take".
        rests, rested = self.hold & states.ongoing("take"), Signal()
        nothing = ~(self.used.any() | self.written.any() | guards.any())
        m.d.sync += [rested.eq(rests), self.quiet.eq(rests & rested & nothing)]
        return m

    def _guards(self, m: Module, activates: Signal, bank: Value) -> Signal:
        """Return the banks that must stay open for now, because of tRAS or tWR.

        Each has a shift register of ones, a bit for each cycle that is left.
        """
        timing = self.timing
        length = max(timing.ras - 1, timing.wr - 2, 1)
        after_activate = (1 << timing.ras - 1) - 1
        after_write = (1 << max(timing.wr - 2, 0)) - 1
        guards = Signal(len(self.used))
        for index in range(len(guards)):
            left = Signal(length, name=f"guard_{index}")
            m.d.sync += left.eq(
                left[1:]
                | Mux(self.written[index], after_write, 0)
                | Mux(activates & (bank == index), after_activate, 0)
            )
            m.d.comb += guards[index].eq(left[0])
        return guards
