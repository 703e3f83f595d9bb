"""Scale memory: multiplier, shift and bias of output channels, ``lanes`` of them in a word."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import FIXED_BITS, SCALE_BITS, SHIFT_BITS, Config
from ..interfaces import entry_write, scale_stream
from .bank import Bank
from .deep_bank import DeepBank

__all__ = ["ScaleMemory", "scale_factor"]


LOGIC_DEPTH = 16
"""A memory of biases of so many words is made of logic cells."""


def scale_factor() -> data.StructLayout:
    """Return the shape of one channel's multiplier: ``scale * 2**-shift``."""
    return data.StructLayout({"scale": SCALE_BITS, "shift": SHIFT_BITS})


class ScaleMemory(wiring.Component):
    """Keep the constants of output channels: written by LOAD, read by the vector unit.

    With ``vector.rows`` the vector unit writes single channels, too. What it writes has two
    registers on its way and LOAD's word has one, so that a register tells LOAD to wait.

    Factors and biases are read at two addresses, since a pipeline wants its bias some cycles
    after its factor: delaying an address is cheaper than delaying a word. With
    ``memory.bias_words``, words without a bias of their own share the last one, which nothing
    writes and which is 0 from the beginning. ::

                    ┌──► factors ──► register ──► factors
        write ──────┤
        entries ────┘
                    └──► biases ───► register ──► biases

    =========== =============================================================
    Latency     2 cycles from address to data; 1 with short pipelines, which do
                without the registers; 1 more with ``output_register``
                Written words may be read in the next cycle; with
                ``vector.rows`` 2 cycles after ``write`` was taken, 3 after
                ``entries``
    Throughput  one write and one read per cycle; reading a word in the cycle
                that writes it gives anything
    Stall       ``write`` waits in the cycle after ``entries``
    =========== =============================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.scale_words``, ``memory.bias_words`` and ``vector.lanes``.
    output_register : bool
        Give words a cycle on their way from the blocks to the lanes, which are far apart.

    Members
    -------
    write : In(scale_stream(config))
        Words to keep; ``ready`` is a register.
    entries : In(stream of entry_write, always ready)
        Single channels to keep; only with ``vector.rows``.
    factor_address, bias_address : In(range(memory.scale_words))
        Words to read; there is no enable.
    factors : Out(lanes of scale_factor)
        Multiplier and shift of the word that ``factor_address`` named then.
    biases : Out(lanes of 32 bits)
        The same for ``bias_address``.
    """

    write: stream.Interface
    entries: stream.Interface
    factor_address: Signal
    bias_address: Signal
    factors: data.View
    biases: data.View

    def __init__(self, config: Config, *, output_register: bool = False) -> None:
        self.config = config
        self.output_register = output_register
        address, lanes = range(config.memory.scale_words), config.vector.lanes
        rows = config.vector.rows
        entries = stream.Signature(entry_write(config), always_ready=True)
        super().__init__({
            "write": In(scale_stream(config)),
            **({"entries": In(entries)} if rows else {}),
            "factor_address": In(address),
            "bias_address": In(address),
            "factors": Out(data.ArrayLayout(scale_factor(), lanes)),
            "biases": Out(data.ArrayLayout(signed(FIXED_BITS), lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        depths = self.config.memory
        written, enable = self._written(m)
        factors = self._store(m, "factor_memory", depths.scale_words, written, ("scale", "shift"))
        m.d.comb += [
            factors.write_lanes.eq(enable),
            factors.read_address.eq(self.factor_address),
            self.factors.as_value().eq(self._shown(m, "factor", factors.read_data)),
        ]
        depth, place = depths.bias_words or depths.scale_words, self.bias_address
        biases = self._store(m, "bias_memory", depth, written, ("bias",))
        m.d.comb += [
            biases.write_lanes.eq(enable),
            biases.read_address.eq(place),
            self.biases.as_value().eq(self._shown(m, "bias", biases.read_data)),
        ]
        if depths.bias_words:
            # All words that have no bias take the last one, which nothing writes.
            low, high = place[: exact_log2(depth)], place[exact_log2(depth) :]
            m.d.comb += biases.read_address.eq(low | high.any().replicate(len(low)))
            with m.If(written.address >= depths.biased_words):
                m.d.comb += biases.write_lanes.eq(0)
        return m

    def _shown(self, m: Module, name: str, word: Value) -> Value:
        """Return ``word``, or a register behind it, which stands close to whoever reads."""
        if not self.output_register:
            return word
        shown = Signal(len(word), name=f"shown_{name}", reset_less=True)
        m.d.sync += shown.eq(word)
        return shown

    def _store(
        self, m: Module, name: str, depth: int, written: Any, fields: tuple[str, ...]
    ) -> Bank | DeepBank:
        """Add a memory for some fields of each lane's entry; return it."""
        lanes = self.config.vector.lanes
        values = Cat(written.data[lane][field] for lane in range(lanes) for field in fields)
        parts = lanes if self.config.vector.rows else 1  # that are written alone
        few = depth <= LOGIC_DEPTH and depth < self.config.memory.scale_words
        kind = Bank if self.config.short_pipelines else DeepBank
        store = kind(len(values), depth, parts, style="distributed" if few else "block")
        m.submodules[name] = store
        m.d.comb += [store.write_address.eq(written.address), store.write_data.eq(values)]
        return store

    def _written(self, m: Module) -> tuple[Any, Value]:
        """Return the word that is written, and whether: with ``vector.rows``, for each lane."""
        if not self.config.vector.rows:
            return self.write.payload, self.write.valid
        entry: Any = Signal(self.entries.payload.shape(), reset_less=True)
        comes = Signal()
        m.d.sync += [entry.eq(self.entries.payload), comes.eq(self.entries.valid)]
        m.d.comb += self.write.ready.eq(~comes)

        written: Any = Signal(self.write.payload.shape(), reset_less=True)
        enable = Signal(self.config.vector.lanes)
        taken = self.write.valid & self.write.ready
        m.d.sync += [written.eq(self.write.payload), enable.eq(taken.replicate(len(enable)))]
        with m.If(comes):
            m.d.sync += [written.address.eq(entry.address), enable.eq(1 << entry.lane)]
            m.d.sync += [constants.eq(entry.entry) for constants in written.data]
        return written, enable
