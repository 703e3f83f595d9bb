"""ULX3S with an LFE5U-85F: 32 MB of SDRAM, and a serial line over USB."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from ..memory.sdram_chips import sdram_chip
from .board import Board, Variant

__all__ = ["ULX3S_85F"]

ULX3S_85F = Board(
    name="ulx3s-85f",
    title="ULX3S, LFE5U-85F",
    device="ecp5-85k",
    platform=ULX3S_85F_Platform,
    cable="ulx3s",
    variants={
        "ulx3s": Variant(core_hz=80e6),
        "ulx3s-resident": Variant(core_hz=80e6),
    },
    data_bytes=4,
    oscillator_hz=25e6,
    memory=sdram_chip("IS42S16160G-7"),
    memory_hz=133.34e6,
    baud=3_000_000,
)
