"""The bank of block exponents, below the last row of the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..memory.bank import Bank
from .access import access
from .row import sums_latency

__all__ = ["ExponentRow"]


class ExponentRow(wiring.Component):
    """Store one exponent beside each activation word and read it in time for the sums.

    It takes part in reads and word writes like the rows of the array, as row ``rows`` and of the
    last stage.

    =========== ==========================================================
    Latency     that of the last stage (:func:`.row.sums_latency`): the
                exponent is there together with its sums
    Throughput  a read and a write per cycle; never stalls
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Shape of the array.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    i : In(access(config, rows))
        This cycle's accesses.
    valid : Out(1)
        The other outputs belong to a control word.
    last : Out(1)
        Its flag.
    exponent : Out(exponent_bits)
        The exponent of its activation word.
    """

    i: data.View
    valid: Signal
    last: Signal
    exponent: Signal

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        super().__init__({
            "i": In(access(config, config.array.rows)),
            "valid": Out(1),
            "last": Out(1),
            "exponent": Out(config.array.exponent_bits),
        })

    @property
    def latency(self) -> int:
        """Cycles from an access to its exponent."""
        return sums_latency(self.config)

    def elaborate(self, platform) -> Module:
        memory = self.config.memory
        m = Module()
        logic = memory.activation_distributed or memory.activation_rows > 1

        m.submodules.exponents = exponents = Bank(
            self.config.array.exponent_bits,
            memory.activation_words,
            style="distributed" if logic else "block",
            target=self.target,
        )
        m.d.comb += [
            exponents.read_address.eq(self.i.control.activation),
            exponents.write_address.eq(self.i.word),
            exponents.write_data.eq(self.i.exponent),
            exponents.write_lanes.eq(self.i.strobe.word),
        ]

        valid: Value = self.i.strobe.read
        last: Value = self.i.control.last
        exponent: Value = exponents.read_data
        for stage in range(self.latency):
            valid = _delay(m, valid, f"valid_{stage}", reset_less=False)
            last = _delay(m, last, f"last_{stage}")
            if stage:  # the bank's own read takes the first
                exponent = _delay(m, exponent, f"exponent_{stage}")
        m.d.comb += [self.valid.eq(valid), self.last.eq(last), self.exponent.eq(exponent)]

        return m


def _delay(m: Module, value: Value, name: str, *, reset_less: bool = True) -> Signal:
    """Return ``value`` a cycle later."""
    register = Signal(value.shape(), name=name, reset_less=reset_less)
    m.d.sync += register.eq(value)
    return register
