"""What a board has inside of its pins: core, external memory's controller, host link."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from systolith_hw.bus.attach import attach
from systolith_hw.bus.kinds import BUSES
from systolith_hw.emit import version

from ..link.link_bridge import LinkBridge
from ..memory.memory_system import MemorySystem
from ..memory.sdram_shapes import SdramPins
from ..standalone.host import StandaloneHost
from ..standalone.program import standalone_program
from ..standalone.spi_flash import FlashPins
from .board import Board
from .core import BUS, CoreInstance

__all__ = ["BoardSystem"]


class BoardSystem(wiring.Component):
    """A core, its SDRAM and its host link, or a CPU in the place of a host; clocks and pads are the
    chip's, around it.

    ::

        rx, tx ◄──► LinkBridge ── registers, irq ──► core
                        │                              │ fetch, load, store
                        └──────────► MemorySystem ◄────┘
                                         │ domain "sdram"
                                         ▼ memory_*

    Domains: "sync" is the core's, "sdram" the memory's; both come with a reset. Pins of memory are
    not registers here: pads have those, a cycle each way.

    Parameters
    ----------
    board : Board
    preset : str
        One of the board's.
    standalone : bool
        A CPU that reads flash memory is there, and no host link.

    Members
    -------
    rx : In(1), tx : Out(1)
        The serial line.
    memory_* : members of :class:`~systolith_fpga.memory.sdram_shapes.SdramPins`
        The memory chip.
    flash_* : members of :class:`~systolith_fpga.standalone.spi_flash.FlashPins`
        The flash memory, if the board stands alone.
    ready, active, irq : Out(1)
        For lamps: memory may be used; something goes over the line; the core's interrupt.
    """

    rx: Signal
    tx: Signal
    ready: Signal
    active: Signal
    irq: Signal

    def __init__(self, board: Board, preset: str, *, standalone: bool = False) -> None:
        self.board, self.preset, self.standalone = board, preset, standalone
        self.config = board.config(preset)
        self.timing = board.memory_timing(preset)
        pins = SdramPins(self.timing.chip)
        flash = FlashPins().members if standalone else {}
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1),  # type: ignore[call-arg]
            **{f"memory_{name}": member for name, member in pins.members.items()},
            **{f"flash_{name}": member for name, member in flash.items()},
            "ready": Out(1), "active": Out(1), "irq": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.core = core = CoreInstance(config)
        m.submodules.memory = memory = MemorySystem(config, self.timing, pin_flops=False)
        link: Any = self._host()
        m.submodules.link = ResetInserter(memory.resetting)(link)
        if self.standalone:
            attach(m, self, "flash_", link.flash)
        connect(m, link.load, memory.link_read)
        connect(m, link.store, memory.link_write)
        attach(m, core, BUSES[BUS].memory_prefix, memory.core)
        attach(m, core, BUSES[BUS].register_prefix, link.registers)
        attach(m, self, "memory_", memory.pins)
        m.d.comb += [
            core.reset.eq(memory.resetting),
            link.rx.eq(self.rx), self.tx.eq(link.tx), link.irq.eq(core.irq),
            self.ready.eq(memory.up), self.active.eq(link.active), self.irq.eq(core.irq),
        ]  # fmt: skip
        return m

    def _host(self) -> LinkBridge | StandaloneHost:
        """Return who tells the core what to do."""
        board, config = self.board, self.config
        core_hz, _ = board.clocks(self.preset)
        if not self.standalone:
            return LinkBridge(
                config, memory_bytes=board.memory.bytes, clock_hz=round(core_hz), baud=board.baud,
                board=board.name, gateware=version(),
            )  # fmt: skip
        settings = board.standing_alone()
        greeting = f"systolith {version()}, {board.name}, {self.preset}"
        program = standalone_program(
            settings, memory_bytes=board.memory.bytes, greeting=greeting
        )
        return StandaloneHost(config, settings, clock_hz=core_hz, program=program)

    def memory_pins(self) -> dict[str, Any]:
        """Return the memory's pins by name, without ``memory_``."""
        names = SdramPins(self.timing.chip).members
        return {name: getattr(self, f"memory_{name}") for name in names}
