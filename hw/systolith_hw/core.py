"""The core behind the bus: sequencer, queues, semaphores, units and the memory they share."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .array.engine import MatrixEngine
from .config import Config
from .control.settings import Settings
from .control.tally import event_layout
from .dma.load import LoadUnit
from .dma.store import StoreUnit
from .interfaces import Fault, ReadPort, WritePort, scale_write
from .isa import ErrorCode, Unit
from .limits import queues
from .memory.wide import WideMemory
from .sequencer.queue import InstructionQueue
from .sequencer.semaphores import SemaphoreFile
from .sequencer.sequencer import Sequencer
from .sequencer.serial.semaphores import SerialSemaphores
from .sequencer.serial.standing import StandingInstruction
from .sequencer.take import TakeStage
from .stream.skid import Skid
from .stream.spare import Spare
from .vector.shared_unit import SharedUnit
from .vector.unit import VectorUnit

__all__ = ["Core"]

RESETS = ("load", "store", "array", "vector", "between", "semaphores", "sequencer")
"""Parts that have a reset register of their own, in the order in which a reset comes to them and
leaves them: who offers bursts first, who issues instructions last."""


class Core(wiring.Component):
    """Everything between the control registers and the memory ports; wiring only.

    ::

        fetch ──► sequencer ──► queue ──► array ──► vector ──► store ──► store port
                     │  ├─────► queue ──► vector      │
        semaphores ──┤  ├─────► queue ──► load ───────┼──► wide memory
                     │  └─────► queue ──► store       │
                     └── length, position             └──► activation words, operands ──► array

    With ``vector.rows`` there is a queue of ``vector.row``, too, which is the unit ROW.

    Golden: :class:`systolith_sim.machine.Machine`.

    Parameters
    ----------
    config : Config
        The one description.
    target : str
        "generic", "ecp5" or "ice40": which vendor cells multipliers and memories may use.

    Members
    -------
    fetch, load : Out(ReadPort)
        Program fetch with READ, and LOAD.
    store : Out(WritePort)
        STORE.
    reset : In(1)
        A register; resets every unit, from one to the next a cycle later. The domain itself has
        no reset.
    in_reset : Out(1)
        The last of them is in reset.
    start : In(1)
        Run the program from its first instruction.
    halt : In(1)
        Start nothing new; memories keep their contents.
    program_write : In(1)
        Begin to fetch the program.
    settings : In(Settings)
        Its address, and runtime registers 1 and 2.
    done : Out(1)
        END has completed, for one cycle.
    faults : Out(Fault) for each :class:`~systolith_hw.isa.Unit`
        As ``fault_sequencer``, ``fault_array``, and so on. Where instructions stand, all have the
        ``pc`` of the instruction that ``inspect`` asks for, from two cycles after ``halt`` on.
    inspect : In(3)
        The unit whose ``pc`` to tell.
    semaphore_misuse : Out(1), semaphore_unit : Out(3)
        A semaphore was misused, and by which unit.
    events : Out(event_layout)
        What the counters count.
    """

    fetch: Any
    load: Any
    store: Any
    reset: Signal
    in_reset: Signal
    start: Signal
    halt: Signal
    program_write: Signal
    settings: Any
    done: Signal
    inspect: Signal
    semaphore_misuse: Signal
    semaphore_unit: Signal
    events: data.View

    def __init__(self, config: Config, target: str = "generic") -> None:
        self.config = config
        self.target = target
        self._resets = {name: Signal(name=f"{name}_reset", init=1) for name in RESETS}
        super().__init__({
            "fetch": Out(ReadPort(config)),
            "load": Out(ReadPort(config)),
            "store": Out(WritePort(config)),
            "reset": In(1),
            "in_reset": Out(1),
            "start": In(1),
            "halt": In(1),
            "program_write": In(1),
            "settings": In(Settings()),
            "done": Out(1),
            **{f"fault_{unit.name.lower()}": Out(Fault()) for unit in Unit},
            "inspect": In(range(len(Unit))),
            "semaphore_misuse": Out(1),
            "semaphore_unit": Out(range(len(Unit))),
            "events": Out(event_layout(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config, target = self.config, self.target
        stands = config.sequencer.instructions_stand
        sequencer = Sequencer(config)
        semaphores: Any = (
            SerialSemaphores(config) if stands else SemaphoreFile(config, len(queues(config)))
        )
        array = MatrixEngine(config, target)
        vector: Any = (SharedUnit if config.vector.rows else VectorUnit)(config, target)
        load, store, wide = LoadUnit(config), StoreUnit(config), WideMemory(config)
        for name, part in {
            "sequencer": sequencer, "semaphores": semaphores, "array": array, "vector": vector,
            "load": load, "store": store,
        }.items():  # fmt: skip
            self._add(m, name, part, name)
        self._add(m, "wide", wide)
        self._pass_reset_on(m)

        waits: Value = self._connect_far(m, "results", array.results, vector.results)
        waits |= self._connect_far(
            m, "stream", vector.stream, store.stream, late=bool(config.vector.rows)
        )
        connect(m, vector.words, array.words_vector)
        connect(m, load.rows, array.rows)
        connect(m, load.words, array.words_load)
        connect(m, vector.wide, wide.vector)
        connect(m, load.wide, wide.load)
        self._connect_scale(m, load, vector)
        connect(m, store.wide, wide.read)
        if config.vector.rows:
            connect(m, vector.lanes, array.lane_writes)
            connect(m, vector.wide_read, wide.first)
            m.d.comb += [
                vector.arrived.eq(array.arrived), sequencer.number.eq(vector.number),
                sequencer.number_told.eq(vector.number_told),
            ]  # fmt: skip

        if config.array.numbered:
            m.d.comb += array.number.eq(vector.number)

        connect(m, flipped(self.settings), sequencer.settings)
        connect(m, sequencer.bus, flipped(self.fetch))
        connect(m, load.bus, flipped(self.load))
        connect(m, store.bus, flipped(self.store))

        units: dict[Unit, Any] = {
            Unit.ARRAY: array, Unit.VECTOR: vector, Unit.LOAD: load, Unit.STORE: store
        }  # fmt: skip
        if config.vector.rows:
            units[Unit.ROW] = vector.row
        if not stands:
            connect(m, sequencer.credit, semaphores.credit)
        units_idle = Signal()  # told from all over the core, so it has a cycle to itself
        m.d.sync += units_idle.eq(self._connect_units(m, sequencer, semaphores, units) & ~waits)
        m.d.comb += [
            sequencer.units_idle.eq(units_idle),
            sequencer.inspect.eq(self.inspect),
            sequencer.start.eq(self.start),
            sequencer.program_write.eq(self.program_write),
            semaphores.clear.eq(self.start),
            self.done.eq(sequencer.done),
        ]
        self._connect_events(m, sequencer, units, vector)
        return m

    def _add(
        self, m: Module, name: str, part: wiring.Component, reset: str = "between"
    ) -> None:
        """Make ``part`` a submodule, reset by one of the registers for :data:`RESETS`."""
        m.submodules[name] = ResetInserter(self._resets[reset])(part)

    def _pass_reset_on(self, m: Module) -> None:
        """Pass the reset from one register to the next.

        Synthesis would make one register of several with the same input, which all units would
        then wait for.
        """
        before: Value = self.reset
        for reset in self._resets.values():
            m.d.sync += reset.eq(before)
            before = reset
        m.d.comb += self.in_reset.eq(before)

    def _connect_far(
        self, m: Module, name: str, source, sink, *, late: bool = False
    ) -> Value:
        """Connect streams of two units that are far apart; return "a word is between them".

        A sink that decides ``late`` what it takes has a place where a word waits meanwhile.
        """
        if self.config.short_pipelines:
            connect(m, source, sink)
            return Const(0)
        between = Skid(source.payload.shape())
        self._add(m, name, between)
        connect(m, source, between.i)
        if not late:
            connect(m, between.o, sink)
            return between.o.valid
        spare = Spare(source.payload.shape())
        self._add(m, f"{name}_spare", spare)
        connect(m, between.o, spare.i)
        connect(m, spare.o, sink)
        return spare.o.valid

    def _connect_scale(self, m: Module, load: LoadUnit, vector: VectorUnit) -> None:
        """Connect LOAD with scale memory, by way of a register, which may be in there."""
        if self.config.short_pipelines or self.config.vector.rows:
            connect(m, load.scale, vector.scale_writes)
            return
        valid = Signal()
        payload: Any = Signal(scale_write(self.config), reset_less=True)
        m.d.sync += [valid.eq(load.scale.valid), payload.eq(load.scale.payload)]
        m.d.comb += [
            vector.scale_writes.valid.eq(valid),
            vector.scale_writes.payload.eq(payload),
        ]

    def _connect_post(self, m: Module, unit: Unit, post, port) -> Value:
        """Give a semaphore; return "there is one on its way".

        Words of the vector unit, also ROW's, have a register on their way into the array and into
        wide memory, and LOAD's one into scale memory. So has what tells of them.
        """
        if unit in (Unit.ARRAY, Unit.STORE) or self.config.short_pipelines:
            connect(m, post, port)
            return Const(0)
        given = Signal.like(Cat(post.valid, post.id), name="given")
        m.d.sync += given.eq(Cat(post.valid, post.id))
        m.d.comb += Cat(port.valid, port.id).eq(given)
        return port.valid

    def _connect_units(self, m, sequencer, semaphores, units) -> Value:
        """Give every unit its queue, semaphores, fault and halt; return "all idle"."""
        stands = self.config.sequencer.instructions_stand
        # Slow semaphores may find a misuse after all else has come to rest.
        idle: Value = semaphores.idle if stands else Const(1)
        queue_of: Any = StandingInstruction if stands else InstructionQueue
        refused: dict[Unit, Value] = {}
        for index, (unit, part) in enumerate(units.items()):
            name = unit.name.lower()
            queue = queue_of(self.config, *queues(self.config)[unit])
            self._add(m, f"{name}_queue", queue)
            connect(m, getattr(sequencer, name), queue.i)
            connect(m, queue.o, part.instruction)
            wait = part.wait
            if not stands:
                take = TakeStage()
                self._add(m, f"{name}_take", take)
                connect(m, part.wait, take.unit)
                wait = take.file
            connect(m, wait, getattr(semaphores, f"wait_{index}"))
            for number, post in enumerate((part.post_inner, part.post_outer)):
                port = getattr(semaphores, f"post_{2 * index + number}")
                idle = idle & ~self._connect_post(m, unit, post, port)
            alone = part.idle & queue.empty
            idle = idle & alone
            if unit == Unit.VECTOR:
                m.d.sync += sequencer.vector_idle.eq(alone)
            if stands:
                refused[unit] = queue.refused
        for unit, part in {Unit.SEQUENCER: sequencer, **units}.items():
            m.d.comb += part.halt.eq(self.halt)
            self._connect_fault(m, unit, part, sequencer, refused.get(unit, Const(0)))
        m.d.comb += [
            self.semaphore_misuse.eq(semaphores.misuse),
            self.semaphore_unit.eq(Array([*units, Unit.SEQUENCER])[semaphores.misuse_unit]),
        ]
        return idle

    def _connect_fault(self, m, unit, part, sequencer, refused: Value) -> None:
        """Tell of a unit's fault, or that it was not given an instruction beyond limits."""
        fault = getattr(self, f"fault_{unit.name.lower()}")
        stands = self.config.sequencer.instructions_stand
        # Told from all over the core, so it has a cycle to itself, unless `inspect` counts cycles.
        tell = m.d.comb if stands else m.d.sync
        tell += [
            fault.valid.eq(part.fault.valid | refused),
            fault.code.eq(Mux(refused, ErrorCode.ADDRESS_RANGE, part.fault.code)),
            fault.pc.eq((sequencer if stands else part).fault.pc),
        ]

    def _connect_events(self, m, sequencer, units, vector) -> None:
        """Gather the units' events."""
        for unit, part in {Unit.SEQUENCER: sequencer, **units}.items():
            for name in part.events.shape().members:
                field = "fetch_beats" if name == "fetch_beats" else f"{unit.name.lower()}_{name}"
                if field in self.events.shape().members:
                    m.d.comb += self.events[field].eq(part.events[name])
        m.d.comb += [
            self.events.saturations.eq(vector.saturations),
            self.events.flushes.eq(vector.flushes),
        ]
