"""A memory of several banks of different depths, one above the other."""

from collections.abc import Sequence
from typing import Literal

from amaranth import *
from amaranth.lib import wiring

from .bank import Bank, bank_ports

__all__ = ["StackedBank"]


class StackedBank(wiring.Component):
    """Hold as many words as all banks together; read one and write any lanes of one in each cycle.

    Synthesis builds a memory of one shape of block RAM. One that is a little deeper than 2048 words
    becomes a pile of wide blocks, each with all of its outputs, and a multiplexer of as many ways.
    Here only what is left above 2048 words is such a block.

    =========== ==========================================================
    Latency     1 cycle from ``read_address`` to ``read_data``; a word
                written in cycle t may be read from cycle t + 1
    Throughput  a read and a write per cycle
    Undefined   ``read_data`` for an address written in the same cycle
    =========== ==========================================================

    Parameters
    ----------
    width : int
        As of :class:`~systolith_hw.memory.bank.Bank`.
    depths : sequence of int
        Words of each bank, lowest addresses first. All but the last have as many as the first, a
        power of two.
    lanes, style
        As of :class:`~systolith_hw.memory.bank.Bank`.

    Members
    -------
    Those of :class:`~systolith_hw.memory.bank.Bank`.
    """

    read_address: Signal
    read_data: Signal
    write_address: Signal
    write_lanes: Signal
    write_data: Signal

    def __init__(
        self,
        width: int,
        depths: Sequence[int],
        lanes: int = 1,
        *,
        style: Literal["block", "distributed"] = "block",
    ) -> None:
        first, *others = depths
        if first & (first - 1) or any(depth != first for depth in others[:-1]):
            raise ValueError(f"depths but the last must be a same power of two, not {depths}")
        self.fine = (first - 1).bit_length()
        # A memory of one word is awkward in Verilog.
        self.banks = [Bank(width, max(2, depth), lanes, style=style) for depth in depths]
        super().__init__(bank_ports(width, sum(depths), lanes))

    def elaborate(self, platform) -> Module:
        m = Module()
        for number, bank in enumerate(self.banks):
            m.submodules[f"bank_{number}"] = bank
            m.d.comb += [
                bank.read_address.eq(self.read_address),
                bank.write_address.eq(self.write_address),
                bank.write_data.eq(self.write_data),
            ]
            with m.If(self.write_address >> self.fine == number):
                m.d.comb += bank.write_lanes.eq(self.write_lanes)
        which = Signal(range(max(2, len(self.banks))), reset_less=True)
        m.d.sync += which.eq(self.read_address >> self.fine)
        m.d.comb += self.read_data.eq(Array(bank.read_data for bank in self.banks)[which])
        return m
