"""The blocks of wide memory, and the registers in front of them."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config
from ..interfaces import wide_write
from .register_copy import COPY, RegisterCopy

__all__ = ["WideStore", "wide_parts"]

PART_BITS = 63
"""Bits of a word that one part holds, the last one what is left: seven blocks of 2048 x 9 on ECP5,
two of 512 x 36."""


def wide_parts(config: Config) -> list[tuple[int, int]]:
    """Return the first bit of each part of a wide word, and the end of it."""
    width = config.vector.lanes * FIXED_BITS
    if config.short_pipelines:
        return [(0, width)]
    firsts = [PART_BITS * number for number in range(max(1, width // PART_BITS))]
    return list(zip(firsts, [*firsts[1:], width], strict=True))


class WideStore(wiring.Component):
    """Keep wide words in parts, each with addresses of its own, in registers close to it.

    The blocks of a large memory are far apart: one register for all of them takes longer to reach
    the last than anything else in a cycle. With short pipelines there is one part, written without
    a register.

    =========== =============================================================
    Latency     2 cycles from ``read_address`` to ``read_data``; a word may be
                read in the cycle after it was written (:class:`.WideMemory`
                says who does when)
    Throughput  one write and one read per cycle
    =========== =============================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.wide_words`` and ``vector.lanes``.

    Members
    -------
    write_enable : In(1), write : In(wide_write(config))
        Write a word.
    read_enable : In(1), read_address : In(range(memory.wide_words))
        Read a word; the enable counts with short pipelines only, others read in every cycle.
    read_data : Out(lanes of 32 bits)
        The word, from a block's output.
    """

    write_enable: Signal
    write: Any
    read_enable: Signal
    read_address: Signal
    read_data: Any

    def __init__(self, config: Config) -> None:
        self.config = config
        shape = wide_write(config)
        super().__init__({
            "write_enable": In(1),
            "write": In(shape),
            "read_enable": In(1),
            "read_address": In(shape["address"].shape),
            "read_data": Out(shape["data"].shape),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        for number, (first, last) in enumerate(wide_parts(self.config)):
            store: memory.Memory = memory.Memory(
                shape=unsigned(last - first), depth=self.config.memory.wide_words, init=[],
                attrs=attrs,
            )  # fmt: skip
            m.submodules[f"memory_{number}"] = store
            write, read = store.write_port(), store.read_port()
            data = self.write.data.as_value()[first:last]
            m.d.comb += self.read_data.as_value()[first:last].eq(read.data)
            if self.config.short_pipelines:
                m.d.comb += [
                    write.en.eq(self.write_enable), write.addr.eq(self.write.address),
                    write.data.eq(data),
                ]  # fmt: skip
                m.d.sync += [read.en.eq(self.read_enable), read.addr.eq(self.read_address)]
            else:
                kept = Signal.like(data, name=f"data_{number}", reset_less=True)
                m.d.sync += kept.eq(data)
                m.d.comb += [write.data.eq(kept), read.en.eq(1)]
                self._copy(m, f"write_{number}", Cat(self.write_enable, self.write.address),
                           Cat(write.en, write.addr))  # fmt: skip
                self._copy(m, f"read_{number}", self.read_address, read.addr)
        return m

    def _copy(self, m: Module, name: str, i: Value, o: Value) -> None:
        """Let ``o`` be ``i`` of the cycle before, from a register that nobody else has."""
        copy = RegisterCopy(len(i))
        m.submodules[f"{COPY}_{name}"] = copy
        m.d.comb += [copy.i.eq(i), o.eq(copy.o)]
