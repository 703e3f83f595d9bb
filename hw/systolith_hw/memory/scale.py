"""Scale memory: multiplier, shift and bias of output channels, ``lanes`` of them in a word."""

from typing import Any, NamedTuple

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import FIXED_BITS, SCALE_BITS, SHIFT_BITS, Config
from ..interfaces import entry_write, scale_stream
from .bank import Bank
from .deep_bank import DeepBank
from .register_copy import COPY
from .scale_register import ScaleRegister, scale_groups

__all__ = ["ScaleMemory", "scale_factor"]


LOGIC_DEPTH = 16
"""A memory of biases of so many words is made of logic cells."""


def scale_factor() -> data.StructLayout:
    """Return the shape of one channel's multiplier: ``scale * 2**-shift``."""
    return data.StructLayout({"scale": SCALE_BITS, "shift": SHIFT_BITS})


class ScaleMemory(wiring.Component):
    """Keep the constants of output channels: written by LOAD, read by the vector unit.

    LOAD writes a word part by part, and so needs no register for a whole one. With ``vector.rows``
    the vector unit writes single channels, too. What it writes has two registers on its way and
    LOAD's part has one, so that a register tells LOAD to wait; of the last one there are several,
    each close to some lanes.

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
        Parts of words to keep; ``ready`` is a register.
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
        place: Value = self.bias_address
        depth = depths.bias_words or depths.scale_words
        if depths.bias_words:
            # All words that have no bias take the last one, which nothing writes.
            low, high = place[: exact_log2(depth)], place[exact_log2(depth) :]
            place = low | high.any().replicate(len(low))
        factors, biases = [], []
        for number, written in enumerate(self._written(m)):
            factor = self._store(
                m, f"factor_memory_{number}", depths.scale_words, written, ("scale", "shift")
            )
            bias = self._store(m, f"bias_memory_{number}", depth, written, ("bias",))
            m.d.comb += [
                factor.write_lanes.eq(written.enable),
                factor.read_address.eq(self.factor_address),
                bias.write_lanes.eq(written.enable),
                bias.read_address.eq(place),
            ]
            if depths.bias_words:
                with m.If(written.address >= depths.biased_words):
                    m.d.comb += bias.write_lanes.eq(0)
            factors.append(factor.read_data)
            biases.append(bias.read_data)
        m.d.comb += [
            self.factors.as_value().eq(self._shown(m, "factor", Cat(factors))),
            self.biases.as_value().eq(self._shown(m, "bias", Cat(biases))),
        ]
        return m

    def _shown(self, m: Module, name: str, word: Value) -> Value:
        """Return ``word``, or a register behind it, which stands close to whoever reads."""
        if not self.output_register:
            return word
        shown = Signal(len(word), name=f"shown_{name}", reset_less=True)
        m.d.sync += shown.eq(word)
        return shown

    def _store(
        self, m: Module, name: str, depth: int, written: "_Written", fields: tuple[str, ...]
    ) -> Bank | DeepBank:
        """Add a memory for some fields of the entries of some lanes; return it."""
        values = Cat(entry[field] for entry in written.entries for field in fields)
        few = depth <= LOGIC_DEPTH and depth < self.config.memory.scale_words
        kind = Bank if self.config.short_pipelines else DeepBank
        parts = len(written.enable)  # that are written alone
        store = kind(len(values), depth, parts, style="distributed" if few else "block")
        m.submodules[name] = store
        m.d.comb += [store.write_address.eq(written.address), store.write_data.eq(values)]
        return store

    def _written(self, m: Module) -> list["_Written"]:
        """Return what is written to each group of lanes: with ``vector.rows``, from a register of
        its own."""
        config, write = self.config, self.write.payload
        lanes, at_once = config.vector.lanes, config.scale_write_lanes
        if not config.vector.rows:
            enable = Cat(self.write.valid & (write.part == part)
                         for part in range(lanes // at_once))  # fmt: skip
            entries = [write.data[lane % at_once] for lane in range(lanes)]
            return [_Written(write.address, entries, enable)]
        entry: Any = Signal(self.entries.payload.shape(), reset_less=True)
        comes = Signal()
        m.d.sync += [entry.eq(self.entries.payload), comes.eq(self.entries.valid)]
        m.d.comb += self.write.ready.eq(~comes)

        written = []
        for number, group in enumerate(scale_groups(config)):
            register = ScaleRegister(config, group)
            m.submodules[f"{COPY}_{number}"] = register
            m.d.comb += [
                register.write.eq(write),
                register.taken.eq(self.write.valid & self.write.ready),
                register.entry.eq(entry),
                register.comes.eq(comes),
            ]
            entries = [register.constants[lane % at_once] for lane in group]
            written.append(_Written(register.address, entries, register.enable))
        return written


class _Written(NamedTuple):
    """What is written to some lanes."""

    address: Value
    entries: list[Any]
    enable: Value
