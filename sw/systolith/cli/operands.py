"""Where a language model's operands are, and what follows from that for the core."""

import typing

from systolith_hw.config import Config

from .console import say
from .options import Operands, choose_config

if typing.TYPE_CHECKING:
    from systolith_sim.transformer.decoder_model import DecoderModel

    from ..models.language_model import LanguageModel

__all__ = ["choose_core", "exceeds", "reach"]

RESIDENT, STREAMED = "ulx3s-resident", "ulx3s"
"""The presets for models on the chip, and for those that are streamed, unless one is given."""

STREAMED_PORT = 128
"""Bytes per cycle of a streamed model's port, unless they are given: simulation is slow."""


def choose_core(
    model: "LanguageModel", operands: Operands | None, name: str | None,
    settings: list[str] | None, port_bytes: int | None,
) -> tuple[Operands, str, Config]:  # fmt: skip
    """Return where the operands are, the preset, and the config.

    By default a model that has more weights than operand memory is streamed.

    Raises
    ------
    ConfigError
    """
    resident = choose_config(name or RESIDENT, settings, port_bytes=port_bytes)
    if operands is None:
        operands = Operands.STREAM if exceeds(model, resident) else Operands.ONCHIP
    if operands == Operands.ONCHIP:
        return operands, name or RESIDENT, resident
    name, port = name or STREAMED, port_bytes or STREAMED_PORT
    say(f"{model.name}: weights, keys and values are streamed; preset {name}, --port-bytes {port}")
    return operands, name, choose_config(name, settings, port_bytes=port)


def exceeds(model: "LanguageModel", config: Config) -> bool:
    """Return whether the model has more weights than operand memory, so that it is streamed."""
    decoder, array = model.decoder, config.array
    matrices = (part for layer in decoder.layers for part in vars(layer).values())
    weights = decoder.head.size + sum(part.size for part in matrices if part is not None)
    return weights > config.memory.operand_tiles * array.rows * array.columns


def reach(config: Config, model: "DecoderModel", settings: list[str] | None) -> Config:
    """Return a config whose addresses reach all of a streamed model, and say so if it is another.

    Whoever sets ``bus.address_bits`` keeps them.

    Raises
    ------
    ConfigError
    """
    from ..compiler.decoder_reach import with_reach

    if any(setting.partition("=")[0].strip() == "bus.address_bits" for setting in settings or []):
        return config
    wider = with_reach(config, model)
    if wider != config:
        say(f"bus.address_bits is {wider.bus.address_bits}, not {config.bus.address_bits}, so that "
            "the model has room in external memory")  # fmt: skip
    return wider
