"""From a serial line to the core and its memory, in few logic cells."""

from typing import Any

from systolith_hw.config import Config

from .compact.program import PAYLOAD_BYTES
from .compact_endpoint import CompactEndpoint
from .link_bridge import LinkBridge

__all__ = ["MIN_BYTE_CYCLES", "CompactBridge"]

MIN_BYTE_CYCLES = 180
"""Of a byte on the line: a written byte takes 160 of the endpoint's cycles, and a frame of 64 such
some 1,100 more, besides the 14 bytes of its reply."""


class CompactBridge(LinkBridge):
    """A :class:`LinkBridge` with a :class:`CompactEndpoint`.

    Parameters
    ----------
    config, memory_bytes, clock_hz, baud, board, gateware
        As of :class:`LinkBridge`. With less than :data:`MIN_BYTE_CYCLES` for a byte of the line,
        frames may be dropped for want of room, which costs the time to send them again.
    """

    def __init__(
        self, config: Config, *, memory_bytes: int, clock_hz: int, baud: int, board: str,
        gateware: str,
    ) -> None:  # fmt: skip
        super().__init__(
            config, memory_bytes=memory_bytes, clock_hz=clock_hz, baud=baud, board=board,
            gateware=gateware, payload_bytes=PAYLOAD_BYTES,
        )  # fmt: skip

    def _endpoint(self, config: Config, burst_bytes: int) -> Any:
        return CompactEndpoint(config, self.identity)
