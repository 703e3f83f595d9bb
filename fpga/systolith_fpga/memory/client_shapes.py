"""What travels between the memory and its clients, in the clients' clock."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.config import Config
from systolith_hw.interfaces import request

__all__ = ["ReadClient", "order", "returned"]


def returned(config: Config) -> data.StructLayout:
    """Return a beat read: ``error`` where there is no memory; ``last`` ends the burst."""
    return data.StructLayout({"data": 8 * config.bus.data_bytes, "error": 1, "last": 1})


def order(readers: int) -> data.StructLayout:
    """Return what is known of a burst under way: whose it is, its beats less one, and whether
    there is no memory."""
    return data.StructLayout({"reader": range(max(readers, 2)), "last": 8, "error": 1})


class ReadClient(wiring.Signature):
    """A :class:`~systolith_hw.interfaces.ReadPort` whose beats say which is a burst's last.

    Members
    -------
    request : Out(stream of :func:`~systolith_hw.interfaces.request`)
        A burst inside one 4096-byte page.
    data : In(stream of :func:`returned`)
        Its beats, in the order of the requests.
    """

    def __init__(self, config: Config) -> None:
        super().__init__({
            "request": Out(stream.Signature(request(config))),
            "data": In(stream.Signature(returned(config))),
        })
