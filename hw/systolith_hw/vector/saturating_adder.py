"""Add what wide memory holds to values that are in the datapath, and make ReLU of them."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config

__all__ = ["SaturatingAdder"]


class SaturatingAdder(wiring.Component):
    """Compute ``clip(z + wide)`` in every lane, or leave z as it is; then ``max(0, ...)`` or not.

    ReLU costs no LUT: what each bit of the result takes of sum, sign and overflow leaves one of a
    LUT's four inputs free.

    =========== ====================================================
    Latency     1 cycle (:attr:`latency`)
    Throughput  1 value per lane and cycle; never stalls
    Golden      ``accumulate`` and RELU in
                :func:`systolith_sim.machine.vector.values.finish_values`
    =========== ====================================================

    Parameters
    ----------
    config : Config
        Lanes.

    Members
    -------
    z : In(ArrayLayout(signed(32), lanes)), saturated : In(lanes)
        Values, and whether they have been clipped before.
    add : In(lanes), wide : In(ArrayLayout(signed(32), lanes))
        Lanes in which to add, and what.
    rectify : In(1)
        What is negative becomes zero, in all lanes.
    o : Out(ArrayLayout(signed(32), lanes))
        The sums.
    clipped : Out(lanes)
        Lanes that were clipped, here or before: each counts once. ReLU does not count.
    """

    latency = 1

    z: data.View
    saturated: Signal
    add: Signal
    wide: data.View
    rectify: Signal
    o: data.View
    clipped: Signal

    def __init__(self, config: Config) -> None:
        lanes = config.vector.lanes
        values = data.ArrayLayout(signed(FIXED_BITS), lanes)
        super().__init__({
            "z": In(values),
            "saturated": In(lanes),
            "add": In(lanes),
            "wide": In(values),
            "rectify": In(1),
            "o": Out(values),
            "clipped": Out(lanes),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for lane, (z, wide) in enumerate(zip(self.z, self.wide, strict=True)):
            total = Signal(signed(FIXED_BITS + 1), name=f"total_{lane}")
            beyond = Signal(name=f"beyond_{lane}")
            limited = Signal(signed(FIXED_BITS), name=f"limited_{lane}", reset_less=True)
            clipped = Signal(name=f"clipped_{lane}", reset_less=True)
            negative = total[-1]
            limit = Cat((~negative).replicate(FIXED_BITS - 1), negative)
            m.d.comb += [
                total.eq(z + Mux(self.add[lane], wide, 0)),
                beyond.eq(negative != total[-2]),
                self.o[lane].eq(limited),
                self.clipped[lane].eq(clipped),
            ]
            m.d.sync += [
                limited.eq(Mux(self.rectify & negative, 0, Mux(beyond, limit, total))),
                clipped.eq(self.saturated[lane] | beyond),
            ]
        return m
