"""The clock of a board from its oscillator, on iCE40."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from systolith_hw.config import ConfigError

from .clock_limits import require_clock

__all__ = ["Ice40Dividers", "Ice40Pll", "choose_ice40_dividers"]

INPUT_HZ = (10e6, 133e6)
DETECTOR_HZ = (10e6, 133e6)
OSCILLATOR_HZ = (533e6, 1066e6)
OUTPUT_HZ = (16e6, 275e6)
"""Of the phase-locked loop: its input, phase detector, oscillator and output. Lattice
FPGA-DS-02008, "sysCLOCK PLL Timing"."""

REFERENCES, FEEDBACKS, POWERS = range(1, 17), range(1, 129), range(1, 7)
"""Dividers of the input and of the oscillator on its way back, and of which power of 2 there is one
in front of the output."""

FILTERS = ((17e6, 1), (26e6, 2), (44e6, 3), (66e6, 4), (101e6, 5), (float("inf"), 6))
"""By the detector's clock, up to which: FILTER_RANGE, as Project IceStorm's icepll chooses it."""


@dataclass(frozen=True, kw_only=True)
class Ice40Dividers:
    """Dividers of a loop and what comes of them.

    Parameters
    ----------
    reference, feedback : int
        Of the input, and of the oscillator on its way to the phase detector.
    power : int
        The output has the oscillator's frequency over 2 to this.
    filter_range : int
    oscillator_hz : float
    """

    reference: int
    feedback: int
    power: int
    filter_range: int
    oscillator_hz: float

    @property
    def outputs_hz(self) -> tuple[float, ...]:
        """What the one output has."""
        return (self.oscillator_hz / (1 << self.power),)


def choose_ice40_dividers(input_hz: float, wanted_hz: Sequence[float]) -> Ice40Dividers:
    """Return the dividers that come nearest to a clock from below.

    Raises
    ------
    ConfigError
        A clock that no loop makes, or more than one.
    """
    if len(wanted_hz) != 1:
        raise ConfigError(f"a phase-locked loop of an iCE40 has 1 output, not {len(wanted_hz)}")
    wanted = wanted_hz[0]
    require_clock("the input of the phase-locked loop", input_hz, INPUT_HZ)
    require_clock("the output of the phase-locked loop", wanted, OUTPUT_HZ)
    found = [
        Ice40Dividers(
            reference=reference, feedback=feedback, power=power, oscillator_hz=oscillator,
            filter_range=next(number for most, number in FILTERS if detector <= most),
        )
        for reference in REFERENCES
        for feedback in FEEDBACKS
        for power in POWERS
        if DETECTOR_HZ[0] <= (detector := input_hz / reference) <= DETECTOR_HZ[1]
        and OSCILLATOR_HZ[0] <= (oscillator := detector * feedback) <= OSCILLATOR_HZ[1]
        and OUTPUT_HZ[0] <= oscillator / (1 << power) <= wanted * (1 + 1e-9)
    ]  # fmt: skip
    if not found:
        raise ConfigError(
            f"no phase-locked loop makes {wanted / 1e6:g} MHz of {input_hz / 1e6:g} MHz: its "
            f"oscillator must have {OSCILLATOR_HZ[0] / 1e6:g} to {OSCILLATOR_HZ[1] / 1e6:g} MHz "
            f"and its phase detector {DETECTOR_HZ[0] / 1e6:g} to {DETECTOR_HZ[1] / 1e6:g}"
        )
    return max(found, key=lambda it: (it.outputs_hz[0], -it.reference, -it.power))


class Ice40Pll(wiring.Component):
    """A phase-locked loop whose input is a pad of its own.

    Parameters
    ----------
    dividers : Ice40Dividers
    pad : IOPort
        Of the oscillator.

    Members
    -------
    output : Out(1)
        A clock, on the clock network.
    locked : Out(1)
        It has its frequency.
    """

    output: Signal
    locked: Signal

    def __init__(self, dividers: Ice40Dividers, pad: Any) -> None:
        self.dividers, self.pad = dividers, pad
        super().__init__({"output": Out(1), "locked": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        chosen = self.dividers
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE", p_DIVR=Const(chosen.reference - 1, 4),
            p_DIVF=Const(chosen.feedback - 1, 7), p_DIVQ=Const(chosen.power, 3),
            p_FILTER_RANGE=Const(chosen.filter_range, 3),
            i_PACKAGEPIN=self.pad, i_RESETB=Const(1, 1), i_BYPASS=Const(0, 1),
            o_PLLOUTGLOBAL=self.output, o_LOCK=self.locked,
        )  # fmt: skip
        return m
