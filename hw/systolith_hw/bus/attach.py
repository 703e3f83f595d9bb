"""Between interfaces and flat ports."""

from typing import Any

from amaranth import *
from amaranth.lib.wiring import Out

__all__ = ["attach"]


def attach(m: Module, outer: Any, prefix: str, bus: Any) -> None:
    """Wire the members ``prefix + name`` of ``outer`` to the interface ``bus`` of one of its parts,
    in the directions that ``bus`` has there."""
    for name, member in bus.signature.members.items():
        inner, port = getattr(bus, name), getattr(outer, prefix + name)
        m.d.comb += port.eq(inner) if member.flow is Out else inner.eq(port)
