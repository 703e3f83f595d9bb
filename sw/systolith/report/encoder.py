"""Reports about sentences that ran on the simulated hardware."""

from pathlib import Path

import numpy as np

from ..encoder import CompiledEncoder
from ..sentences import Similarity
from .page import RunReport, write_page
from .phases import Phase, follow
from .trace import write_trace

__all__ = ["BIN_CYCLES", "write_reports"]

BIN_CYCLES = 512
"""Finer than a column of the page, and coarse enough for traces of a whole encoder."""


def write_reports(
    encoder: CompiledEncoder, result: Similarity, name: str, *, page: Path | None = None,
    trace: Path | None = None,
) -> None:  # fmt: skip
    """Write a page and a trace about sentences of which ``result.simulated`` has the activity."""
    simulated = result.simulated
    if simulated is None or simulated.activity is None:
        raise ValueError("nothing was counted in this run")
    activity = simulated.activity
    program = encoder.parts[encoder.program]
    phases = [_of_layer(phase) for phase in follow(program, activity.addresses.tolist())]
    if trace is not None:
        write_trace(trace, activity, phases, simulated.clock_mhz)
    if page is not None:
        write_page(page, RunReport(
            title=f"MiniLM on {name}: {len(result.texts)} sentences", config=encoder.plan.config,
            clock_mhz=simulated.clock_mhz, activity=activity, phases=phases, macs=simulated.macs,
            moved_bytes=result.dram_bytes, texts=result.texts,
            similarity=np.array(result.similarity),
        ))  # fmt: skip


def _of_layer(phase: Phase) -> Phase:
    """Say what an encoder's parts are."""
    part = {"start": "embedding"}.get(phase.part, phase.part.replace("round", "layer"))
    return Phase(part, phase.name)
