"""Language models on the hardware: compile, and compute tokens on the functional machine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_hw.isa import Register
from systolith_sim.transformer.decoder_model import DecoderModel

from .compiled_model import CompiledModel
from .compiler.decoder_fit import plan_decoder
from .compiler.decoder_image import DecoderImage
from .compiler.decoder_layout import DecoderLayout
from .compiler.decoder_logits import in_nats
from .compiler.decoder_plan import DecoderPlan
from .compiler.decoder_program import write_setup
from .compiler.decoder_shape import DecoderShape
from .compiler.decoder_streamed_fit import plan_streamed
from .compiler.decoder_streamed_image import StreamedImage
from .compiler.decoder_streamed_layout import StreamedLayout
from .compiler.decoder_streamed_plan import StreamedPlan
from .compiler.decoder_streamed_program import (
    choose_blocks,
    write_streamed,
    write_streamed_setup,
)
from .compiler.decoder_text import choose_prompt, write_decoder
from .model_image import ModelImage
from .sampling import GREEDY, Sampling

__all__ = ["CompiledDecoder", "Logits", "MachineDecoder"]

Logits = NDArray[np.float64]


@dataclass(frozen=True)
class CompiledDecoder(CompiledModel):
    """A language model for one configuration, of which one program serves all texts.

    Parameters
    ----------
    layout : DecoderLayout or StreamedLayout
    setup, program : int
        Byte addresses of the program that brings the model to the chip, and of the one that
        computes tokens.
    ends : tuple of int
        Tokens behind which the program makes no more.
    block : int
        Most tokens of a prompt that go through the model together.
    parts : dict of bytes
        All that texts have in common, by address.
    """

    made_by = ("systolith.language", "systolith.models.quantized_language")
    layout: DecoderLayout
    setup: int
    program: int
    ends: tuple[int, ...]
    block: int
    parts: dict[int, bytes]

    @classmethod
    def compile(
        cls, config: Config, model: DecoderModel, *, ends: Sequence[int] = (),
        context: int | None = None, logits: bool = False, streamed: bool = False,
        contents: bool = True,
    ) -> "CompiledDecoder":  # fmt: skip
        """Compile a model for texts of ``context`` tokens; by default of as many as fit.

        Behind one of ``ends`` there is no more text. With ``logits`` the program also stores those
        of each position, which takes it longer. If ``streamed``, weights, keys and values are in
        external memory; otherwise all of it on the chip. Without ``contents`` there are the
        programs alone, of which one can know how long they take.

        Raises
        ------
        ConfigError
            If it does not fit.
        """
        if streamed:
            plan = plan_streamed(config, model, context=context)
            places = StreamedLayout(plan, with_logits=logits)
            parts = StreamedImage(places, model).parts() if contents else {}
            blocks = choose_blocks(places, model)
            programs = write_streamed_setup(places), write_streamed(places, model, ends, blocks)
            return cls._join(places, parts, programs, ends, block=blocks.size if blocks else 1)
        layout = DecoderLayout(
            plan_decoder(config, model, context=context), with_logits=logits
        )
        parts = DecoderImage(layout, model).parts() if contents else {}
        prompt = choose_prompt(layout, model)
        programs = write_setup(layout), write_decoder(layout, model, ends, prompt)
        return cls._join(layout, parts, programs, ends, block=prompt.size if prompt else 1)

    @classmethod
    def _join(
        cls, layout: DecoderLayout, parts: dict[int, bytes], programs: tuple[bytes, bytes],
        ends: Sequence[int], *, block: int = 1,
    ) -> "CompiledDecoder":  # fmt: skip
        """Return a model whose two programs lie behind all else."""
        places = [
            layout.map.add(name, len(content)).address
            for name, content in zip(("setup", "program"), programs, strict=True)
        ]
        parts |= dict(zip(places, programs, strict=True))
        return cls(layout, places[0], places[1], tuple(ends), block, parts)

    @property
    def plan(self) -> DecoderPlan:
        """Where everything is on the chip."""
        return self.layout.plan

    def unpack_logits(self, read: Callable[[int, int], bytes], count: int) -> Logits:
        """Return logits (count, V) in nats of the first positions.

        Parameters
        ----------
        read : callable
            Takes address and bytes of external memory.
        count : int

        Raises
        ------
        ConfigError
            If the program stores none.
        """
        rows = self.layout.logits
        if rows is None:
            raise ConfigError("this program stores no logits; compile it with logits=True")
        return in_nats(rows.unpack(read(rows.address, count * rows.stride)))

    # -- files -------------------------------------------------------------------------------

    def image(self, model: str) -> ModelImage:
        """Return the image of a model of that name."""
        programs, tokens = {"setup": self.setup, "program": self.program}, self.layout.list
        places = programs | {
            "list": tokens.address, "entries": tokens.entries, "stride": tokens.stride,
            "positions": tokens.tokens, "vocabulary": tokens.shape.vocabulary,
        }  # fmt: skip
        return self._image(
            model, places, **programs, ends=self.ends, block=self.block,
            logits=self.layout.logits is not None,
        )  # fmt: skip

    @classmethod
    def from_image(cls, image: ModelImage, config: Config, model: str) -> "CompiledDecoder":
        """Return what :meth:`image` was made of.

        Raises
        ------
        ImageError
            If it is of another model, or another compiler's.
        """
        streamed = "slots" in image.manifest["plan"]
        kind = StreamedPlan if streamed else DecoderPlan
        plan, manifest = cls._plan_of(image, config, model, DecoderShape, kind)
        places, ends = (manifest["setup"], manifest["program"]), tuple(manifest["ends"])
        layout = (StreamedLayout if streamed else DecoderLayout)(
            plan, with_logits=manifest["logits"]
        )
        for name, address in zip(("setup", "program"), places, strict=True):
            layout.map.add(name, len(image.parts[address]))
        return cls(layout, *places, ends, manifest["block"], dict(image.parts))


class MachineDecoder:
    """A language model on the functional machine.

    Parameters
    ----------
    decoder : CompiledDecoder
    sampling : Sampling
        How tokens are chosen.

    Attributes
    ----------
    machine : Machine
    counters : dict of int
        Of the last run.
    """

    def __init__(self, decoder: CompiledDecoder, sampling: Sampling = GREEDY) -> None:
        sampling.require(decoder.plan.config)
        self._decoder = decoder
        self._sampling = sampling
        self.counters: dict[str, int] = {}
        self.machine = decoder.machine()
        self.machine.run(decoder.parts[decoder.setup])

    def generate(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """Yield ``count`` tokens behind a prompt, or fewer if one ends the text.

        The machine knows no time, so it is run anew for each token that somebody asks for.
        """
        self._decoder.layout.list.pack(prompt, count)  # refuses now what would not do later
        text, first = list(prompt), 0
        while len(text) < len(prompt) + count:
            made = self.run(text, 1, first)
            first = len(text)
            text += made
            yield from made
            if made[0] in self._decoder.ends:
                break

    def run(self, prompt: Sequence[int], count: int, first: int = 0) -> list[int]:
        """Return the tokens of one run; positions before ``first`` are on the chip already."""
        tokens, machine = self._decoder.layout.list, self.machine
        machine.memory.write(
            tokens.address, tokens.pack(prompt, count, first, self._sampling)
        )
        program = self._decoder.parts[self._decoder.program]
        self.counters = machine.run(program, {Register.POSITION: first}).counts
        entries = (tokens.entry(len(prompt) + number) for number in range(count))
        made = (tokens.token(machine.memory.read(entry, 4)) for entry in entries)
        return [token for token in made if token is not None]

    def logits(self, tokens: Sequence[int]) -> Logits:
        """Return logits (S, V) in nats behind each token of a text from position 0.

        Raises
        ------
        ConfigError
            If the program stores none, or the text is too long, or has a token that is none.
        """
        self.run(tokens, 1)
        return self.read_logits(len(tokens))

    def read_logits(self, count: int) -> Logits:
        """Return those of so many positions of the last text."""
        return self._decoder.unpack_logits(self.machine.memory.read, count)
