"""The machine: memories that last, and runs of programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from systolith_hw.config import Config, ConfigError
from systolith_hw.isa import SLOT_BITS, SLOTS, ErrorCode, Opcode, Unit
from systolith_hw.limits import slot_limits

from ..errors import MachineError
from ..sequencer import expand
from .array import matmul
from .load import load
from .memory import DEFAULT_BYTES, ChipMemory, ExternalMemory
from .races import meet
from .row import row
from .run import Run
from .scheduler import Job, Leftover, Scheduler, decode_job
from .sequencer import credit, follow, number, read
from .store import store
from .vector import drain, sample

__all__ = ["Machine", "ProgramImage", "RunResult"]


class ProgramImage(Protocol):
    """A program that knows which configuration it was made for."""

    @property
    def config_hash(self) -> int:
        """:attr:`systolith_hw.config.Config.hash`."""

    @property
    def program(self) -> bytes:
        """The instructions."""


@dataclass(frozen=True)
class RunResult:
    """What one run did.

    Parameters
    ----------
    counts : dict
        ``ARRAY_BUSY`` (control words), ``VECTOR_BUSY`` and ``ROW_BUSY`` (beats), ``LOAD_BEATS``,
        ``STORE_BEATS``, ``SATURATIONS`` and ``FLUSHES``, equal to the hardware's counters of those
        names, and ``INSTRUCTIONS`` issued to units.
    """

    counts: dict[str, int]


COUNTS = (
    "INSTRUCTIONS",
    "ARRAY_BUSY",
    "VECTOR_BUSY",
    "ROW_BUSY",
    "LOAD_BEATS",
    "STORE_BEATS",
    "SATURATIONS",
    "FLUSHES",
)


class Machine:
    """A core of one configuration with external memory, without time.

    Parameters
    ----------
    config : Config
        The one description.
    memory_bytes : int or None
        Size of external memory; by default all that ``bus.address_bits`` reach, at most 64 MiB.

    Attributes
    ----------
    memory : ExternalMemory
        External memory.
    chip : ChipMemory
        The memories on the chip. Like external memory they keep their contents between runs.

    Examples
    --------
    >>> machine = Machine(config)
    >>> machine.memory.write(plan.inputs.address, pages)
    >>> machine.run(plan.main, registers={Register.LENGTH: 7}).counts["SATURATIONS"]
    0
    """

    def __init__(self, config: Config, memory_bytes: int | None = None) -> None:
        self.config = config
        reach = 1 << config.bus.address_bits
        self.memory = ExternalMemory(min(reach, memory_bytes or DEFAULT_BYTES))
        self.chip = ChipMemory(config)

    def run(
        self, program: bytes | ProgramImage, registers: Mapping[int, int] | None = None
    ) -> RunResult:
        """Execute a program from its first instruction to END.

        Parameters
        ----------
        program : bytes or ProgramImage
            Instructions, or an image; an image of another configuration is refused.
        registers : dict
            Runtime registers at the start, as LENGTH and POSITION of the register map give them.

        Raises
        ------
        MachineError
            For what stops the hardware with an error code.
        Race, Deadlock, Leftover, ProgramError
            For programs whose outcome depends on timing, or that never end.
        ConfigError
            For an image of another configuration.
        """
        if not isinstance(program, bytes):
            if program.config_hash != self.config.hash:
                raise ConfigError(
                    f"the program was made for configuration {program.config_hash:#010x}, but "
                    f"this machine has {self.config.hash:#010x}; compile it again"
                )
            program = program.program
        run = Run(self.config, self.chip, self.memory)
        units = {
            Unit.ARRAY: matmul, Unit.VECTOR: _vector, Unit.LOAD: load, Unit.STORE: store,
            Unit.ROW: row,
        }  # fmt: skip
        executors = {unit: partial(_execute, run, function) for unit, function in units.items()}
        scheduler = Scheduler(
            self.config, run.progress, executors, partial(_barrier, run), partial(credit, run),
            partial(follow, run),
        )  # fmt: skip
        issued = expand(
            program, dict(registers or {}), self.config, partial(read, run), partial(number, run)
        )
        line = run.lines[Unit.SEQUENCER]
        scheduler.run(decode_job(item.pc, item.raw, line.clock(line.now - 1)) for item in issued)
        return RunResult({name: run.counts[name] for name in COUNTS})


def _execute(run: Run, function, job: Job):
    """Begin an instruction in its unit."""
    for line in run.lines.values():
        if line.unit == job.unit:
            line.begin(job.pc, job.raw)
            line.join(job.issued)
    run.counts["INSTRUCTIONS"] += 1
    if run.config.sequencer.instructions_stand:
        _require_limits(run.config, job)
    return function(run, job)


def _vector(run: Run, job: Job) -> Iterator[str]:
    """Execute an instruction of VECTOR."""
    return (sample if job.opcode == Opcode.SAMPLE else drain)(run, job)


def _require_limits(config: Config, job: Job) -> None:
    """Refuse numbers that the core has no bits for."""
    bits = int.from_bytes(job.raw, "little")
    limits = slot_limits(config, job.opcode)
    for slot in range(SLOTS):
        value = bits >> SLOT_BITS * slot & (1 << SLOT_BITS) - 1
        if value > limits[slot]:
            raise MachineError(
                ErrorCode.ADDRESS_RANGE, job.unit, job.pc,
                f"slot {slot} must be at most {limits[slot]}, not {value}",
            )  # fmt: skip


def _barrier(run: Run, job: Job) -> None:
    """Everything is idle: what came before orders everything after."""
    for count, what in (
        (len(run.results), "results that no DRAIN took"),
        (len(run.stream), "words that no STORE took"),
    ):
        if count:
            raise Leftover(f"{job} finds {count} {what}")
    meet(run.lines.values())
