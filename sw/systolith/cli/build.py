"""``systolith build`` and ``systolith flash``: bitstreams of whole boards, and onto them."""

import dataclasses
import shlex
import shutil
import subprocess
import typing
from pathlib import Path

import typer

from systolith_hw.config import ConfigError
from systolith_sim.verilator import ToolError

from .console import needs, print_json, print_table, say, stages
from .flash_standalone import Asked, check_bitstream, prepare, simulate
from .options import Json, Weights, WeightsName

if typing.TYPE_CHECKING:
    from systolith_fpga.boards.board import Board
    from systolith_fpga.boards.build import Build

__all__ = ["build", "flash"]

BoardName = typing.Annotated[str, typer.Option("--board", help="Which board.")]
BoardPreset = typing.Annotated[
    str | None, typer.Option("--preset", help="One of the board's; its first unless given.")
]
Seed = typing.Annotated[
    int | None, typer.Option(help="Of placement; else the one kept for the board.", min=0)
]
Standalone = typing.Annotated[
    bool,
    typer.Option("--standalone", help="A board that reads model and prompt from its flash memory, "
                 "and needs no host."),
]  # fmt: skip
AllowTimingFail = typing.Annotated[
    bool, typer.Option("--allow-timing-fail", help="Take a bitstream that is too slow, too.")
]


def build(
    board: BoardName,
    preset: BoardPreset = None,
    output: typing.Annotated[
        str | None, typer.Option("--output", "-o", help="Folder for the bitstream and its page.")
    ] = None,
    seed: Seed = None,
    seeds: typing.Annotated[
        int | None, typer.Option(help="Try seeds 1 to N, and keep the fastest.", min=1)
    ] = None,
    standalone: Standalone = False,
    allow_timing_fail: AllowTimingFail = False,
    json: Json = False,
) -> None:
    """Make a board's bitstream; takes minutes to an hour."""
    if seed is not None and seeds is not None:
        raise ConfigError("--seed and --seeds exclude each other; give one of them")
    folder = None if output is None else Path(output)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    tries = [seed] if seeds is None else [*range(1, seeds + 1)]
    made = _fastest(board, preset, tries, standalone=standalone, plain=json,
                    meet_timing=not allow_timing_fail)  # fmt: skip
    _judge(made, allow=allow_timing_fail)
    if folder is not None:
        from systolith_fpga.boards.page import write_page

        bitstream = folder / f"{made.name}{Path(made.bitstream).suffix}"
        shutil.copyfile(made.bitstream, bitstream)
        made = dataclasses.replace(made, bitstream=str(bitstream))
        write_page(made, folder)
    values = dataclasses.asdict(made)
    del values["places"]  # thousands: the picture has them
    if json:
        print_json(values)
    else:
        del values["command"]
        print_table(values)


