"""Sum a row's mantissas and their squares."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from .adder_tree import AdderTree
from .row_shapes import moments
from .square import Square

__all__ = ["Moments", "mantissa_beat"]


def mantissa_beat(config: Config) -> data.StructLayout:
    """Return the shape of L mantissas of a row and their exponent; lanes that lack are zero."""
    array = config.array
    return data.StructLayout({
        "mantissas": data.ArrayLayout(signed(array.mantissa_bits), config.vector.lanes),
        "exponent": array.exponent_bits, "first": 1, "last": 1,
    })  # fmt: skip


class Moments(wiring.Component):
    """Compute ``sum(m << e)`` and ``sum(m**2 << 2 * e)`` over the beats of a row, exactly.

    ::

        m ──┬─────────►[ tree ]──────────────►[ << e ]───►[ + total ]────► o
            └─►[ square ]────────►[ tree ]────►[ << 2e ]──►[ + squares ]──► o
               cycles 0-1          log2(L)      1 cycle     1 cycle

    =========== ==================================================================
    Latency     log2(lanes) + 4 cycles (:attr:`latency`) from a row's last beat
    Throughput  1 beat per cycle, the next row's right behind; never stalls
    Golden      :func:`systolith_sim.vector.row.row_sums`
    =========== ==================================================================

    Parameters
    ----------
    config : Config
        Lanes, widths, and the longest row.
    target : str
        "generic", "ecp5" or "ice40": for the multipliers.
    multipliers : bool
        Square with a multiplier in each lane, as mantissas of more than 8 bits always are; else
        with some 50 LUTs.

    Members
    -------
    i : In(stream of mantissa_beat(config), always ready)
        Beats; ``first`` begins a row and ``last`` ends it, perhaps in the same one.
    o : Out(stream of moments(config), always ready)
        Sums of rows. The payload stays until the first beat of the next row gets there.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self, config: Config, target: str = "generic", *, multipliers: bool = False
    ) -> None:
        self.config = config
        self.target = target
        self.multipliers = multipliers
        super().__init__({
            "i": In(stream.Signature(mantissa_beat(config), always_ready=True)),
            "o": Out(stream.Signature(moments(config), always_ready=True)),
        })

    @property
    def latency(self) -> int:
        """Cycles from a row's last beat to its sums."""
        return Square.latency + (self.config.vector.lanes - 1).bit_length() + 2

    def elaborate(self, platform) -> Module:
        m = Module()
        beat = self.i.payload
        valid: Value = self.i.valid
        exponent: Value = beat.exponent
        ends: Value = Cat(beat.first, beat.last)
        shifting = self.latency - 2  # in which cycle
        for age in range(1, shifting + 2):
            before = valid, exponent, ends
            valid = Signal(name=f"valid_{age}")
            exponent = Signal.like(beat.exponent, name=f"exponent_{age}", reset_less=True)
            ends = Signal(2, name=f"ends_{age}", reset_less=True)
            m.d.sync += [valid.eq(before[0]), ends.eq(before[2])]
            if age <= shifting:
                m.d.sync += exponent.eq(before[1])
                shift = exponent

        total, squares = self._elaborate_sums(m)
        first, last = ends
        m.d.sync += self.o.valid.eq(valid & last)
        for held, beat_sum, by in (
            (self.o.payload.total, total, shift),
            (self.o.payload.squares, squares, Cat(C(0, 1), shift)),
        ):
            shifted = Signal(held.shape(), reset_less=True)
            so_far = Signal.like(held, name="so_far", reset_less=True)
            m.d.comb += held.eq(so_far)
            m.d.sync += shifted.eq(beat_sum << by)
            with m.If(valid):
                m.d.sync += so_far.eq(shifted + Mux(first, 0, so_far))
        return m

    def _elaborate_sums(self, m: Module) -> tuple[Value, Value]:
        """Add up a beat's mantissas, and their squares; return both sums, of the same age."""
        array, lanes = self.config.array, self.config.vector.lanes
        m.submodules.total_tree = total_tree = AdderTree(signed(array.mantissa_bits), lanes)
        m.submodules.square_tree = square_tree = AdderTree(
            unsigned(2 * array.mantissa_bits - 2), lanes
        )
        m.d.comb += total_tree.values.eq(self.i.payload.mantissas)
        for lane in range(lanes):
            square = Square(
                array.mantissa_bits, multiplier=self.multipliers, target=self.target
            )
            m.submodules[f"square_{lane}"] = square
            m.d.comb += [
                square.mantissa.eq(self.i.payload.mantissas[lane]),
                square_tree.values[lane].eq(square.square),
            ]
        total: Value = total_tree.total
        for age in range(Square.latency):
            before = total
            total = Signal.like(total_tree.total, name=f"total_{age}", reset_less=True)
            m.d.sync += total.eq(before)
        return total, square_tree.total
