"""SDRAM controller: bursts in one order, on a chip of 16 bits."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.config import ConfigError

from .sdram_admission import SdramAdmission
from .sdram_chips import SdramTiming
from .sdram_columns import SdramColumns
from .sdram_data import SdramData
from .sdram_opener import SdramOpener
from .sdram_refresh import SdramRefresh
from .sdram_shapes import BurstPort, SdramPins, command
from .sdram_splitter import SdramSplitter

__all__ = ["BEAT_BYTES", "SdramController"]

BEAT_BYTES = (2, 4, 8)
"""Legal widths of a beat: one, two or four words."""


class SdramController(wiring.Component):
    """Read and write bursts with open pages, a word per cycle, each row opened ahead of its use.

    ::

        request ──► splitter ──► admission ──► opener ──► columns ──► pins
                    rows         room, data    PRE, ACT   READ, WRITE  ▲ │
                                                 refresh ──────────────┘ │
        write  ──────────────────► data, masks ──────────────────────────┤
        read   ◄────────────────── beats ◄───────────── input flop ◄─────┘

    =========== ==========================================================
    Latency     from accepting a read to its first beat of w words: 12 +
                ``capture`` + w cycles with its row open, 2 more for a
                closed bank, 2 + tRP more for another row
    Throughput  1 word per cycle within rows that follow one another, less 2
                cycles a row and, for refresh, about 1 in 100
    Stall       a segment of up to 32 words begins when ``read_room`` or
                ``write_level`` has all of it, and then never waits
    =========== ==========================================================

    Parameters
    ----------
    timing : SdramTiming
        The chip at its clock.
    data_bytes : int
        Bytes of a beat: 2, 4 or 8.
    capacity : int
        Beats that each of the client's queues holds.
    pin_flops : bool
        The last flop before each pin and the first behind it are here; otherwise the pins are
        flops of the board's I/O buffers, of the same latency.

    Members
    -------
    port : In(BurstPort)
        The client's. Of ``read``, ``ready`` is not looked at.
    read_room, write_level : In(range(capacity + 1))
        Beats that fit into the client's queue of beats read, and that are in its queue of beats to
        write; up to :data:`~.sdram_admission.LEVEL_DELAY` cycles old, and then too small.
    pins : Out(SdramPins)
        The chip. Its clock is this one inverted: it sees pins half a cycle after they change.
    up : Out(1)
        The chip is initialised.
    """

    port: Any
    pins: Any
    read_room: Signal
    write_level: Signal
    up: Signal

    def __init__(
        self, timing: SdramTiming, data_bytes: int, *, capacity: int, pin_flops: bool = True
    ) -> None:
        if data_bytes not in BEAT_BYTES:
            raise ConfigError(
                f"data_bytes must be one of {', '.join(map(str, BEAT_BYTES))}, not {data_bytes}"
            )
        self.timing = timing
        self.data_bytes = data_bytes
        self.capacity = capacity
        self.pin_flops = pin_flops
        super().__init__({
            "port": In(BurstPort(timing.chip.address_bits, data_bytes)),
            "read_room": In(range(capacity + 1)),
            "write_level": In(range(capacity + 1)),
            "pins": Out(SdramPins(timing.chip)),
            "up": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        timing, chip, port = self.timing, self.timing.chip, self.port
        m.submodules.splitter = splitter = SdramSplitter(chip, self.data_bytes)
        m.submodules.admission = admission = SdramAdmission(chip, self.data_bytes, self.capacity)
        m.submodules.opener = opener = SdramOpener(timing)
        m.submodules.columns = columns = SdramColumns(timing, self.data_bytes // chip.data_bytes)
        m.submodules.refresh = refresh = SdramRefresh(timing)
        m.submodules.data = data = SdramData(timing, self.data_bytes)
        connect(m, flipped(port.request), splitter.i)
        connect(m, splitter.o, opener.i)
        connect(m, opener.o, columns.i)
        connect(m, flipped(port.write), data.i)
        m.d.comb += [
            port.read.valid.eq(data.o.valid),
            port.read.payload.eq(data.o.payload),
            admission.valid.eq(splitter.o.valid),
            admission.segment.eq(splitter.o.payload),
            admission.taken.eq(splitter.o.valid & splitter.o.ready),
            admission.room.eq(self.read_room),
            admission.level.eq(self.write_level),
            admission.read.eq(data.o.valid),
            admission.written.eq(data.i.ready),
            opener.admitted.eq(admission.admitted),
            opener.used.eq(columns.used),
            opener.written.eq(columns.written),
            opener.hold.eq(refresh.hold),
            opener.closed.eq(refresh.closed),
            columns.steal.eq(opener.issues),
            refresh.quiet.eq(opener.quiet),
            self.up.eq(refresh.up),
            *(getattr(data, name).eq(getattr(columns, name))
              for name in ("read", "write", "word", "beat_end", "burst_end", "takes")),
        ]  # fmt: skip
        m.d.sync += refresh.busy.eq(splitter.o.valid | columns.used.any())
        # No two of them have a command at the same time, and without one all bits are zero.
        order = Signal(command(chip))
        m.d.sync += order.eq(opener.command.as_value() | columns.command.as_value()
                             | refresh.command.as_value())  # fmt: skip
        self._elaborate_pins(m, order, data)
        return m

    def _elaborate_pins(self, m: Module, order: Signal, data: SdramData) -> None:
        """Bring a command, and the data that belong to it, to the pins together."""
        pins = self.pins
        launch: Any = Signal(command(self.timing.chip))
        m.d.sync += launch.eq(order)
        domain = m.d.sync if self.pin_flops else m.d.comb
        m.d.comb += [pins.cke.eq(1), pins.cs_n.eq(0)]
        for pin, value, idle in (
            (pins.ras_n, ~launch.ras, 1), (pins.cas_n, ~launch.cas, 1), (pins.we_n, ~launch.we, 1),
            (pins.ba, launch.bank, 0), (pins.a, launch.address, 0),
            (pins.dqm, Mux(self.up, data.dqm, ~0), ~0),
            (pins.dq_o, data.dq_o, 0), (pins.dq_oe, data.dq_oe, 0),
        ):  # fmt: skip
            held = Signal.like(pin, init=idle & (1 << len(pin)) - 1)
            m.d.comb += pin.eq(held)
            domain += held.eq(value)
        if self.pin_flops:
            m.d.sync += data.dq_i.eq(pins.dq_i)
        else:
            m.d.comb += data.dq_i.eq(pins.dq_i)
