"""A graph as a picture: nodes in rows, each below those that it takes from."""

import html
from collections.abc import Mapping

from ..graph import Graph
from ..graph.partition import Partition

__all__ = ["graph_svg"]

WIDTH, HEIGHT = 210, 40
"""Pixels of a box."""

GAP, DROP = 24, 44
"""Pixels between boxes of a row, and between rows."""

CORE, HOST, END = "#cfe0f5", "#f1f1f1", "#fdf0d5"
"""Colours of what the core and the host do, and of inputs and outputs."""

LONGEST = 30
"""Letters of a line of a box."""

Place = tuple[float, float]


def graph_svg(parts: Partition) -> str:
    """Return a picture of a graph that has been cut: stacks of the core, nodes of the host."""
    graph = parts.graph
    boxes = _boxes(graph, parts)
    edges = _edges(graph)
    rows = _rows(list(boxes), edges)
    places = _places(rows)
    width = max(len(row) for row in rows) * (WIDTH + GAP) + GAP
    height = len(rows) * (HEIGHT + DROP) + DROP
    lines = [_line(places[one], places[other]) for one, other in edges]
    drawn = [_box(places[name], *content) for name, content in boxes.items()]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, *lines, *drawn, "</svg>", ""])


def _boxes(graph: Graph, parts: Partition) -> dict[str, tuple[str, str, str]]:
    """Return colour and two lines of text by the key of a box: of nodes their first output."""
    boxes = {name: (END, f"input {name}", str(kind)) for name, kind in graph.inputs.items()}
    for node in graph.nodes:
        if node.operator == "EncoderStack":
            layers = len(parts.stacks[node.attributes["stack"]].nodes)
            title, fill = f"core: encoder layers {layers}", CORE
        elif node.operator == "DecoderStack" and parts.decoder:
            title, fill = f"core: language model of {len(parts.decoder.layers)} layers", CORE
        else:
            title, fill = node.kind, HOST
        kind = graph.types.get(node.output)
        boxes[node.output] = fill, title, f"{node.output}: {kind}" if kind else node.output
    for name in graph.outputs:
        boxes[_output(name)] = END, f"output {name}", str(graph.types.get(name, ""))
    return boxes


def _output(name: str) -> str:
    return f"{name} (output)"


def _edges(graph: Graph) -> list[tuple[str, str]]:
    """Return from which box to which tensors go; constants are not drawn."""
    made = {name: name for name in graph.inputs}
    for node in graph.nodes:
        made |= dict.fromkeys(node.outputs, node.output)
    edges = [
        (made[name], node.output)
        for node in graph.nodes for name in dict.fromkeys(node.inputs) if name in made
    ]  # fmt: skip
    return edges + [(made[name], _output(name)) for name in graph.outputs if name in made]


def _rows(names: list[str], edges: list[tuple[str, str]]) -> list[list[str]]:
    """Return boxes by their longest way from an input, each about below what it takes."""
    sources: dict[str, list[str]] = {name: [] for name in names}
    for one, other in edges:
        sources[other].append(one)
    depth: dict[str, int] = {}
    for name in names:  # each behind those that it takes from
        depth[name] = max((depth[source] + 1 for source in sources[name]), default=0)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    column: dict[str, float] = {}
    for name in sorted(names, key=depth.__getitem__):
        rows[depth[name]].append(name)
    for row in rows:
        row.sort(key=lambda name: _middle(column, sources[name]))
        column |= {name: place for place, name in enumerate(row)}
    return rows


def _middle(column: Mapping[str, float], names: list[str]) -> float:
    return sum(column[name] for name in names) / max(1, len(names))


def _places(rows: list[list[str]]) -> dict[str, Place]:
    """Return the middle of each box's upper edge."""
    return {
        name: (GAP + (column + 0.5) * (WIDTH + GAP), DROP / 2 + number * (HEIGHT + DROP))
        for number, row in enumerate(rows) for column, name in enumerate(row)
    }  # fmt: skip


def _line(start: Place, end: Place) -> str:
    (x, y), (u, v) = (start[0], start[1] + HEIGHT), end
    middle = (y + v) / 2
    return (f'<path d="M{x:.0f} {y:.0f} C{x:.0f} {middle:.0f} {u:.0f} {middle:.0f} {u:.0f} '
            f'{v:.0f}" fill="none" stroke="#888"/>')  # fmt: skip


def _box(place: Place, fill: str, *lines: str) -> str:
    x, y = place
    texts = [
        f'<text x="{x:.0f}" y="{y + 16 * number + 17:.0f}" text-anchor="middle">'
        f"{html.escape(_short(text))}</text>"
        for number, text in enumerate(lines)
    ]
    return (
        f"<g><title>{html.escape(', '.join(lines))}</title>"
        f'<rect x="{x - WIDTH / 2:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="4" '
        f'fill="{fill}" stroke="#555"/>{"".join(texts)}</g>'
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
