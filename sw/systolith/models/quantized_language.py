"""A language model in integers, chosen with the help of text that the model itself writes."""

from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel

from ..compiler.decoder_measure import measure
from ..compiler.decoder_quantizer import quantize_decoder
from ..generation import FloatGenerator
from ..progress import Progress
from ..sampling import Sampling
from .language_model import LanguageModel

__all__ = ["own_texts", "quantize_language"]

TEXTS = 16
LONGEST = 128
"""How many texts are written, and of how many tokens."""


def quantize_language(
    model: LanguageModel, config: Config, progress: Progress | None = None
) -> DecoderModel:
    """Return the model for words of a configuration."""
    progress = progress or Progress()
    texts = own_texts(model, progress)
    progress(f"measuring {model.name} on them")
    found = measure(model.decoder, texts)
    progress(f"rounding the weights of {model.name}")
    return quantize_decoder(config, model.decoder, found)


def own_texts(model: LanguageModel, progress: Progress | None = None) -> list[list[int]]:
    """Return texts that the model writes at temperature 1, always the same.

    A model that has no token to begin with begins with the first letters of its alphabet.
    """
    progress = progress or Progress()
    progress(f"letting {model.name} write, to measure it")
    texts = []
    for seed in range(TEXTS):
        progress.reached(seed, TEXTS)
        opening = model.opening or model.tokenizer.encode(chr(ord("A") + seed))
        most = min(LONGEST, model.decoder.context) - len(opening)
        generator = FloatGenerator(model.decoder, Sampling(temperature=1.0, seed=seed))
        texts.append([*opening, *generator.generate(opening, most)])
    return texts
