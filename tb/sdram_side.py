"""An SDRAM chip at the pins of a design in a simulator."""

import cocotb
from cocotb.triggers import FallingEdge

from systolith_fpga.memory.sdram_chips import SdramTiming
from systolith_sim.board.sdram_chip import SdramChip, SdramPins, chip_settings

__all__ = ["ROUND_TRIP", "SdramSide", "chip_of"]

ROUND_TRIP = 3.5
"""Nanoseconds from the controller to the chip and back, in the middle of what boards have."""


def chip_of(timing: SdramTiming, round_trip: float = ROUND_TRIP) -> SdramChip:
    """Return a chip that holds the controller to ``timing``'s datasheet."""
    return SdramChip(
        chip_settings(timing.chip, timing.hz, round_trip_ns=round_trip,
                      power_up_us=timing.power_up_us)
    )  # fmt: skip


class SdramSide:
    """A chip at ``dut.pins__*`` that sees them on falling edges of ``clk``."""

    def __init__(self, dut, clk, chip: SdramChip, prefix: str = "pins__") -> None:
        self.chip = chip
        self.clk = clk
        self.pin = {name: getattr(dut, f"{prefix}{name}") for name in (
            "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "dq_o", "dq_oe", "dq_i",
        )}  # fmt: skip
        cocotb.start_soon(self._play())

    async def _play(self) -> None:
        pin, pins = self.pin, SdramPins(cke=1)
        while True:
            await FallingEdge(self.clk)
            for name in ("cs_n", "ras_n", "cas_n", "we_n"):
                setattr(pins, name, int(pin[name].value))
            if not (pins.ras_n and pins.cas_n):
                pins.bank, pins.address = int(pin["ba"].value), int(pin["a"].value)
            pins.mask, pins.drives = int(pin["dqm"].value), int(pin["dq_oe"].value)
            if pins.drives:
                pins.data = int(pin["dq_o"].value)
            pin["dq_i"].value = self.chip.clock(pins)
            self.chip.check()
