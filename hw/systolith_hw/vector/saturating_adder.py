"""Add what wide memory holds to values that are in the datapath."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, Config

__all__ = ["SaturatingAdder"]


class SaturatingAdder(wiring.Component):
    """Compute ``clip(z + wide)`` in every lane, or leave z as it is.

    =========== ====================================================
    Latency     1 cycle (:attr:`latency`)
    Throughput  1 value per lane and cycle; never stalls
    Golden      ``accumulate`` in :func:`systolith_sim.machine.vector.values.finish_values`
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
    o : Out(ArrayLayout(signed(32), lanes))
        The sums.
    clipped : Out(lanes)
        Lanes that were clipped, here or before: each counts once.
    """

    latency = 1

    z: data.View
    saturated: Signal
    add: Signal
    wide: data.View
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
            limit = Cat((~total[-1]).replicate(FIXED_BITS - 1), total[-1])
            m.d.comb += [
                total.eq(z + Mux(self.add[lane], wide, 0)),
                beyond.eq(total[-1] != total[-2]),
                self.o[lane].eq(limited),
                self.clipped[lane].eq(clipped),
            ]
            m.d.sync += [
                limited.eq(Mux(beyond, limit, total)),
                clipped.eq(self.saturated[lane] | beyond),
            ]
        return m
