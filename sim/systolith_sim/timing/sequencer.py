"""When the sequencer issues what a program says."""

from collections.abc import Callable, Mapping

from systolith_hw.config import INSTRUCTION_BYTES
from systolith_hw.isa import PATCHES, CalcOperation, Opcode, Unit, decode

from ..machine.scheduler import decode_job
from ..sequencer import Issued, Reader, expand
from .channels import Numbers, Queue, Semaphores
from .clock import Clock, Process
from .latencies import Latencies
from .prefetch import Prefetch

__all__ = ["Sequencer"]

PATCH_BYTE = 4
"""Where the patches of an instruction begin."""


class Sequencer:
    """A program, instruction by instruction, and what its control takes.

    Attributes
    ----------
    cycles : int
        From the start to the end, when it has come.
    issued : int
        Instructions of units.
    """

    def __init__(
        self, clock: Clock, latencies: Latencies, queues: Mapping[Unit, Queue],
        semaphores: Semaphores, fetch: Prefetch, numbers: Numbers,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._latencies = latencies
        self._queues = queues
        self._semaphores = semaphores
        self._fetch = fetch
        self._numbers = numbers
        self._program = b""
        self._ends: set[int] = set()  # last instructions of the bodies of loops that were there
        self._spent = 0  # cycles of control since the last instruction of a unit
        self.cycles = 0
        self.issued = 0

    def run(
        self, program: bytes, registers: Mapping[int, int], read: Reader, number: Callable[[], int]
    ) -> Process:
        """Execute a program."""
        latencies, clock = self._latencies, self._clock
        self._program = program
        yield latencies.start
        issued = expand(program, registers, latencies.config, read, number, self._control)
        for item in issued:
            yield from self._fetch.need(item.pc)
            spent, self._spent = self._spent, 0
            yield clock.now + spent
            yield from self._issue(item)
        self.cycles = clock.now

    def _control(self, pc: int, again: bool) -> None:
        """Count what the sequencer does for itself."""
        latencies = self._latencies
        if again:
            self._spent += latencies.trip
            return
        raw = self._program[pc * INSTRUCTION_BYTES : (pc + 1) * INSTRUCTION_BYTES]
        instruction, fields = decode(raw)
        self._spent += self._patches(pc)
        match instruction.opcode:
            case Opcode.LOOP:
                self._ends.add(pc + fields["body"])
                self._spent += latencies.loop + latencies.restart
            case Opcode.CALC:
                self._spent += self._calc(fields)
                self._spent += latencies.restart if pc in self._ends else latencies.follow
            case _:
                self._spent += latencies.read + latencies.restart
                self._spent += (not fields["number"]) * latencies.read_bus

    def _calc(self, fields: Mapping[str, int]) -> int:
        """Return the cycles of CALC, but for what comes behind."""
        latencies, left, right = self._latencies, fields["left"], fields["right"]
        if fields["operation"] == CalcOperation.MINIMUM:
            cycles = latencies.calc + latencies.minimum
        else:
            cycles = latencies.calc + latencies.shift * (left + right > 0)
        return cycles + right + left + latencies.left * (left > 0)

    def _patches(self, pc: int) -> int:
        """Return the cycles of an instruction's patches: one, or two of an even slot."""
        first = pc * INSTRUCTION_BYTES + PATCH_BYTE
        slots = (byte & 15 for byte in self._program[first : first + PATCHES])
        return sum(2 - slot % 2 for slot in slots if slot)

    def _issue(self, item: Issued) -> Process:
        """Put an instruction in its queue, or do what the sequencer does itself."""
        job, latencies = decode_job(item.pc, item.raw, ()), self._latencies
        if job.unit != Unit.SEQUENCER:
            self.issued += 1
            yield self._clock.now + latencies.issue + self._patches(item.pc)
            yield from self._queues[job.unit].put(job)
        elif job.opcode == Opcode.CREDIT:
            count = job.fields["count"]
            yield self._clock.now + latencies.credit + count
            self._semaphores.credit(job.fields["semaphore"], count, self._clock.now)
        elif job.opcode == Opcode.READ and job.fields["fresh"]:
            yield from self._numbers.take()
        elif job.opcode == Opcode.READ:
            yield from self._idle([self._queues[Unit.VECTOR]], latencies.number)
        else:
            yield from self._idle([*self._queues.values()], latencies.quiet)

    def _idle(self, queues: list[Queue], more: int) -> Process:
        """Wait until units are idle, and some cycles."""
        for queue in queues:
            while queue.under_way:
                yield queue.idle
        yield max(self._clock.now, *(queue.quiet for queue in queues)) + more
