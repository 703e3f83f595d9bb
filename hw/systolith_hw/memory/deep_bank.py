"""A memory deeper than a block RAM, with a register behind each block."""

from typing import Literal

from amaranth import *
from amaranth.lib import wiring

from .bank import Bank, bank_ports

__all__ = ["BLOCK_WORDS", "DeepBank"]

BLOCK_WORDS = 512
"""Words of a block RAM at its widest."""


class DeepBank(wiring.Component):
    """Hold ``depth`` words; read one and write any lanes of one in each cycle.

    Block RAM is slow to show its output, so nothing but a register follows it: what chooses among
    blocks that stand one above the other is behind those registers, and with whoever reads. ::

        read ──┬──►[ 512 words ]──►[ register ]──┐
               ├──►[ 512 words ]──►[ register ]──┼─ choose ──► read_data
               └──►[ the rest  ]──►[ register ]──┘

    =========== ==========================================================
    Latency     2 cycles (:attr:`latency`) from ``read_address`` to ``read_data``; a
                word written in cycle t may be read from cycle t + 1
    Throughput  a read and a write per cycle
    Undefined   ``read_data`` for an address written in the same cycle
    =========== ==========================================================

    Parameters
    ----------
    width, depth, lanes, style
        As of :class:`~systolith_hw.memory.bank.Bank`.

    Members
    -------
    Those of :class:`~systolith_hw.memory.bank.Bank`.
    """

    latency = 2

    read_address: Signal
    read_data: Signal
    write_address: Signal
    write_lanes: Signal
    write_data: Signal

    def __init__(
        self,
        width: int,
        depth: int,
        lanes: int = 1,
        *,
        style: Literal["block", "distributed"] = "block",
    ) -> None:
        firsts = range(0, depth, BLOCK_WORDS)
        self.banks = [
            Bank(width, max(2, min(depth - first, BLOCK_WORDS)), lanes, style=style)
            for first in firsts
        ]
        super().__init__(bank_ports(width, depth, lanes))

    def elaborate(self, platform) -> Module:
        m = Module()
        fine = (BLOCK_WORDS - 1).bit_length()
        shown = []
        for number, bank in enumerate(self.banks):
            m.submodules[f"bank_{number}"] = bank
            word = Signal.like(self.read_data, name=f"shown_{number}", reset_less=True)
            shown.append(word)
            m.d.sync += word.eq(bank.read_data)
            m.d.comb += [
                bank.read_address.eq(self.read_address),
                bank.write_address.eq(self.write_address),
                bank.write_data.eq(self.write_data),
            ]
            with m.If(self.write_address >> fine == number):
                m.d.comb += bank.write_lanes.eq(self.write_lanes)
        which: Value = self.read_address >> fine
        for age in range(self.latency):
            before = which
            which = Signal(max(1, len(before)), name=f"which_{age}", reset_less=True)
            m.d.sync += which.eq(before)
        m.d.comb += self.read_data.eq(Array(shown)[which])
        return m
