"""What the sequencer does itself: READ and CREDIT."""

from systolith_hw.isa import Unit

from ..errors import ProgramError
from ..sequencer import READ_BYTES, Issued
from .run import Run
from .scheduler import Job

__all__ = ["credit", "follow", "number", "read"]


def read(run: Run, item: Issued, address: int) -> int | None:
    """Return the word that READ reads, or None beyond memory's end.

    The sequencer learns only at a BARRIER what the units have done, but every instruction that it
    issues later knows that the word has been read.
    """
    if address + READ_BYTES > run.external.size:
        return None
    line, port = run.lines[Unit.SEQUENCER], run.config.bus.data_bytes
    line.begin(item.pc, item.raw)
    cells = slice(address // port, (address + READ_BYTES - 1) // port + 1)
    run.shadows.external.read(line, cells, line.advance())
    return int.from_bytes(run.external.read(address, READ_BYTES), "little")


def number(run: Run) -> int:
    """Return the number that READ finds."""
    if run.number is None:
        raise ProgramError(
            f"{run.lines[Unit.SEQUENCER]} reads a number, and neither BEST nor SAMPLE of this "
            "program has written one"
        )
    return run.number


def follow(run: Run, job: Job, idle: bool) -> bool:
    """Let what VECTOR has done be past for READ of a number, and for what comes behind it.

    That is all if the unit is ``idle``, or what the number tells of where it has to be a fresh one.
    Return whether there is one.
    """
    line, vector = run.lines[Unit.SEQUENCER], run.lines[Unit.VECTOR]
    fresh = job.fields["fresh"]
    if run.fresh is None if fresh else not idle:
        return False
    line.begin(job.pc, job.raw)
    if fresh and run.fresh is not None:
        line.join(run.fresh)
        run.fresh = None
    else:
        line.join(vector.clock(vector.advance()))
    line.advance()
    return True


def credit(run: Run, job: Job) -> None:
    """Execute CREDIT."""
    line = run.lines[Unit.SEQUENCER]
    line.begin(job.pc, job.raw)
    for _ in range(job.fields["count"]):
        run.post(line, 16 + job.fields["semaphore"])
