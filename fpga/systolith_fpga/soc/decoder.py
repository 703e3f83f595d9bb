"""One Wishbone master, many slaves, told apart by the upper bits of the address."""

from collections.abc import Mapping
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .wishbone import Wishbone

__all__ = ["Decoder"]

PAGE_BITS = 4
"""Upper bits of a byte address that choose."""


class Decoder(wiring.Component):
    """Give each of 16 pages of the address space to a slave.

    Combinational. What has no slave is answered with ``err`` a cycle later, so that no access
    hangs.

    Parameters
    ----------
    pages : dict
        Name of a slave by page: a byte address is in page ``address >> 28``. A slave may have
        more than one.

    Members
    -------
    bus : In(Wishbone(30, 4))
        From the master.
    slaves : dict
        By name, each an Out(Wishbone(26, 4)), which are also members of these names.
    """

    bus: Any

    def __init__(self, pages: Mapping[int, str]) -> None:
        for page in pages:
            if not 0 <= page < 1 << PAGE_BITS:
                raise ValueError(f"a page must be in 0..15, not {page}")
        self.pages = dict(pages)
        slave = Out(Wishbone(30 - PAGE_BITS, 4))
        super().__init__({"bus": In(Wishbone(30, 4)), **dict.fromkeys(pages.values(), slave)})

    @property
    def slaves(self) -> dict[str, Any]:
        """Each slave's port."""
        return {name: getattr(self, name) for name in self.pages.values()}

    def elaborate(self, platform) -> Module:
        m = Module()
        for slave in self.slaves.values():
            m.d.comb += [getattr(slave, name).eq(getattr(self.bus, name))
                         for name in ("we", "adr", "sel", "dat_w")]  # fmt: skip
        nowhere = Signal()
        m.d.sync += nowhere.eq(self.bus.cyc & self.bus.stb & ~nowhere)
        with m.Switch(self.bus.adr[-PAGE_BITS:]):
            for page, name in self.pages.items():
                slave = getattr(self, name)
                with m.Case(page):
                    m.d.comb += [
                        slave.cyc.eq(self.bus.cyc),
                        slave.stb.eq(self.bus.stb),
                        self.bus.dat_r.eq(slave.dat_r),
                        self.bus.ack.eq(slave.ack),
                        self.bus.err.eq(slave.err),
                    ]
            with m.Default():
                m.d.comb += self.bus.err.eq(nowhere)
        return m
