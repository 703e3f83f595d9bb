"""``systolith presets``: what there is to start from, and what it takes of its device."""

import typing
from collections.abc import Callable

from systolith_hw.budget import DEVICES, memory_budget, multiplier_budget
from systolith_hw.config import Config
from systolith_hw.presets import PRESETS

from .console import print_json
from .options import Json

__all__ = ["presets"]

WIDEST = 1000
"""Characters that a table may take."""


def presets(json: Json = False) -> None:
    """List the presets and the memory that each takes of its device."""
    rows = [_describe(name, config) for name, config in PRESETS.items()]
    if json:
        print_json(rows)
    else:
        _print(rows)


def _describe(name: str, config: Config) -> dict[str, typing.Any]:
    """Return one preset as plain data."""
    uses = memory_budget(config)
    blocks = sum(use.blocks for use in uses if use.kind == "block")
    large = sum(use.blocks for use in uses if use.kind == "large")
    available = DEVICES[config.device]
    return {
        "preset": name,
        "rows": config.array.rows,
        "columns": config.array.columns,
        "lanes": config.vector.lanes,
        "port_bytes": config.bus.data_bytes,
        "device": config.device,
        "hash": f"{config.hash:#010x}",
        "blocks": blocks,
        "blocks_available": available.blocks,
        "blocks_percent": round(100 * blocks / available.blocks, 1),
        "large_blocks": large,
        "large_blocks_available": available.large_blocks,
        "multipliers": multiplier_budget(config),
        "multipliers_available": available.multipliers,
        "memories": [
            {"memory": use.memory, "words": use.words, "width": use.width, "copies": use.copies,
             "kind": use.kind, "blocks": use.blocks}
            for use in uses
        ],
    }  # fmt: skip


def _print(rows: list[dict[str, typing.Any]]) -> None:
    """Print a column for each preset, with its memories one below the other."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("preset", no_wrap=True)
    for row in rows:
        table.add_column(row["preset"], justify="right", no_wrap=True)

    def add(name: str, cell: Callable[[dict[str, typing.Any]], str]) -> None:
        table.add_row(name, *map(cell, rows))

    add("array", lambda row: f"{row['rows']} x {row['columns']}")
    add("vector lanes", lambda row: str(row["lanes"]))
    add("port, bytes", lambda row: str(row["port_bytes"]))
    add("config hash", lambda row: row["hash"].removeprefix("0x"))
    add("device", lambda row: row["device"])
    add("multipliers", lambda row: str(row["multipliers"]))
    add("of", lambda row: str(row["multipliers_available"]))
    table.add_section()
    held = [{use["memory"]: use for use in row["memories"]} for row in rows]
    for name in max(held, key=len):  # short pipelines need fewer, and none of their own
        table.add_row(name, *(_blocks(uses[name]) if name in uses else "" for uses in held))
    add("block memories", lambda row: str(row["blocks"]))
    add("of", lambda row: str(row["blocks_available"]))
    add("%", lambda row: f"{row['blocks_percent']:.0f}")
    console = Console()
    # Names and hashes are to be copied: they are whole, also where a terminal must break lines.
    wide = console.options.update(width=WIDEST)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    console.print(table)
    console.print(
        "Memories in block memories of the device; l: made of logic, S: single-port SPRAM, "
        "counted apart.\nAn estimate: systolith report measures.", style="dim",
    )  # fmt: skip


def _blocks(memory: dict[str, typing.Any]) -> str:
    match memory["kind"]:
        case "logic":
            return "l"
        case "large":
            return f"{memory['blocks']} S"
        case _:
            return str(memory["blocks"])
