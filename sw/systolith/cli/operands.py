"""Which core computes a language model: one rule for all commands.

A model that has more weights than operand memory is streamed, unless ``--operands`` says otherwise;
a model on the chip has the preset ``ulx3s-resident``, and one that is streamed ``ulx3s``, unless
``--preset`` says otherwise.
"""

import typing
from dataclasses import dataclass

import typer

from systolith_hw.config import MOST_CANDIDATES, Config, ConfigError
from systolith_hw.presets import PRESETS

from .console import say
from .options import Operands, choose_config

if typing.TYPE_CHECKING:
    from systolith_sim.transformer.decoder_model import DecoderModel
    from systolith_sim.transformer.decoder_reference import FloatDecoder

__all__ = [
    "STREAMED", "Context", "Core", "LanguageOperands", "LanguagePreset", "choose_core",
    "choose_product_core", "operands_by_size", "reach",
]  # fmt: skip

RESIDENT, STREAMED = "ulx3s-resident", "ulx3s"
"""The presets for models on the chip, and for those that are streamed, unless one is given."""

LanguageOperands = typing.Annotated[
    Operands | None,
    typer.Option("--operands", help="onchip: all of the model is on the chip; stream: weights, "
                 "keys and values are in external memory. By default a model that has more weights "
                 "than operand memory is streamed."),
]  # fmt: skip
LanguagePreset = typing.Annotated[
    str | None,
    typer.Option("--preset", "-p", help=f"One of {', '.join(PRESETS)}; by default {RESIDENT} "
                 f"for a model on the chip, and {STREAMED} for one that is streamed."),
]  # fmt: skip
Context = typing.Annotated[
    int | None,
    typer.Option(help="Most tokens of a text, prompt and all; by default as many as the model and "
                 "the chip take.", min=2),
]  # fmt: skip


@dataclass(frozen=True)
class Core:
    """A core for a language model.

    Parameters
    ----------
    operands : Operands
        Where the model's are.
    preset : str
    config : Config
        The preset with all settings.
    """

    operands: Operands
    preset: str
    config: Config

    @property
    def streamed(self) -> bool:
        """Whether weights, keys and values are in external memory."""
        return self.operands == Operands.STREAM

    @property
    def place(self) -> dict[str, str]:
        """What JSON says of it."""
        return {"operands": str(self.operands), "preset": self.preset}


def choose_core(
    name: str, model: "FloatDecoder", operands: Operands | None, preset: str | None,
    settings: list[str] | None, port_bytes: int | None = None, *, streamed_port: int | None = None,
    by_chance: bool = False,
) -> Core:  # fmt: skip
    """Return the core for a model of some name, and say which it is.

    The port of a model that is streamed has ``streamed_port`` bytes per cycle, if none are given.
    Where tokens are chosen ``by_chance`` the core has what that takes, which no preset has, unless
    ``vector.candidates`` is set.

    Raises
    ------
    ConfigError
    """
    if operands is None:
        operands = operands_by_size(model, choose_config(preset or RESIDENT, settings))
    if by_chance and not _sets(settings, "vector.candidates"):
        say(f"{name}: vector.candidates is {MOST_CANDIDATES}, since tokens are chosen by chance")
        settings = [*(settings or []), f"vector.candidates={MOST_CANDIDATES}"]
    streamed = operands == Operands.STREAM
    chosen = preset or (STREAMED if streamed else RESIDENT)
    port = port_bytes or (streamed_port if streamed else None)
    core = Core(operands, chosen, choose_config(chosen, settings, port_bytes=port))
    where = "weights, keys and values are streamed" if core.streamed else "all is on the chip"
    if core.config.vector.rows:  # without a row unit it is refused, or another is tried
        say(f"{name}: {where}; preset {core.preset}, --port-bytes {core.config.bus.data_bytes}")
    return core


def choose_product_core(
    name: str, operands: Operands | None, preset: str, config: Config, *, runs: bool
) -> Core:
    """Return a core without a row unit for the products of a model, and say what is left to do if
    it runs.

    Raises
    ------
    ConfigError
        If the model is to be streamed.
    """
    from ..coprocessor.hosted_run import HOST_FUNCTIONS

    if operands == Operands.STREAM:
        raise ConfigError(
            "--operands stream takes a row unit, and vector.rows is 0: leave it out, so that all "
            f"weights stay on the chip, or take a core with one, such as preset {STREAMED} has"
        )
    if runs:
        say(
            f"{name}: the core (preset {preset}) has no row unit (vector.rows is 0), so it "
            f"multiplies by the weights, which stay on the chip; {HOST_FUNCTIONS} are this "
            "computer's"
        )
    return Core(Operands.ONCHIP, preset, config)


def _sets(settings: list[str] | None, name: str) -> bool:
    """Return whether somebody has set a field."""
    return any(setting.partition("=")[0].strip() == name for setting in settings or [])


def operands_by_size(model: "FloatDecoder", config: Config) -> Operands:
    """Return where the operands of a model are, if nobody says."""
    matrices = (part for layer in model.layers for part in vars(layer).values())
    weights = model.head.size + sum(part.size for part in matrices if part is not None)
    room = config.memory.operand_tiles * config.array.rows * config.array.columns
    return Operands.STREAM if weights > room else Operands.ONCHIP


def reach(
    core: Core, model: "DecoderModel", settings: list[str] | None, *,
    context: int | None = None, logits: bool = False,
) -> Config:  # fmt: skip
    """Return a config whose addresses reach all of a model, and say so if it is another.

    That may be one for a model that is streamed. Whoever sets ``bus.address_bits`` keeps them.

    Raises
    ------
    ConfigError
    """
    from ..compiler.decoder_reach import with_reach

    config = core.config
    if not core.streamed or _sets(settings, "bus.address_bits"):
        return config
    wider = with_reach(config, model, context=context, logits=logits)
    if wider != config:
        say(f"bus.address_bits is {wider.bus.address_bits}, not {config.bus.address_bits}, so that "
            "the model has room in external memory")  # fmt: skip
    return wider
