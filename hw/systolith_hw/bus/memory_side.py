"""What every bus has between the core and memory."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import ReadPort, WritePort

__all__ = ["MemorySide"]


class MemorySide(wiring.Component):
    """The core's memory ports on one side, a bus on the other; each bus has its own.

    Parameters
    ----------
    config : Config
    bus : wiring.Signature
        Seen from the core.

    Members
    -------
    fetch, load : In(ReadPort)
        Program fetch and LOAD.
    store : In(WritePort)
        STORE.
    bus : Out(bus)
        To memory.
    idle : Out(1)
        Nothing asked for or under way.
    """

    fetch: Any
    load: Any
    store: Any
    bus: Any
    idle: Signal

    def __init__(self, config: Config, bus: wiring.Signature) -> None:
        self.config = config
        super().__init__({
            "fetch": In(ReadPort(config)),
            "load": In(ReadPort(config)),
            "store": In(WritePort(config)),
            "bus": Out(bus),
            "idle": Out(1),
        })
