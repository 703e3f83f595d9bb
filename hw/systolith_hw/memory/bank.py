"""One memory with a reading and a writing side, and write enables per lane."""

from typing import Any, Literal

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Bank", "bank_ports"]

SPRAM_BITS = 16
SPRAM_DEPTH = 16384
SPRAM_NIBBLE = 4
BLOCK_DEPTH = 4096
"""Above this depth an iCE40 SPRAM is worth more than the block RAM it replaces."""


def bank_ports(width: int, depth: int, lanes: int) -> dict[str, Any]:
    """Return the members of :class:`Bank`, which all kinds of banks have."""
    return {
        "read_address": In(range(depth)),
        "read_data": Out(width),
        "write_address": In(range(depth)),
        "write_lanes": In(lanes),
        "write_data": In(width),
    }


class Bank(wiring.Component):
    """Hold ``depth`` words; read one and write any lanes of one in each cycle.

    =========== ==========================================================
    Latency     1 cycle from ``read_address`` to ``read_data``; a word
                written in cycle t may be read from cycle t + 1
    Throughput  a read and a write per cycle; with ``single_port`` one of
                the two (``read_data`` is undefined after a write)
    Undefined   ``read_data`` for an address written in the same cycle
    =========== ==========================================================

    Built for ``target`` "ice40", a bank with ``single_port``, 16 bits wide and more than 4096
    words deep is an SB_SPRAM256KA; every other one is a portable memory that synthesis maps.

    Parameters
    ----------
    width : int
        Bits of a word, a multiple of ``lanes``.
    depth : int
        Words, at least 2; need not be a power of two.
    lanes : int
        Equal parts of a word that are written independently.
    style : "block", "distributed" or None
        Memory to build it from; None leaves the choice to synthesis.
    single_port : bool
        The user never reads and writes in one cycle.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    read_address : In(range(depth))
        Word to read.
    read_data : Out(width)
        The word at the ``read_address`` of the cycle before.
    write_address : In(range(depth))
        Word to write.
    write_lanes : In(lanes)
        One bit for each lane that is written.
    write_data : In(width)
        What is written.
    """

    read_address: Signal
    read_data: Signal
    write_address: Signal
    write_lanes: Signal
    write_data: Signal

    def __init__(
        self,
        width: int,
        depth: int,
        lanes: int = 1,
        *,
        style: Literal["block", "distributed"] | None = None,
        single_port: bool = False,
        target: str = "generic",
    ) -> None:
        if width % lanes:
            raise ValueError(f"width must be a multiple of lanes {lanes}, not {width}")
        self.width = width
        self.depth = depth
        self.lanes = lanes
        self.style = style
        self.single_port = single_port
        self.target = target
        super().__init__(bank_ports(width, depth, lanes))

    @property
    def uses_spram(self) -> bool:
        """Whether the bank is an SB_SPRAM256KA."""
        return (
            self.target == "ice40"
            and self.single_port
            and self.width == SPRAM_BITS
            and BLOCK_DEPTH < self.depth <= SPRAM_DEPTH
            and self.width // self.lanes % SPRAM_NIBBLE == 0
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.uses_spram:
            self._elaborate_spram(m)
        else:
            self._elaborate_memory(m)
        return m

    def _elaborate_memory(self, m: Module) -> None:
        """Add the portable memory."""
        # Users never depend on the old or the new word when an address is read and written in
        # one cycle; saying so keeps synthesis from adding bypass logic behind the block RAM.
        attrs: Any = {"no_rw_check": 1}
        if self.style is not None:
            attrs["ram_style"] = self.style
        store: Any = memory.Memory(
            shape=unsigned(self.width), depth=self.depth, init=[], attrs=attrs
        )
        m.submodules.memory = store
        write = store.write_port(granularity=self.width // self.lanes)
        read = store.read_port()
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
            write.en.eq(self.write_lanes),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]

    def _elaborate_spram(self, m: Module) -> None:
        """Add the iCE40's 256 kbit single-port memory; its mask has a bit for each nibble."""
        write = self.write_lanes.any()
        nibbles = self.width // self.lanes // SPRAM_NIBBLE
        m.submodules.spram = Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal(),
            i_ADDRESS=Mux(write, self.write_address, self.read_address),
            i_DATAIN=self.write_data,
            i_MASKWREN=Cat(lane.replicate(nibbles) for lane in self.write_lanes),
            i_WREN=write,
            i_CHIPSELECT=C(1),
            i_STANDBY=C(0),
            i_SLEEP=C(0),
            i_POWEROFF=C(1),  # active low
            o_DATAOUT=self.read_data,
        )
