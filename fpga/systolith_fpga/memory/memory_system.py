"""A board's external memory: clients in the core's clock on one side, a chip on the other."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.bus.native import Native
from systolith_hw.config import Config, ConfigError
from systolith_hw.interfaces import ReadPort, WritePort
from systolith_hw.stream.skid import Skid

from .crossing import Crossing
from .resets import MemoryResets
from .sdram_chips import SdramTiming
from .sdram_controller import BEAT_BYTES, SdramController
from .sdram_shapes import SdramPins
from .sharing import Sharing

__all__ = ["MemorySystem"]

CAPACITY_WORDS = 128
"""Words that each queue between the clocks holds: three segments, and what moves meanwhile."""

AHEAD_WORDS = 128
"""Words of reads under way with which another may begin: a cycle each, they hide the way."""


class MemorySystem(wiring.Component):
    """A core's fetch, load and store and the host link's read and write, on one SDRAM chip.

    ::

        core.fetch ──┐   "sync"                     ┊  "sdram"
        core.load  ──┤
        link_read  ──┼──► Sharing ──► Crossing ─────┊──► SdramController ──► pins
        core.store ──┤
        link_write ──┘                              ┊

    Domains: "sync" is the core's clock and reset, "sdram" the chip's; they may have nothing to do
    with each other. A reset of either resets the memory system as a whole, not what the chip holds;
    whoever has something under way must be reset with it, by ``resetting``.

    =========== ==========================================================
    Latency     docs/boards.md has it, measured
    Throughput  1 word per cycle of "sdram", or 1 beat per cycle of "sync"
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        ``bus.data_bytes`` must be 2, 4 or 8. Addresses beyond the chip are answered with errors.
    timing : SdramTiming
        The chip, at the clock of "sdram".
    pin_flops : bool
        As of :class:`~.sdram_controller.SdramController`.

    Members
    -------
    core : In(Native)
        The memory ports of ``Systolith(config, target, bus="native")``, by the same names.
    link_read : In(ReadPort), link_write : In(WritePort)
        The host link's; a beat is read in 2 cycles at best.
    pins : Out(SdramPins)
        In "sdram"; the chip's clock is that one inverted, which the board makes.
    up : Out(1)
        In "sync": the chip is initialised. Requests before that wait.
    resetting : Out(1)
        In "sync": the memory system is in reset; set at once, cleared by the clock.
    """

    core: Any
    link_read: Any
    link_write: Any
    pins: Any
    up: Signal
    resetting: Signal

    def __init__(self, config: Config, timing: SdramTiming, *, pin_flops: bool = True) -> None:
        if config.bus.data_bytes not in BEAT_BYTES:
            raise ConfigError(
                f"bus.data_bytes must be one of {', '.join(map(str, BEAT_BYTES))} on a board with "
                f"SDRAM, not {config.bus.data_bytes}"
            )
        self.config = config
        self.timing = timing
        self.pin_flops = pin_flops
        super().__init__({
            "core": In(Native(config)),
            "link_read": In(ReadPort(config)),
            "link_write": In(WritePort(config)),
            "pins": Out(SdramPins(timing.chip)),
            "up": Out(1),
            "resetting": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, bits = self.config.bus, self.timing.chip.address_bits
        words = bus.data_bytes // self.timing.chip.data_bytes
        capacity, burst = CAPACITY_WORDS // words, bus.burst_beats
        m.domains.near = ClockDomain(local=True)
        m.domains.far = ClockDomain(local=True)
        m.d.comb += [
            ClockSignal("near").eq(ClockSignal("sync")),
            ClockSignal("far").eq(ClockSignal("sdram")),
        ]
        m.submodules.resets = MemoryResets()
        near = DomainRenamer("near")
        sharing = Sharing(
            self.config, bits, ahead=AHEAD_WORDS // words,
            readers=(burst, 4 * burst, burst), writers=(2 * burst, burst),
        )  # fmt: skip
        crossing = Crossing(bits, bus.data_bytes, capacity)
        controller = SdramController(
            self.timing, bus.data_bytes, capacity=capacity, pin_flops=self.pin_flops
        )
        m.submodules.sharing = near(sharing)
        m.submodules.crossing = DomainRenamer({"sync": "near", "sdram": "far"})(crossing)
        m.submodules.controller = DomainRenamer("far")(controller)
        m.submodules.up = FFSynchronizer(controller.up, self.up)
        connect(m, sharing.memory, crossing.near)
        connect(m, crossing.far, controller.port)
        connect(m, controller.pins, flipped(self.pins))
        m.d.comb += [
            self.resetting.eq(ResetSignal("near")),
            controller.read_room.eq(crossing.read_room),
            controller.write_level.eq(crossing.write_level),
        ]
        fetch, load, link = (sharing.readers[index] for index in range(3))
        self._elaborate_read(m, "fetch", fetch)
        self._elaborate_read(m, "load", load)
        self._elaborate_store(m, sharing.writers[0])
        connect(m, flipped(self.link_write), sharing.writers[1])
        connect(m, flipped(self.link_read.request), link.request)
        self._elaborate_link_data(m, link)
        return m

    def _add_skid(self, m: Module, name: str, shape: Any) -> Skid:
        """Return a register stage on the way to the core, which is somewhere else on a chip."""
        skid = Skid(shape)
        m.submodules[name] = DomainRenamer("near")(skid)
        return skid

    def _elaborate_link_data(self, m: Module, client: Any) -> None:
        """Give the host link what it reads, by a register that is filled or emptied in a cycle."""
        data, full = self.link_read.data, Signal()
        m.d.comb += [client.data.ready.eq(~full), data.valid.eq(full)]
        with m.If(~full):
            m.d.near += [
                full.eq(client.data.valid),
                data.p.data.eq(client.data.p.data), data.p.error.eq(client.data.p.error),
            ]  # fmt: skip
        with m.Elif(data.ready):
            m.d.near += full.eq(0)

    def _elaborate_read(self, m: Module, name: str, client: Any) -> None:
        """Connect a reading port of the core."""
        self._elaborate_request(m, name, client)
        skid = self._add_skid(m, f"{name}_data", client.data.payload.shape())
        connect(m, client.data, skid.i)
        m.d.comb += [
            getattr(self.core, f"{name}_data_valid").eq(skid.o.valid),
            *(getattr(self.core, f"{name}_data_{part}").eq(skid.o.payload[part])
              for part in ("data", "error", "last")),
            skid.o.ready.eq(getattr(self.core, f"{name}_data_ready")),
        ]  # fmt: skip

    def _elaborate_store(self, m: Module, client: Any) -> None:
        """Connect the writing port of the core."""
        core = self.core
        self._elaborate_request(m, "store", client)
        m.d.comb += [
            client.data.valid.eq(core.store_data_valid),
            client.data.p.data.eq(core.store_data_data),
            client.data.p.strobe.eq(core.store_data_strobe),
            client.data.p.last.eq(core.store_data_last),
            core.store_data_ready.eq(client.data.ready),
        ]
        m.d.near += [
            core.store_response_valid.eq(client.response.valid),
            core.store_response_error.eq(client.response.payload),
        ]

    def _elaborate_request(self, m: Module, name: str, client: Any) -> None:
        """Connect the requests of a port of the core."""
        valid, ready, address, last = (
            getattr(self.core, f"{name}_request_{part}")
            for part in ("valid", "ready", "address", "last")
        )
        skid = self._add_skid(m, f"{name}_request", client.request.payload.shape())
        connect(m, skid.o, client.request)
        m.d.comb += [
            skid.i.valid.eq(valid),
            skid.i.p.address.eq(address),
            skid.i.p.last.eq(last),
            ready.eq(skid.i.ready),
        ]
