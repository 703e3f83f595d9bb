"""Runtime registers and loop frames, in one small memory."""

from typing import Any

from amaranth import *
from amaranth.lib import enum, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import REGISTERS

__all__ = ["Frame", "RegisterMemory"]

REGISTER_BITS = 4
FRAME_BITS = 2


class Frame(enum.Enum, shape=FRAME_BITS):
    """The words of a loop's frame."""

    START = 0  # address of the LOOP instruction
    REMAINING = 1  # trips after this one
    STEP = 2
    END = 3  # bits 15:0 the last instruction of the body, bits 19:16 the counter


class RegisterMemory(wiring.Component):
    """Runtime registers and loop frames, 32 bits each, one read and one write per cycle.

    =========== ==========================================================
    Latency     1 cycle from ``read_address`` to ``read_data``, which stays
                until the next ``read_enable``, or until that word is written
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``sequencer.loop_depth``.

    Members
    -------
    read_address, write_address : In
        A register's number, or from :meth:`frame`.
    read_enable, write_enable : In(1)
    write_data : In(32), read_data : Out(32)
    """

    read_address: Signal
    read_enable: Signal
    read_data: Signal
    write_address: Signal
    write_data: Signal
    write_enable: Signal

    def __init__(self, config: Config) -> None:
        level_bits = (config.sequencer.loop_depth - 1).bit_length()
        self.address_bits = 1 + max(REGISTER_BITS, FRAME_BITS + level_bits)
        super().__init__({
            "read_address": In(self.address_bits),
            "read_enable": In(1),
            "read_data": Out(32),
            "write_address": In(self.address_bits),
            "write_data": In(32),
            "write_enable": In(1),
        })

    def frame(self, field: Any, level: Value) -> Value:
        """Return the address of a word of the frame of ``level``, counted from 1."""
        inside = Cat(field, level)
        padding = Const(0, self.address_bits)
        return Cat(Cat(inside, padding)[: self.address_bits - 1], Const(1, 1))

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = 1 << self.address_bits
        assert depth >= 2 * REGISTERS
        # Not from block RAM, which shows its word too late for the adder's choice behind it.
        store: memory.Memory = memory.Memory(shape=unsigned(32), depth=depth, init=[])
        m.submodules.store = store
        write = store.write_port()
        read = store.read_port(domain="comb")
        address = Signal(self.address_bits, reset_less=True)
        with m.If(self.read_enable):
            m.d.sync += address.eq(self.read_address)
        m.d.comb += [
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
            read.addr.eq(address),
            self.read_data.eq(read.data),
        ]
        return m
