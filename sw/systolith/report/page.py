"""One page about a run, with nothing outside of it: no scripts, no network."""

import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_sim.device.activity import Activity

from . import svg
from .phases import Phase
from .states import IDLE, STATES, shares, units_in

__all__ = ["RunReport", "write_page"]

COLUMNS = 450
"""Of the timeline."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 960px; margin: 2em auto;
       padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; }
svg { width: 100%; height: auto; font-size: 12px; fill: #333; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: 2px 14px 2px 0; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.legend span { margin-right: 1.4em; } .legend i { display: inline-block; width: 0.9em;
       height: 0.9em; margin-right: 0.4em; }
"""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a page tells of a run.

    Parameters
    ----------
    title : str
    config : Config
    clock_mhz : float
        At which cycles are told as time.
    activity : Activity
    phases : sequence of Phase
        Of the activity's steps.
    macs, moved_bytes : int
        Useful multiplications, and all that crossed the port.
    texts : sequence of str
    similarity : (texts, texts) floats
        Cosines; without texts there is no heat map.
    """

    title: str
    config: Config
    clock_mhz: float
    activity: Activity
    phases: Sequence[Phase]
    macs: int
    moved_bytes: int
    texts: Sequence[str] = ()
    similarity: NDArray[np.floating] | None = None


def write_page(path: Path, report: RunReport) -> None:
    """Write a report as HTML."""
    sections = [("In short", _summary(report))]
    if report.similarity is not None:
        sections.append(("Which sentences are alike", _similarity(report)))
    sections += [
        ("What the units did", _timeline(report)),
        ("Where the array's cycles went", _causes(report)),
        ("Roofline", _roofline(report)),
        ("Counters", _counters(report)),
    ]
    title = html.escape(report.title)
    body = "\n".join(f"<h2>{name}</h2>\n{content}" for name, content in sections)
    path.write_text(
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}'
        f"</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n"
        "</html>\n"
    )


def _summary(report: RunReport) -> str:
    cycles, array = report.activity.cycles, report.config.array
    multipliers = array.rows * array.columns
    return _table([
        ("array", f"{array.rows} × {array.columns} multipliers"),
        ("memory port", f"{report.config.bus.data_bytes} bytes per cycle"),
        ("cycles", f"{cycles:,}"),
        (f"time at {report.clock_mhz:g} MHz", f"{cycles / report.clock_mhz / 1000:,.2f} ms"),
        ("useful multiplications", f"{report.macs:,}"),
        ("share of the multipliers", f"{report.macs / (cycles * multipliers):.1%}"),
        ("bytes through the port", f"{report.moved_bytes:,}"),
    ])  # fmt: skip


def _similarity(report: RunReport) -> str:
    assert report.similarity is not None
    return svg.heat_map(report.similarity, report.texts)


def _timeline(report: RunReport) -> str:
    activity = report.activity
    size = max(1, -(-len(activity.bin_begins) // COLUMNS))
    edges = np.arange(0, len(activity.bin_begins), size)
    lengths = np.add.reduceat(activity.bin_lengths, edges)
    counts = {name: np.add.reduceat(count, edges) for name, count in activity.bins.items()}
    units = {unit: shares(unit, counts, lengths) for unit in units_in(counts)}
    pieces, names = _pieces(report)
    return (
        f"{svg.legend([*STATES, IDLE], STATES)}\n{svg.timeline(units)}\n"
        f"<p>Below, what the array was at.</p>\n{svg.legend(names, names)}\n"
        f"{svg.strips(pieces, activity.cycles, names)}"
    )


def _pieces(report: RunReport) -> tuple[list[svg.Piece], list[str]]:
    """Return the stretches of each block of each part, and all names of blocks."""
    begins = report.activity.step_begins.tolist()
    steps = zip(report.phases, begins, strict=True)
    groups = [
        (key, next(group)[1])
        for key, group in itertools.groupby(steps, lambda step: (step[0].part, step[0].block))
    ]
    ends = [begin for _, begin in groups[1:]] + [report.activity.cycles]
    pieces = [
        svg.Piece(block, part, begin, end)
        for ((part, block), begin), end in zip(groups, ends, strict=True)
    ]
    return pieces, list(dict.fromkeys(piece.name for piece in pieces))


def _causes(report: RunReport) -> str:
    """Return bars by part of the program, and by what the array was at."""
    activity = report.activity
    cycles = shares("array", activity.steps, activity.step_lengths)
    pictures = []
    for title, keys in (
        ("By layer", [phase.part for phase in report.phases]),
        ("By what it was at", [phase.name for phase in report.phases]),
    ):
        rows = {
            key: {
                state: int(count[[place == key for place in keys]].sum())
                for state, count in cycles.items()
            }
            for key in dict.fromkeys(keys)
        }
        pictures.append(f"<h3>{title}</h3>\n{svg.bars(rows)}\n{_cycles_table(rows)}")
    note = f"<p>{IDLE.capitalize()} is the array while it has no instruction.</p>"
    return "\n".join([svg.legend(list(cycles), STATES), *pictures, note])


def _cycles_table(rows: Mapping[str, Mapping[str, int]]) -> str:
    states = list(next(iter(rows.values())))
    lines = [("", "cycles", *states)]
    for name, cycles in rows.items():
        total = sum(cycles.values())
        lines.append(
            (name, f"{total:,}", *(f"{count / max(1, total):.1%}" for count in cycles.values()))
        )
    return _table(lines)


def _roofline(report: RunReport) -> str:
    array = report.config.array
    return svg.roofline(
        array.rows * array.columns, report.config.bus.data_bytes,
        report.macs / report.moved_bytes, report.macs / report.activity.cycles,
    )  # fmt: skip


def _counters(report: RunReport) -> str:
    return _table([(name, f"{int(count.sum()):,}") for name, count in report.activity.bins.items()])


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = (
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return "<table>\n" + "\n".join(lines) + "\n</table>"
