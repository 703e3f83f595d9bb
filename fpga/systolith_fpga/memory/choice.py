"""Choose whose burst is next."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BurstChoice"]


class BurstChoice(wiring.Component):
    """Take clients in turn, but the first one whenever it was not the last.

    So the first waits for one burst of others at most, and each other one for as many as there are
    clients, twice.

    =========== ==========================================================
    Latency     none: ``winner`` is combinational
    Throughput  1 choice per cycle
    =========== ==========================================================

    Parameters
    ----------
    clients : int
        At least 2.

    Members
    -------
    wishes : In(clients)
        Who wants to be next.
    take : In(1)
        The winner, if there is a wish, is the next.
    winner : Out(range(clients))
        Who it is, where there is a wish.
    """

    wishes: Signal
    take: Signal
    winner: Signal

    def __init__(self, clients: int) -> None:
        if clients < 2:
            raise ValueError(f"clients must be at least 2, not {clients}")
        self.clients = clients
        super().__init__({"wishes": In(clients), "take": In(1), "winner": Out(range(clients))})

    def elaborate(self, platform) -> Module:
        m = Module()
        others = range(1, self.clients)
        turn = Signal(range(self.clients), init=1)  # the last of the others
        was_first = Signal()
        with m.Switch(turn):
            for last in others:
                with m.Case(last):
                    for client in (*range(last, 0, -1), *range(self.clients - 1, last, -1)):
                        with m.If(self.wishes[client]):
                            m.d.comb += self.winner.eq(client)
        first = self.wishes[0] & ~(was_first & self.wishes[1:].any())
        with m.If(first):
            m.d.comb += self.winner.eq(0)
        with m.If(self.take & self.wishes.any()):
            m.d.sync += was_first.eq(first)
            with m.If(~first):
                m.d.sync += turn.eq(self.winner)
        return m
