"""A language model in integers, chosen with the help of text that the model itself writes."""

from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder

from ..compiler.decoder_quantizer import quantize_decoder
from ..compiler.decoder_rounding import Rounded, round_decoder
from ..compiler.decoder_tuning import tune_codes
from ..compiler.weight_codecs import CODECS
from ..progress import Progress
from .fingerprint import fingerprint
from .kept_rounding import Recipe, kept_rounding
from .language_model import LanguageModel
from .own_texts import own_texts

__all__ = ["quantize_language"]

SMALL = 200_000
"""A model of fewer weights has none to spare: 4-bit codes are tuned on texts of the whole model."""

TUNING_TEXTS = 400
ROUNDING_TEXTS = 100
"""How many texts codes are tuned on, and with how many of them weights are rounded."""


def quantize_language(
    model: LanguageModel, config: Config, weights: str = "int8", progress: Progress | None = None,
    *, streamed: bool = False,
) -> DecoderModel:  # fmt: skip
    """Return the model for words of a configuration, its weights in a codec of ``CODECS``, and on
    the chip unless ``streamed``."""
    progress = progress or Progress()
    name = f"{fingerprint(model.decoder)}-{weights}" + "-streamed" * streamed
    tuned = weights != "int8" and _weights(model.decoder) < SMALL
    recipe = {"texts": ROUNDING_TEXTS, "tuning_texts": TUNING_TEXTS if tuned else None}
    rounded = kept_rounding(
        name, recipe, lambda: _round(model, weights, recipe, progress, folded=not streamed)
    )
    progress(f"quantising {model.name}")
    return quantize_decoder(config, model.decoder, rounded, streamed=streamed)


def _round(
    model: LanguageModel, weights: str, recipe: Recipe, progress: Progress, *, folded: bool
) -> Rounded:  # fmt: skip
    """Return the model's weights in a codec."""
    codec, tuning_texts = CODECS[weights], recipe["tuning_texts"]
    texts = own_texts(model, progress, count=tuning_texts)
    progress(f"rounding the weights of {model.name}, once")
    rounded = round_decoder(model.decoder, texts[: recipe["texts"]], codec, codec, folded=folded)
    if tuning_texts is not None:
        progress(f"tuning the codes of {model.name}, once")
        rounded = tune_codes(model.decoder, texts, rounded, codec, codec,
                             progress=progress.reached)  # fmt: skip
    return rounded


def _weights(model: FloatDecoder) -> int:
    """Return how many weights all layers have."""
    matrices = (vars(layer).values() for layer in model.layers)
    return sum(matrix.size for parts in matrices for matrix in parts if matrix is not None)
