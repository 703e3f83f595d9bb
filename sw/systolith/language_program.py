"""A person's language model on the core: rounded, and compiled for logits and for text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder
from systolith_sim.verilator import digest

from .compiler.blank_decoder import blank_decoder
from .compiler.decoder_quantizer import quantize_decoder
from .compiler.decoder_reach import with_reach
from .compiler.decoder_rounding import Rounded, round_decoder
from .compiler.decoder_streamed_plan import StreamedPlan
from .compiler.group_rounding import SWEEPS
from .compiler.weight_codecs import CODECS
from .language import CompiledDecoder
from .models.fingerprint import fingerprint
from .models.kept_rounding import kept_rounding
from .models.own_texts import write_together
from .progress import Progress

__all__ = ["LanguageProgram", "compile_language", "must_stream", "round_language"]

TEXTS, LONGEST = 16, 256
"""How many texts a model writes to be rounded with, and of how many tokens at most."""

LARGE = 2_000_000
"""Weights of layers: fewer are rounded in seconds."""

LARGE_TEXTS, LARGE_LONGEST, LARGE_SWEEPS = 24, 64, 0
"""The same of large models, and how often their codes are gone through again: 8 bits lose so little
that more of either makes no difference that one could measure."""


@dataclass(frozen=True)
class LanguageProgram:
    """A language model compiled twice, since storing logits takes time that text need not.

    Parameters
    ----------
    logits : CompiledDecoder
        Stores the logits of all positions.
    text : CompiledDecoder
        Only makes tokens.
    """

    logits: CompiledDecoder
    text: CompiledDecoder

    @property
    def streamed(self) -> bool:
        """Whether weights, keys and values are in external memory."""
        return isinstance(self.text.plan, StreamedPlan)

    @property
    def tokens(self) -> int:
        """Most tokens of a text, those that are made among them."""
        return min(self.logits.plan.tokens, self.text.plan.tokens)


def _written_texts(
    model: FloatDecoder, count: int, longest: int, progress: Progress
) -> list[list[int]]:
    """Return texts that a model writes itself, behind tokens by chance; always the same."""
    first = np.random.default_rng(0).integers(0, len(model.embedding), count).tolist()
    return write_together(model, first, min(longest, model.context), progress)


def _is_large(model: FloatDecoder) -> bool:
    layer = vars(model.layers[0]).values()
    return len(model.layers) * sum(part.size for part in layer if part is not None) >= LARGE


def round_language(
    model: FloatDecoder, documents: Sequence[Sequence[int]] | None, progress: Progress, *,
    streamed: bool,
) -> Rounded:  # fmt: skip
    """Return a model's weights in 8 bits, rounded with documents; by default it writes some.

    Those of a large model are kept. Gammas stay in the norms of a model that will be ``streamed``.
    """
    large = _is_large(model)
    recipe = {"texts": TEXTS, "longest": LONGEST, "sweeps": SWEEPS}
    if large:
        recipe = {"texts": LARGE_TEXTS, "longest": LARGE_LONGEST, "sweeps": LARGE_SWEEPS}

    def make() -> Rounded:
        texts = documents
        if texts is None:
            progress("letting the model write, to measure it")
            texts = _written_texts(model, recipe["texts"], recipe["longest"], progress)
        progress("rounding the language model's weights")
        return round_decoder(
            model, texts, CODECS["int8"], CODECS["int8"], folded=not streamed,
            sweeps=recipe["sweeps"],
        )  # fmt: skip

    if not large:
        return make()
    texts = "" if documents is None else f"-{digest(json.dumps(documents).encode())[:12]}"
    name = f"{fingerprint(model)}-graph{texts}" + "-streamed" * streamed
    return kept_rounding(name, recipe, make)


def must_stream(config: Config, model: FloatDecoder, context: int | None) -> bool:
    """Return whether a model does not fit the chip, but fits if it is streamed.

    Only its sizes are looked at, since rounding weights takes long.

    Raises
    ------
    ConfigError
        If it fits neither way; the sentence says what would.
    """
    reasons = []
    for streamed in (False, True):
        try:
            blank = blank_decoder(config, model, streamed=streamed)
            if streamed:
                _require_reach(config, blank, context)
            _compile(config, blank, context, streamed, contents=False)
            return streamed
        except ConfigError as error:
            reasons.append(str(error))
    raise ConfigError(f"neither on the chip ({reasons[0]}) nor streamed ({reasons[1]})")


def _require_reach(config: Config, model: DecoderModel, context: int | None) -> None:
    """Refuse a core whose addresses do not reach all of a streamed model."""
    bits = with_reach(config, model, context=context, logits=True).bus.address_bits
    if bits > config.bus.address_bits:
        raise ConfigError(
            f"bus.address_bits must be at least {bits}, not {config.bus.address_bits}, so that the "
            "model has room in external memory"
        )


def compile_language(
    config: Config, model: FloatDecoder, rounded: Rounded, *, context: int | None, streamed: bool
) -> tuple[LanguageProgram, DecoderModel]:
    """Return a model's programs, for texts of ``context`` tokens or as many as fit, and integers.

    Raises
    ------
    ConfigError
        If it does not fit.
    """
    integers = quantize_decoder(config, model, rounded, streamed=streamed)
    return _compile(config, integers, context, streamed), integers


def _compile(
    config: Config, model: DecoderModel, context: int | None, streamed: bool, *,
    contents: bool = True,
) -> LanguageProgram:  # fmt: skip
    programs, seen = [], dict[bytes, bytes]()
    for logits in (True, False):
        compiled = CompiledDecoder.compile(config, model, context=context, logits=logits,
                                           streamed=streamed, contents=contents)  # fmt: skip
        for address, content in compiled.parts.items():  # both have most of them, once in memory
            compiled.parts[address] = seen.setdefault(content, content)
        programs.append(compiled)
    return LanguageProgram(*programs)
