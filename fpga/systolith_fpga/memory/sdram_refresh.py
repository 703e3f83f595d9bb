"""Bring the chip up, and refresh it."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import INITIAL_REFRESHES, POSTPONED, SdramTiming
from .sdram_shapes import command

__all__ = ["SdramRefresh"]

PATIENCE = 32
"""Cycles without work after which a refresh that is due is done, rather than postponed."""

SETTLE = 16
"""Cycles after a reset in which whatever the chip was told before comes to its end."""


class SdramRefresh(wiring.Component):
    """Initialise the chip; then count the refreshes that are due and do them, all banks closed.

    ::

        power up ──► settle ──► PRECHARGE ALL ──► 8 REFRESH ──► MODE ──► run ◄──────────┐
                                                                          │ due          │
                                      hold, quiet: PRECHARGE ALL ──► REFRESH, tRFC ... ──┘

    A refresh is due every tREFI. While there is work it is postponed, until
    :data:`~.sdram_chips.POSTPONED` are due; then all of them are done at once, for one closing and
    opening of rows. The wait of power-up is not repeated when the controller is reset again: a
    chip that has its contents must be refreshed again soon.

    Parameters
    ----------
    timing : SdramTiming
        The chip at its clock.

    Members
    -------
    busy : In(1)
        There is work.
    quiet : In(1)
        ``hold`` has been seen, and nothing is under way.
    hold : Out(1)
        Begin no work.
    command : Out(:func:`~.sdram_shapes.command`)
        PRECHARGE ALL, REFRESH, MODE or nothing.
    closed : Out(1)
        All banks are closed by the command of this cycle.
    up : Out(1)
        The chip is initialised.
    """

    busy: Signal
    quiet: Signal
    hold: Signal
    command: Any
    closed: Signal
    up: Signal

    def __init__(self, timing: SdramTiming) -> None:
        self.timing = timing
        super().__init__({
            "busy": In(1),
            "quiet": In(1),
            "hold": Out(1),
            "command": Out(command(timing.chip)),
            "closed": Out(1),
            "up": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        timing, order = self.timing, self.command
        due, wanted, more = self._elaborate_due(m)
        hold = Signal(init=1)
        m.d.comb += self.hold.eq(hold)
        initial = Signal(range(INITIAL_REFRESHES + 1), init=INITIAL_REFRESHES)
        powering = Signal(
            signed((timing.power_up + 1).bit_length() + 1), init=timing.power_up, reset_less=True
        )  # negative when it is over
        last = Signal(init=1)  # nothing, or one cycle, is left of the wait
        left = Signal(range(max(SETTLE, timing.rfc, timing.rp, timing.mrd)))
        m.d.sync += [left.eq(Mux(last, left, left - 1)), last.eq(left <= 2)]

        def wait(cycles: int) -> None:
            m.d.sync += [left.eq(cycles - 1), last.eq(cycles <= 2)]

        with m.FSM():
            with m.State("power up"):
                wait(SETTLE)
                with m.If(powering[-1]):
                    m.next = "settle"
                with m.Else():
                    m.d.sync += powering.eq(powering - 1)
            with m.State("settle"):
                with m.If(last):
                    m.next = "close"
            with m.State("close"):
                m.d.comb += [order.ras.eq(1), order.we.eq(1), order.address[10].eq(1),
                             self.closed.eq(1)]  # fmt: skip
                wait(timing.rp)
                m.next = "closing"
            with m.State("closing"):
                with m.If(last):
                    m.next = "refresh"
            with m.State("refresh"):
                m.d.comb += [order.ras.eq(1), order.cas.eq(1)]
                m.d.sync += initial.eq(Mux(self.up, 0, initial - 1))
                m.d.comb += due.eq(self.up)
                wait(timing.rfc)
                m.next = "refreshing"
            with m.State("refreshing"):
                with m.If(last):
                    with m.If(self.up):
                        m.next = "run"
                        with m.If(more):
                            m.next = "refresh"
                    with m.Elif(initial == 0):
                        m.next = "mode"
                    with m.Else():
                        m.next = "refresh"
            with m.State("mode"):  # bursts of one word, read and written alike
                m.d.comb += [order.ras.eq(1), order.cas.eq(1), order.we.eq(1),
                             order.address.eq(timing.cas << 4)]  # fmt: skip
                m.d.sync += self.up.eq(1)
                wait(timing.mrd)
                m.next = "setting"
            with m.State("setting"):
                with m.If(last):
                    m.next = "run"
            with m.State("run"):
                m.d.sync += hold.eq(wanted)
                with m.If(wanted & hold & self.quiet):
                    m.next = "close"
        return m

    def _elaborate_due(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Count what is due; return the signal that takes one back, whether work must end for it,
        and whether another is to follow."""
        timing = self.timing
        due = Signal(range(2 * POSTPONED))
        done, wanted, more = Signal(), Signal(), Signal()
        ticks = Signal(range(timing.refresh_interval), init=timing.refresh_interval - 1)
        tick = Signal()
        idle = Signal(range(PATIENCE + 1))
        m.d.sync += [
            tick.eq(ticks == 1),
            ticks.eq(Mux(tick, timing.refresh_interval - 1, ticks - 1)),
            idle.eq(Mux(self.busy, 0, Mux(idle == PATIENCE, idle, idle + 1))),
            wanted.eq((due >= POSTPONED) | (wanted & more) | (more & (idle == PATIENCE))),
            more.eq(due != 0),
        ]
        with m.If(self.up):
            m.d.sync += due.eq(due + tick - done)
        return done, wanted, more