def flash(
    board: BoardName,
    preset: BoardPreset = None,
    seed: Seed = None,
    persistent: typing.Annotated[
        bool, typer.Option("--persistent", help="To flash memory: it stays after power-off.")
    ] = False,
    standalone: Standalone = False,
    model: typing.Annotated[
        str | None, typer.Option(help="With --standalone: a language model, as of systolith run.")
    ] = None,
    prompt: typing.Annotated[
        str, typer.Option(help="With --standalone: the text to go on with.")
    ] = "Once upon a time",
    tokens: typing.Annotated[
        int, typer.Option(help="With --standalone: tokens behind the prompt.")
    ] = 64,
    weights: WeightsName = Weights.INT8,
    output: typing.Annotated[
        str | None,
        typer.Option("--output", "-o", help="With --standalone: the image's file; else "
                     "BOARD-PRESET.image.bin."),
    ] = None,
    image_only: typing.Annotated[
        bool,
        typer.Option("--image-only", help="With --standalone: another model or prompt for the "
                     "bitstream that is there."),
    ] = False,
    simulated: typing.Annotated[
        bool,
        typer.Option("--simulate", help="With --standalone: let a simulated board tell its text, "
                     "and write to none."),
    ] = False,
    dry_run: typing.Annotated[
        bool,
        typer.Option("--dry-run", help="Print the command instead of running it; build nothing."),
    ] = False,
    allow_timing_fail: AllowTimingFail = False,
) -> None:  # fmt: skip
    """Write a board's bitstream to it, built first if it is not kept; with --standalone, a model
    and a prompt behind it."""
    with needs("fpga"):
        from systolith_fpga.boards import board_named
        from systolith_fpga.boards.flash import flash_command
    chosen = board_named(board)
    if not standalone:
        for name, given in (("--model", model), ("--output", output), ("--image-only", image_only),
                            ("--simulate", simulated)):  # fmt: skip
            if given:
                raise ConfigError(f"{name} needs --standalone")
    elif model is None:
        raise ConfigError("--standalone needs a --model, such as stories-260k")
    commands, image, prepared = [], None, None
    if standalone:
        assert model is not None
        prepared = prepare(chosen, preset, Asked(model, prompt, tokens, weights))
        preset = prepared.preset
        if simulated:
            simulate(chosen, prepared, show=lambda part: print(part, end="", flush=True))
            return
        image = Path(output or f"{chosen.name}-{preset}.image.bin")
        image.write_bytes(prepared.image)
        say(f"{image}: {len(prepared.image):,} bytes, read in {prepared.seconds * 1e3:.0f} ms")
    if not image_only:
        if dry_run:
            bitstream = _to_be(chosen, preset, standalone=standalone)
        else:
            made = _fastest(board, preset, [seed], standalone=standalone, plain=False,
                            meet_timing=not allow_timing_fail)  # fmt: skip
            _judge(made, allow=allow_timing_fail)
            bitstream = Path(made.bitstream)
            if standalone:
                check_bitstream(chosen, bitstream)
        commands.append(flash_command(chosen, bitstream, persistent=persistent or standalone))
    if prepared and image:
        commands.append(
            flash_command(chosen, image, persistent=True, offset=prepared.offset)
        )
    for command in commands:
        if dry_run:
            print(shlex.join(command))
        elif status := subprocess.run(command, check=False).returncode:
            say(f"error: {Path(command[0]).name} could not write to the board")
            raise typer.Exit(1 if status < 0 else status)


def _to_be(board: "Board", preset: str | None, *, standalone: bool) -> Path:
    """Return the file of a bitstream that is not made now, and say what makes it."""
    from systolith_fpga.bitstream import FLOWS
    from systolith_fpga.boards.build import file_name
    from systolith_hw.budget import device

    name, _ = board.variant(preset)
    if standalone:
        board.standing_alone()
    ending = Path(FLOWS[device(board.device).family].bitstream).suffix
    alone = " --standalone" if standalone else ""
    file = file_name(board.name, name, standalone=standalone) + ending
    say(f"nothing is built; systolith build --board {board.name} --preset {name}{alone} -o . makes "
        f"{file}")  # fmt: skip
    return Path(file)


def _fastest(
    board: str, preset: str | None, seeds: list[int | None] | list[int], *, standalone: bool,
    plain: bool, meet_timing: bool,
) -> "Build":  # fmt: skip
    """Build with each seed and return the one with the fastest core; of several, some may fail."""
    with needs("fpga"):
        from systolith_fpga.boards import board_named
        from systolith_fpga.boards.build import build as make
    chosen = board_named(board)
    chosen.variant(preset)  # refuses at once
    if standalone:
        chosen.standing_alone()
    with stages(f"building {chosen.title}", plain=plain) as progress:
        builds: list[Build] = []
        for seed in seeds:
            try:
                builds.append(make(chosen, preset, seed=seed, standalone=standalone,
                                   meet_timing=meet_timing, on_stage=progress))  # fmt: skip
            except ToolError as error:
                if not builds and seed == seeds[-1]:
                    raise
                say(f"seed {seed}: {error}")
    return max(builds, key=lambda made: (made.timing_met, made.fmax_mhz))


def _judge(made: "Build", *, allow: bool) -> None:
    """Refuse a build that is too slow, unless it is allowed, in which case it is said."""
    if made.timing_met:
        return
    clocks = made.clocks_mhz
    slow = ", ".join([
        *(f"{name} reaches {clock['reached']:g} of {clock['wanted']:g} MHz"
          for name, clock in clocks.items() if clock["reached"] < clock["wanted"]),
        *(f"from {ends} it takes {delay:g} ns, more than a period"
          for ends, delay in made.crossings_ns.items()
          if delay > 1e3 / clocks[ends.split(" to ")[0]]["wanted"]),
    ]) or "a clock lacks less than 0.01 MHz"  # fmt: skip
    if not allow:
        from systolith_fpga.boards.build import TimingError

        raise TimingError(
            f"timing is not met: {slow}; try other seeds with --seeds, or take it all the same "
            f"with --allow-timing-fail (logs are in {made.folder})"
        )
    say(f"timing is NOT met: {slow}")
