"""SAMPLE: one of the values that CANDIDATES keeps."""

from collections.abc import Iterator

import numpy as np

from systolith_hw.config import SCALE_BITS
from systolith_hw.isa import Unit

from ...errors import ProgramError
from ...vector.row import Factor
from ...vector.sampler import choose_among
from ..run import Run, require_inside
from ..scheduler import Job

__all__ = ["sample"]


def sample(run: Run, job: Job) -> Iterator[str]:
    """Execute SAMPLE.

    ::

        take wait_outer, wait_inner
        write the number of a candidate, chosen by chance
        post post_inner, post_outer
    """
    f, line = job.fields, run.lines[Unit.VECTOR]
    place = np.array([f["destination"]])
    require_inside(line, place, run.shadows.wide)
    scale = f["sharpness"]
    if 0 < scale < 1 << SCALE_BITS - 1:
        raise ProgramError(
            f"{job}: sharpness must be zero or have bit {SCALE_BITS - 1} set, not be {scale:#x}"
        )
    yield from run.take(line, f["wait_outer"])
    yield from run.take(line, f["wait_inner"])
    kept = run.candidates
    if kept is None or not len(kept.values):
        raise ProgramError(f"{job}: nothing is kept that could be chosen; CANDIDATES comes first")
    run.shadows.wide.write(line, place, line.now)
    run.shadows.number.write(line, np.zeros(1, np.int64), line.now)
    run.number = number = choose_among(
        kept.values, kept.numbers, Factor(scale, f["sharpness_shift"]),
        seed=f["seed"], position=f["position"],
    )  # fmt: skip
    run.fresh = line.clock(line.now)
    run.chip.wide[f["destination"]] = [number, *[0] * (run.config.vector.lanes - 1)]
    run.counts["VECTOR_BUSY"] += run.config.beats_per_result
    run.post(line, f["post_inner"])
    run.post(line, f["post_outer"])
