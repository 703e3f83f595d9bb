"""ULX3S: 32 MB of SDRAM, and a serial line over USB; with an LFE5U-85F, or an LFE5U-25F."""

import dataclasses
from typing import Any

from ..memory.sdram_chips import sdram_chip
from ..standalone.host import HostSettings
from ..standalone.spi_flash import FLASH_16MB
from .board import Board, Variant

__all__ = ["ULX3S_25F", "ULX3S_85F"]


def _platform_85f() -> Any:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform()


def _platform_25f() -> Any:
    from amaranth_boards.ulx3s import ULX3S_25F_Platform

    return ULX3S_25F_Platform()


ULX3S_85F = Board(
    name="ulx3s-85f",
    title="ULX3S, LFE5U-85F",
    device="ecp5-85k",
    platform=_platform_85f,
    cable="ulx3s",
    variants={
        "ulx3s": Variant(core_hz=80e6, target_mhz=81, insistent=True),
        # It does not stream, so memory may be slower than the fastest that the chip takes.
        "ulx3s-resident": Variant(
            core_hz=66.67e6, memory_hz=120e6, standalone_seed=2, insistent=True
        ),
    },
    data_bytes=4,
    burst_beats=64,
    oscillator_hz=25e6,
    memory=sdram_chip("IS42S16160G-7"),
    memory_hz=133.34e6,
    baud=3_000_000,
    standalone=HostSettings(flash=FLASH_16MB, image_offset=1 << 21),
)

ULX3S_25F = dataclasses.replace(
    ULX3S_85F,
    name="ulx3s-25f",
    title="ULX3S, LFE5U-25F",
    device="ecp5-25k",
    platform=_platform_25f,
    variants={"ulx3s-25f": Variant(core_hz=66.67e6)},
    memory_hz=120e6,  # this chip is nearly full
    burst_beats=32,
    standalone=None,  # its block memories are taken
)
