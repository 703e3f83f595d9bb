"""Event counters, their high parts kept in a memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..registers import COUNTERS

__all__ = ["CounterBank", "event_layout"]

COUNTER_BITS = 32


def event_layout(config: Config) -> data.StructLayout:
    """Return one field per counter of :data:`systolith_hw.registers.COUNTERS`, but CYCLES.

    All are strobes, except ``saturations``, the number of values clipped in a cycle.
    """
    many = (config.array.rows + config.vector.lanes).bit_length()
    return data.StructLayout({
        counter.name.lower(): many if counter.name == "SATURATIONS" else 1
        for counter in COUNTERS
        if counter.name != "CYCLES"
    })


class CounterBank(wiring.Component):
    """Event counters of 32 bits, for a few flip-flops each.

    Only the lowest bits of a counter are a counter; its 32-bit total stands in a memory. A scan
    visits the counters in turn, one per cycle, and adds what came since its last visit, which
    the low bits still tell apart because they are wide enough for one round of events. ::

        events ──►[ low bits ]──►[ mux ]──►[ sample ]──┐
                                    ▲                  ├─►( total + (sample - total) mod 2**low )
        slot ─────┬─────────────────┘                  │               │
                  └──►[ memory ]──────────►[ total ]───┘               ├──► value
                          ▲────────────────────[ result ]◄─────────────┘

    A read waits for the scan to come by, so its value is exact as of one cycle: at or after the
    read strobe. Clearing restarts the scan, whose first round takes the totals as zero.

    =========== ==========================================================
    Latency     4 to ``4 + len(COUNTERS)`` cycles from ``read`` to ``valid``;
                a read during ``clear`` waits for its end
    Throughput  every event in every cycle
    Golden      addition, modulo ``2**32``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``array.rows`` and ``vector.lanes``, for the width of ``events.saturations``.

    Members
    -------
    events : In(event_layout)
        What happens in this cycle.
    enable : In(1)
        Count ``events``, and one cycle on CYCLES.
    clear : In(1)
        All counters become zero; nothing is counted in this cycle.
    read : In(1)
        Strobe: report counter ``index``, which holds until ``valid``.
    index : In(range(len(COUNTERS)))
    valid : Out(1)
        Strobe: ``value`` is the answer, in this cycle only.
    value : Out(32)
    """

    events: data.View
    enable: Signal
    clear: Signal
    read: Signal
    index: Signal
    valid: Signal
    value: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "events": In(event_layout(config)),
            "enable": In(1),
            "clear": In(1),
            "read": In(1),
            "index": In(range(len(COUNTERS))),
            "valid": Out(1),
            "value": Out(COUNTER_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs: dict[str, Any] = {"no_rw_check": 1}
        totals: memory.Memory = memory.Memory(
            shape=unsigned(COUNTER_BITS), depth=len(COUNTERS), init=[], attrs=attrs
        )
        m.submodules.totals = totals
        reader, writer = totals.read_port(), totals.write_port()
        lows = self._low_counters(m)

        # Stage 0: the slot to visit.
        slot = [Signal(range(len(COUNTERS)), name=f"slot_{stage}") for stage in range(4)]
        hit = [Signal(name=f"hit_{stage}") for stage in range(4)]
        first = [Signal(name=f"first_{stage}", init=1) for stage in range(2)]
        waiting = Signal()
        m.d.comb += [
            hit[0].eq(waiting & (slot[0] == self.index)),
            reader.addr.eq(slot[0]),
        ]
        for stage in range(1, 4):
            m.d.sync += [
                slot[stage].eq(slot[stage - 1]),
                hit[stage].eq(hit[stage - 1] & ~self.clear),
            ]
        m.d.sync += [slot[0].eq(slot[0] + 1), first[1].eq(first[0])]
        with m.If(slot[0] == len(COUNTERS) - 1):
            m.d.sync += [slot[0].eq(0), first[0].eq(0)]
        with m.If(self.clear):
            m.d.sync += [slot[0].eq(0), first[0].eq(1)]

        # Stage 1: the low bits as they are now, and the total of one round ago.
        widest = max(len(low) for low in lows)
        narrowest = min(len(low) for low in lows)
        sample = Signal(widest)
        span = Signal(widest)
        total = Signal(COUNTER_BITS)
        m.d.sync += [sample.eq(Array(lows)[slot[1]]), total.eq(reader.data)]
        m.d.sync += span.eq((1 << narrowest) - 1)
        for index, low in enumerate(lows):
            if len(low) != narrowest:
                with m.If(slot[1] == index):
                    m.d.sync += span.eq((1 << len(low)) - 1)
        with m.If(first[1]):
            m.d.sync += total.eq(0)

        # Stage 2: the new total; stage 3 writes it.
        m.d.sync += self.value.eq(total + ((sample - total[:widest])[:widest] & span))
        m.d.comb += [
            writer.addr.eq(slot[3]),
            writer.data.eq(self.value),
            writer.en.eq(1),  # also what a clear overtakes: the first round writes it anew
            self.valid.eq(hit[3]),
        ]
        with m.If(self.read):
            m.d.sync += waiting.eq(1)
        with m.Elif(self.valid):
            m.d.sync += waiting.eq(0)

        return m

    def _low_counters(self, m: Module) -> list[Signal]:
        """Count every event modulo more than one round of the scan can bring."""
        advance = Signal()
        m.d.comb += advance.eq(self.enable | self.clear)
        lows = []
        for counter in COUNTERS:
            name = counter.name.lower()
            event = Const(1, 1) if counter.name == "CYCLES" else Value.cast(self.events[name])
            # Two visits are one round apart; the first comes up to four cycles after a clear.
            most = (len(COUNTERS) + 4) * ((1 << len(event)) - 1)
            low = Signal(most.bit_length(), name=f"low_{name}")
            # One enable and one reset for all: no logic cell but the adder's.
            with m.If(advance):
                m.d.sync += low.eq(low + event)
                with m.If(self.clear):
                    m.d.sync += low.eq(0)
            lows.append(low)
        return lows
