"""A run as a file for Perfetto or chrome://tracing: a line for each unit, and one of phases."""

import itertools
import json
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from systolith_sim.device.activity import Activity

from .phases import Phase
from .states import IDLE, shares, units_in

__all__ = ["write_trace"]

Event = dict[str, typing.Any]


def write_trace(path: Path, activity: Activity, phases: Sequence[Phase], clock_mhz: float) -> None:
    """Write the trace of an activity, whose steps are at ``phases``.

    In a bin of time a unit is shown in the state that it was in most of the time.
    """
    lines = {"phase": _phases(activity, phases)}
    for unit in units_in(activity.bins):
        lines[unit] = _states(activity, unit)
    events: list[Event] = []
    for number, (name, pieces) in enumerate(lines.items()):
        line = {"pid": 1, "tid": number}
        events.append({**line, "name": "thread_name", "ph": "M", "args": {"name": name}})
        events += (
            {**line, "name": state, "ph": "X", "ts": begin / clock_mhz,
             "dur": (end - begin) / clock_mhz, "args": {"cycle": begin, **more}}
            for state, begin, end, more in pieces
        )  # fmt: skip
    path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))


Piece = tuple[str, int, int, dict[str, str]]
"""Name, first cycle, the one behind the last, and what else there is to know."""


def _phases(activity: Activity, phases: Sequence[Phase]) -> Iterator[Piece]:
    places = zip(phases, activity.step_begins.tolist(), strict=True)
    groups = [(phase, next(group)[1]) for phase, group in itertools.groupby(places, lambda p: p[0])]
    ends = [begin for _, begin in groups[1:]] + [activity.cycles]
    for (phase, begin), end in zip(groups, ends, strict=True):
        yield phase.name, begin, end, {"part": phase.part}


def _states(activity: Activity, unit: str) -> Iterator[Piece]:
    cycles = shares(unit, activity.bins, activity.bin_lengths)
    states, most = list(cycles), np.argmax(list(cycles.values()), axis=0)
    edges = np.flatnonzero(np.diff(most, prepend=-1))
    ends = [*activity.bin_begins[edges[1:]].tolist(), activity.cycles]
    for edge, end in zip(edges.tolist(), ends, strict=True):
        if states[most[edge]] != IDLE:
            yield states[most[edge]], int(activity.bin_begins[edge]), end, {}
