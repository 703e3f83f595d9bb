"""How far a core must reach in external memory for a language model that is streamed."""

from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_sim.transformer.decoder_model import DecoderModel

from .decoder_streamed_fit import plan_streamed
from .decoder_streamed_layout import StreamedLayout

__all__ = ["with_reach"]

MOST_BITS = 32
PROGRAMS = 2


def with_reach(
    config: Config, model: DecoderModel, *, context: int | None = None, logits: bool = False
) -> Config:
    """Return a config with as many ``bus.address_bits`` as the model needs, at least its own.

    Raises
    ------
    ConfigError
        If the model does not fit the chip, or any memory.
    """
    widest = config.replace({"bus.address_bits": MOST_BITS})
    layout = StreamedLayout(plan_streamed(widest, model, context=context), with_logits=logits)
    programs = PROGRAMS * config.memory.program_instructions * INSTRUCTION_BYTES
    bits = (layout.map.size + programs).bit_length()
    return config.replace({"bus.address_bits": max(bits, config.bus.address_bits)})
