"""Functions of single values, in one lane of the vector unit."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, NORMAL_BITS
from ..tables import FRACTION, Function
from .argument import REST_BITS, Argument
from .delay import Delay
from .function_table import FUNCTION_BITS, VALUE_BITS, line, place
from .multiplier import Multiplier
from .operation import PRODUCT_SHIFT_BITS, Operation, multiplies, signed_factor
from .power_distance import PowerDistance
from .rounding_shifter import RoundingShifter

__all__ = ["Pointwise"]

REFERENCE_BITS = FIXED_BITS - FRACTION
RAISE_BITS = 4
POWER_SHIFT = (1 << RAISE_BITS) - 1
"""What is tabulated enters the shifter so far to the left: a power is raised by going back less."""
SHIFT_BITS = 6
PRODUCT_BITS = 2 * NORMAL_BITS


class Pointwise(wiring.Component):
    """Apply one operation to each value; one multiplier, one shifter and one adder serve them all.

    ::

        NONE    z
        GELU    max(z, 0) - t(|z|), t from a table; SILU alike
        PRODUCT clip18(z) * second >> shift, clipped to 32 bits
        EXP2    2**(z - reference + factor.shift); summand: without factor.shift
        AFFINE  clip18(z) * factor, + bias, clipped to 32 bits
        ACROSS  (clip18(z) * second of STRAIGHT + other * second) >> shift

        z ──►[ argument ]──►[ table ]──►[ operands ]──►[ × ]──►[ line ]──►[ >> ]──►[ + ]──►[ clip ]
              cycle 0        cycle 1     cycle 2        3-4     cycle 5    6-8      9       10

    The last adder and what follows it compute ``bias - y`` as ``~(y + ~bias)``, y being what was
    tabulated, or a product whose factor is negative.

    STRAIGHT makes no result: its product is kept for ACROSS, whose z is the same and which must
    come next; only NONE may be between them.

    =========== ===========================================================================
    Latency     11 cycles (:attr:`latency`) from ``operation`` and ``z`` to ``result`` and
                ``summand``. The other inputs of that z are wanted later: ``other`` and
                ``second`` by :attr:`second_delay`, ``factor`` and ``shift`` by
                :attr:`factor_delay`, the others by :attr:`bias_delay` and :attr:`keep_delay`
    Throughput  1 value per cycle, each with its own operation; never stalls
    Golden      :func:`systolith_sim.vector.function.rectify`,
                :func:`systolith_sim.vector.exponential.exponentiate`,
                :func:`systolith_sim.vector.row.scale_row` from ``normal`` on,
                :func:`systolith_sim.vector.product.multiply` from ``clip_normal`` on, and
                :func:`systolith_sim.vector.rotary.rotate`
    =========== ===========================================================================

    Parameters
    ----------
    target : str
        "generic", "ecp5" or "ice40": for the multiplier.

    Members
    -------
    operation : In(Operation)
        What is done; wanted a cycle before z.
    z : In(signed(32))
        Fixed point, LSB 2**-16 (for AFFINE 2**-12).
    own : Out(signed(18)), other : In(signed(18))
        z, clipped; what the lane beside says that its z is, for ACROSS.
    second : In(signed(18)), shift : In(5)
        For PRODUCT, STRAIGHT and ACROSS.
    reference : In(signed(16))
        For EXP2: the integer part of the row's largest z.
    factor : In(signed_factor())
        For AFFINE; for EXP2 ``shift`` raises the power, by 0 to 15.
    bias : In(signed(32))
        For AFFINE.
    keep : In(1)
        If not set, result and summand are zero.
    place : Out(place()), line : In(line())
        To and from a :class:`~systolith_hw.vector.function_table.FunctionTable`.
    result : Out(signed(32))
        The function of z; for EXP2 31 bits, LSB 2**-15.
    summand : Out(16)
        For EXP2, LSB 2**-15; undefined for others.
    """

    second_delay = Argument.latency
    operation_lead = 1
    """Cycles by which ``operation`` comes before its z."""
    factor_delay = 2
    bias_delay = 8
    keep_delay = 10
    latency = 11

    operation: Signal
    z: Signal
    own: Signal
    other: Signal
    second: Signal
    shift: Signal
    reference: Signal
    factor: data.View
    bias: Signal
    keep: Signal
    place: data.View
    line: data.View
    result: Signal
    summand: Signal

    def __init__(self, target: str = "generic") -> None:
        self.target = target
        super().__init__({
            "operation": In(Operation),
            "z": In(signed(FIXED_BITS)),
            "own": Out(signed(NORMAL_BITS)),
            "other": In(signed(NORMAL_BITS)),
            "second": In(signed(NORMAL_BITS)),
            "shift": In(PRODUCT_SHIFT_BITS),
            "reference": In(signed(REFERENCE_BITS)),
            "factor": In(signed_factor()),
            "bias": In(signed(FIXED_BITS)),
            "keep": In(1),
            "place": Out(place()),
            "line": In(line()),
            "result": Out(signed(FIXED_BITS)),
            "summand": Out(VALUE_BITS),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        known = self._elaborate_operation(m)
        # By age: in cycle n the value that entered n cycles ago needs what is at index n.
        affine, product, exponential = (
            _ages(m, name, known[name], self.bias_delay)
            for name in ("affine", "product", "exponential")
        )
        hidden = _ages(m, "hidden", known["rectifier"] & self.z[-1], self.bias_delay)
        negative = [C(0, 1)] * self.factor_delay + _ages(
            m, "negative", self.factor.negative, self.bias_delay - self.factor_delay
        )

        total, tabulated = self._elaborate_line(m, known, affine, product)
        power = Signal(VALUE_BITS, reset_less=True)
        value = Signal(signed(PRODUCT_BITS + 1), reset_less=True)
        m.d.sync += [
            power.eq(tabulated),
            value.eq(Mux(affine[5] | product[5], total, tabulated << POWER_SHIFT)),
        ]
        y, up, summand = self._elaborate_shift(
            m, value, power, affine[2], product[2], exponential[2]
        )

        m.submodules.delay = delay = Delay(FIXED_BITS, self.bias_delay)
        invert = Signal()
        bare = exponential[8] | product[8]
        bias = Signal(FIXED_BITS, reset_less=True)
        m.d.comb += [
            delay.i.eq(self.z),
            invert.eq(Mux(affine[8], negative[8], ~bare)),
        ]
        m.d.sync += bias.eq(Mux(affine[8], self.bias, delay.o) ^ invert.replicate(FIXED_BITS))
        with m.If(hidden[8] | bare):  # these are without z
            m.d.sync += bias.eq(invert.replicate(FIXED_BITS))
        inverted = _ages(m, "inverted", invert, 2)
        result = self._elaborate_sum(m, y + bias.as_signed() + up, inverted[2])
        kept = Signal.like(self.summand, reset_less=True)
        m.d.comb += [self.summand.eq(kept), self.result.eq(result)]
        with m.If(self.keep):
            m.d.sync += kept.eq(summand)
        with m.Else():
            m.d.sync += [kept.eq(0), result.eq(0)]
        return m

    def _elaborate_operation(self, m: Module) -> dict[str, Value]:
        """Return what is asked about the operation in cycle 0, from registers: one that all lanes
        ask reaches far, and nothing is decoded on the way."""
        operation = Value.cast(self.operation)
        asked = {
            "affine": operation == Operation.AFFINE,
            "product": multiplies(operation),
            "exponential": operation == Operation.EXP2,
            "rectifier": (operation == Operation.GELU) | (operation == Operation.SILU),
            "straight": operation == Operation.STRAIGHT,
            "across": operation == Operation.ACROSS,
            "function": Mux(operation == Operation.EXP2, Function.EXP2, operation)[:FUNCTION_BITS],
        }
        known: dict[str, Value] = {}
        for name, value in asked.items():
            known[name] = Signal(len(value), name=f"is_{name}", reset_less=True)
            m.d.sync += known[name].eq(value)
        return known

    def _elaborate_line(
        self, m: Module, known: dict[str, Value], affine: list[Value], product: list[Value]
    ) -> tuple[Value, Value]:
        """Multiply; return the product, or a sum of two, and what the table says, in cycle 5."""
        m.submodules.argument = argument = Argument()
        m.submodules.multiplier = multiplier = Multiplier(self.target, signed_scale=True)
        now = self.second_delay
        across, straight = (_ages(m, name, known[name], 5) for name in ("across", "straight"))
        one = Mux(across[now], self.other, argument.clipped)
        clipped = _ages(m, "clipped", one, 2)[-1]
        rest = _ages(m, "rest", Mux(product[now], self.second, argument.rest), 1)[-1]
        scale = Signal(signed(NORMAL_BITS), reset_less=True)
        m.d.comb += [
            self.own.eq(argument.clipped),
            argument.exponential.eq(known["exponential"]),
            argument.rectifier.eq(known["rectifier"]),
            argument.z.eq(self.z),
            self.place.function.eq(_ages(m, "function", known["function"], argument.latency)[-1]),
            self.place.segment.eq(argument.segment),
            multiplier.significand.eq(Mux(affine[3] | product[3], clipped, self.line.rise)),
            multiplier.scale.eq(scale),
        ]
        m.d.sync += scale.eq(Mux(affine[2], self.factor.scale, rest))
        value = _ages(m, "value", self.line.value, multiplier.latency)[-1]
        inside = _ages(m, "inside", argument.tabulated, 2 + multiplier.latency)[-1]
        risen = multiplier.product[REST_BITS : REST_BITS + VALUE_BITS]
        # The tables stay inside 0..65535 everywhere, so that nothing has to be clipped.
        line = Signal(VALUE_BITS)
        m.d.comb += line.eq(value + risen + multiplier.product[REST_BITS - 1])
        total = self._elaborate_pair(m, multiplier.product, straight[5], across[5])
        return total, Mux(inside, line, 0)

    def _elaborate_pair(self, m: Module, product: Value, straight: Value, across: Value) -> Value:
        """Keep the product of STRAIGHT, and return the sum with that of ACROSS."""
        # Zero when anything else comes by, so that nobody has to choose in front of the adder.
        kept = Signal.like(product)
        with m.If(straight):
            m.d.sync += kept.eq(product)
        with m.Elif(across):
            m.d.sync += kept.eq(0)
        return product + kept

    def _elaborate_shift(
        self, m: Module, value: Value, power: Value, affine: Value, product: Value,
        exponential: Value,
    ) -> tuple[Value, Value, Value]:  # fmt: skip
        """Shift; return ``y`` and ``up``, to be added, in cycle 9, and the summand in cycle 10."""
        m.submodules.power_distance = distance = PowerDistance()
        # So wide that nothing is ever clipped, which synthesis then sees.
        m.submodules.shifter = shifter = RoundingShifter(len(value), SHIFT_BITS, len(value) + 1)
        m.submodules.divider = divider = RoundingShifter(
            VALUE_BITS + 1, len(distance.short), VALUE_BITS + 2
        )
        shift = Signal(SHIFT_BITS, reset_less=True)
        given = self.factor.shift
        m.d.comb += [distance.z.eq(self.z), distance.reference.eq(self.reference)]
        with m.If(affine):
            m.d.sync += shift.eq(given[:SHIFT_BITS] | given[SHIFT_BITS].replicate(SHIFT_BITS))
        with m.Elif(product):
            m.d.sync += shift.eq(self.shift)
        with m.Elif(exponential):
            m.d.sync += shift.eq(distance.long + ~given[:RAISE_BITS])
        with m.Else():
            m.d.sync += shift.eq(POWER_SHIFT)
        m.d.comb += [
            shifter.value.eq(value),
            shifter.shift.eq(_ages(m, "shift", shift, 3)[-1]),
            divider.value.eq(power),
            divider.shift.eq(_ages(m, "short", distance.short, 4)[-1]),
        ]
        summand = Signal(VALUE_BITS, reset_less=True)
        m.d.sync += summand.eq(divider.floor + divider.up)
        return shifter.floor, shifter.up, summand

    def _elaborate_sum(self, m: Module, total_next: Value, inverted: Value) -> Signal:
        """Register the sum, invert it or not, and clip; return the register."""
        result = Signal.like(self.result, reset_less=True)
        total = Signal(signed(PRODUCT_BITS), reset_less=True)
        upper = total[FIXED_BITS - 1 :]
        sign = total[-1] ^ inverted
        m.d.sync += [
            total.eq(total_next),
            result.eq(total ^ inverted.replicate(len(total))),
        ]
        with m.If(upper.any() & ~upper.all()):
            m.d.sync += result.eq(Cat((~sign).replicate(FIXED_BITS - 1), sign))
        return result


def _ages(m: Module, name: str, value: Value, oldest: int) -> list[Value]:
    """Return ``value`` as it is, as it was one cycle ago, and so on up to ``oldest``."""
    ages: list[Value] = [value]
    for age in range(1, oldest + 1):
        ages.append(Signal(value.shape(), name=f"{name}_{age}", reset_less=True))
        m.d.sync += ages[-1].eq(ages[-2])
    return ages
