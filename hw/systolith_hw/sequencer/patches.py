"""Finds the register that is to be added next."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..isa import PATCHES, WORDS

__all__ = ["PatchPicker"]

PLACE = data.StructLayout({"valid": 1, "word": 2, "high": 1, "upper": 1})
"""Where a register is to be added: word, half, and whether to the upper 16 bits of that only."""


class PatchPicker(wiring.Component):
    """Applies an instruction's patches to its words, in the order of the words.

    ::

        header ──►[ entries ]── pick ──►[ fetched ]──►[ ready ]── add to the word under work
                                 │       register       operand
                                 └─ read memory reads   register

    A patch is done with when its slot has become zero.

    =========== ==========================================================
    Latency     a patch is applied 2 cycles after it was picked
    Throughput  1 patch per cycle
    =========== ==========================================================

    Members
    -------
    load : In(1), header : In(32)
        Take an instruction's four patches.
    enable : In(1)
        Pick one, if there is one for ``word``, else look at the next word.
    held : In(1), index : In(2), take : In(1)
        The word under work; it is done with.
    read : Out(1), register : Out(4)
        Read this runtime register, whether or not there is a patch. Only with ``enable``.
    hold : Out(1)
        Keep the adder's operand.
    to_operand : Out(1), to_high : Out(1), upper : Out(1)
        What was read becomes the adder's operand, for the high half of a word, and shifted left
        by 16 if ``upper``.
    apply : Out(1), high : Out(1)
        Add the operand to this half of the word under work.
    word : Out(2)
        The word whose patches are being picked; 0 after the last.
    patched : Out(1)
        The word under work has all its patches; a register, a cycle late where there are any.
    """

    load: Signal
    header: Signal
    enable: Signal
    held: Signal
    index: Signal
    take: Signal
    read: Signal
    register: Signal
    hold: Signal
    to_operand: Signal
    to_high: Signal
    upper: Signal
    apply: Signal
    high: Signal
    word: Signal
    patched: Signal

    def __init__(self) -> None:
        super().__init__({
            "load": In(1),
            "header": In(32),
            "enable": In(1),
            "held": In(1),
            "index": In(range(WORDS)),
            "take": In(1),
            "read": Out(1),
            "register": Out(4),
            "hold": Out(1),
            "to_operand": Out(1),
            "to_high": Out(1),
            "upper": Out(1),
            "apply": Out(1),
            "high": Out(1),
            "word": Out(range(WORDS)),
            "patched": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        fetched: Any = Signal(PLACE)
        ready: Any = Signal(PLACE)

        picked = self._pick(m)
        waits = fetched.valid & ready.valid & ~self.apply
        m.d.comb += [
            self.read.eq(self.enable & ~waits),
            self.hold.eq(ready.valid & ~self.apply),
            self.to_operand.eq(fetched.valid & ~waits),
            self.to_high.eq(fetched.high),
            self.upper.eq(fetched.upper),
            self.apply.eq(ready.valid & self.held & (ready.word == self.index)),
            self.high.eq(ready.high),
        ]
        # A patch moves on from `fetched` before `word` has passed its word. Of the word that comes
        # next we only see that there is none on its way: then there is nothing to wait for.
        passed = (self.word == 0) | (self.word > self.index)
        next_passed = (self.word == 0) | (self.word > self.index + 1)
        m.d.sync += self.patched.eq(
            self.load
            | Mux(
                self.take,
                next_passed & ~fetched.valid & ~ready.valid,
                passed & ~(ready.valid & (ready.word == self.index)),
            )
        )
        with m.If(~waits):
            m.d.sync += [fetched.eq(picked), fetched.valid.eq(self.enable & picked.valid)]
        with m.If(self.to_operand):
            m.d.sync += ready.eq(fetched)
        with m.Elif(self.apply):
            m.d.sync += ready.valid.eq(0)

        return m

    def _pick(self, m: Module) -> Any:
        """Keep the patches; return the place of the first one for ``word``."""
        entries: list[Any] = [
            Signal(
                data.StructLayout({"slot": 4, "register": 4}),
                name=f"entry_{index}",
                reset_less=True,
            )
            for index in range(PATCHES)
        ]
        picked: Any = Signal(PLACE)
        m.d.comb += picked.word.eq(self.word)
        with m.If(self.enable & (self.word != 0) & ~picked.valid):
            m.d.sync += self.word.eq(self.word + 1)
        for entry in reversed(entries):
            with m.If((entry.slot[2:] == self.word) & (self.word != 0)):
                m.d.comb += [
                    picked.valid.eq(1), picked.high.eq(entry.slot[1]),
                    picked.upper.eq(entry.slot[0]), self.register.eq(entry.register),
                ]  # fmt: skip
        taken = Const(0)
        for entry in entries:
            match = (entry.slot[2:] == self.word) & (self.word != 0)
            with m.If(self.read & match & ~taken):
                m.d.sync += entry.slot.eq(0)
            taken = taken | match
        with m.If(self.load):
            some = Cat(self.header[8 * index + 2 : 8 * index + 4] for index in range(PATCHES)).any()
            m.d.sync += [Cat(entries).eq(self.header), self.word.eq(some)]
        return picked
