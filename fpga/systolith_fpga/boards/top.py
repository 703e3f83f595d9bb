"""What is specific to a chip around a board's system: clocks, resets and pins."""

from typing import Any

from amaranth import *
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.io import Direction

from ..memory.resets import RESET_STAGES
from .board import Board
from .ecp5_pll import Ecp5Pll
from .system import BoardSystem

__all__ = ["BoardTop"]

DOMAINS = {"core": "sync", "memory": "sdram"}
"""Of each clock of the loop, by its name, which is its net's: the domain."""

OUTPUTS = {"clk_en": "cke", "ba": "ba", "a": "a", "dqm": "dqm"}
LOW_OUTPUTS = {"cs": "cs_n", "ras": "ras_n", "cas": "cas_n", "we": "we_n"}
"""The platform's names of the memory's pins, and the controller's. The platform's are high when
they act, and it inverts them."""

FLASH_PINS = ("cs", "copi", "cipo", "wp", "hold")
"""The platform's names of the flash memory's pins."""

LAMPS = ("locked", "ready", "active", "irq")
"""What the first lamps show: clocks are there; memory is; something goes over the line; the core
has ended or stopped."""


class BoardTop(Elaboratable):
    """The system of a board with its clocks and pins, for Amaranth's platform.

    The memory's clock rises in the middle of what the controller drives. Pins of memory have
    registers in their pads: a cycle of the memory's clock on the way out, and one on the way in,
    which :class:`BoardSystem` is told.

    Parameters
    ----------
    board : Board
    preset : str
        One of the board's.
    standalone : bool
        As of :class:`BoardSystem`.

    Attributes
    ----------
    clocks_mhz : dict of float
        Clocks that come of the board's oscillator, by the names of their nets.
    targets_mhz : dict of float
        What place and route is told of them.
    """

    def __init__(self, board: Board, preset: str, *, standalone: bool = False) -> None:
        self.board = board
        rates = [hertz / 1e6 for hertz in board.clocks(preset)]
        self.clocks_mhz = dict(zip(DOMAINS, rates, strict=True))
        target = board.variants[preset].target_mhz
        self.targets_mhz = self.clocks_mhz | {"core": max(target, self.clocks_mhz["core"])}
        self.system = BoardSystem(board, preset, standalone=standalone)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.system = system = self.system
        locked = self._clocks(m, platform)
        line = platform.request("uart", 0, dir={"rts": "-", "dtr": "-"})
        m.d.comb += [line.tx.o.eq(system.tx), system.rx.eq(line.rx.i)]
        shown = {"locked": locked, "ready": system.ready, "active": system.active,
                 "irq": system.irq}  # fmt: skip
        for number, name in enumerate(LAMPS):
            m.d.comb += platform.request("led", number).o.eq(shown[name])
        self._memory(m, platform)
        if system.standalone:
            self._flash(m, platform)
        return m

    def _clocks(self, m: Module, platform: Any) -> Signal:
        """Make both clocks and their resets; return that they run."""
        pins = platform.request(platform.default_clk, dir="-")
        m.submodules.oscillator = oscillator = io.Buffer(Direction.Input, pins)
        m.submodules.pll = pll = Ecp5Pll(self.board.dividers(self.system.preset))
        m.d.comb += pll.input.eq(oscillator.i)
        for number, (name, domain) in enumerate(DOMAINS.items()):
            # The net must have this name when it is placed.
            clock = Signal(name=name, attrs={"keep": 1})
            platform.add_clock_constraint(clock, self.targets_mhz[name] * 1e6)
            m.domains += ClockDomain(domain)
            m.d.comb += [
                clock.eq(getattr(pll, f"output_{number}")), ClockSignal(domain).eq(clock)
            ]  # fmt: skip
            m.submodules[f"{domain}_reset"] = ResetSynchronizer(
                ~pll.locked, domain=domain, stages=RESET_STAGES
            )
        return pll.locked

    def _pad(self, port: Any) -> Any:
        """Return an output with a register in its pad."""
        return io.FFBuffer(Direction.Output, port, o_domain="sdram")

    def _memory(self, m: Module, platform: Any) -> None:
        """Connect the memory's pins."""
        pins = self.system.memory_pins()
        directions = {name: "-" for name in (*OUTPUTS, *LOW_OUTPUTS, "clk", "dq")}
        ports = platform.request("sdram", 0, dir=directions)
        for name, pin in OUTPUTS.items():
            m.submodules[f"pad_{name}"] = pad = self._pad(getattr(ports, name))
            m.d.comb += pad.o.eq(pins[pin])
        for name, pin in LOW_OUTPUTS.items():
            m.submodules[f"pad_{name}"] = pad = self._pad(getattr(ports, name))
            m.d.comb += pad.o.eq(~pins[pin])
        dq = io.FFBuffer(Direction.Bidir, ports.dq, i_domain="sdram", o_domain="sdram")
        m.submodules.pad_dq = dq
        m.d.comb += [
            dq.o.eq(pins["dq_o"]), dq.oe.eq(pins["dq_oe"]), pins["dq_i"].eq(dq.i),
        ]  # fmt: skip
        clock: Any = io.DDRBuffer(Direction.Output, ports.clk, o_domain="sdram")
        m.submodules.pad_clk = clock
        m.d.comb += [clock.o[0].eq(0), clock.o[1].eq(1)]

    def _flash(self, m: Module, platform: Any) -> None:
        """Connect the flash memory, whose clock goes through a cell of the chip's own."""
        system: Any = self.system
        chip = platform.request("spi_flash", 0, dir=dict.fromkeys(FLASH_PINS, "-"))
        driven = {"cs": ~system.flash_cs_n, "copi": system.flash_copi, "wp": C(0), "hold": C(0)}
        for name, value in driven.items():
            m.submodules[f"pad_flash_{name}"] = pad = io.Buffer(
                Direction.Output, getattr(chip, name)
            )
            m.d.comb += pad.o.eq(value)
        m.submodules.pad_flash_cipo = given = io.Buffer(Direction.Input, chip.cipo)
        m.d.comb += system.flash_cipo.eq(given.i)
        m.submodules.flash_clock = Instance(
            "USRMCLK", i_USRMCLKI=system.flash_clk, i_USRMCLKTS=C(0)
        )
