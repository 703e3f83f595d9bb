"""The buses that a core can have, outside of its configuration: programs do not know of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.lib import wiring
from amaranth.lib.wiring import Member

from ..config import Config, ConfigError
from .axi import Axi4, AxiLite
from .axi_lite import AxiLiteSlave
from .axi_memory import AxiMemory
from .native import Native, NativeMemory, NativeRegisters
from .register_port import RegisterPort
from .wishbone import Wishbone, WishboneRegisters
from .wishbone_master import WishboneMaster
from .wishbone_slave import WishboneSlave

__all__ = ["BUSES", "Bus", "bus_kind"]


@dataclass(frozen=True, kw_only=True)
class Bus:
    """What stands between the core and its ports.

    Parameters
    ----------
    memory : callable
        Makes the component with ``fetch``, ``load``, ``store``, ``idle`` and ``bus``, from a
        config; ``memory_bus`` makes the signature of its ``bus``, whose members are ports.
    registers : callable
        Makes the component with ``port`` and ``bus``; ``register_bus`` the signature, seen from the
        host.
    memory_prefix, register_prefix : str
        What the names of these ports begin with.
    """

    memory: Callable[[Config], Any]
    memory_bus: Callable[[Config], wiring.Signature]
    memory_prefix: str
    registers: Callable[[], Any]
    register_bus: Callable[[], wiring.Signature]
    register_prefix: str

    def ports(self, config: Config) -> dict[str, Member]:
        """Return the flat ports of the top."""
        sides = (
            (self.memory_prefix, self.memory_bus(config)),
            (self.register_prefix, self.register_bus().flip()),
        )
        return {
            f"{prefix}{name}": member
            for prefix, signature in sides
            for name, member in signature.members.items()
        }


BUSES = {
    "axi4": Bus(
        memory=AxiMemory, memory_bus=Axi4, memory_prefix="m_axi_",
        registers=AxiLiteSlave, register_bus=AxiLite, register_prefix="s_axil_",
    ),
    "wishbone": Bus(
        memory=WishboneMaster, memory_bus=Wishbone, memory_prefix="m_wb_",
        registers=WishboneSlave, register_bus=WishboneRegisters, register_prefix="s_wb_",
    ),
    "native": Bus(
        memory=NativeMemory, memory_bus=Native, memory_prefix="",
        registers=NativeRegisters, register_bus=RegisterPort, register_prefix="register_",
    ),
}  # fmt: skip
"""By the names that ``--bus`` takes."""


def bus_kind(name: str) -> Bus:
    """Return a bus.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in BUSES:
        raise ConfigError(f"there is no bus {name}; known are {', '.join(BUSES)}")
    return BUSES[name]
