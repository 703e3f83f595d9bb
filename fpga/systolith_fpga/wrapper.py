"""A shell of registers around a core with more ports than any package has pins."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterWrapper"]


class RegisterWrapper(wiring.Component):
    """Drive every input of a core from a register and take every output into one.

    ::

        i ──►[r]──►[r]──►[r]── ...       one register for each input bit
              ▼     ▼     ▼
              │    core   │
              ▼     ▼     ▼
             [^]──►[^]──►[^]── ... ──► o   one register for each output bit, xor what came before

    All paths into and out of the core start or end at a register next to it, so what is timed is
    the core. Nothing can be optimised away, since every input is arbitrary and every output seen.

    Parameters
    ----------
    core : wiring.Signature
        The core's ports.
    name : str
        Its Verilog module, with ports as Amaranth names them, and ``clk`` and ``rst``.

    Members
    -------
    clk : In(1)
        Clock of everything.
    i : In(1)
        Shifted through all inputs.
    o : Out(1)
        Shifted out of all outputs.
    """

    clk: Signal
    i: Signal
    o: Signal

    def __init__(self, core: wiring.Signature, name: str) -> None:
        self.core = core
        self.name = name
        super().__init__({"clk": In(1), "i": In(1), "o": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)  # the core's reset is one more input
        m.d.comb += ClockSignal().eq(self.clk)

        reset = Signal(reset_less=True)
        ports: dict[str, Value] = {"i_clk": ClockSignal(), "i_rst": reset}
        driven: list[Signal] = [reset]
        seen: list[Signal] = []
        for path, member, value in self.core.flatten(self.core.create()):
            if isinstance(Value.cast(value), Const):  # the ready of a stream that always is
                continue
            name = "__".join(str(part) for part in path)
            signal = Signal(len(Value.cast(value)), name=name)
            outward = member.flow == Out  # type: ignore[attr-defined]  # stubs yield the flow
            ports[f"{'o' if outward else 'i'}_{name}"] = signal
            (seen if outward else driven).append(signal)
        m.submodules.core = Instance(self.name, **ports)

        inputs, outputs = Cat(driven), Cat(seen)
        shift = Signal(len(inputs))
        fold = Signal(len(outputs))
        m.d.comb += [inputs.eq(shift), self.o.eq(fold[-1])]
        m.d.sync += [
            shift.eq(Cat(self.i, shift)),
            fold.eq(Cat(shift[-1], fold) ^ outputs),
        ]
        return m
