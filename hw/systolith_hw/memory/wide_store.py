"""The blocks of wide memory, and the registers in front of them."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, WIDE_BANK_WORDS, Config
from ..interfaces import wide_write
from .register_copy import COPY, RegisterCopy

__all__ = ["WideStore", "wide_banks", "wide_parts"]

PART_BITS = 63
"""Bits of a word that one part holds, the last one what is left: seven blocks of 2048 x 9 on ECP5,
two of 512 x 36."""


def wide_banks(config: Config) -> list[int]:
    """Return the words of each of the memories of a part, which stand one above the other."""
    words = config.memory.wide_words
    if config.short_pipelines:
        return [words]
    firsts = range(0, words, WIDE_BANK_WORDS)
    return [max(2, min(words - first, WIDE_BANK_WORDS)) for first in firsts]


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
    the last than anything else in a cycle. They are slow to show their output, too, so nothing but
    a register follows each, and what chooses among those that stand one above the other is behind
    it. Where there are several of these, words have a cycle more to come to the lanes
    (:attr:`.Config.wide_is_far`). With short pipelines there is one part, written without a
    register, and read without one behind it. ::

        read_address ──►[ register ]──┬──►[ 2048 words ]──►[ register ]──┬─ choose ──► read_data
                                      └──►[ the rest   ]──►[ register ]──┘

    =========== =============================================================
    Latency     3 cycles from ``read_address`` to ``read_data``, 4 where they are
                far, 2 with short pipelines; a word may be read in the cycle after it was
                written (:class:`.WideMemory` says who does when)
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
        The word, for a cycle; with short pipelines until the next ``read_enable``.
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
        for number, (first, last) in enumerate(wide_parts(self.config)):
            data = self.write.data.as_value()[first:last]
            found = self.read_data.as_value()[first:last]
            if self.config.short_pipelines:
                self._elaborate_short(m, data, found)
            else:
                self._elaborate_part(m, number, data, found)
        return m

    def _elaborate_short(self, m: Module, data: Value, found: Value) -> None:
        """Add the one memory of short pipelines."""
        write, read = self._memory(m, "memory_0", len(data), self.config.memory.wide_words)
        m.d.comb += [
            write.en.eq(self.write_enable), write.addr.eq(self.write.address), write.data.eq(data),
            found.eq(read.data),
        ]  # fmt: skip
        m.d.sync += [read.en.eq(self.read_enable), read.addr.eq(self.read_address)]

    def _elaborate_part(self, m: Module, number: int, data: Value, found: Value) -> None:
        """Add the memories of one part, and the registers around them."""
        kept = Signal.like(data, name=f"data_{number}", reset_less=True)
        m.d.sync += kept.eq(data)
        enable, written = Signal(), Signal.like(self.write.address)
        asked = Signal.like(self.read_address)
        self._copy(m, f"write_{number}", Cat(self.write_enable, self.write.address),
                   Cat(enable, written))  # fmt: skip
        self._copy(m, f"read_{number}", self.read_address, asked)
        fine = (WIDE_BANK_WORDS - 1).bit_length()
        shown = []
        for bank, words in enumerate(wide_banks(self.config)):
            write, read = self._memory(m, f"memory_{number}_{bank}", len(data), words)
            word = Signal.like(kept, name=f"shown_{number}_{bank}", reset_less=True)
            shown.append(word)
            m.d.sync += word.eq(read.data)
            m.d.comb += [
                write.en.eq(enable & (written >> fine == bank)),
                write.addr.eq(written),
                write.data.eq(kept),
                read.en.eq(1),
                read.addr.eq(asked),
            ]
        which: Value = asked >> fine
        for age in range(2):
            before = which
            which = Signal(max(1, len(before)), name=f"which_{number}_{age}", reset_less=True)
            m.d.sync += which.eq(before)
        chosen: Value = Value.cast(Array(shown)[which])
        if self.config.wide_is_far:
            arrived = Signal.like(kept, name=f"arrived_{number}", reset_less=True)
            m.d.sync += arrived.eq(chosen)
            chosen = arrived
        m.d.comb += found.eq(chosen)

    def _memory(self, m: Module, name: str, width: int, words: int) -> tuple[Any, Any]:
        """Add a memory; return its ports."""
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        store: memory.Memory = memory.Memory(
            shape=unsigned(width), depth=words, init=[], attrs=attrs
        )
        m.submodules[name] = store
        return store.write_port(), store.read_port()

    def _copy(self, m: Module, name: str, i: Value, o: Value) -> None:
        """Let ``o`` be ``i`` of the cycle before, from a register that nobody else has."""
        copy = RegisterCopy(len(i))
        m.submodules[f"{COPY}_{name}"] = copy
        m.d.comb += [copy.i.eq(i), o.eq(copy.o)]
