"""Everything that the microprogram keeps, in one small memory."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ...config import Config
from ...isa import SLOT_BITS, SLOTS
from ...limits import queues, slot_limits
from .microcode import LAYOUT, Mode, Scalar

__all__ = ["SerialRegisters"]

ADDRESS_BITS = 8


class SerialRegisters(wiring.Component):
    """Runtime registers, loop frames, the instruction under work, and more, 16 bits each.

    ::

        000rrrrh   half h of runtime register r
        001kkkkk   scalar k; the upper half of these are the slots of the instruction
        01uussss   limit of slot s of unit u's instruction, modulo four
        1lllkkkk   word k of the frame of the loop at level l

    =========== ==========================================================
    Latency     1 cycle from an address to ``read_data``, which stays while ``write``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.program_instructions``, and for :mod:`systolith_hw.limits`, all.

    Members
    -------
    mode : In(2), offset : In(5)
        What to read, or to write: a :class:`~.microcode.Mode` and the number of a word.
    register : In(4), level : In(3), slot : In(4), unit : In(3)
        The runtime register, loop, slot and unit in work.
    inspect : In(3)
        Added to the number of scalar 0 when it is read.
    write : In(1), write_data : In(16)
    read_data : Out(16)
    """

    mode: Signal
    offset: Signal
    register: Signal
    level: Signal
    slot: Signal
    unit: Signal
    inspect: Signal
    write: Signal
    write_data: Signal
    read_data: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "mode": In(LAYOUT["mode"]),
            "offset": In(LAYOUT["offset"]),
            "register": In(4),
            "level": In(3),
            "slot": In(4),
            "unit": In(3),
            "inspect": In(3),
            "write": In(1),
            "write_data": In(SLOT_BITS),
            "read_data": Out(SLOT_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        init = self._constants()
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: memory.Memory = memory.Memory(
            shape=unsigned(SLOT_BITS), depth=len(init), init=init, attrs=attrs
        )
        m.submodules.store = store
        write, read = store.write_port(), store.read_port()

        address = Signal(ADDRESS_BITS)
        inspect = Mux(self.write, 0, self.inspect)
        with m.Switch(self.mode):
            with m.Case(Mode.SCALAR):
                m.d.comb += address.eq(Cat(self.offset | inspect, C(1, 1)))
            with m.Case(Mode.FRAME):
                m.d.comb += address.eq(Cat(self.offset[:4], self.level, C(1, 1)))
            with m.Case(Mode.REGISTER):
                m.d.comb += address.eq(Cat(self.offset[0], self.register))
            with m.Case(Mode.SLOT):
                limit, pc = self.offset[0], self.offset[1]
                m.d.comb += address.eq(Cat(self.slot, Mux(limit, self.unit[:2], 0b11), limit))
                with m.If(pc):
                    m.d.comb += address.eq(Cat(self.unit, C(0b100, 5)))
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(self.write_data),
            write.en.eq(self.write),
            read.addr.eq(address),
            read.en.eq(~self.write),
            self.read_data.eq(read.data),
        ]
        return m

    def _constants(self) -> list[int]:
        """Return what stands in the memory from the beginning; it is never written."""
        words = [0] * (1 << ADDRESS_BITS)
        words[1 << 5 | Scalar.LONGEST_BODY] = self.config.memory.program_instructions - 1
        for unit, (opcode,) in queues(self.config).items():
            first = 1 << 6 | unit % 4 << 4
            words[first : first + SLOTS] = slot_limits(self.config, opcode)
        return words
