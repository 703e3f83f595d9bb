"""The core inside a board's system, as a module that is emitted by itself."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from systolith_hw.bus.kinds import BUSES
from systolith_hw.config import Config

from ..synthesis import CORE

__all__ = ["BUS", "CoreInstance"]

BUS = "native"
"""A board's memory and host link are ours, so no bus of others stands between."""


class CoreInstance(wiring.Component):
    """The Verilog module of a core: its logic keeps the names that a floorplan knows.

    Members
    -------
    Those of :class:`systolith_hw.top.Systolith` with bus "native", and ``reset``.
    """

    irq: Signal
    reset: Signal

    def __init__(self, config: Config) -> None:
        self.members = {**BUSES[BUS].ports(config)}
        super().__init__({**self.members, "irq": wiring.Out(1), "reset": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": self.reset, "o_irq": self.irq}
        for name, member in self.members.items():
            ports[f"{'i' if member.flow is In else 'o'}_{name}"] = getattr(self, name)
        m.submodules.core = Instance(CORE, **ports)
        return m
