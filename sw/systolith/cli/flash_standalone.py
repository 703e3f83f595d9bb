"""``systolith flash --standalone``: a model and a prompt into a board's flash memory."""

import typing
from dataclasses import dataclass
from pathlib import Path

from systolith_hw.config import ConfigError

from .console import needs, say, stages
from .operands import Operands, operands_by_size
from .options import Weights

if typing.TYPE_CHECKING:
    from systolith_fpga.boards import Board

__all__ = ["Asked", "Prepared", "check_bitstream", "prepare", "simulate"]

SIMULATED_CYCLES = 200_000_000
"""After which a simulated board is given up."""

END = "\4"


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a standalone board."""

    model: str
    prompt: str
    tokens: int
    weights: Weights


@dataclass(frozen=True)
class Prepared:
    """An image for a board.

    Parameters
    ----------
    preset : str
        Of the core that it is for.
    image : bytes
        What flash memory holds from ``offset`` on.
    offset : int
    seconds : float
        That the board takes to read it, at its clocks.
    """

    preset: str
    image: bytes
    offset: int
    seconds: float


def prepare(board: "Board", preset: str | None, asked: Asked) -> Prepared:
    """Return the image, for the board's preset that has the model on the chip, if one has.

    Raises
    ------
    ConfigError
        If there is no such model, or it or the text has no room.
    """
    with needs("fpga"):
        from systolith_fpga.standalone.image import flash_image
        from systolith_fpga.standalone.spi_flash import half_period
        from systolith_fpga.standalone.story import board_story
    with needs("models"):
        from ..models.library import load_language_model

    settings = board.standing_alone()
    if asked.tokens < 1:
        raise ConfigError(f"--tokens must be at least 1, not {asked.tokens}")
    with stages(f"reading {asked.model}") as progress:
        model = load_language_model(asked.model, progress)

        def resident(name: str) -> bool:
            return operands_by_size(model.decoder, board.config(name)) == Operands.ONCHIP

        if preset is None:
            preset = next(filter(resident, board.variants), None)
        name, _ = board.variant(preset)
        streamed = not resident(name)
        say(f"{asked.model}: {'streamed' if streamed else 'all is on the chip'}; preset {name}")
        _, _, story = board_story(
            model, asked.prompt, asked.tokens, board.config(name), weights=asked.weights,
            streamed=streamed, progress=progress,
        )  # fmt: skip
        image = flash_image(board.config(name), story, asked.prompt, settings, board.memory.bytes)
    core_hz, _ = board.clocks(name)
    cycles = 16 * half_period(settings.flash, core_hz) * len(image)
    return Prepared(name, image, settings.image_offset, cycles / core_hz)


def check_bitstream(board: "Board", bitstream: Path) -> None:
    """Refuse a bitstream that would reach into the image."""
    room, size = board.standing_alone().image_offset, bitstream.stat().st_size
    if size > room:
        raise ConfigError(
            f"the bitstream has {size:,} bytes, and the image begins at byte {room:,} of the flash "
            "memory"
        )


def simulate(board: "Board", prepared: Prepared, *, show: typing.Callable[[str], None]) -> str:
    """Let a simulated board begin with the image, and return what it says."""
    from systolith_fpga.boards.simulated import hear, standalone_board

    running = standalone_board(
        board, prepared.preset, prepared.image, fast_line=True, report=say
    )
    text = hear(running, SIMULATED_CYCLES, END, lambda part: show(part.replace(END, "")))
    say(f"{running.cycle:,} cycles, {running.flash_bytes_read:,} bytes from flash memory")
    return text
