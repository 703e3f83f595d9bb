"""Events since each counter was last visited."""


from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..registers import COUNTERS, counter_offsets

__all__ = ["EventTally", "event_layout"]


def event_layout(config: Config) -> data.StructLayout:
    """Return one field per counter of :data:`systolith_hw.registers.COUNTERS`, but CYCLES.

    All are strobes, except ``saturations``, the number of values clipped in a cycle. Those that
    the core could count and does not are there, too.
    """
    many = (config.array.rows + config.vector.lanes).bit_length()
    return data.StructLayout({
        counter.name.lower(): many if counter.name == "SATURATIONS" else 1
        for counter in COUNTERS
        if counter.name != "CYCLES" and (config.vector.rows or not counter.rows)
    })


class EventTally(wiring.Component):
    """Events since each counter was last visited: the few bits of it that must be flip-flops.

    =========== ==========================================================
    Latency     an event is in ``count`` 2 cycles later
    Throughput  every event in every cycle
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        For the counters that there are, and the width of ``events.saturations``.
    period : int
        Cycles between visits, at most.

    Members
    -------
    events : In(event_layout)
        What happens in this cycle.
    enable : In(1)
        Count ``events``, and one cycle on CYCLES.
    clear : In(1)
        Forget all events. Not in the cycle after ``enable``.
    index : In(range(counters)), take : In(1)
        In the next cycle, tell the events of this counter, and begin its count anew.
    count : Out
        Its events since the last time, in that cycle; zero in others.
    """

    events: data.View
    enable: Signal
    clear: Signal
    index: Signal
    take: Signal
    count: Signal

    def __init__(self, config: Config, period: int) -> None:
        self.names = [name.lower() for name in counter_offsets(config)]
        layout = event_layout(config)
        self.widths = [1 if name == "cycles" else layout[name].width for name in self.names]
        self.bits = [(period * ((1 << width) - 1)).bit_length() for width in self.widths]
        super().__init__({
            "events": In(layout),
            "enable": In(1),
            "clear": In(1),
            "index": In(range(len(self.names))),
            "take": In(1),
            "count": Out(max(self.bits)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        told: Value = Const(0, len(self.count))
        for index, name in enumerate(self.names):
            event = Const(1, 1) if name == "cycles" else Value.cast(self.events[name])
            # Counters stand far from what they count, hence a register between.
            happened = Signal(self.widths[index], name=f"happened_{name}")
            count = Signal(self.bits[index], name=f"count_{name}")
            taken = Signal(name=f"taken_{name}")
            m.d.sync += [
                happened.eq(Mux(self.enable, event, 0)),
                taken.eq(self.take & (self.index == index)),
                count.eq(count + happened),
            ]
            # One logic cell of an iCE40 per bit: all but the lowest are reset.
            with m.If(self.clear | taken):
                m.d.sync += count.eq(happened)
            told = told | (count & taken.replicate(len(count)))
        m.d.comb += self.count.eq(told)
        return m
