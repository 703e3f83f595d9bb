"""A writing client's place in memory's queue: it asks when all of its data are there."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from systolith_hw.config import Config
from systolith_hw.interfaces import WritePort, request
from systolith_hw.stream.fifo import Fifo

from .sdram_shapes import written

__all__ = ["WriteGather"]

REQUESTS = 1
"""Requests of a client that wait for their data; their register costs less than any memory."""


class WriteGather(wiring.Component):
    """Hold a burst back until its last beat has come.

    A client that gives no data holds up nobody but itself.

    =========== ==========================================================
    Latency     2 cycles from the last beat of a burst to ``asked``
    Throughput  1 beat per cycle
    Stall       ``client.data.ready`` is zero while ``depth`` beats wait
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Its bus.
    depth : int
        Beats that fit; at least the client's longest burst.

    Members
    -------
    client : In(WritePort)
        The client.
    asked : Out(stream of :func:`~systolith_hw.interfaces.request`)
        Its requests, each when ``beats`` has all of its data.
    beats : Out(stream of :func:`~.sdram_shapes.written`)
        Those data.
    answered, error : In(1)
        The burst asked for last is in memory's order, or there is no memory.
    """

    client: Any
    asked: stream.Interface
    beats: stream.Interface
    answered: Signal
    error: Signal

    def __init__(self, config: Config, depth: int) -> None:
        self.config = config
        self.depth = depth
        super().__init__({
            "client": In(WritePort(config)),
            "asked": Out(stream.Signature(request(config))),
            "beats": Out(stream.Signature(written(config.bus.data_bytes))),
            "answered": In(1),
            "error": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config, client = self.config, self.client
        shape = written(config.bus.data_bytes)
        m.submodules.requests = requests = Fifo(request(config), REQUESTS)
        m.submodules.queue = queue = Fifo(shape, self.depth, style="block", output_register=True)
        whole = Signal(range(self.depth + REQUESTS + 1))  # bursts whose data are all there
        ends = client.data.valid & client.data.ready & client.data.p.last
        goes = self.asked.valid & self.asked.ready
        connect(m, flipped(client.request), requests.i)
        connect(m, queue.o, flipped(self.beats))
        m.d.comb += [
            queue.i.valid.eq(client.data.valid),
            queue.i.p.data.eq(client.data.p.data),
            queue.i.p.strobe.eq(client.data.p.strobe),
            client.data.ready.eq(queue.i.ready),
            self.asked.valid.eq(requests.o.valid & (whole != 0)),
            self.asked.payload.eq(requests.o.payload),
            requests.o.ready.eq(self.asked.ready & (whole != 0)),
            client.response.valid.eq(self.answered),
            client.response.payload.eq(self.error),
        ]
        m.d.sync += whole.eq(whole + ends - goes)
        return m
