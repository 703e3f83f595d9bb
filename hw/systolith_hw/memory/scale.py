"""Scale memory: multiplier, shift and bias of output channels, ``lanes`` of them in a word."""

from typing import Any

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, SCALE_BITS, SHIFT_BITS, Config
from ..interfaces import scale_write

__all__ = ["ScaleMemory", "scale_factor"]


def scale_factor() -> data.StructLayout:
    """Return the shape of one channel's multiplier: ``scale * 2**-shift``."""
    return data.StructLayout({"scale": SCALE_BITS, "shift": SHIFT_BITS})


class ScaleMemory(wiring.Component):
    """Keep the constants of output channels: written by LOAD, read by the vector unit.

    Factors and biases are read at two addresses, since a pipeline wants its bias some cycles
    after its factor: delaying an address is cheaper than delaying a word. ::

                    ┌──► factors ──► register ──► factors
        write ──────┤
                    └──► biases ───► register ──► biases

    =========== =============================================================
    Latency     2 cycles from address to data; 1 with short pipelines, which do
                without the registers
    Throughput  one write and one read per cycle; reading a word in the cycle
                that writes it gives anything
    =========== =============================================================

    Parameters
    ----------
    config : Config
        Uses ``memory.scale_words`` and ``vector.lanes``.

    Members
    -------
    write : In(stream of scale_write, always ready)
        Words to keep.
    factor_address, bias_address : In(range(memory.scale_words))
        Words to read; there is no enable.
    factors : Out(lanes of scale_factor)
        Multiplier and shift of the word that ``factor_address`` named then.
    biases : Out(lanes of 32 bits)
        The same for ``bias_address``.
    """

    write: stream.Interface
    factor_address: Signal
    bias_address: Signal
    factors: data.View
    biases: data.View

    def __init__(self, config: Config) -> None:
        self.config = config
        address, lanes = range(config.memory.scale_words), config.vector.lanes
        super().__init__({
            "write": In(stream.Signature(scale_write(config), always_ready=True)),
            "factor_address": In(address),
            "bias_address": In(address),
            "factors": Out(data.ArrayLayout(scale_factor(), lanes)),
            "biases": Out(data.ArrayLayout(signed(FIXED_BITS), lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        entries = [self.write.payload.data[lane] for lane in range(self.config.vector.lanes)]
        parts = {
            "factor_memory": (self.factors, self.factor_address, ("scale", "shift")),
            "bias_memory": (self.biases, self.bias_address, ("bias",)),
        }
        attrs: dict[str, Any] = {"no_rw_check": 1, "ram_style": "block"}
        for name, (output, address, fields) in parts.items():
            store: memory.Memory = memory.Memory(
                shape=output.shape(), depth=self.config.memory.scale_words, init=[], attrs=attrs
            )
            m.submodules[name] = store
            write, read = store.write_port(), store.read_port()
            m.d.comb += [
                write.en.eq(self.write.valid),
                write.addr.eq(self.write.payload.address),
                write.data.eq(Cat(entry[field] for entry in entries for field in fields)),
                read.addr.eq(address),
            ]
            if self.config.short_pipelines:
                m.d.comb += output.eq(read.data)
            else:
                # Block RAM is slow to show its output: nothing but this register follows it.
                m.d.sync += output.eq(read.data)
        return m
