"""External memory that is block memory of the FPGA, for boards that have no other."""

from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from systolith_hw.bus.native import Native
from systolith_hw.config import Config, ConfigError
from systolith_hw.interfaces import ReadPort, WritePort

__all__ = ["BlockMemory", "BlockRam"]

FETCH, LOAD, LINK_READ, STORE, LINK_WRITE = range(5)
CLIENTS = 5


@dataclass(frozen=True, kw_only=True)
class BlockRam:
    """What a board has in the place of a memory chip.

    Parameters
    ----------
    bytes : int
        A power of two.
    data_bytes : int
        Of a word.
    """

    bytes: int
    data_bytes: int


class BlockMemory(wiring.Component):
    """A core's fetch, load and store and the host link's read and write, one burst at a time.

    Clients are looked at in turn, one in each cycle, and whoever asks holds up the others until its
    burst is over. What is beyond the memory is answered with errors, and not written.

    =========== ==========================================================
    Latency     0 to 4 cycles until a request is taken; 2 to its first beat
    Throughput  a beat that is read in 2 cycles, one that is written in 1
    Stall       requests, beats
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Uses ``bus``; a beat has as many bytes as a word of the memory.
    ram : BlockRam

    Members
    -------
    core : In(Native)
        The memory ports of ``Systolith(config, target, bus="native")``, by the same names.
    link_read : In(ReadPort), link_write : In(WritePort)
        The host link's.
    """

    core: Any
    link_read: Any
    link_write: Any

    def __init__(self, config: Config, ram: BlockRam) -> None:
        if config.bus.data_bytes != ram.data_bytes:
            raise ConfigError(
                f"bus.data_bytes must be {ram.data_bytes} on this board, not "
                f"{config.bus.data_bytes}"
            )
        if ram.bytes & (ram.bytes - 1) or not 0 < ram.bytes <= 1 << config.bus.address_bits:
            raise ConfigError(
                "bytes of a block memory must be a power of two that bus.address_bits can "
                f"address, not {ram.bytes}"
            )
        self.words, self.word_bytes = ram.bytes // ram.data_bytes, ram.data_bytes
        self.address_bits = config.bus.address_bits
        self.owner = Signal(range(CLIENTS))
        self.place = Signal(range(2 * self.words))
        """The next word; the highest bit says that it is beyond the end, and stays."""
        self.failed = Signal()
        super().__init__({
            "core": In(Native(config)),
            "link_read": In(ReadPort(config)), "link_write": In(WritePort(config)),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        held: Any
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        m.submodules.memory = held = memory.Memory(
            shape=8 * self.word_bytes, depth=self.words, init=[], attrs=attrs
        )
        store, load = held.write_port(granularity=8), held.read_port(transparent_for=[])
        m.d.comb += [load.addr.eq(self.place), store.addr.eq(self.place)]
        left, gives, takes, answers = Signal(8), Signal(), Signal(), Signal()
        with m.FSM():
            with m.State("choose"):
                self._choose(m, left)
            with m.State("read"):
                m.next = "give"
            with m.State("give"):
                m.d.comb += gives.eq(1)
                with m.If(self._give(m, gives, load.data, left == 0)):
                    m.d.sync += [self.place.eq(self._following()), left.eq(left - 1)]
                    m.next = "read"
                    with m.If(left == 0):
                        self._go_on(m)
            with m.State("take"):
                m.d.comb += takes.eq(1)
                moved, data, strobe, last = self._take(m, takes)
                beyond = self.place[-1]
                m.d.comb += [store.data.eq(data), store.en.eq(
                    strobe & (moved & ~beyond).replicate(self.word_bytes)
                )]  # fmt: skip
                with m.If(moved):
                    m.d.sync += [self.place.eq(self._following()),
                                 self.failed.eq(self.failed | beyond)]  # fmt: skip
                    with m.If(last):
                        m.next = "answer"
            with m.State("answer"):
                m.d.comb += answers.eq(1)
                self._go_on(m)
        core = self.core
        m.d.comb += [
            core.store_response_valid.eq(answers & (self.owner == STORE)),
            core.store_response_error.eq(self.failed),
            self.link_write.response.valid.eq(answers & (self.owner == LINK_WRITE)),
            self.link_write.response.payload.eq(self.failed),
        ]
        return m

    def _requests(self) -> list[tuple[Value, Value, Value, Value]]:
        """Return valid, ready, address and last of each client's requests."""
        core, link = self.core, (self.link_read.request, self.link_write.request)
        fetch, load, store = (
            tuple(getattr(core, f"{name}_request_{part}")
                  for part in ("valid", "ready", "address", "last"))
            for name in ("fetch", "load", "store")
        )  # fmt: skip
        read, write = ((it.valid, it.ready, it.p.address, it.p.last) for it in link)
        return [fetch, load, read, store, write]  # type: ignore[list-item]

    def _choose(self, m: Module, left: Signal) -> None:
        """Take a request."""
        wish, chosen = Signal(), Signal(self.address_bits)
        with m.Switch(self.owner):
            for number, (valid, ready, address, last) in enumerate(self._requests()):
                with m.Case(number):
                    m.d.comb += [ready.eq(1), wish.eq(valid), chosen.eq(address)]
                    m.d.sync += left.eq(last)
        word = chosen >> (self.word_bytes - 1).bit_length()
        bits = len(self.place) - 1
        m.d.sync += [self.place.eq(Cat(word[:bits], word[bits:].any())), self.failed.eq(0)]
        with m.If(wish):
            m.next = "read"
            with m.If((self.owner == STORE) | (self.owner == LINK_WRITE)):
                m.next = "take"
        with m.Else():
            self._go_on(m)

    def _following(self) -> Value:
        """Return the place behind this one; nothing that is beyond the end comes back."""
        return (self.place + 1)[: len(self.place)] | self.place & self.words

    def _go_on(self, m: Module) -> None:
        """Look at the next client."""
        m.d.sync += self.owner.eq(Mux(self.owner == CLIENTS - 1, 0, self.owner + 1))
        m.next = "choose"

    def _give(self, m: Module, gives: Value, data: Value, last: Value) -> Value:
        """Give a beat to who asked; return whether it is taken."""
        core, link, taken = self.core, self.link_read.data, Signal()
        sides = {
            FETCH: (core.fetch_data_valid, core.fetch_data_ready, core.fetch_data_data,
                    core.fetch_data_error),
            LOAD: (core.load_data_valid, core.load_data_ready, core.load_data_data,
                   core.load_data_error),
            LINK_READ: (link.valid, link.ready, link.p.data, link.p.error),
        }  # fmt: skip
        m.d.comb += [core.fetch_data_last.eq(last), core.load_data_last.eq(last)]
        for number, (valid, ready, value, error) in sides.items():
            own = gives & (self.owner == number)
            m.d.comb += [valid.eq(own), value.eq(data), error.eq(self.place[-1])]
            with m.If(own & ready):
                m.d.comb += taken.eq(1)
        return taken

    def _take(self, m: Module, takes: Value) -> tuple[Value, Value, Value, Value]:
        """Take a beat; return whether there is one, its data, strobe, and whether it is last."""
        core, link = self.core, self.link_write.data
        from_link = self.owner == LINK_WRITE
        m.d.comb += [link.ready.eq(takes & from_link), core.store_data_ready.eq(takes & ~from_link)]
        pairs = (
            (link.valid, core.store_data_valid), (link.p.data, core.store_data_data),
            (link.p.strobe, core.store_data_strobe), (link.p.last, core.store_data_last),
        )  # fmt: skip
        moved, data, strobe, last = (Mux(from_link, *pair) for pair in pairs)
        return moved, data, strobe, last
