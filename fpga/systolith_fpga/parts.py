"""How the tools name each device."""

from dataclasses import dataclass

from .floorplan import PLACER
from .sites import Grid

__all__ = ["PARTS", "Part"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """How the tools name a device, and which options suit it.

    Parameters
    ----------
    part : str
        The maker's name, with package.
    speed_grade : str
        As the maker gives it; 6 is ECP5's slowest.
    synthesis : str
        The yosys commands, separated by semicolons, with {top} for the name of the top module.
    tool : str
        The nextpnr that places it.
    options : tuple of str
        Its options.
    target_mhz : float
        What place and route aims at unless told otherwise.
    grid : Grid, optional
        What a floorplan needs to know.
    most_sinks : int, optional
        Registers and LUTs that drive more cells are copied (:mod:`.duplicate`).
    close_carries : bool
        Carry chains are closed at both ends (:mod:`.carry_ends`), where a design fills the device.
        It is another netlist, which another seed places best, so others keep theirs.
    clock_pin : str, optional
        Where the clock comes in. From a pin of nextpnr's own choice there may be no way to the
        clock network.
    """

    part: str
    speed_grade: str
    synthesis: str
    tool: str
    options: tuple[str, ...]
    target_mhz: float
    grid: Grid | None = None
    most_sinks: int | None = None
    close_carries: bool = False
    clock_pin: str | None = None


# What synth_ecp5 does, but for what a wire is taken to cost. At its 300 ps abc9 trades depth for
# area as if a wire were nearly free; in a full device one takes about 900.
SYNTH_ECP5 = "; ".join([
    "synth_ecp5 -top {top} -run begin:map_luts",
    "check -latchonly -assert",
    "abc9 -W 900",
    "clean",
    "synth_ecp5 -top {top} -run map_cells:",
])


def _ecp5(
    size: str, grid: Grid | None = None, *, most_sinks: int = 32, close_carries: bool = False
) -> Part:
    return Part(
        part=f"LFE5U-{size}F CABGA381",
        speed_grade="6",
        synthesis=SYNTH_ECP5,
        tool="nextpnr-ecp5",
        options=(f"--{size}k", "--package", "CABGA381", "--speed", "6",
                 "--lpf-allow-unconstrained", "--placer", PLACER),
        target_mhz=100,
        grid=grid,
        most_sinks=most_sinks,
        close_carries=close_carries,
        clock_pin="G2",
    )  # fmt: skip


PARTS = {
    "ecp5-85k": _ecp5("85", Grid(
        columns=(4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114),
        multiplier_rows=(10, 34, 58), memory_rows=(22, 46, 70, 82),
    )),  # fmt: skip
    "ecp5-45k": _ecp5("45"),
    "ecp5-25k": _ecp5("25", most_sinks=64, close_carries=True),
    "ice40-up5k": Part(
        part="iCE40UP5K SG48",
        speed_grade="the only one",
        # There are no memories of logic cells: what asks for one takes a block or flip-flops.
        # Not -dsp, which would rewrite the SB_MAC16 that the core has: see vendor/ice40.py.
        synthesis="setattr -unset ram_style a:ram_style=distributed; "
        "synth_ice40 -device u -top {top}",
        tool="nextpnr-ice40",
        options=("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
        target_mhz=25,
    ),
}
"""The tools' side of :data:`systolith_hw.budget.DEVICES`."""
