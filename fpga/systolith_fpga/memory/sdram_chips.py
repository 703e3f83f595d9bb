"""SDRAM chips: what their datasheets say, and that in cycles of a clock.

No Amaranth here: the controller and the model of the chip read the same record.
"""

import math
from dataclasses import dataclass

from systolith_hw.config import ConfigError

__all__ = ["SDRAM_CHIPS", "SdramChip", "SdramTiming", "sdram_chip"]

POSTPONED = 8
"""Refreshes that may be due before one is forced: JEDEC allows this many to be postponed."""

INITIAL_REFRESHES = 8
"""Refreshes after power-up; datasheets ask for 2 or 8, and 8 is right for all."""

ROUND_TRIP_NS = (2.5, 4.5)
"""From the FPGA's clock to a changed pin, and from a pin to the input flop, together: least and
most. An estimate for an ECP5 with flops at its pins; not measured, since no board is here."""


@dataclass(frozen=True, kw_only=True)
class SdramChip:
    """A 16-bit SDR SDRAM. Times are in nanoseconds, and the least unless said otherwise.

    Parameters
    ----------
    name : str
        Part and speed grade.
    source : str
        Where the numbers are from.
    row_bits, column_bits, bank_bits : int
        Geometry.
    cas : int
        CAS latency in cycles.
    max_mhz : float
        Fastest clock at that latency.
    rcd, rp, ras, rc, rfc, rrd, wr, mrd : float
        ACTIVATE to READ or WRITE; PRECHARGE to ACTIVATE; ACTIVATE to PRECHARGE; ACTIVATE to
        ACTIVATE of a bank; REFRESH to any; ACTIVATE to ACTIVATE of another bank; last data of a
        WRITE to PRECHARGE; mode register to any.
    ras_max : float
        Longest time that a row stays open.
    access, hold, release : float
        tAC, the latest that data come after the clock; tOH, for which they stay after the next
        one; tHZ, the latest that the chip lets go of the pins.
    power_up_us : float
        Wait before the first command, in microseconds.
    retention_ms : float
        Time in which every row has to be refreshed, in milliseconds.
    """

    name: str
    source: str
    row_bits: int
    column_bits: int
    bank_bits: int = 2
    data_bytes: int = 2
    cas: int = 3
    max_mhz: float
    rcd: float
    rp: float
    ras: float
    rc: float
    rfc: float
    rrd: float
    wr: float
    mrd: float
    ras_max: float
    access: float
    hold: float
    release: float
    power_up_us: float = 200.0
    retention_ms: float = 64.0

    @property
    def address_bits(self) -> int:
        """Bits of a byte address."""
        return self.row_bits + self.bank_bits + self.column_bits + 1

    @property
    def bytes(self) -> int:
        """Size."""
        return 1 << self.address_bits

    @property
    def refresh_ns(self) -> float:
        """Time in which one refresh becomes due."""
        return self.retention_ms * 1e6 / (1 << self.row_bits)


_CHIPS = (
    # ULX3S with 32 MB. Times: ISSI's IS42S16160G datasheet (rev. G), "AC electrical
    # characteristics", column -7, as quoted in dicethrow/amaram and in SpinalHDL's record of its
    # sister IS42x320D; tOH is 2.7 there and 2.5 in the other sheets: the smaller one here.
    SdramChip(
        name="IS42S16160G-7", source="ISSI IS42S16160G datasheet, AC electrical characteristics",
        row_bits=13, column_bits=9, max_mhz=143.0, rcd=15, rp=15, ras=37, rc=60, rfc=60, rrd=14,
        wr=14, mrd=14, ras_max=100_000, access=5.4, hold=2.5, release=5.4,
    ),
    # ULX3S with 64 MB.
    SdramChip(
        name="AS4C32M16SB-7", source="Alliance AS4C32M16SB datasheet, table 16",
        row_bits=13, column_bits=10, max_mhz=143.0, rcd=21, rp=21, ras=42, rc=63, rfc=63, rrd=14,
        wr=14, mrd=14, ras_max=120_000, access=5.4, hold=2.5, release=5.4,
    ),
    # Icepi Zero and many modules.
    SdramChip(
        name="AS4C16M16SA-7", source="Alliance AS4C16M16SA datasheet rev. 3.0, table 16",
        row_bits=13, column_bits=9, max_mhz=143.0, rcd=21, rp=21, ras=42, rc=63, rfc=63, rrd=14,
        wr=14, mrd=14, ras_max=120_000, access=5.4, hold=2.5, release=5.4,
    ),
)  # fmt: skip

