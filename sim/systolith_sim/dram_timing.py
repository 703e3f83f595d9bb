"""How long external memory takes, as simulated devices and the cycle model have it."""

from dataclasses import dataclass

from systolith_hw.config import ConfigError

__all__ = ["DramTiming"]


@dataclass(frozen=True, kw_only=True)
class DramTiming:
    """Timing of external memory; the defaults are those of all published cycle counts.

    Parameters
    ----------
    port_bytes : int
        Bytes that memory moves per cycle, for reads and writes together; a power of two up to
        ``bus.data_bytes``, or 0 for just that.
    latency : int
        Cycles from the acceptance of a read to its first beat.
    row_beats, row_cycles : int
        Words of ``port_bytes`` in a row, and cycles to open one.
    refresh_period, refresh_cycles : int
        The last ``refresh_cycles`` of each period nothing moves. Period 0 is without refresh.
    banks : int
        Rows that are open at the same time; row n is in bank n mod ``banks``.
    queue : int
        Bursts that wait, for each direction.
    patience : int
        Cycles for which the port goes on in one direction while a burst of the other is ready.
    """

    port_bytes: int = 0
    latency: int = 20
    row_beats: int = 512
    row_cycles: int = 8
    refresh_period: int = 780
    refresh_cycles: int = 8
    banks: int = 1
    queue: int = 16
    patience: int = 128

    def __post_init__(self) -> None:
        """Refuse what no memory does."""
        for name, low in (("latency", 1), ("row_beats", 1), ("row_cycles", 0), ("banks", 1),
                          ("refresh_period", 0), ("refresh_cycles", 0), ("queue", 1),
                          ("patience", 0)):  # fmt: skip
            if getattr(self, name) < low:
                raise ConfigError(f"{name} must be at least {low}, not {getattr(self, name)}")
        if self.refresh_period and self.refresh_cycles >= self.refresh_period:
            raise ConfigError(
                f"refresh_cycles must be less than refresh_period {self.refresh_period}, "
                f"not {self.refresh_cycles}"
            )

    @property
    def reachable(self) -> float:
        """Share of the port that one stream through all rows can have."""
        rows = self.row_beats / (self.row_beats + self.row_cycles)
        refresh = self.refresh_cycles / self.refresh_period if self.refresh_period else 0.0
        return rows * (1 - refresh)
