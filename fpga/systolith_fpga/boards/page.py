"""The page of a build: clocks, what it takes of the chip, and where."""

from pathlib import Path

from .build import Build
from .picture import draw

__all__ = ["write_page"]


def write_page(made: Build, folder: Path) -> None:
    """Write ``NAME.md`` and ``NAME.svg`` to a folder."""
    name = made.name
    verdict = "met" if made.timing_met else "**NOT met**"
    lines = [
        f"# {made.board}, preset {made.preset}{', standalone' if made.standalone else ''}",
        "",
        f"Configuration {made.config_hash}, seed {made.seed}. Timing is {verdict}.",
        "",
        "| clock | reached, MHz | wanted, MHz |",
        "|---|---|---|",
        *(f"| {clock} | {value['reached']:g} | {value['wanted']:g} |"
          for clock, value in made.clocks_mhz.items()),
        "",
        *(f"The longest path from {ends} takes {delay:g} ns."
          for ends, delay in made.crossings_ns.items()),
        "",
        "| cells | taken | there | share |",
        "|---|---|---|---|",
        *(f"| {kind} | {use['used']:,} | {use['available']:,} | "
          f"{use['used'] / use['available']:.1%} |"
          for kind, use in sorted(made.utilization.items()) if use["used"] and use["available"]),
        "",
        f"![Where each unit stands]({name}.svg)",
        "",
        f"Bitstream {Path(made.bitstream).name}, SHA-256 {made.sha256}. Made by:",
        "",
        *(f"    {command}" for command in made.command),
        "",
        "with " + ", ".join(f"{tool} {version}" for tool, version in made.tools.items()) + ".",
        "",
    ]  # fmt: skip
    (folder / f"{name}.md").write_text("\n".join(lines))
    (folder / f"{name}.svg").write_text(draw(made.places, f"{made.board}, {made.preset}"))
