"""Cells of Lattice ECP5."""

from amaranth import *

__all__ = ["PORT_BITS", "mult18x18d"]

PORT_BITS = 18
"""Width of an operand of MULT18X18D."""


def mult18x18d(m: Module, name: str, a: Value, b: Value) -> Signal:
    """Add MULT18X18D with input and output registers; return its product of 36 bits.

    Both operands are signed and as wide as :data:`PORT_BITS`; the product follows two cycles
    later. The registers are the cell's own, which synthesis does not use by itself: without
    them, the way to a cell that may be far and back is timed together with the product.
    """
    product = Signal(2 * PORT_BITS, name=f"product_{name}")
    ports: dict[str, Value] = {f"i_A{bit}": a[bit] for bit in range(PORT_BITS)}
    ports |= {f"i_B{bit}": b[bit] for bit in range(PORT_BITS)}
    ports |= {f"o_P{bit}": product[bit] for bit in range(len(product))}
    m.submodules[f"multiplier_{name}"] = Instance(
        "MULT18X18D",
        p_REG_INPUTA_CLK="CLK0",
        p_REG_INPUTA_CE="CE0",
        p_REG_INPUTB_CLK="CLK0",
        p_REG_INPUTB_CE="CE0",
        p_REG_INPUTC_CLK="NONE",
        p_REG_PIPELINE_CLK="NONE",
        p_REG_OUTPUT_CLK="CLK0",
        p_REG_OUTPUT_CE="CE0",
        p_SOURCEB_MODE="B_SHIFT",
        p_MULT_BYPASS="DISABLED",
        p_RESETMODE="SYNC",
        p_GSR="DISABLED",
        i_SIGNEDA=C(1),
        i_SIGNEDB=C(1),
        i_SOURCEA=C(0),
        i_SOURCEB=C(0),
        i_CE0=C(1),
        i_RST0=C(0),
        i_CLK0=ClockSignal(),
        **ports,
    )
    return product
