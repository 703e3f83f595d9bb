"""Run one layer of an encoder on the simulated hardware, and measure it by its own counters."""

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_ENTRY_BYTES, Config
from systolith_hw.tables import FRACTION
from systolith_sim.transformer.encoder import Words
from systolith_sim.transformer.model import EncoderModel
from systolith_sim.transformer.reference import encode

from .closeness import cosine
from .compiler.encoder_fit import plan_encoder
from .compiler.encoder_layout import EncoderLayout
from .compiler.encoder_plan import EncoderPlan
from .compiler.encoder_program import write_stages
from .compiler.encoder_shape import EncoderShape
from .encoder import CompiledEncoder
from .models.minilm import MiniLM
from .models.quantized import quantize_minilm, random_sentence
from .progress import Progress
from .workload import Outcome, Workload, timed

__all__ = ["LayerCase", "LayerMeasurement", "bench_layer", "layer_workload"]


@dataclass(frozen=True, kw_only=True)
class LayerMeasurement:
    """One layer on the hardware, its weights streamed.

    What needs the hardware's time is None without it.

    Parameters
    ----------
    macs : int
        Useful multiplications, of matrices, scores and context.
    cycles : int
        From the start write to the done flag. The layer's input is where the layer before would
        leave it, and its output is left there.
    estimated_cycles : int or None
        The same by the times of the program's instructions, as ``systolith estimate`` tells them;
        None of cores whose instructions' times are not known, as ``tiny``.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    bytes : int
        Everything that crossed the port.
    compulsory_bytes : int
        Each weight, scale entry, input and output once; input and output are fixed-point
        residuals, and count only if not all of them fit the chip.
    roofline_cycles, roofline_utilization : float
        ``max(macs / multipliers, compulsory_bytes / port_bytes)``, and that over ``cycles``.
    token_block, input_block, row_block : int
        Tokens whose residual is on the chip, with a pass over most weights for each block; tokens
        whose input is, with one over those of Q, K and V; rows of scores.
    spilt : bool
        The context of heads passes through external memory.
    bit_exact : bool
        Whether every bit is what the machine gives, and what the golden model gives.
    cosine : float
        Of the output to that of the layer in float32.
    counters : dict
        All of the hardware's counters, or the machine's.
    """

    seq: int
    port_bytes: int
    macs: int
    cycles: int | None
    estimated_cycles: int | None
    utilization: float | None
    bytes: int
    compulsory_bytes: int
    roofline_cycles: float
    roofline_utilization: float | None
    token_block: int
    input_block: int
    row_block: int
    spilt: bool
    bit_exact: bool
    cosine: float
    simulated_per_second: float | None
    counters: dict[str, int]


def bench_layer(
    model: MiniLM, config: Config, tokens: int, *, backend: str = "rtl",
    simulator: str = "verilator", seed: int = 0, progress: Progress | None = None,
) -> LayerMeasurement:  # fmt: skip
    """Compute the first layer for random tokens, and measure.

    The embedding runs before, and is not measured. The functional machine runs the same programs
    first; with the backend "machine" nothing else does.

    Raises
    ------
    ConfigError
        If the layer does not fit, in a sentence that names what is too small.
    """
    progress = progress or Progress()
    case = LayerCase.prepare(model, config, tokens, seed=seed, progress=progress)
    predicted = outcome = case.work.predict(progress)
    if backend == "rtl":
        outcome = case.work.simulate(simulator, progress, f"a layer of {tokens} tokens")
    progress("comparing")
    return case.measure(outcome, predicted)


