"""Cells of Lattice iCE40 UltraPlus.

yosys rewrites every SB_MAC16 when it is told to infer them (``synth_ice40 -dsp``), whatever its
parameters: two 8 x 8 multipliers become one of 16 x 16. Cores that have these cells must be
synthesised without that option.
"""

from typing import Any

from amaranth import *
from amaranth.lib import data

__all__ = ["HALF_BITS", "multiply_16x16", "multiply_8x8_twice", "multiply_add_16x16"]

HALF_BITS = 16
"""Width of an operand, and half of an output's."""


def multiply_8x8_twice(
    m: Module, name: str, a: Value, b: Value, addends: Value, *, registers: int
) -> Any:
    """Add SB_MAC16 as two signed multipliers with adders; return its two outputs of 16 bits.

    The operands' lower bytes give the first output and their upper bytes the second. ``addends``
    are added behind the last register. One of ``registers`` is behind the product, a second one
    in front of it.
    """
    first = C(registers - 1, 1)
    output: Any = Signal(data.ArrayLayout(16, 2), name=f"output_{name}")
    m.submodules[f"multiplier_{name}"] = Instance(
        "SB_MAC16",
        p_MODE_8x8=C(1, 1),
        p_A_SIGNED=C(1, 1),
        p_B_SIGNED=C(1, 1),
        p_A_REG=first,
        p_B_REG=first,
        p_TOP_8x8_MULT_REG=C(1, 1),
        p_BOT_8x8_MULT_REG=C(1, 1),
        p_TOPADDSUB_UPPERINPUT=C(1, 1),  # C plus
        p_TOPADDSUB_LOWERINPUT=C(1, 2),  # the upper product
        p_BOTADDSUB_UPPERINPUT=C(1, 1),  # D plus
        p_BOTADDSUB_LOWERINPUT=C(1, 2),  # the lower product
        **_ports(a, b, output.as_value(), c=addends[16:], d=addends[:16]),
    )
    return output


def multiply_16x16(m: Module, name: str, a: Value, b: Value) -> Signal:
    """Add SB_MAC16 as an unsigned multiplier; return its product, registered, of 32 bits."""
    product = Signal(32, name=f"product_{name}")
    m.submodules[f"multiplier_{name}"] = Instance(
        "SB_MAC16",
        p_PIPELINE_16x16_MULT_REG2=C(1, 1),
        p_TOPOUTPUT_SELECT=C(3, 2),
        p_BOTOUTPUT_SELECT=C(3, 2),
        **_ports(a, b, product, c=C(0, 16), d=C(0, 16)),
    )
    return product


def multiply_add_16x16(
    m: Module, name: str, a: Value, b: Value, addend: Value, *, factor_registers: bool = False,
    product_register: bool = False, addend_register: bool = False, enable: Value | None = None,
) -> Signal:  # fmt: skip
    """Add SB_MAC16 as an unsigned multiplier with an adder; return the sum of 32 bits.

    There is a register behind the sum, and where wanted one behind the factors, one behind the
    product, and one behind the addend. nextpnr knows nothing of the way through the cell: what
    enters without a register must come early.
    """
    total = Signal(2 * HALF_BITS, name=f"total_{name}")
    factors, addends = C(factor_registers, 1), C(addend_register, 1)
    ports = _ports(a, b, total, c=addend[HALF_BITS:], d=addend[:HALF_BITS])
    m.submodules[f"multiplier_{name}"] = Instance(
        "SB_MAC16",
        p_A_REG=factors,
        p_B_REG=factors,
        p_C_REG=addends,
        p_D_REG=addends,
        p_PIPELINE_16x16_MULT_REG2=C(product_register, 1),
        p_TOPADDSUB_UPPERINPUT=C(1, 1),  # C plus
        p_TOPADDSUB_LOWERINPUT=C(2, 2),  # the product's upper half
        p_TOPADDSUB_CARRYSELECT=C(3, 2),  # and what is carried from below
        p_BOTADDSUB_UPPERINPUT=C(1, 1),  # D plus
        p_BOTADDSUB_LOWERINPUT=C(2, 2),  # its lower half
        p_TOPOUTPUT_SELECT=C(1, 2),  # the registers behind the adders
        p_BOTOUTPUT_SELECT=C(1, 2),
        **ports | ({} if enable is None else {"i_CE": enable}),
    )
    return total


def _ports(a: Value, b: Value, o: Value, *, c: Value, d: Value) -> dict[str, Value]:
    """Return the connections of a SB_MAC16 that is always enabled, and never reset."""
    ports = {"i_CLK": ClockSignal(), "i_CE": C(1), "i_A": a, "i_B": b, "i_C": c, "i_D": d, "o_O": o}
    return ports | {f"i_{name}": C(0) for name in UNUSED}


UNUSED = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT"),
    *("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT"),
    *("CI", "ACCUMCI", "SIGNEXTIN"),
)
"""Inputs of SB_MAC16 that are held at zero."""
