"""The largest values of many, without sorting them."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import FIXED_BITS, MOST_CANDIDATES
from ..isa import SLOT_BITS
from .candidate import candidate

__all__ = ["CandidateHeap"]


class State(enum.Enum, shape=2):
    """What the heap does: nothing, forget what it keeps, read a node's children, compare them."""

    IDLE = 0
    CLEAR = 1
    READ = 2
    COMPARE = 3


class CandidateHeap(wiring.Component):
    """Keep the ``most`` largest of the values that come, of equals those with the smaller numbers.

    They are nodes 1 to ``most`` of a heap, node n being smaller than nodes 2n and 2n + 1. So node 1
    is the one that goes if a larger value comes; the newcomer then sinks, and smaller ones rise,
    until it is smaller than what is below. Odd and even nodes have a memory each, so that both
    children of a node are read at once. A node that holds nothing is smaller than all others.

    =========== ====================================================
    Latency     a value that is not kept takes 1 cycle, others 3 and 2 for each level that they
                sink, at most 2 * log2(capacity) + 3 (:attr:`longest`); forgetting takes
                capacity / 2 + 1
    Throughput  1 value in that time
    Stall       ``i.ready`` comes from registers
    Golden      :func:`systolith_sim.vector.sampler.keep_largest`
    =========== ====================================================

    Parameters
    ----------
    capacity : int
        Most values. Power of two, 4 to 64.

    Members
    -------
    clear : In(1), most : In(7)
        Forget what is kept, and keep so many from now on; in a cycle with ``idle``.
    i : In(stream of candidate())
        Values.
    idle : Out(1)
        All values that came are in their places.
    size : Out(7)
        ``most`` of the last ``clear``.
    node : In(range(capacity + 1))
        Whom to look at, 1 to ``size``, while ``idle``.
    found : Out(1), entry : Out(candidate())
        The node of the cycle before, if there is one.
    """

    clear: Signal
    most: Signal
    i: stream.Interface
    idle: Signal
    size: Signal
    node: Signal
    found: Signal
    entry: data.View

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        count = range(MOST_CANDIDATES + 1)
        super().__init__({
            "clear": In(1),
            "most": In(count),
            "i": In(stream.Signature(candidate())),
            "idle": Out(1),
            "size": Out(count),
            "node": In(count),
            "found": Out(1),
            "entry": Out(candidate()),
        })

    @property
    def longest(self) -> int:
        """Cycles that a value takes at most."""
        return 2 * (self.capacity - 1).bit_length() + 3

    def elaborate(self, platform) -> Module:
        m = Module()
        state = Signal(State)
        newcomer, smallest = Signal(_key(), reset_less=True), Signal(_key())
        hole, size = Signal.like(self.size, reset_less=True), Signal.like(self.size, init=1)
        comes = _key_of(self.i.payload)
        child, child_key, sinks = Signal.like(hole), Signal(_key()), Signal()
        rises = Mux(sinks, child_key, newcomer)
        even, odd = self._elaborate_nodes(m, state, hole, rises, smallest)
        second = (Cat(C(1, 1), hole) <= size) & (odd < even)
        smaller = Mux(second, newcomer > odd, newcomer > even)
        m.d.comb += [
            self.size.eq(size),
            self.idle.eq(state == State.IDLE),
            self.i.ready.eq((state == State.IDLE) & ~self.clear),
            child.eq(Cat(second, hole)),
            child_key.eq(Mux(second, odd, even)),
            sinks.eq((Cat(C(0, 1), hole) <= size) & smaller),
        ]
        with m.Switch(state):
            with m.Case(State.IDLE):
                m.d.sync += [newcomer.eq(comes), hole.eq(~self.clear)]
                with m.If(self.clear):
                    m.d.sync += [state.eq(State.CLEAR), size.eq(self.most)]
                with m.Elif(self.i.valid & (comes > smallest)):
                    m.d.sync += state.eq(State.READ)
            with m.Case(State.CLEAR):
                m.d.sync += hole.eq(hole + 2)
                with m.If(hole[1:] == self.capacity // 2 - 1):
                    m.d.sync += state.eq(State.IDLE)
            with m.Case(State.READ):
                m.d.sync += state.eq(State.COMPARE)
            with m.Case(State.COMPARE):
                m.d.sync += [hole.eq(child), state.eq(Mux(sinks, State.READ, State.IDLE))]
        return m

    def _elaborate_nodes(
        self, m: Module, state: Value, hole: Value, rises: Value, smallest: Signal
    ) -> tuple[Value, Value]:
        """Put what ``rises`` into the hole, and nothing into all nodes; return the hole's children.

        Node 1 is kept in a register, too. The last node has the place of node 0.
        """
        address_bits = (self.capacity // 2 - 1).bit_length()
        clears, compares = state == State.CLEAR, state == State.COMPARE
        looks, parity = state == State.IDLE, Signal()
        kept = []
        for odd in range(2):
            attrs: dict[str, Any] = {"ram_style": "distributed"}
            store: memory.Memory = memory.Memory(
                shape=_key(), depth=self.capacity // 2, init=[], attrs=attrs
            )
            m.submodules["odd" if odd else "even"] = store
            write, read = store.write_port(), store.read_port(domain="comb")
            kept.append(Signal(_key(), name=f"kept_{odd}", reset_less=True))
            m.d.comb += [
                write.en.eq(clears | (compares & (hole[0] == odd))),
                write.addr.eq(hole[1 : 1 + address_bits]),
                write.data.eq(Mux(clears, 0, rises)),
                read.addr.eq(Mux(looks, self.node >> 1, hole)[:address_bits]),
            ]
            m.d.sync += kept[-1].eq(read.data)
        with m.If(clears | (compares & (hole == 1))):
            m.d.sync += smallest.eq(Mux(clears, 0, rises))
        looked = Mux(parity, kept[1], kept[0])
        m.d.sync += parity.eq(self.node[0])
        m.d.comb += [
            self.found.eq(looked[-1]),
            self.entry.value.eq(Cat(looked[SLOT_BITS:-2], ~looked[-2])),
            self.entry.number.eq(~looked[:SLOT_BITS]),
        ]
        return kept[0], kept[1]


def _key() -> Shape:
    """Return the shape of a number that is larger for what is rather kept, and 0 for nothing."""
    return unsigned(SLOT_BITS + FIXED_BITS + 1)


def _key_of(entry: Any) -> Value:
    """Return that of a candidate."""
    return Cat(~entry.number, entry.value[:-1], ~entry.value[-1], C(1, 1))
