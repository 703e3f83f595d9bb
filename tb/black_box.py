"""Run benches written for Amaranth's simulator on a component's emitted Verilog.

The benches in ``tb/unit`` know how to drive each component and what its golden model wants. Inside
Icarus or Verilator, :func:`on_verilog` runs them as they are: Amaranth's simulator keeps the bench
and the clock, and the component is a black box whose ports are those of the Verilog. ::

    bench ◄──► Amaranth's simulator ◄── ports ──► cocotb ◄──► Icarus, Verilator
"""

import contextlib
from collections.abc import Callable
from typing import Any
from unittest import mock

from amaranth import Module, Signal
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.sim.pysim import PySimEngine  # not a public interface: tried with Amaranth 0.5
from cocotb.task import bridge, resume
from cocotb.triggers import Timer

__all__ = ["component_of", "on_verilog"]

RESET_CYCLES = 8


class _Found(Exception):
    """Ends a bench as soon as its component is elaborated."""


def component_of(kind: type[wiring.Component], function: Callable[..., Any], *args: Any) -> Any:
    """Return the component of ``kind`` that ``function(*args)`` makes and would simulate."""
    found: list[wiring.Component] = []

    def elaborate(component: wiring.Component, platform: Any) -> Module:
        found.append(component)
        raise _Found

    with mock.patch.object(kind, "elaborate", elaborate), contextlib.suppress(_Found):
        function(*args)
    return found[0]


async def on_verilog(
    dut: Any,
    kind: type[wiring.Component],
    function: Callable[..., Any],
    *args: Any,
    **settings: Any,
) -> Any:
    """Return ``function(*args, **settings)``, in which the one component of ``kind`` is ``dut``.

    Every simulator that the function makes begins with a reset. Memories keep their contents.

    Parameters
    ----------
    dut : handle
        The Verilog, as :func:`harness.run` emitted it from an equal component.
    kind : type
        The component's class.
    function : callable
        Makes the component and an ``amaranth.sim.Simulator`` with whatever around it.
    """
    boxes: list[wiring.Component] = []

    def elaborate(component: wiring.Component, platform: Any) -> Module:
        m = Module()
        m.d.sync += Signal(name="nothing").eq(0)  # so that there is a clock
        boxes.append(component)
        return m

    def engine(design: Any) -> "_Engine":
        return _Engine(design, dut, boxes.pop())

    def work() -> Any:
        with (
            mock.patch.object(kind, "elaborate", elaborate),
            mock.patch("amaranth.sim.pysim.PySimEngine", engine),
        ):
            return function(*args, **settings)

    return await bridge(work)()


class _Engine(PySimEngine):
    """Amaranth's engine, with one component in another simulator.

    The Verilog follows late: only when somebody looks at its outputs, or before the next clock
    edge. An edge reaches it before what changed because of it.
    """

    def __init__(self, design: Any, dut: Any, component: wiring.Component) -> None:
        super().__init__(design)
        self._dut = dut
        self._stepping = False
        self._clock = self._slot(design.lookup_domain("sync", None).clk)
        self._inputs: list[tuple[Any, Any]] = []
        self._outputs: list[tuple[Any, Any]] = []
        for path, member, port in component.signature.flatten(component):
            signal = Value.cast(port)
            if isinstance(signal, Signal):  # what is constant has no port
                pair = getattr(dut, "__".join(map(str, path))), self._slot(signal)
                (self._inputs if member.flow == wiring.In else self._outputs).append(pair)
        self._restart()

    def reset(self) -> None:
        super().reset()
        self._restart()

    def step_design(self) -> None:
        self._stepping = True
        super().step_design()
        self._stepping = False

    def get_value(self, expr: Any) -> int:
        if not self._stepping:  # what is sampled at an edge is from before it
            self._settle()
        return super().get_value(expr)

    def advance(self) -> bool:
        self._settle()
        return super().advance()

    def _slot(self, signal: Value) -> Any:
        state: Any = self.state
        return state.slots[state.get_signal(signal)]

    def _restart(self) -> None:
        self._seen: dict[Any, int] = {}
        self._was_high = False
        resume(self._reset_verilog)()

    def _settle(self) -> None:
        """Bring inputs to the Verilog and outputs back until nothing changes."""
        high = bool(self._clock.curr)
        edge, self._was_high = high and not self._was_high, high
        while True:
            changed = [pair for pair in self._inputs if self._seen.get(pair[0]) != pair[1].curr]
            if not (edge or changed):
                return
            self._seen.update((handle, slot.curr) for handle, slot in changed)
            resume(self._exchange)(edge, changed)
            edge = False
            self.step_design()

    async def _reset_verilog(self) -> None:
        self._dut.rst.value = 1
        self._write(self._inputs)
        for level in (0, 1) * RESET_CYCLES:
            self._dut.clk.value = level
            await Timer(1, "ns")
        self._dut.clk.value = self._dut.rst.value = 0

    async def _exchange(self, edge: bool, changed: list[tuple[Any, Any]]) -> None:
        if edge:
            self._dut.clk.value = 1
            await Timer(1, "ns")
            self._dut.clk.value = 0
        self._write(changed)
        await Timer(1, "ns")
        for handle, slot in self._outputs:
            value, shape = int(handle.value), slot.signal.shape()
            negative = shape.signed and value >> shape.width - 1
            slot.update(value - (1 << shape.width) if negative else value)

    def _write(self, pairs: list[tuple[Any, Any]]) -> None:
        for handle, slot in pairs:
            handle.value = slot.curr & (1 << len(slot.signal)) - 1
