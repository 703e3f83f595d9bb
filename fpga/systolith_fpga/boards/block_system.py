"""What a board without a memory chip has inside of its pins."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from systolith_hw.bus.attach import attach
from systolith_hw.bus.kinds import BUSES
from systolith_hw.emit import version

from ..link.compact_bridge import CompactBridge
from ..memory.block_memory import BlockMemory
from .board import Board
from .core import BUS, CoreInstance

__all__ = ["BlockSystem"]


class BlockSystem(wiring.Component):
    """A core, a small memory and a host link in few logic cells, all in one clock.

    ::

        rx, tx ◄──► CompactBridge ── registers, irq ──► core
                          │                               │ fetch, load, store
                          └──────► BlockMemory ◄──────────┘

    Parameters
    ----------
    board : Board
        Its memory is a :class:`~systolith_fpga.memory.block_memory.BlockRam`.
    preset : str
        One of the board's.

    Members
    -------
    rx : In(1), tx : Out(1)
        The serial line.
    active, irq : Out(1)
        For lamps: something goes over the line; the core's interrupt.
    """

    rx: Signal
    tx: Signal
    active: Signal
    irq: Signal

    def __init__(self, board: Board, preset: str) -> None:
        self.board, self.preset = board, preset
        self.config = board.config(preset)
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1),  # type: ignore[call-arg]
            "active": Out(1), "irq": Out(1),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        board, config = self.board, self.config
        link: Any = CompactBridge(
            config, memory_bytes=board.memory.bytes, clock_hz=round(board.clocks(self.preset)[0]),
            baud=board.baud, board=board.name, gateware=version(),
        )  # fmt: skip
        m.submodules.core = core = CoreInstance(config)
        m.submodules.memory = memory = BlockMemory(config, board.block_ram())
        m.submodules.link = link
        connect(m, link.load, memory.link_read)
        connect(m, link.store, memory.link_write)
        attach(m, core, BUSES[BUS].memory_prefix, memory.core)
        attach(m, core, BUSES[BUS].register_prefix, link.registers)
        m.d.comb += [
            core.reset.eq(ResetSignal()), link.rx.eq(self.rx), self.tx.eq(link.tx),
            link.irq.eq(core.irq), self.active.eq(link.active), self.irq.eq(core.irq),
        ]  # fmt: skip
        return m
