"""The ports of what answers the host's frames."""

from typing import Any

from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from systolith_hw.bus.register_port import RegisterPort
from systolith_hw.config import Config
from systolith_hw.interfaces import ReadPort, WritePort

__all__ = ["endpoint_ports"]


def endpoint_ports(config: Config) -> dict[str, Any]:
    """Return the members of :class:`.endpoint.LinkEndpoint`, which all kinds of endpoints have."""
    return {
        "i": In(stream.Signature(8)), "o": Out(stream.Signature(8)),
        "load": Out(ReadPort(config)), "store": Out(WritePort(config)),
        "registers": Out(RegisterPort()), "irq": In(1),
    }  # fmt: skip
