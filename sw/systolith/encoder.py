"""Encoders on the hardware: compile, write the inputs, run, read the results."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_hw.isa import Register
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.model import EncoderModel

from .compiled_model import CompiledModel
from .compiler.encoder_choice import PlanChoice, choose_encoder
from .compiler.encoder_layout import EncoderLayout
from .compiler.encoder_plan import EncoderPlan
from .compiler.encoder_program import write_encoder
from .compiler.encoder_shape import EncoderShape
from .model_image import ModelImage
from .sources import COMPILER

__all__ = [
    "CompiledEncoder",
    "EncoderResult",
    "MachineEncoder",
    "Sentences",
    "batches",
]

Sentences = Sequence[Any]
"""Of each sentence its token numbers, or whatever else has as many elements as it has tokens."""


@dataclass(frozen=True)
class EncoderResult:
    """What one run gave.

    Parameters
    ----------
    states : list of (S, D) int32
        Of each sentence, fixed point with LSB 2**-16.
    counts : dict of int
        Of the hardware's counters.
    """

    states: list[NDArray[np.int32]]
    counts: dict[str, int]

    @property
    def embeddings(self) -> NDArray[np.float64]:
        """Each sentence's unit vector: the mean of its tokens."""
        means = np.stack([np.ldexp(state.mean(axis=0), -FRACTION) for state in self.states])
        return means / np.linalg.norm(means, axis=1, keepdims=True)


@dataclass(frozen=True)
class CompiledEncoder(CompiledModel):
    """An encoder for one configuration, of which one program serves all lengths.

    Parameters
    ----------
    layout : EncoderLayout
    program : int
        Byte address of the program.
    parts : dict of bytes
        All that runs have in common, by address.
    choice : PlanChoice or None
        What the plan was chosen from, if it was.
    """

    made_by: ClassVar[tuple[str, ...]] = COMPILER
    embedded: ClassVar[bool] = True
    layout: EncoderLayout
    program: int
    parts: dict[int, bytes]
    choice: PlanChoice | None = None

    @classmethod
    def compile(
        cls, config: Config, model: EncoderModel, *, tokens: int, segments: int = 1
    ) -> Self:
        """Compile a model for at most ``tokens`` in at most ``segments`` sentences.

        Raises
        ------
        ConfigError
            If it does not fit.
        """
        plan, choice = choose_encoder(
            config, EncoderShape.of(model), tokens=tokens, segments=segments,
            norm_first=model.norm_first, activation=model.layers[0].activation,
            embedded=cls.embedded,
        )  # fmt: skip
        layout = EncoderLayout(plan)
        program = write_encoder(layout, model)
        address = layout.map.add("program", len(program)).address
        return cls(layout, address, {address: program, **layout.parts(model)}, choice)

    @property
    def plan(self) -> EncoderPlan:
        """How it is cut."""
        return self.layout.plan

    # -- files -------------------------------------------------------------------------------

    def image(self, model: str) -> ModelImage:
        """Return the image of a model of that name."""
        places = {"program": self.program, "positions": self.plan.tokens}
        choice = self.choice and dataclasses.asdict(self.choice)
        return self._image(model, places, program=self.program, choice=choice)

    @classmethod
    def from_image(cls, image: ModelImage, config: Config, model: str) -> Self:
        """Return what :meth:`image` was made of.

        Raises
        ------
        ImageError
            If it is of another model, or another compiler's.
        """
        plan, manifest = cls._plan_of(image, config, model, EncoderShape, EncoderPlan)
        choice = manifest["choice"] and PlanChoice.from_dict(manifest["choice"])
        return cls(EncoderLayout(plan), manifest["program"], dict(image.parts), choice)

    # -- runs --------------------------------------------------------------------------------

    def inputs(self, sentences: Sentences) -> dict[int, bytes]:
        """Return by address what the host writes for some sentences of token numbers.

        Raises
        ------
        ConfigError
            If they are too many or too long.
        """
        tables = self.layout.tables.pack(sentences, self.layout.token_bytes)
        return {self.layout.regions["tables"].address: tables}

    def registers(self, sentences: Sentences) -> dict[int, int]:
        """Return the runtime registers at the start."""
        return {Register.LENGTH: sum(map(len, sentences))}

    def results(self, sentences: Sentences, memory: NDArray[np.uint8]) -> list[NDArray[np.int32]]:
        """Return each sentence's results (S, D) from external memory."""
        region = self.layout.regions["tokens"]
        return self.unpack(sentences, memory[region.address : region.end])

    def unpack(self, sentences: Sentences, tokens: NDArray[np.uint8]) -> list[NDArray[np.int32]]:
        """Return each sentence's results (S, D) from what the region "tokens" holds."""
        rows = np.ascontiguousarray(tokens).view("<i4")
        rows = rows.reshape(self.plan.tokens, -1)[:, : self.plan.shape.features]
        ends = np.cumsum([len(sentence) for sentence in sentences])
        return [part.copy() for part in np.split(rows[: ends[-1]], ends[:-1])]


class MachineEncoder:
    """An encoder on the functional machine.

    Parameters
    ----------
    encoder : CompiledEncoder
    """

    def __init__(self, encoder: CompiledEncoder) -> None:
        self._encoder = encoder
        self._machine = encoder.machine()

    def run(self, sentences: Sentences) -> EncoderResult:
        """Run some sentences of token numbers, all at once."""
        encoder, machine = self._encoder, self._machine
        for address, content in encoder.inputs(sentences).items():
            machine.memory.write(address, content)
        program = encoder.parts[encoder.program]
        result = machine.run(program, encoder.registers(sentences))
        return EncoderResult(encoder.results(sentences, machine.memory.array), result.counts)


def batches(sentences: Sentences, encoder: CompiledEncoder) -> list[list[Any]]:
    """Cut sentences into runs, in their order, as many in each as fit."""
    groups: list[list[Any]] = []
    for sentence in sentences:
        last = groups[-1] if groups else []
        room = encoder.plan.tokens - sum(map(len, last))
        if last and len(sentence) <= room and len(last) < encoder.plan.segments:
            last.append(sentence)
        else:
            groups.append([sentence])
    return groups
