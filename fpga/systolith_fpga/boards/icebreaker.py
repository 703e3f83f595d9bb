"""iCEBreaker: an iCE40UP5K and a serial line over USB; memory is what the FPGA has."""

from typing import Any

from ..memory.block_memory import BlockRam
from .board import Board, Variant

__all__ = ["ICEBREAKER"]


def _platform() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker, iCE40UP5K",
    device="ice40-up5k",
    platform=_platform,
    cable="ice40_generic",
    variants={"icebreaker": Variant(core_hz=21e6, seed=3)},
    data_bytes=2,
    burst_beats=16,
    oscillator_hz=12e6,
    memory=BlockRam(bytes=2048, data_bytes=2),
    baud=1_000_000,
)
