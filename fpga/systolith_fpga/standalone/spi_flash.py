"""SPI flash memory chips, and the pins of one."""

import math
from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.config import ConfigError

__all__ = ["FLASH_16MB", "ROUND_TRIP_NS", "FlashPins", "SpiFlash", "half_period"]

ROUND_TRIP_NS = 10.0
"""From a register through the FPGA's clock pin, and of data through a pin to a register: an
estimate on the safe side, to be measured on a board."""

LONGEST_HALF = 64


@dataclass(frozen=True, kw_only=True)
class SpiFlash:
    """What of a chip's datasheet concerns Fast Read (0Bh) over one line.

    Parameters
    ----------
    name : str
    bytes : int
        At most 16 MiB, which addresses of 24 bits reach.
    max_hz : float
        Of its clock.
    valid_ns : float
        From a falling edge of the clock to data.
    select_ns : float
        From select to the first rising edge.
    deselect_ns : float
        Between two selects.
    """

    name: str
    bytes: int
    max_hz: float
    valid_ns: float
    select_ns: float
    deselect_ns: float


FLASH_16MB = SpiFlash(
    name="IS25LP128F or W25Q128JV", bytes=1 << 24, max_hz=104e6, valid_ns=8.0, select_ns=6.0,
    deselect_ns=50.0,
)  # fmt: skip
"""The chips of the ULX3S; of each number the slower one's."""


class FlashPins(wiring.Signature):
    """A chip's pins, seen from who reads it: mode 0, data in one line each way."""

    def __init__(self) -> None:
        super().__init__({
            "cs_n": Out(1, init=1),  # type: ignore[call-arg]
            "clk": Out(1), "copi": Out(1), "cipo": In(1),
        })  # fmt: skip


def half_period(flash: SpiFlash, hz: float) -> int:
    """Return cycles of ``hz`` for half a period of the flash's clock: as few as it allows.

    Raises
    ------
    ConfigError
        If none are right.
    """
    least = max(1 / flash.max_hz, (flash.valid_ns + ROUND_TRIP_NS) * 1e-9)
    half = math.ceil(max(least / 2, flash.select_ns * 1e-9) * hz * (1 - 1e-9))
    if not 1 <= half <= LONGEST_HALF:
        raise ConfigError(
            f"the clock must be at most {LONGEST_HALF * 2 / least / 1e6:.0f} MHz for {flash.name} "
            f"to be read, not {hz / 1e6:g}"
        )
    return half
