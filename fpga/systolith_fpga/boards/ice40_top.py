"""What is specific to an iCE40 around a board's system: clock, reset and pins."""

from typing import Any

from amaranth import *
from amaranth.lib.cdc import ResetSynchronizer

from .block_system import BlockSystem
from .board import Board
from .ice40_pll import Ice40Pll

__all__ = ["Ice40Top"]

CLOCK = "core"
"""The clock's net."""

LAMPS = ("irq", "active")
"""What lamps show: the core has ended or stopped; something goes over the line."""

START_SECONDS = 20e-6
"""For so long block memory cannot be read behind configuration; Amaranth's platforms wait for 15
microseconds."""


class Ice40Top(Elaboratable):
    """The system of a board with its clock and pins, for Amaranth's platform.

    Parameters
    ----------
    board : Board
    preset : str
        One of the board's.

    Attributes
    ----------
    clocks_mhz : dict of float
        The clock that comes of the board's oscillator, by the name of its net.
    targets_mhz : dict of float
        What place and route is told of it.
    """

    def __init__(self, board: Board, preset: str) -> None:
        self.board = board
        hertz, _ = board.clocks(preset)
        self.clocks_mhz = {CLOCK: hertz / 1e6}
        target = board.variants[preset].target_mhz
        self.targets_mhz = {CLOCK: max(target, self.clocks_mhz[CLOCK])}
        self.system = BlockSystem(board, preset)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.system = system = self.system
        self._clock(m, platform)
        line = platform.request("uart", 0)
        m.d.comb += [line.tx.o.eq(system.tx), system.rx.eq(line.rx.i)]
        for number, name in enumerate(LAMPS):
            m.d.comb += platform.request("led", number).o.eq(getattr(system, name))
        return m

    def _clock(self, m: Module, platform: Any) -> None:
        """Make the clock, and a reset that ends when block memory may be read."""
        pad = platform.request(platform.default_clk, dir="-").io
        m.submodules.pll = pll = Ice40Pll(self.board.ice40_dividers(self.system.preset), pad)
        # The net must have this name when it is placed.
        clock = Signal(name=CLOCK, attrs={"keep": 1})
        platform.add_clock_constraint(clock, self.targets_mhz[CLOCK] * 1e6)
        m.domains.sync = ClockDomain()
        m.domains.start = ClockDomain(reset_less=True, local=True)
        cycles = round(self.clocks_mhz[CLOCK] * 1e6 * START_SECONDS)
        waited = Signal((cycles - 1).bit_length() + 1)
        m.d.comb += [clock.eq(pll.output), ClockSignal().eq(clock), ClockSignal("start").eq(clock)]
        with m.If(~waited[-1]):
            m.d.start += waited.eq(waited + 1)
        m.submodules.reset = ResetSynchronizer(~(waited[-1] & pll.locked))