SDRAM_CHIPS = {chip.name: chip for chip in _CHIPS}
"""Known chips by name."""


def sdram_chip(name: str) -> SdramChip:
    """Return the chip ``name``; raise :class:`ConfigError` with the known names otherwise."""
    if name not in SDRAM_CHIPS:
        raise ConfigError(f"there is no SDRAM chip {name}; known are {', '.join(SDRAM_CHIPS)}")
    return SDRAM_CHIPS[name]


@dataclass(frozen=True)
class SdramTiming:
    """A chip at a clock: everything in cycles, rounded to the safe side.

    Parameters
    ----------
    chip : SdramChip
        The chip.
    hz : float
        Its clock.
    round_trip_ns : tuple of float
        Least and most of the way from the controller's clock to the chip and back to its input
        flop, without the chip.
    power_up_us : float
        Wait before the first command; None for the chip's own. Tests make it short.

    Raises
    ------
    ConfigError
        The clock is beyond the chip, too slow for its refresh, or none of its edges finds the
        chip's data for all of ``round_trip_ns``.
    """

    chip: SdramChip
    hz: float
    round_trip_ns: tuple[float, float] = ROUND_TRIP_NS
    power_up_us: float | None = None

    def __post_init__(self) -> None:
        """Refuse what the chip does not do."""
        mhz = self.hz / 1e6
        if not 0 < mhz <= self.chip.max_mhz:
            raise ConfigError(
                f"sdram_hz {self.hz:.0f} is {mhz:.1f} MHz, but {self.chip.name} runs with up to "
                f"{self.chip.max_mhz:g} MHz"
            )
        if self.refresh_interval < 4 * (self.rfc + self.rp):
            raise ConfigError(
                f"at {mhz:.1f} MHz refresh would take more than a quarter of {self.chip.name}'s "
                "time; a faster clock would do"
            )
        _ = self.capture

    @property
    def period_ns(self) -> float:
        """Length of a cycle."""
        return 1e9 / self.hz

    def cycles(self, nanoseconds: float) -> int:
        """Return the least number of cycles that last ``nanoseconds``."""
        return math.ceil(nanoseconds / self.period_ns - 1e-9)

    @property
    def cas(self) -> int:
        """CAS latency."""
        return self.chip.cas

    @property
    def rcd(self) -> int:
        """ACTIVATE to READ or WRITE."""
        return self.cycles(self.chip.rcd)

    @property
    def rp(self) -> int:
        """PRECHARGE to ACTIVATE or REFRESH."""
        return self.cycles(self.chip.rp)

    @property
    def ras(self) -> int:
        """ACTIVATE to PRECHARGE; keeps tRC too, together with ``rp``."""
        return max(self.cycles(self.chip.ras), self.cycles(self.chip.rc) - self.rp)

    @property
    def rfc(self) -> int:
        """REFRESH to any command."""
        return self.cycles(self.chip.rfc)

    @property
    def rrd(self) -> int:
        """ACTIVATE to ACTIVATE of another bank."""
        return self.cycles(self.chip.rrd)

    @property
    def wr(self) -> int:
        """WRITE to PRECHARGE."""
        return self.cycles(self.chip.wr)

    @property
    def mrd(self) -> int:
        """Mode register to any command."""
        return max(2, self.cycles(self.chip.mrd))

    @property
    def refresh_interval(self) -> int:
        """Cycles in which one refresh becomes due."""
        return math.floor(self.chip.refresh_ns / self.period_ns)

    @property
    def power_up(self) -> int:
        """Cycles before the first command."""
        wait = self.chip.power_up_us if self.power_up_us is None else self.power_up_us
        return self.cycles(wait * 1e3)

    @property
    def capture(self) -> int:
        """Cycles from the pins of a READ to the input flop that has its data.

        The chip's clock is inverted: it sees a READ half a cycle after the pins changed, and its
        data can be taken from ``cas - 1`` cycles and tAC after that until tOH after ``cas``.
        """
        least, most = self.round_trip_ns
        opens = (self.cas - 0.5) * self.period_ns + self.chip.access + most
        closes = (self.cas + 0.5) * self.period_ns + self.chip.hold + least
        edge = self.cycles(opens)
        if edge * self.period_ns > closes:
            raise ConfigError(
                f"at {self.hz / 1e6:.1f} MHz no clock edge finds the data of {self.chip.name}: "
                f"with a round trip of {least:g} to {most:g} ns they are there from {opens:.1f} "
                f"to {closes:.1f} ns, and edges are {self.period_ns:.2f} ns apart; another clock "
                "would do"
            )
        return edge
