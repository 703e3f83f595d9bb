"""Signatures of Wishbone B4 as the core has it: a master to memory, a slave in front of registers.

Interfaces are seen from the master. Addresses count words of the port, as the standard has it: the
bits below the smallest part that can be selected are left out.
"""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import Config

__all__ = ["CycleType", "Wishbone", "WishboneRegisters"]

REGISTER_ADDRESS_BITS = 10
"""Of 4096 bytes in words of 32 bits."""


class CycleType:
    """Values of CTI that the core gives."""

    CLASSIC = 0b000
    INCREMENTING = 0b010
    END_OF_BURST = 0b111


class Wishbone(wiring.Signature):
    """The pipelined master with registered-feedback tags, as wide as ``bus.data_bytes``.

    A slave that is not pipelined has no ``stall``; then ``stall`` is ``cyc & ~(ack | err)``, and
    ``cti`` and ``bte`` make the same strobes an incrementing burst with registered feedback.
    """

    def __init__(self, config: Config) -> None:
        byte_bits = (config.bus.data_bytes - 1).bit_length()
        super().__init__({
            "cyc": Out(1),
            "stb": Out(1),
            "we": Out(1),
            "adr": Out(config.bus.address_bits - byte_bits),
            "sel": Out(config.bus.data_bytes),
            "dat_w": Out(config.bus.data_bytes * 8),
            "cti": Out(3),
            "bte": Out(2),
            "stall": In(1),
            "ack": In(1),
            "err": In(1),
            "dat_r": In(config.bus.data_bytes * 8),
        })


class WishboneRegisters(wiring.Signature):
    """The classic slave of 32 bits."""

    def __init__(self) -> None:
        super().__init__({
            "cyc": Out(1),
            "stb": Out(1),
            "we": Out(1),
            "adr": Out(REGISTER_ADDRESS_BITS),
            "sel": Out(4),
            "dat_w": Out(32),
            "ack": In(1),
            "err": In(1),
            "dat_r": In(32),
        })
