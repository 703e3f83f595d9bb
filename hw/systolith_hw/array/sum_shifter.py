"""The shift of all columns' sums by their block exponent, where there are few logic cells."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..budget import sum_shifters
from ..config import Config
from ..vendor.ice40 import HALF_BITS, multiply_add_16x16

__all__ = ["SumShifter", "shifted_sums"]


def shifted_sums(config: Config) -> data.ArrayLayout:
    """Return the shape of shifted sums of all columns."""
    array = config.array
    return data.ArrayLayout(signed(array.psum_bits + array.window), array.columns)


class SumShifter(wiring.Component):
    """Compute ``shifted[c] = sums[c] << exponent`` for every column c.

    =========== ==========================================================
    Latency     2 cycles (:attr:`latency`), and for each beat before that of its column 1 more
    Throughput  sums of all columns and an exponent per cycle
    =========== ==========================================================

    ====== ===============================================================
    ice40  while there are multipliers to spare (:func:`.budget.sum_shifters`) an SB_MAC16 for
           each column: the sum's lower half times ``1 << exponent``, plus the shifted upper half
    others a register, shifter and a register
    ====== ===============================================================

    Parameters
    ----------
    config : Config
        Columns, lanes and widths.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    exponent : In(exponent_bits)
        Left shift of all sums, at most ``window``.
    sums : In(ArrayLayout(signed(psum_bits), columns))
        One sum for each column.
    shifted : Out(shifted_sums(config))
        The sums, shifted.
    """

    latency = 2

    exponent: Signal
    sums: data.View
    shifted: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        array = config.array
        super().__init__({
            "exponent": In(array.exponent_bits),
            "sums": In(data.ArrayLayout(signed(array.psum_bits), array.columns)),
            "shifted": Out(shifted_sums(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.target == "ice40" and sum_shifters(self.config):
            self._elaborate_ice40(m)
        else:
            self._elaborate_generic(m)
        return m

    def _elaborate_generic(self, m: Module) -> None:
        """Add shifters of gates."""
        lanes = self.config.vector.lanes
        exponent: Value = self.exponent
        sums: list[Value] = list(self.sums)
        for beat in range(self.config.beats_per_result):
            exponent = _later(m, exponent, f"exponent_{beat}")
            for column in range(beat * lanes, len(sums)):
                sums[column] = _later(m, sums[column], f"sum_{column}_{beat}")
            for column in range(beat * lanes, (beat + 1) * lanes):
                shifted = _later(m, sums[column] << exponent, f"shifted_{column}")
                m.d.comb += self.shifted[column].eq(shifted)

    def _elaborate_ice40(self, m: Module) -> None:
        """Add SB_MAC16, one for each column.

        Those of the second beat have a register between product and sum besides, and one behind
        the upper half. That half comes from registers here, as its sums come late.
        """
        power = Signal(HALF_BITS)
        above = Signal(HALF_BITS + 1)  # all bits above that one; spelt out, lest it be subtracted
        for bit in range(HALF_BITS):
            m.d.comb += [power[bit].eq(self.exponent == bit), above[bit].eq(power[:bit].any())]
        m.d.comb += above[-1].eq(1)
        above_then = _later(m, above, "above_then")
        for column, sum_ in enumerate(self.sums):
            late = column >= self.config.vector.lanes
            sign = _later(m, sum_[-1], f"sign_{column}")
            odd = _later(m, sum_[min(HALF_BITS, len(sum_) - 1)], f"odd_{column}")
            power_then = above_then[1:] & ~above_then[:-1]
            upper = Signal(HALF_BITS, name=f"upper_{column}")
            m.d.comb += upper.eq(
                (power_then & odd.replicate(HALF_BITS))
                | (above_then[:-1] & sign.replicate(HALF_BITS))
            )
            shifted = multiply_add_16x16(
                m, str(column), sum_[:HALF_BITS], power, Cat(C(0, HALF_BITS), upper),
                factor_registers=True, product_register=late, addend_register=late,
            )  # fmt: skip
            for age in range(self.latency - 1 + late):
                sign = _later(m, sign, f"sign_{column}_{age}")
            m.d.comb += self.shifted[column].eq(Cat(shifted, sign).as_signed())


def _later(m: Module, value: Value, name: str) -> Signal:
    """Return ``value``, one cycle later."""
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register