@dataclass(frozen=True)
class LayerCase:
    """A layer that is to be measured.

    Parameters
    ----------
    plan : EncoderPlan
    model : EncoderModel
        Of this layer alone, and of the tokens that it gets: numbers 0, 1, ...
    exact : (S, D) float
        What the layer gives in float32.
    encoder : CompiledEncoder
    work : Workload
        Its programs, of which "main" is the layer, and all that they need.
    """

    plan: EncoderPlan
    model: EncoderModel
    exact: NDArray[np.floating]
    encoder: CompiledEncoder
    work: Workload

    @classmethod
    def prepare(
        cls, model: MiniLM, config: Config, tokens: int, *, seed: int = 0,
        progress: Progress | None = None,
    ) -> Self:  # fmt: skip
        """Return a model's first layer for random tokens.

        Raises
        ------
        ConfigError
            If it does not fit, in a sentence that names what is too small.
        """
        numbers = random_sentence(np.random.default_rng(seed), tokens, model.vocabulary)
        shape = EncoderShape(
            features=model.features, heads=model.heads, hidden=model.hidden, layers=1,
            vocabulary=tokens, positions=tokens,
        )  # fmt: skip
        plan = plan_encoder(config, shape, tokens=tokens)  # refuses before the long work
        integers = first_layer(quantize_minilm(model, config, progress), numbers)
        exact = encode(model.layer(0), model.embedding(numbers))
        return cls(plan, integers, exact, *layer_workload(plan, integers))

    def measure(self, outcome: Outcome, predicted: Outcome) -> LayerMeasurement:
        """Return what a run says, of which the machine predicted the results."""
        tokens, config = self.plan.tokens, self.plan.config
        got, machine = (_result(self.encoder, tokens, ran.memory) for ran in (outcome, predicted))
        golden = self.model.encode(config.array, range(tokens))
        return LayerMeasurement(
            **_measure(self.plan, outcome.counters, outcome.seconds),
            estimated_cycles=self.work.estimate(),
            bit_exact=np.array_equal(got, machine) and np.array_equal(got, golden),
            cosine=cosine(np.ldexp(got, -FRACTION), self.exact), counters=dict(outcome.counters),
        )  # fmt: skip


def first_layer(model: EncoderModel, tokens: list[int]) -> EncoderModel:
    """Return a model of one layer, and of no more tokens than those."""

    def rows(words: Words, numbers: list[int]) -> Words:
        return Words(words.mantissas[numbers], words.exponents[numbers])

    return dataclasses.replace(
        model, words=rows(model.words, tokens), layers=model.layers[:1],
        positions=rows(model.positions, list(range(len(tokens)))),
    )  # fmt: skip


def layer_workload(plan: EncoderPlan, model: EncoderModel) -> tuple[CompiledEncoder, Workload]:
    """Return a model for one sentence of all its tokens, and its embedding and layers apart."""
    layout = EncoderLayout(plan)
    stages = write_stages(layout, model)
    programs = {
        name: (layout.map.add(name, len(program)).address, program)
        for name, program in stages.items()
    }
    encoder = CompiledEncoder(layout, programs["main"][0], layout.parts(model))
    sentence = range(plan.tokens)
    cycles = plan.shape.macs(plan.tokens) / (plan.config.array.rows * plan.config.array.columns)
    return encoder, Workload(
        config=plan.config, size=encoder.size,
        parts={**encoder.parts, **encoder.inputs([sentence])}, programs=programs,
        length=plan.tokens, expected_cycles=1.2 * cycles,
    )  # fmt: skip


def _result(encoder: CompiledEncoder, tokens: int, memory: NDArray[np.uint8]) -> NDArray[np.int32]:
    return encoder.results([range(tokens)], memory)[0]


def _compulsory_bytes(plan: EncoderPlan) -> int:
    """Return the bytes that a layer must move."""
    shape = plan.shape
    channels = 7 * shape.features + shape.hidden  # five matrices and two norms; the up matrix
    residual = 0 if plan.resident else 2 * plan.tokens * shape.features * 4
    return shape.weights + SCALE_ENTRY_BYTES * channels + residual


def _measure(plan: EncoderPlan, counters: dict[str, int], seconds: float) -> dict:
    """Return all that follows from the plan, and from the counters."""
    common = timed(
        plan.config, counters, seconds, macs=plan.shape.macs(plan.tokens),
        compulsory_bytes=_compulsory_bytes(plan),
    )  # fmt: skip
    return common | {
        "seq": plan.tokens, "token_block": plan.token_block, "input_block": plan.input_block,
        "row_block": plan.row_block, "spilt": plan.spill,
    }  # fmt: skip
