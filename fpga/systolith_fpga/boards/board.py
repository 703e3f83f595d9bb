"""What there is to know of a board; each has a file of its own that says it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import preset

from ..memory.block_memory import BlockRam
from ..memory.sdram_chips import SdramChip, SdramTiming
from ..standalone.host import HostSettings
from .ecp5_pll import Dividers, choose_dividers
from .ice40_pll import Ice40Dividers, choose_ice40_dividers

__all__ = ["Board", "Variant"]

@dataclass(frozen=True, kw_only=True)
class Variant:
    """A preset on a board.

    Parameters
    ----------
    core_hz : float
        Clock of the core that is wanted; the board has it or the nearest one below.
    memory_hz : float
        The clock of a memory chip that is wanted; the board's unless given.
    seed : int
        Of placement, the best one that is known.
    standalone_seed : int
        That of a bitstream which stands alone; ``seed`` unless given.
    target_mhz : float
        What place and route aims at for the core's clock, if it is to be more than that clock;
        timing is met when that clock is.
    insistent : bool
        Slow wires are routed again until none is left (:data:`.MEET_TIMING`).
    """

    core_hz: float
    memory_hz: float = 0
    seed: int = 1
    standalone_seed: int = 0
    target_mhz: float = 0
    insistent: bool = False


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with an FPGA, memory and a serial line.

    Parameters
    ----------
    name, title : str
        For the command line, and for people.
    device : str
        The FPGA, a key of :data:`systolith_fpga.parts.PARTS`.
    platform : callable
        Makes Amaranth's platform, which knows the pins.
    cable : str
        What openFPGALoader calls the board.
    variants : dict of Variant
        By preset; the first one is what a build makes if nobody says otherwise.
    data_bytes : int
        Of the core's port: wide enough that memory at its clock never waits for the core at its
        own.
    burst_beats : int
        Of the core's bursts.
    oscillator_hz : float
        The platform's default clock.
    memory : SdramChip or BlockRam
        External memory; block memory of an iCE40 has the core's clock.
    memory_hz : float
        The clock of a memory chip that is wanted, unless a variant wants another.
    baud : int
        Of the serial line.
    standalone : HostSettings or None
        What there is in the place of a host, if the board can begin by itself.
    """

    name: str
    title: str
    device: str
    platform: Callable[[], Any]
    cable: str
    variants: Mapping[str, Variant]
    data_bytes: int
    burst_beats: int
    oscillator_hz: float
    memory: SdramChip | BlockRam
    baud: int
    memory_hz: float = 0
    standalone: HostSettings | None = None

    def standing_alone(self) -> HostSettings:
        """Return what there is in the place of a host.

        Raises
        ------
        ConfigError
            The board needs one.
        """
        if self.standalone is None:
            raise ConfigError(f"board {self.name} cannot begin by itself; leave out --standalone")
        return self.standalone

    def variant(self, name: str | None = None) -> tuple[str, Variant]:
        """Return a preset's name and what the board has for it.

        Raises
        ------
        ConfigError
            The board has no such preset.
        """
        chosen = name or next(iter(self.variants))
        if chosen not in self.variants:
            raise ConfigError(
                f"board {self.name} takes preset {', '.join(self.variants)}, not {chosen}"
            )
        return chosen, self.variants[chosen]

    def config(self, name: str | None = None) -> Config:
        """Return the configuration of the core on this board."""
        chosen = preset(self.variant(name)[0]).with_port(self.data_bytes)
        chosen = chosen.replace({"bus.burst_beats": self.burst_beats})
        return dataclasses.replace(chosen, device=self.device)

    def block_ram(self) -> BlockRam:
        """Return what there is in the place of a memory chip."""
        if not isinstance(self.memory, BlockRam):
            raise ConfigError(f"board {self.name} has a memory chip")
        return self.memory

    def ice40_dividers(self, name: str | None = None) -> Ice40Dividers:
        """Return how the clock of an iCE40 comes of the oscillator."""
        return choose_ice40_dividers(self.oscillator_hz, [self.variant(name)[1].core_hz])

    def dividers(self, name: str | None = None) -> Dividers:
        """Return how the clocks of core and memory chip come of the oscillator."""
        variant = self.variant(name)[1]
        memory_hz = variant.memory_hz or self.memory_hz
        return choose_dividers(self.oscillator_hz, [variant.core_hz, memory_hz])

    def clocks(self, name: str | None = None) -> tuple[float, float]:
        """Return the clocks of core and memory, in Hz."""
        if isinstance(self.memory, BlockRam):
            (core,) = self.ice40_dividers(name).outputs_hz
            return core, core
        core, memory = self.dividers(name).outputs_hz
        return core, memory

    def memory_timing(self, name: str | None = None) -> SdramTiming:
        """Return the memory chip at its clock.

        Raises
        ------
        ConfigError
            The board has none.
        """
        if isinstance(self.memory, BlockRam):
            raise ConfigError(f"board {self.name} has no memory chip")
        return SdramTiming(self.memory, self.clocks(name)[1])
