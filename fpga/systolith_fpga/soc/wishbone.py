"""The buses of a small system: Wishbone B4, classic around a CPU, pipelined around memory."""

from types import SimpleNamespace
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Pipelined", "Wishbone", "flat", "join"]


class Wishbone(wiring.Signature):
    """Single accesses, one at a time, seen from the master.

    ``cyc`` and ``stb`` stay until the slave has answered with ``ack`` or ``err`` for one cycle.

    Parameters
    ----------
    address_bits : int
        Of ``adr``, which counts words of the bus.
    data_bytes : int
        Of a word; ``sel`` has a bit for each.

    Members
    -------
    cyc, stb, we : Out(1)
    adr : Out(address_bits)
    sel : Out(data_bytes)
    dat_w : Out(8 * data_bytes)
    dat_r : In(8 * data_bytes)
    ack, err : In(1)
    """

    def __init__(self, address_bits: int, data_bytes: int) -> None:
        self.address_bits = address_bits
        self.data_bytes = data_bytes
        super().__init__({
            "cyc": Out(1),
            "stb": Out(1),
            "we": Out(1),
            "adr": Out(address_bits),
            "sel": Out(data_bytes),
            "dat_w": Out(8 * data_bytes),
            "dat_r": In(8 * data_bytes),
            "ack": In(1),
            "err": In(1),
        })


class Pipelined(wiring.Signature):
    """An access each cycle, seen from the master.

    An access is taken in each cycle of ``cyc`` and ``stb`` without ``stall``; each is answered with
    ``ack`` or ``err``, in order, in a later cycle.

    Parameters
    ----------
    address_bits : int
        Of ``adr``, which counts words of the bus.
    data_bytes : int
        Of a word; ``sel`` has a bit for each.
    """

    def __init__(self, address_bits: int, data_bytes: int) -> None:
        self.address_bits = address_bits
        self.data_bytes = data_bytes
        members = dict(Wishbone(address_bits, data_bytes).members)
        super().__init__({**members, "stall": In(1)})


def join(m: Module, master: Any, slave: Any) -> None:
    """Wire a master to a slave of its own.

    A slave of fewer addresses is there again and again; to one of more, only the first are known.
    """
    for name, member in master.signature.members.items():
        giver, taker = (master, slave) if member.flow is Out else (slave, master)
        m.d.comb += getattr(taker, name).eq(getattr(giver, name))


def flat(top: wiring.Component, prefix: str, signature: wiring.Signature) -> Any:
    """Return the flat ports ``prefix + name`` of a component as an interface."""
    ports = {name: getattr(top, prefix + name) for name in signature.members}
    return SimpleNamespace(signature=signature, **ports)
