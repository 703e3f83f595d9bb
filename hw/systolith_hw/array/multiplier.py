"""The multipliers of one array row."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import WEIGHT_BITS, Config
from ..vendor.ecp5 import PORT_BITS, mult18x18d

__all__ = ["MultiplierRow"]

ICE40_BITS = 8


class MultiplierRow(wiring.Component):
    """Multiply C weights by one mantissa.

    ``products[c] = weights[c] * mantissa``, exact. ::

        weights, mantissa ──►[ register ]──►( × )──►[ register ]──► products

    =========== ==========================================================
    Latency     2 cycles (:attr:`latency`), the same for every target
    Throughput  C products per cycle; never stalls
    =========== ==========================================================

    ====== ===============================================================
    ecp5   a MULT18X18D for each product, with its own registers
    ice40  an SB_MAC16 for every two products, with its own registers;
           for mantissas wider than 8 bits as generic
    others left to synthesis
    ====== ===============================================================

    Parameters
    ----------
    config : Config
        Columns and widths.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    weights : In(ArrayLayout(signed(8), columns))
        One weight for each column.
    mantissa : In(signed(mantissa_bits))
        The row's activation.
    products : Out(ArrayLayout(signed(product_bits), columns))
        Their products.
    """

    latency = 2

    weights: data.View
    mantissa: Signal
    products: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        array = config.array
        super().__init__({
            "weights": In(data.ArrayLayout(signed(WEIGHT_BITS), array.columns)),
            "mantissa": In(signed(array.mantissa_bits)),
            "products": Out(data.ArrayLayout(signed(array.product_bits), array.columns)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        if self.target == "ecp5":
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
        products = Signal.like(self.products, reset_less=True)
        m.d.sync += [weights.eq(self.weights), mantissa.eq(self.mantissa)]
        m.d.comb += self.products.eq(products)
        for column in range(self.config.array.columns):
            m.d.sync += products[column].eq(weights[column] * mantissa)

    def _elaborate_ecp5(self, m: Module) -> None:
        """Add MULT18X18D, whose registers synthesis does not use by itself.

        Operands stand at the top of the ports: constant zeros below them cost no wires, as the
        copies of the sign above them would.
        """
        a = Cat(C(0, PORT_BITS - len(self.mantissa)), self.mantissa)
        for column in range(self.config.array.columns):
            b = Cat(C(0, PORT_BITS - WEIGHT_BITS), self.weights[column])
            product = mult18x18d(m, str(column), a, b)
            m.d.comb += self.products[column].eq(product[-len(self.products[column]) :])

    def _elaborate_ice40(self, m: Module) -> None:
        """Add SB_MAC16 as two 8 x 8 multipliers each; columns are even."""
        for column in range(0, self.config.array.columns, 2):
            product = Signal(32, name=f"product_{column}")
            m.submodules[f"multiplier_{column}"] = Instance(
                "SB_MAC16",
                p_MODE_8x8=C(1),
                p_A_SIGNED=C(1),
                p_B_SIGNED=C(1),
                p_A_REG=C(1),
                p_B_REG=C(1),
                p_TOP_8x8_MULT_REG=C(1),
                p_BOT_8x8_MULT_REG=C(1),
                p_TOPOUTPUT_SELECT=C(2, 2),  # the upper 8 x 8 product, past its register
                p_BOTOUTPUT_SELECT=C(2, 2),  # the lower one
                i_CLK=ClockSignal(),
                i_CE=C(1),
                i_A=Cat(self.weights[column], self.weights[column + 1]),
                i_B=Cat(self.mantissa, self.mantissa),
                i_C=C(0, 16),
                i_D=C(0, 16),
                o_O=product,
                **{f"i_{name}": C(0) for name in SB_MAC16_UNUSED},
            )
            m.d.comb += Cat(self.products[column], self.products[column + 1]).eq(product)


SB_MAC16_UNUSED = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT"),
    *("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT"),
    *("CI", "ACCUMCI", "SIGNEXTIN"),
)
"""Inputs of SB_MAC16 that are held at zero."""
