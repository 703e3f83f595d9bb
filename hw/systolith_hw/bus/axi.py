"""Signatures of AXI4 and AXI4-Lite with the names of the standard, and the flat ports of the top.

Interfaces are seen from the master. Amaranth would name the ports of a nested interface
``m_axi__araddr``; board tools and testbenches look for ``m_axi_araddr``. So the top puts the
flat ports of :class:`~systolith_hw.bus.kinds.Bus` in its signature, and wires them to the
interfaces of its parts with :func:`~systolith_hw.bus.attach.attach`.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from ..config import Config

__all__ = [
    "Axi4",
    "Axi4Read",
    "Axi4Write",
    "AxiLite",
    "Response",
    "drive_burst",
]

ID_BITS = 1
"""Width of a transaction's ID: the number of the client that asked."""

LITE_ADDRESS_BITS = 12

MODIFIABLE_BUFFERABLE = 0b0011
"""AxCACHE: ordinary memory that interconnects may buffer, and nobody caches."""


class Response:
    """Values of xRESP that the core gives; as a master it takes anything but OKAY as an error."""

    OKAY = 0b00
    SLVERR = 0b10


class Axi4Read(wiring.Signature):
    """The address-read and read-data channels."""

    def __init__(self, config: Config) -> None:
        super().__init__({
            **_address_channel("ar", config),
            "rid": In(ID_BITS),
            "rdata": In(config.bus.data_bytes * 8),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        })


class Axi4Write(wiring.Signature):
    """The address-write, write-data and write-response channels."""

    def __init__(self, config: Config) -> None:
        super().__init__({
            **_address_channel("aw", config),
            "wdata": Out(config.bus.data_bytes * 8),
            "wstrb": Out(config.bus.data_bytes),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(ID_BITS),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
        })


class Axi4(wiring.Signature):
    """All five channels."""

    def __init__(self, config: Config) -> None:
        super().__init__({
            **dict(Axi4Read(config).members.items()),
            **dict(Axi4Write(config).members.items()),
        })


class AxiLite(wiring.Signature):
    """All five channels of AXI4-Lite, 32 bits of data, 12 of address."""

    def __init__(self) -> None:
        super().__init__({
            "awaddr": Out(LITE_ADDRESS_BITS),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(LITE_ADDRESS_BITS),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        })


def drive_burst(m: Module, bus, channel: str, config: Config) -> None:
    """Drive what is the same for every burst on ``channel``, "ar" or "aw"."""
    m.d.comb += [
        getattr(bus, f"{channel}size").eq((config.bus.data_bytes - 1).bit_length()),
        getattr(bus, f"{channel}burst").eq(0b01),  # incrementing
        getattr(bus, f"{channel}cache").eq(MODIFIABLE_BUFFERABLE),
    ]


def _address_channel(name: str, config: Config) -> dict[str, Member]:
    """Return the members of the address channel ``name``, "ar" or "aw"."""
    return {
        f"{name}id": Out(ID_BITS),
        f"{name}addr": Out(config.bus.address_bits),
        f"{name}len": Out(8),
        f"{name}size": Out(3),
        f"{name}burst": Out(2),
        f"{name}lock": Out(1),
        f"{name}cache": Out(4),
        f"{name}prot": Out(3),
        f"{name}valid": Out(1),
        f"{name}ready": In(1),
    }
