"""Compute a prompt as a batch on the simulated hardware, and measure it by its own counters."""

import dataclasses
import typing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import SCALE_ENTRY_BYTES, Config
from systolith_sim.transformer.decoder import advance
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

from .compiler.decoder_shape import DecoderShape
from .compiler.prefill_layout import PrefillLayout
from .compiler.prefill_plan import PrefillPlan, plan_prefill
from .compiler.prefill_program import write_prefill
from .progress import Progress
from .workload import FREQUENCY, Workload, timed

__all__ = ["PrefillMeasurement", "bench_prefill", "chunked", "prefill_workload"]


@dataclass(frozen=True, kw_only=True)
class PrefillMeasurement:
    """Some layers for all tokens of a prompt, their weights streamed; no logits are computed.

    What needs the hardware's time is None without it.

    Parameters
    ----------
    tokens, layers : int
        What was computed. The residual is on the chip before and after, as between layers.
    model_layers : int
        Layers of the whole model.
    macs : int
        Useful multiplications: of matrices, and of attention only those with tokens before and the
        token itself. ``utilization`` counts these.
    square_macs : int
        The same if each token attended to all.
    cycles : int
        From the start write to the done flag.
    estimated_cycles : int or None
        The same by the times of the program's instructions, as ``systolith estimate`` tells them;
        None of cores whose instructions' times are not known, as ``tiny``.
    cycles_per_token, bytes_per_token : float
        In these layers.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    bytes : int
        Everything that crossed the port: weights, scale entries and the program.
    bandwidth_utilization : float
        ``bytes`` over what the port could move in these cycles.
    compulsory_bytes : int
        Each weight and scale entry once.
    roofline_cycles, roofline_utilization : float
        ``max(macs / multipliers, compulsory_bytes / port_bytes)``, and that over ``cycles``.
    tokens_per_second_at_100mhz : float
        Of the whole model, if all its layers take as long as these.
    row_block : int
        Rows of scores at once.
    bit_exact : bool
        Whether every bit of the residual is what the machine gives, and what the golden model
        gives.
    counters : dict
        All of the hardware's counters, or the machine's.
    """

    tokens: int
    layers: int
    model_layers: int
    port_bytes: int
    macs: int
    square_macs: int
    cycles: int | None
    estimated_cycles: int | None
    cycles_per_token: float | None
    utilization: float | None
    bytes: int
    bytes_per_token: float
    bandwidth_utilization: float | None
    compulsory_bytes: int
    roofline_cycles: float
    roofline_utilization: float | None
    tokens_per_second_at_100mhz: float | None
    row_block: int
    bit_exact: bool
    simulated_per_second: float | None
    counters: dict[str, int]


def bench_prefill(
    model: DecoderModel, config: Config, tokens: int, *, model_layers: int | None = None,
    backend: str = "rtl", simulator: str = "verilator", seed: int = 0,
    progress: Progress | None = None,
) -> PrefillMeasurement:  # fmt: skip
    """Take a random residual through all layers of a model, and measure.

    They may be some of ``model_layers``. The functional machine runs the same programs first; with
    the backend "machine" nothing else does.

    Raises
    ------
    ConfigError
        If the tokens do not fit the chip, in a sentence that names what is too small.
    """
    progress, model = progress or Progress(), chunked(model)
    plan = plan_prefill(config, DecoderShape.of(model), tokens)
    rng, size = np.random.default_rng(seed), (tokens, plan.shape.features)
    residual = np.rint(np.ldexp(rng.standard_normal(size), model.fraction)).astype(np.int64)
    layout, work = prefill_workload(plan, model, residual)
    predicted = outcome = work.predict(progress)
    if backend == "rtl":
        outcome = work.simulate(simulator, progress, f"{tokens} tokens of a prompt")
    progress("comparing")
    got, machine = (layout.unpack(ran.memory) for ran in (outcome, predicted))
    golden = _golden(model, residual)
    return PrefillMeasurement(
        **_measure(plan, model_layers or plan.shape.layers, outcome.counters, outcome.seconds),
        estimated_cycles=work.estimate(),
        bit_exact=np.array_equal(got, machine) and np.array_equal(got, golden),
        counters=dict(outcome.counters),
    )  # fmt: skip


def chunked(model: DecoderModel) -> DecoderModel:
    """Return a model whose output and down matrices are added for a head's inputs at a time."""
    size = DecoderShape.of(model).head
    layers = [
        dataclasses.replace(layer, output_chunk=size, down_chunk=size) for layer in model.layers
    ]
    return dataclasses.replace(model, layers=layers)


def prefill_workload(
    plan: PrefillPlan, model: DecoderModel, residual: NDArray[np.int64]
) -> tuple[PrefillLayout, Workload]:
    """Return where everything is, and the programs, for a residual (T, N)."""
    layout = PrefillLayout(plan)
    programs = {
        name: (layout.map.add(name, len(program)).address, program)
        for name, program in write_prefill(layout, model.layers[0]).items()
    }
    array = plan.config.array
    return layout, Workload(
        config=plan.config, size=layout.map.size, parts=layout.parts(model, residual),
        programs=programs, expected_cycles=1.1 * _macs(plan) / (array.rows * array.columns),
    )  # fmt: skip


def _golden(model: DecoderModel, residual: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the residual behind all layers, in golden integers."""
    assert model.rotary is not None
    cosine, sine = (table[: len(residual)] for table in model.rotary)
    cache = KeyValueCache(len(model.layers))
    for number, layer in enumerate(model.layers):
        residual = advance(model.array, layer, residual, cache, number, (cosine, sine))
    return residual


def _macs(plan: PrefillPlan, *, square: bool = False) -> int:
    """Return the useful multiplications."""
    shape, tokens = plan.shape, plan.tokens
    pairs = tokens * tokens if square else tokens * (tokens + 1) // 2
    return shape.layers * (tokens * shape.layer_weights + 2 * pairs * shape.heads * shape.head)


def _measure(
    plan: PrefillPlan, model_layers: int, counters: dict[str, int], seconds: float
) -> dict[str, typing.Any]:
    """Return all that follows from the plan, and from the counters."""
    shape, tokens = plan.shape, plan.tokens
    entries = plan.key_entries * plan.config.vector.lanes
    common = timed(
        plan.config, counters, seconds, macs=_macs(plan),
        compulsory_bytes=shape.layers * (shape.layer_weights + SCALE_ENTRY_BYTES * entries),
    )  # fmt: skip
    cycles, moved = common["cycles"], common["bytes"]
    slower = model_layers / shape.layers
    return common | {
        "tokens": tokens, "layers": shape.layers, "model_layers": model_layers,
        "square_macs": _macs(plan, square=True),
        "cycles_per_token": cycles and cycles / tokens, "bytes_per_token": moved / tokens,
        "bandwidth_utilization": cycles and moved / (cycles * plan.config.bus.data_bytes),
        "tokens_per_second_at_100mhz": cycles and FREQUENCY * tokens / (cycles * slower),
        "row_block": plan.row_block,
    }  # fmt: skip
