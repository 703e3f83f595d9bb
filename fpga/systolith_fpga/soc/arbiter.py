"""Several masters of one memory."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .wishbone import Pipelined

__all__ = ["Arbiter"]


class Arbiter(wiring.Component):
    """Let masters take turns, access by access.

    The master with the lowest number goes first, so it is to be one that asks seldom, such as a
    CPU: each of its accesses costs the others one cycle. A strobe that memory stalls is not
    replaced by another one. Answers come in the order of accesses, so a queue of numbers says whose
    each is; nobody has to wait for the others' answers.

    =========== ===================================================
    Latency     none
    Throughput  an access per cycle
    Stall       while another master goes first, or ``outstanding``
                accesses are without an answer
    =========== ===================================================

    Parameters
    ----------
    address_bits, data_bytes : int
        Of the bus.
    masters : int
        How many, at least 2.
    outstanding : int
        Accesses that may be under way, a power of two.

    Members
    -------
    masters : In(Pipelined) for each
        As ``master_0``, ``master_1``, and so on.
    slave : Out(Pipelined)
    """

    slave: Any

    def __init__(
        self, address_bits: int, data_bytes: int, masters: int = 2, outstanding: int = 32
    ) -> None:
        if masters < 2:
            raise ValueError(f"masters must be at least 2, not {masters}")
        if outstanding < 2 or outstanding & (outstanding - 1):
            raise ValueError(f"outstanding must be a power of two from 2, not {outstanding}")
        self.count = masters
        self.outstanding = outstanding
        bus = Pipelined(address_bits, data_bytes)
        ports = {f"master_{number}": In(bus) for number in range(masters)}
        super().__init__({**ports, "slave": Out(bus)})

    @property
    def masters(self) -> list[Any]:
        """Each master's port, first the one that goes first."""
        return [getattr(self, f"master_{number}") for number in range(self.count)]

    def elaborate(self, platform) -> Module:
        m = Module()
        slave = self.slave
        chosen, before = Signal(range(self.count)), Signal(range(self.count))
        kept = Signal()  # a strobe that was not taken stays, whoever asks meanwhile
        owners = Array(Signal(range(self.count), name=f"owner_{place}")
                       for place in range(self.outstanding))  # fmt: skip
        head, tail = Signal(range(self.outstanding)), Signal(range(self.outstanding))
        level = Signal(range(self.outstanding + 1))
        room, taken, answered = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(level != self.outstanding),
            taken.eq(slave.stb & ~slave.stall),
            answered.eq((slave.ack | slave.err) & (level != 0)),
            slave.cyc.eq(slave.stb | (level != 0)),
        ]
        for number, master in reversed([*enumerate(self.masters)]):
            with m.If(master.cyc & master.stb):
                m.d.comb += chosen.eq(number)
        with m.If(kept):
            m.d.comb += chosen.eq(before)
        m.d.sync += [kept.eq(slave.stb & slave.stall), before.eq(chosen)]
        with m.Switch(chosen):
            for number, master in enumerate(self.masters):
                with m.Case(number):
                    m.d.comb += slave.stb.eq(master.cyc & master.stb & room)
                    m.d.comb += [getattr(slave, name).eq(getattr(master, name))
                                 for name in ("we", "adr", "sel", "dat_w")]  # fmt: skip
        for number, master in enumerate(self.masters):
            mine = answered & (owners[tail] == number)
            m.d.comb += [
                master.stall.eq((chosen != number) | ~room | slave.stall),
                master.dat_r.eq(slave.dat_r),
                master.ack.eq(mine & slave.ack),
                master.err.eq(mine & slave.err),
            ]
        with m.If(taken):
            m.d.sync += [owners[head].eq(chosen), head.eq(head + 1)]
        m.d.sync += [tail.eq(tail + answered), level.eq(level + taken - answered)]
        return m
