"""The multipliers of one array row."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import WEIGHT_BITS, Config
from ..vendor.ecp5 import PORT_BITS, mult18x18d
from ..vendor.ice40 import multiply_8x8_twice

__all__ = ["MultiplierRow", "products_latency"]

ICE40_BITS = 8


def products_latency(config: Config) -> int:
    """Return the cycles from operands to their product."""
    return 1 if config.short_pipelines else 2


class MultiplierRow(wiring.Component):
    """Multiply C weights by one mantissa, and add another row's products.

    ``sums[c] = weights[c] * mantissa + addends[c]``, exact; without ``adds`` there are no
    ``addends``. ::

        weights, mantissa ──►[ register ]──►( × )──►[ register ]──►( + )──► sums
                                                         addends ────┘

    With ``short_pipelines`` the first register is left out.

    =========== ==========================================================
    Latency     from operands to ``sums`` 2 cycles, with ``short_pipelines``
                1 (:func:`products_latency`), the same for every target;
                from ``addends`` none
    Throughput  C products per cycle; never stalls
    =========== ==========================================================

    ====== ===============================================================
    ecp5   a MULT18X18D for each product, with its own registers;
           with ``short_pipelines`` as generic
    ice40  an SB_MAC16 for every two products, with its own registers and
           adders; for mantissas wider than 8 bits as generic
    others left to synthesis
    ====== ===============================================================

    Parameters
    ----------
    config : Config
        Columns and widths.
    adds : bool
        There are addends.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    weights : In(ArrayLayout(signed(8), columns))
        One weight for each column.
    mantissa : In(signed(mantissa_bits))
        The row's activation.
    addends : In(ArrayLayout(signed(product_bits), columns))
        Products of another row.
    sums : Out(ArrayLayout(signed(product_bits), columns)), with ``adds`` a bit more each
        Products, or sums of two.
    """

    weights: data.View
    mantissa: Signal
    addends: data.View
    sums: data.View

    def __init__(self, config: Config, *, adds: bool = False, target: str = "generic") -> None:
        self.config = config
        self.adds = adds
        self.target = target
        array = config.array
        products = data.ArrayLayout(signed(array.product_bits), array.columns)
        sums = data.ArrayLayout(signed(array.product_bits + adds), array.columns)
        super().__init__({
            "weights": In(data.ArrayLayout(signed(WEIGHT_BITS), array.columns)),
            "mantissa": In(signed(array.mantissa_bits)),
            "sums": Out(sums),
            **({"addends": In(products)} if adds else {}),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.target == "ecp5" and not self.config.short_pipelines:
            self._elaborate_ecp5(m)
        elif self.target == "ice40" and self.config.array.mantissa_bits <= ICE40_BITS:
            self._elaborate_ice40(m)
        else:
            self._elaborate_generic(m)
        return m

    def _elaborate_generic(self, m: Module) -> None:
        """Add multipliers for synthesis to map."""
        weights = Signal.like(self.weights, reset_less=True)
        mantissa = Signal.like(self.mantissa, reset_less=True)
        first = m.d.comb if self.config.short_pipelines else m.d.sync
        first += [weights.eq(self.weights), mantissa.eq(self.mantissa)]
        for column, sum_ in enumerate(self.sums):
            product = Signal(
                signed(self.config.array.product_bits), name=f"product_{column}", reset_less=True
            )
            m.d.sync += product.eq(weights[column] * mantissa)
            m.d.comb += sum_.eq(product + self._addend(column))

    def _addend(self, column: int) -> Value:
        """Return what is added to a column's product."""
        return self.addends[column] if self.adds else C(0, self.config.array.product_bits)

    def _elaborate_ecp5(self, m: Module) -> None:
        """Add MULT18X18D, whose registers synthesis does not use by itself.

        Operands stand at the top of the ports: constant zeros below them cost no wires, as the
        copies of the sign above them would.
        """
        a = Cat(C(0, PORT_BITS - len(self.mantissa)), self.mantissa)
        for column in range(self.config.array.columns):
            b = Cat(C(0, PORT_BITS - WEIGHT_BITS), self.weights[column])
            product = mult18x18d(m, str(column), a, b)
            top = product[-self.config.array.product_bits :].as_signed()
            m.d.comb += self.sums[column].eq(top + self._addend(column))

    def _elaborate_ice40(self, m: Module) -> None:
        """Add a SB_MAC16 for every two columns.

        Its adders have 16 bits, which the sum of two products exceeds only as 2 * 128 * 128, when
        it looks like the smallest number there is. That would be no sum of two products: the
        least is -2 * 128 * 127, so bits 14 to 8 of negative sums are never all zero.
        """
        for column in range(0, self.config.array.columns, 2):
            output = multiply_8x8_twice(
                m, str(column), Cat(self.weights[column], self.weights[column + 1]),
                Cat(self.mantissa, self.mantissa),
                Cat(self._addend(column)[:16], self._addend(column + 1)[:16]),
                registers=products_latency(self.config),
            )  # fmt: skip
            for half in range(2):
                low = output[half]
                sign = low[15] & low[8:15].any() if self.adds else low[15]
                m.d.comb += self.sums[column + half].eq(Cat(low, sign).as_signed())
