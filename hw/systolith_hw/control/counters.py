"""Counters, and the registers that hold numbers, in one memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..registers import COUNTER_BASE, KEPT, OFFSETS, REGISTER_SPACE, counter_offsets
from .settings import Settings
from .tally import EventTally, event_layout
from .watchdog import Watchdog

__all__ = ["CounterBank", "scan"]

HALF = 16
WORD_BITS = (REGISTER_SPACE // 4 - 1).bit_length()

COUNTDOWN = OFFSETS["WATCHDOG"] // 4 ^ 4
"""The word, of no register, where the watchdog's countdown stands: next to its limit."""


def scan(config: Config) -> list[int]:
    """Return the words of the memory in the order in which they are visited."""
    counters = counter_offsets(config).values()
    *told, limit = (OFFSETS[name] // 4 for name in KEPT)
    # The countdown comes before its limit: a written limit counts from the next round on.
    return [*(offset // 4 for offset in counters), *told, COUNTDOWN, limit]


class CounterBank(wiring.Component):
    """Counters, and the registers that hold numbers, in one memory, for a few flip-flops each.

    A scan visits all words in turn, for two cycles each, a half in a cycle. It adds to a counter
    what came since the last visit, and tells the core what stands in LENGTH, POSITION and
    PROGRAM. Whoever reads or writes waits for the scan to come by. ::

        events ──►[ tally ]──►[ operand ]──►(+)──►[ result ]──►(or data)──►┬──► settings
                                             ▲                             │
                              [  memory  ]───┘◄────────────────────────────┘

    What is read is exact as of one cycle at or after the read strobe. Clearing begins with a
    round in which all counters become zero.

    =========== ==========================================================
    Latency     ``period`` + 5 cycles at most from ``read`` or ``write`` to
                ``valid``, and another ``period`` after ``clear``; if not
                ``stored``, 6 at most, or 1 for a write
    Throughput  every event in every cycle
    Golden      addition, modulo ``2**32``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        For the counters that there are, and the width of ``events.saturations``.

    Members
    -------
    events : In(event_layout)
        What happens in this cycle.
    enable : In(1)
        A program runs: count ``events``, and one cycle on CYCLES.
    activity : In(1)
        Something moved in this cycle; restarts the watchdog.
    clear : In(1)
        All counters become zero, and the scan begins anew, with ``settings``. Not while
        ``enable``, nor in the cycle after.
    number : In(6)
        Which word to access: a byte offset of :mod:`systolith_hw.registers`, divided by four.
    stored : In(1), error : In(1)
        It stands here, or nowhere, and reads zero.
    read, write : In(1), write_data : In(32)
        Strobes; all the others hold until ``valid``.
    elsewhere : In(32)
        What a word reads that does not stand here.
    valid : Out(1)
        Strobe: the access is over, and what was read is in ``data`` until the next.
    data : Out(32)
    settings : Out(Settings)
        For the sequencer.
    fire : Out(1)
        The watchdog stops the program.
    """

    events: data.View
    enable: Signal
    activity: Signal
    clear: Signal
    number: Signal
    stored: Signal
    error: Signal
    read: Signal
    write: Signal
    write_data: Signal
    elsewhere: Signal
    valid: Signal
    data: Signal
    settings: Any
    fire: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        self.words = scan(config)
        self.counters = len(counter_offsets(config))
        self.period = 2 * len(self.words)
        super().__init__({
            "events": In(event_layout(config)),
            "enable": In(1),
            "activity": In(1),
            "clear": In(1),
            "number": In(WORD_BITS),
            "stored": In(1),
            "error": In(1),
            "read": In(1),
            "write": In(1),
            "write_data": In(2 * HALF),
            "elsewhere": In(2 * HALF),
            "valid": Out(1),
            "data": Out(2 * HALF),
            "settings": Out(Settings()),
            "fire": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # A counter is passed over once, in the round after a clear.
        m.submodules.tally = tally = EventTally(self.config, 2 * self.period + 2)
        m.submodules.watchdog = watchdog = Watchdog(self.period)
        style = "distributed" if self.config.control.counters_distributed else "block"
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": style}
        store: memory.Memory = memory.Memory(
            shape=unsigned(HALF), depth=2 << WORD_BITS, init=[], attrs=attrs
        )
        m.submodules.store = store
        reader, writer = store.read_port(), store.write_port()

        high = Signal()  # which half is read, and which is written
        slot = Signal(range(len(self.words)))  # the word whose halves are read
        visited = Signal(range(len(self.words)))  # the one before: its halves are written
        word = Array(self.words)[slot]
        cleared = Signal()
        following, fresh = self._scan(m, high, slot, visited, cleared)
        result = self._add(m, reader.data, high, slot, fresh, tally.count, watchdog)
        chosen, writing = self._access(m, high, word, result, fresh, cleared)

        m.d.sync += cleared.eq(self.clear)  # late, since it comes from far and reaches much
        back = Mux(writing & chosen, self.data[:HALF], result)
        limit_too = watchdog.reload & (slot == self._slot(COUNTDOWN))
        m.d.comb += [
            reader.addr.eq(Cat(high, Mux(limit_too, OFFSETS["WATCHDOG"] // 4, word))),
            writer.addr.eq(Cat(high, Array(self.words)[visited])),
            writer.data.eq(back),
            writer.en.eq(
                (visited < self.counters) | (visited == self._slot(COUNTDOWN)) | (writing & chosen)
            ),
            tally.clear.eq(cleared),
            tally.events.eq(self.events),
            tally.enable.eq(self.enable),
            tally.index.eq(following),
            tally.take.eq(high & ~fresh & (following < self.counters)),
            watchdog.run.eq(self.enable),
            watchdog.activity.eq(self.activity | writing),
            watchdog.look.eq(high & (slot == self._slot(COUNTDOWN) - 1)),
            watchdog.judge.eq(high & (visited == self._slot(COUNTDOWN))),
            self.fire.eq(watchdog.fire),
            self.settings.high.eq(high),
            self.settings.data.eq(back),
        ]
        for name in ("position", "length", "program"):
            number = self._slot(OFFSETS[name.upper()] // 4)
            m.d.comb += getattr(self.settings, name).eq(visited == number)
        return m

    def _slot(self, word: int) -> int:
        """Return the place of a word in the scan."""
        return self.words.index(word)

    def _scan(
        self, m: Module, high: Signal, slot: Signal, visited: Signal, cleared: Signal
    ) -> tuple[Value, Signal]:
        """Visit the words in turn; return the next one, and whether counters become zero."""
        fresh = Signal(init=1)
        following = Array([*range(1, len(self.words)), 0])[slot]
        m.d.sync += high.eq(~high)
        with m.If(high):
            m.d.sync += [slot.eq(following), visited.eq(slot)]
            with m.If(slot == self.counters - 1):
                m.d.sync += fresh.eq(0)
        with m.If(cleared):
            # Back from nowhere: the other half of the word that was visited does not come.
            nowhere = len(self.words) - 1
            m.d.sync += [
                high.eq(0), slot.eq(self.counters), visited.eq(nowhere), fresh.eq(1)
            ]  # fmt: skip
        return following, fresh

    def _add(
        self, m: Module, read: Value, high: Value, slot: Value, fresh: Value, count: Value,
        watchdog: Watchdog,
    ) -> Signal:  # fmt: skip
        """Return the new value of the half that has been read, a cycle later."""
        is_countdown = slot == self._slot(COUNTDOWN)
        operand = Signal(max(len(count), len(watchdog.change)))
        down = Signal()  # the operand is negative
        zero = Signal()
        carry = Signal()
        total = Signal(HALF + 1)
        result = Signal(HALF)
        upper = down.replicate(HALF - len(operand))
        m.d.comb += [
            total.eq(read + Cat(operand, upper) + (carry & ~high)),
            watchdog.carry.eq(carry),
        ]
        m.d.sync += Cat(result, carry).eq(Mux(zero, 0, total))
        with m.If(high):
            m.d.sync += operand.eq(down.replicate(len(operand)))
        with m.Else():
            m.d.sync += [
                operand.eq(count), down.eq(is_countdown), zero.eq(fresh & (slot < self.counters))
            ]
            with m.If(is_countdown):
                m.d.sync += operand.eq(watchdog.change)
        return result

    def _access(
        self, m: Module, high: Value, word: Value, result: Value, fresh: Value, cleared: Value
    ) -> tuple[Signal, Signal]:
        """Read and write when the scan comes by.

        Returns
        -------
        chosen : Signal
            ``result`` is of the word to access.
        writing : Signal
            It is to be written.
        """
        waiting = Signal()
        writing = Signal()
        found = Signal()  # one slot before ``chosen``
        chosen = Signal()
        write_here = self.write & self.stored & (self.number < COUNTER_BASE // 4)
        last = high & chosen
        with m.If(cleared):
            m.d.sync += [
                waiting.eq(waiting | found | (chosen & ~high)), found.eq(0), chosen.eq(0)
            ]  # fmt: skip
        with m.Elif(high):
            m.d.sync += chosen.eq(found)
        with m.Else():
            here = waiting & (~self.stored | self.error | ((word == self.number) & ~fresh))
            m.d.sync += [found.eq(here), waiting.eq(waiting & ~here)]
        m.d.sync += self.valid.eq(last | (self.write & ~write_here))
        with m.If(last):
            m.d.sync += writing.eq(0)
        with m.If(self.read | write_here):
            m.d.sync += [waiting.eq(1), writing.eq(self.write)]

        half = Mux(self.stored, result, self.elsewhere.word_select(high, HALF))
        with m.If(self.write):
            m.d.sync += self.data.eq(self.write_data)
        with m.Elif(chosen & (high | ~cleared)):
            m.d.sync += self.data.eq(Cat(self.data[HALF:], Mux(self.error, 0, half)))
        return chosen, writing
