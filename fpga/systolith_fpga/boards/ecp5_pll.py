"""The clocks of a board from its oscillator, on ECP5."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.config import ConfigError

from .clock_limits import require_clock

__all__ = ["Dividers", "Ecp5Pll", "choose_dividers"]

INPUT_HZ = (8e6, 400e6)
DETECTOR_HZ = (10e6, 400e6)
OSCILLATOR_HZ = (400e6, 800e6)
OUTPUT_HZ = (3.125e6, 400e6)
"""Of the phase-locked loop: its input, phase detector, oscillator and outputs. Lattice
FPGA-DS-02012, "sysCLOCK PLL Timing"."""

OUTPUTS = ("CLKOP", "CLKOS", "CLKOS2")
"""Outputs that may be used; CLKOS3 closes the loop."""

MOST = 128
"""The largest divider."""


@dataclass(frozen=True, kw_only=True)
class Dividers:
    """Dividers of a loop and what comes of them.

    Parameters
    ----------
    reference, feedback, loop : int
        Of the input, and of the oscillator on its way to the phase detector: the oscillator has
        ``input / reference * feedback * loop``.
    outputs : tuple of int
        Of each output.
    oscillator_hz : float
    """

    reference: int
    feedback: int
    loop: int
    outputs: tuple[int, ...]
    oscillator_hz: float

    @property
    def outputs_hz(self) -> tuple[float, ...]:
        """What each output has."""
        return tuple(self.oscillator_hz / divider for divider in self.outputs)


def choose_dividers(input_hz: float, wanted_hz: Sequence[float]) -> Dividers:
    """Return the dividers that come nearest to all clocks from below, none above what is wanted.

    Raises
    ------
    ConfigError
        A clock that no loop makes.
    """
    require_clock("the input of the phase-locked loop", input_hz, INPUT_HZ)
    if len(wanted_hz) > len(OUTPUTS):
        raise ConfigError(f"a phase-locked loop has {len(OUTPUTS)} outputs, not {len(wanted_hz)}")
    for hertz in wanted_hz:
        require_clock("an output of the phase-locked loop", hertz, OUTPUT_HZ)
    best, least = None, float("inf")
    for reference, product in itertools.product(range(1, MOST + 1), range(1, MOST + 1)):
        detector = input_hz / reference
        oscillator = detector * product
        if not DETECTOR_HZ[0] <= detector <= DETECTOR_HZ[1]:
            continue
        if not OSCILLATOR_HZ[0] <= oscillator <= OSCILLATOR_HZ[1]:
            continue
        outputs = tuple(-int(-oscillator / hertz // 1) for hertz in wanted_hz)
        if not all(1 <= divider <= MOST for divider in outputs):
            continue
        missing = sum(
            1 - oscillator / divider / hertz
            for divider, hertz in zip(outputs, wanted_hz, strict=True)
        )
        # The feedback clock keeps to what the phase detector takes.
        loop = next((div for div in range(MOST, 0, -1)
                     if product % div == 0 and oscillator / div >= DETECTOR_HZ[0]), 1)  # fmt: skip
        if missing < least - 1e-9:
            least = missing
            best = Dividers(
                reference=reference, feedback=product // loop, loop=loop, outputs=outputs,
                oscillator_hz=oscillator,
            )  # fmt: skip
    if best is None:
        raise ConfigError(
            f"no phase-locked loop makes {[round(hertz / 1e6, 3) for hertz in wanted_hz]} MHz "
            f"of {input_hz / 1e6:g} MHz: its oscillator must have {OSCILLATOR_HZ[0] / 1e6:g} to "
            f"{OSCILLATOR_HZ[1] / 1e6:g} MHz and its phase detector {DETECTOR_HZ[0] / 1e6:g} to "
            f"{DETECTOR_HZ[1] / 1e6:g}, and no divider is above {MOST}"
        )
    return best


class Ecp5Pll(wiring.Component):
    """A phase-locked loop.

    Parameters
    ----------
    dividers : Dividers

    Members
    -------
    input : In(1)
        A clock.
    outputs : Out(1) for each
        Clocks, as ``output_0`` and so on.
    locked : Out(1)
        They have their frequencies.
    """

    input: Signal
    locked: Signal

    def __init__(self, dividers: Dividers) -> None:
        self.dividers = dividers
        outputs = {f"output_{number}": Out(1) for number in range(len(dividers.outputs))}
        super().__init__({"input": In(1), **outputs, "locked": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        values = dataclasses.asdict(self.dividers)
        loop = Signal()
        ports: dict[str, Any] = {
            "a_ICP_CURRENT": "12", "a_LPF_RESISTOR": "8", "a_MFG_ENABLE_FILTEROPAMP": "1",
            "a_MFG_GMCREF_SEL": "2",
            "p_CLKI_DIV": values["reference"], "p_CLKFB_DIV": values["feedback"],
            "p_FEEDBK_PATH": "INT_OS3", "p_CLKOS3_ENABLE": "ENABLED",
            "p_CLKOS3_DIV": values["loop"], "p_CLKOS3_CPHASE": values["loop"] - 1,
            "i_CLKI": self.input, "i_CLKFB": loop, "o_CLKINTFB": loop, "o_LOCK": self.locked,
            "i_RST": 0, "i_STDBY": 0, "i_PHASESEL0": 0, "i_PHASESEL1": 0, "i_PHASEDIR": 1,
            "i_PHASESTEP": 1, "i_PHASELOADREG": 1, "i_PLLWAKESYNC": 0, "i_ENCLKOP": 0,
        }  # fmt: skip
        for number, divider in enumerate(self.dividers.outputs):
            name = OUTPUTS[number]
            ports |= {
                f"p_{name}_ENABLE": "ENABLED", f"p_{name}_DIV": divider,
                # Phases count from the divider's end: all outputs rise together.
                f"p_{name}_CPHASE": divider - 1, f"p_{name}_FPHASE": 0,
                f"o_{name}": getattr(self, f"output_{number}"),
            }  # fmt: skip
        m.submodules.pll = Instance("EHXPLLL", **ports)
        return m
