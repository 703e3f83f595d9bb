"""Plain pictures for pages: heat map, timeline, bars and roofline, as inline SVG."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .states import IDLE, STATES

__all__ = [
    "COLOURS",
    "Piece",
    "bars",
    "colour",
    "heat_map",
    "legend",
    "roofline",
    "strips",
    "timeline",
]

WIDTH = 900
LABEL = 110
"""Pixels in front of a picture for what its lines are."""

COLOURS = (
    "#3b6fb6", "#e0a03c", "#c8553d", "#8a5fa8", "#4f9d69", "#7f7f7f",
    "#b98b5e", "#5ab1bb", "#d58fb0", "#a5b03a", "#35506e", "#e5c58b",
)  # fmt: skip
"""In the order of a list of names; the first is of busy units."""

PALE = "#eceff3"


def colour(name: str, names: Sequence[str]) -> str:
    """Return the colour of one of some names; idle is pale."""
    return PALE if name == IDLE else COLOURS[names.index(name) % len(COLOURS)]


def _svg(height: float, pieces: Sequence[str]) -> str:
    inside = "\n".join(pieces)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n{inside}\n</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, fill: str, title: str = "") -> str:
    inside = f"<title>{html.escape(title)}</title>" if title else ""
    return (f'<rect x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}" '
            f'fill="{fill}">{inside}</rect>')  # fmt: skip


def heat_map(values: NDArray[np.floating], names: Sequence[str]) -> str:
    """Return a square of cosines: white at 0 or less, full colour at 1."""
    side = min(46.0, (WIDTH - 2 * LABEL) / len(names))
    numbered = side >= 30
    pieces = []
    for row, name in enumerate(names):
        y = row * side
        for column, value in enumerate(values[row]):
            share = max(0.0, float(value))
            fill = f"rgb({255 - 196 * share:.0f},{255 - 144 * share:.0f},{255 - 73 * share:.0f})"
            title = f"{name} / {names[column]}: {value:.3f}"
            pieces.append(_box(column * side, y, side - 1, side - 1, fill, title))
            if numbered:
                pieces.append(
                    _text((column + 0.5) * side, y + 0.6 * side, f"{value:.2f}", "middle")
                )
        pieces.append(_text(len(names) * side + 8, y + 0.6 * side, _short(name)))
    return _svg(len(names) * side, pieces)


def timeline(units: Mapping[str, Mapping[str, NDArray[np.int64]]]) -> str:
    """Return a strip for each unit: in each column, from below, the share of each state."""
    height, gap = 42.0, 14.0
    pieces = []
    for number, (unit, cycles) in enumerate(units.items()):
        top = number * (height + gap)
        pieces.append(_text(LABEL - 8, top + 0.6 * height, unit, "end"))
        pieces.append(_box(LABEL, top, WIDTH - LABEL, height, PALE))
        total = np.sum(list(cycles.values()), axis=0)
        level = np.zeros(len(total))
        for state, count in cycles.items():
            if state == IDLE:
                continue
            share = level + count / total
            pieces.append(_band(level, share, top, height, colour(state, STATES)))
            level = share
    return _svg(len(units) * (height + gap), pieces)


def _band(
    low: NDArray[np.floating], high: NDArray[np.floating], top: float, height: float, fill: str
) -> str:
    """Return what lies between two lines of steps."""
    step = (WIDTH - LABEL) / len(low)

    def line(levels: NDArray[np.floating]) -> list[str]:
        return [
            f"{LABEL + (place + side) * step:.1f},{top + height * (1 - level):.1f}"
            for place, level in enumerate(levels)
            for side in (0, 1)
        ]

    return f'<polygon fill="{fill}" points="{" ".join(line(high) + line(low)[::-1])}"/>'


class Piece(NamedTuple):
    """A stretch of time, in cycles."""

    name: str
    part: str
    begin: int
    end: int


def strips(pieces: Sequence[Piece], total: int, names: Sequence[str]) -> str:
    """Return one line of stretches of ``total`` cycles."""
    scale = (WIDTH - LABEL) / total
    boxes = [_text(LABEL - 8, 15, "phase", "end")]
    boxes += (
        _box(LABEL + begin * scale, 0, (end - begin) * scale, 22, colour(name, names),
             f"{part}, {name}: cycles {begin:,} to {end:,}")
        for name, part, begin, end in pieces
    )  # fmt: skip
    return _svg(26, boxes)


def bars(rows: Mapping[str, Mapping[str, int]]) -> str:
    """Return a bar for each row, as long as its cycles, in the colours of its states."""
    height, gap = 20.0, 6.0
    longest = max(sum(cycles.values()) for cycles in rows.values())
    scale = (WIDTH - 2 * LABEL) / longest
    pieces = []
    for number, (name, cycles) in enumerate(rows.items()):
        y, x = number * (height + gap), float(LABEL)
        pieces.append(_text(LABEL - 8, y + 0.7 * height, name, "end"))
        for state, count in cycles.items():
            title = f"{name}, {state}: {count:,} cycles"
            pieces.append(_box(x, y, count * scale, height, colour(state, STATES), title))
            x += count * scale
        pieces.append(_text(x + 6, y + 0.7 * height, f"{sum(cycles.values()):,}"))
    return _svg(len(rows) * (height + gap), pieces)


def roofline(multipliers: int, port_bytes: int, intensity: float, speed: float) -> str:
    """Return what the core can do, and a run: MACs in a cycle against MACs for each byte."""
    ridge = multipliers / port_bytes
    left, right = (f(ridge, intensity) * k for f, k in ((min, 1 / 8), (max, 8)))
    bottom = min(speed, left * port_bytes) / 2
    top = multipliers * 2
    height = 330.0

    def x(value: float) -> float:
        return LABEL + (WIDTH - 2 * LABEL) * math.log(value / left) / math.log(right / left)

    def y(value: float) -> float:
        return height - 40 - (height - 60) * math.log(value / bottom) / math.log(top / bottom)

    roof = " ".join(
        f"{x(at):.1f},{y(min(multipliers, at * port_bytes)):.1f}" for at in (left, ridge, right)
    )
    reach = min(multipliers, intensity * port_bytes)
    return _svg(height, [
        f'<polyline points="{roof}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>',
        _line(x(intensity), y(speed), x(intensity), y(reach)),
        _line(LABEL, height - 30, WIDTH - LABEL, height - 30),
        f'<circle cx="{x(intensity):.1f}" cy="{y(speed):.1f}" r="6" fill="{COLOURS[2]}"/>',
        _text(x(intensity) + 10, y(speed) + 14,
              f"{speed:.1f} MACs per cycle, {speed / reach:.0%} of the roof"),
        _text(x(ridge) + 10, y(multipliers) - 8, f"{multipliers} multipliers"),
        _text(x(left) + 24, y(left * port_bytes) + 4, f"{port_bytes} bytes per cycle"),
        _text(WIDTH / 2, height - 8, "MACs for each byte that crosses the port (log)", "middle"),
    ])  # fmt: skip


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#888" '
            'stroke-dasharray="4 3"/>')  # fmt: skip


def _short(name: str, length: int = 44) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def legend(shown: Sequence[str], names: Sequence[str]) -> str:
    """Return the colours of those ``names`` that are ``shown``, as HTML."""
    items = (
        f'<span><i style="background:{colour(name, names)}"></i>{html.escape(name)}</span>'
        for name in shown
    )
    return f'<p class="legend">{"".join(items)}</p>'
