"""The part of the program that is on chip."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import Config
from ..isa import WORD_BITS, WORDS

__all__ = ["ProgramMemory"]


class ProgramMemory(wiring.Component):
    """Words of instructions in block RAM: instruction i stands in slot i modulo the size.

    Ports narrower than a word write parts of it: the write enables do the assembling.
    A word must not be read in the cycle in which it is written.

    =========== ==========================================================
    Latency     1 cycle from ``read_address`` to ``read_data``, which stays
                until the next ``read_enable``; register it before logic
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.program_instructions`` and ``bus.data_bytes``.

    Members
    -------
    write_address, read_address : In
        A word: four times the slot, plus the word in the instruction.
    write_data : In(64), write_enable : In(parts)
        One enable for each ``min(data_bytes, 8)`` bytes.
    read_enable : In(1), read_data : Out(64)
    """

    write_address: Signal
    write_data: Signal
    write_enable: Signal
    read_address: Signal
    read_enable: Signal
    read_data: Signal

    def __init__(self, config: Config) -> None:
        self.depth = config.memory.program_instructions * WORDS
        self.part_bits = min(config.bus.data_bytes * 8, WORD_BITS)
        address_bits = exact_log2(self.depth)
        super().__init__({
            "write_address": In(address_bits),
            "write_data": In(WORD_BITS),
            "write_enable": In(WORD_BITS // self.part_bits),
            "read_address": In(address_bits),
            "read_enable": In(1),
            "read_data": Out(WORD_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: memory.Memory = memory.Memory(
            shape=unsigned(WORD_BITS), depth=self.depth, init=[], attrs=attrs
        )
        m.submodules.store = store
        write = store.write_port(granularity=self.part_bits)
        read = store.read_port()
        m.d.comb += [
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
            read.addr.eq(self.read_address),
            read.en.eq(self.read_enable),
            self.read_data.eq(read.data),
        ]
        return m
