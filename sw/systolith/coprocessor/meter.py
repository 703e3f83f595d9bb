"""What a token takes of a core and of the line to it."""

from dataclasses import dataclass

import numpy as np

from systolith_sim.device.device import Device

from ..link.exchange import BITS, Traffic
from ..link.serial_device import SerialDevice
from .product_core import ProductCore

__all__ = ["Meter", "Use"]


@dataclass(frozen=True, kw_only=True)
class Use:
    """Of one token, the mean of all.

    Parameters
    ----------
    core_cycles : float or None
    runs : float
        Programs that the core ran.
    bytes_sent, bytes_received, waits : float or None
        Over the line, all frames with all that is in them; and how often an answer was waited for.
    """

    core_cycles: float | None
    runs: float
    bytes_sent: float | None = None
    bytes_received: float | None = None
    waits: float | None = None


class Meter:
    """Looks at a device before and behind each token.

    Parameters
    ----------
    device : Device
    core : ProductCore
        Which has its weights.

    Attributes
    ----------
    baud : int or None
        Of the line, if there is one.
    load_bytes : int or None
        That went over it until now.
    """

    def __init__(self, device: Device, core: ProductCore) -> None:
        self._core = core
        self._line = device if isinstance(device, SerialDevice) else None
        self._looks: list[list[int]] = []
        self.baud = self._line.baud if self._line else None
        traffic = self._traffic()
        self.load_bytes = traffic.sent + traffic.received if self._line else None

    def look(self) -> None:
        """Begin with a token, or end with it."""
        self._looks.append([self._core.cycles, self._core.runs, *self._traffic()])

    def per_token(self, *, timeless: bool = False) -> Use | None:
        """Return the mean of all tokens, if there were any; without cycles if it is
        ``timeless``."""
        if not self._looks:
            return None
        looks = np.array(self._looks)
        cycles, runs, *traffic = map(float, (looks[1::2] - looks[::2]).mean(0))
        sent, received, waits = traffic if self._line else (None, None, None)
        return Use(
            core_cycles=None if timeless else cycles, runs=runs, bytes_sent=sent,
            bytes_received=received, waits=waits,
        )  # fmt: skip

    def estimate(self, clock_mhz: float) -> float | None:
        """Return tokens per second, if the line with its bytes one after another, and the core at
        a clock, were all that takes time; None without a line."""
        use = self.per_token()
        if not (use and self.baud and use.core_cycles):
            return None
        assert use.bytes_sent is not None and use.bytes_received is not None
        seconds = (use.bytes_sent + use.bytes_received) * BITS / self.baud
        return 1 / (seconds + use.core_cycles / (clock_mhz * 1e6))

    def _traffic(self) -> Traffic:
        return self._line.traffic if self._line else Traffic(0, 0, 0)
