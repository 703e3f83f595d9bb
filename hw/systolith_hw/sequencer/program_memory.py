"""The part of the program that is on chip."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import INSTRUCTION_BYTES, Config
from ..isa import SLOT_BITS, WORD_BITS

__all__ = ["ProgramMemory", "part_bits", "read_bits"]


def part_bits(config: Config) -> int:
    """Return the width of what is written at once: a beat, or a word if that is less."""
    return min(config.bus.data_bytes * 8, WORD_BITS)


def read_bits(config: Config) -> int:
    """Return the width of what is read at once: a word, or a slot where instructions stand."""
    return SLOT_BITS if config.sequencer.instructions_stand else WORD_BITS


class ProgramMemory(wiring.Component):
    """Words of instructions in block RAM: instruction i stands in place i modulo the size.

    What is written may be narrower than what is read: the write enables do the assembling.
    A word must not be read in the cycle in which it is written.

    =========== ==========================================================
    Latency     1 cycle from ``read_address`` to ``read_data``, which stays
                until the next ``read_enable``; register it before logic
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.program_instructions``, ``bus.data_bytes`` and ``sequencer``.

    Members
    -------
    write_address : In, write_data : In(:func:`part_bits`), write_enable : In(1)
        An address counts such parts.
    read_address : In, read_data : Out(:func:`read_bits`), read_enable : In(1)
        An address counts such words.
    """

    write_address: Signal
    write_data: Signal
    write_enable: Signal
    read_address: Signal
    read_enable: Signal
    read_data: Signal

    def __init__(self, config: Config) -> None:
        self.part_bits, self.read_bits = part_bits(config), read_bits(config)
        self.bits = config.memory.program_instructions * INSTRUCTION_BYTES * 8
        super().__init__({
            "write_address": In(exact_log2(self.bits // self.part_bits)),
            "write_data": In(self.part_bits),
            "write_enable": In(1),
            "read_address": In(exact_log2(self.bits // self.read_bits)),
            "read_enable": In(1),
            "read_data": Out(self.read_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        width = max(self.part_bits, self.read_bits)
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: memory.Memory = memory.Memory(
            shape=unsigned(width), depth=self.bits // width, init=[], attrs=attrs
        )
        m.submodules.store = store
        write = store.write_port(granularity=self.part_bits)
        read = store.read_port()
        parts, reads = width // self.part_bits, width // self.read_bits
        part = self.write_address[: exact_log2(parts)]
        chosen = Signal(exact_log2(reads))
        m.d.comb += [
            write.addr.eq(self.write_address >> len(part)),
            write.data.eq(self.write_data.replicate(parts)),
            write.en.eq(self.write_enable << part if parts > 1 else self.write_enable),
            read.addr.eq(self.read_address >> len(chosen)),
            read.en.eq(self.read_enable),
            self.read_data.eq(
                read.data.word_select(chosen, self.read_bits) if reads > 1 else read.data
            ),
        ]
        with m.If(self.read_enable):
            m.d.sync += chosen.eq(self.read_address)
        return m
