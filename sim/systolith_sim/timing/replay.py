"""How long a program takes, without computing anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from systolith_hw.config import INSTRUCTION_BYTES, Config, ConfigError
from systolith_hw.isa import Unit

from ..dram_timing import DramTiming
from ..sequencer import Issued
from .array import Array
from .channels import Numbers, Queue, Results, Semaphores, Turns
from .clock import Clock
from .dma import Load, Store
from .latencies import Latencies
from .memory import Memory
from .prefetch import Prefetch
from .row import Row
from .sequencer import Sequencer
from .vector import Vector
from .words import Words

__all__ = ["Timing", "Unending", "is_modelled", "replay"]


class Unending(ConfigError):
    """The program does not come to an end on this core."""


@dataclass(frozen=True)
class Timing:
    """What a program takes.

    Parameters
    ----------
    cycles : int
        From start to done.
    array_busy, vector_busy, row_busy : int
        Control words, and beats.
    load_beats, store_beats, fetch_beats : int
        Through the port.
    instructions : int
        Issued to units.
    """

    cycles: int
    array_busy: int
    vector_busy: int
    row_busy: int
    load_beats: int
    store_beats: int
    fetch_beats: int
    instructions: int


def is_modelled(config: Config) -> bool:
    """Return whether cycles are known of a core, as they are not of the smallest."""
    small = config.sequencer.instructions_stand or config.short_pipelines
    return bool(config.vector.rows) and not small


def replay(
    config: Config, program: bytes, *, parts: Mapping[int, bytes], address: int = 0,
    registers: Mapping[int, int] | None = None, number: Callable[[], int] | None = None,
    dram: DramTiming | None = None, cold: bool = False,
) -> Timing:  # fmt: skip
    """Return how long a program takes, by the times of its instructions.

    Parameters
    ----------
    config : Config
    program : bytes
    parts : dict of bytes
        External memory by address, as far as READ reads it.
    address : int
        Where the program is.
    registers : dict
        At the start.
    number : function
        Returns what BEST or SAMPLE is to have written; by default 0.
    dram : DramTiming
    cold : bool
        The program was not run before, nor fetched when the clock starts to count.

    Raises
    ------
    Unending
        Its units wait for one another.
    ConfigError
        For cores whose instructions stand in their queues, which the model does not know.
    """
    if not is_modelled(config):
        raise ConfigError(
            "cycles are known of cores with vector.rows and a sequencer.queue_depth above 1, and "
            "without short_pipelines; measure others with systolith bench"
        )
    clock, dram = Clock(), dram or DramTiming()
    latencies = Latencies(config, dram)
    depth = config.sequencer.queue_depth
    units = (Unit.ARRAY, Unit.VECTOR, Unit.LOAD, Unit.STORE, Unit.ROW)
    queues = {unit: Queue(clock, depth, latencies.queue) for unit in units}
    semaphores = Semaphores(clock, config, latencies)
    memory = Memory(clock, config, dram)
    results, turns, words = Results(clock, config.array.output_depth), Turns(clock), Words(clock)
    numbers = Numbers(clock, latencies.fresh)
    array = Array(clock, latencies, queues[Unit.ARRAY], semaphores, results)
    vector = Vector(clock, latencies, queues[Unit.VECTOR], semaphores, results, turns, words,
                    numbers)  # fmt: skip
    row = Row(clock, latencies, queues[Unit.ROW], semaphores, turns)
    load = Load(clock, latencies, queues[Unit.LOAD], semaphores, memory)
    store = Store(clock, latencies, queues[Unit.STORE], semaphores, memory, words)
    fetch = Prefetch(clock, config, memory, len(program) // INSTRUCTION_BYTES, address,
                     cold=cold)  # fmt: skip
    sequencer = Sequencer(clock, latencies, queues, semaphores, fetch, numbers)
    for unit in (array, vector, row, load, store, memory):
        clock.at(0, unit.run())
    image = _Image(parts)
    clock.at(0, sequencer.run(program, registers or {}, image.read, number or (lambda: 0)))
    clock.run()
    if not sequencer.cycles:
        raise Unending("the program does not come to an end: its units wait for one another")
    return Timing(
        cycles=sequencer.cycles, array_busy=array.busy, vector_busy=vector.busy,
        row_busy=row.busy, load_beats=load.beats, store_beats=store.beats,
        fetch_beats=fetch.beats, instructions=sequencer.issued,
    )  # fmt: skip


class _Image:
    """External memory as far as it is known; the rest is zero."""

    def __init__(self, parts: Mapping[int, bytes]) -> None:
        self._parts = sorted(parts.items())

    def read(self, item: Issued, address: int) -> int:
        """Return a word of 32 bits."""
        for start, content in self._parts:
            if start <= address < start + len(content):
                return int.from_bytes(content[address - start : address - start + 4], "little")
        return 0
