"""Run attention on the simulated hardware, and measure it by its own counters."""

from dataclasses import dataclass

import numpy as np

from systolith_hw.config import Config

from .attention import Attention
from .closeness import cosine
from .compiler.attention import HeadsPlan, plan_attention
from .compiler.attention_programs import AttentionPrograms
from .product import Result
from .progress import Progress
from .workload import Workload, timed

__all__ = ["AttentionMeasurement", "attention_workload", "bench_attention"]


@dataclass(frozen=True, kw_only=True)
class AttentionMeasurement:
    """Scores, softmax and context of all heads on the hardware.

    What needs the hardware's time is None without it.

    Parameters
    ----------
    macs : int
        Useful multiplications: of scores and context, of what is not masked.
    cycles : int
        From the start write to the done flag. K and V, and queries if they fit, are on the chip by
        then; the context stays there, or is in external memory in the end.
    estimated_cycles : int or None
        The same by the times of the program's instructions, as ``systolith estimate`` tells them;
        None of cores whose instructions' times are not known, as ``tiny``.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    ideal_cycles : int
        Control words that the array needs if every token's sums are computed in whole tiles.
    tiling_utilization : float
        ``ideal_cycles`` over ``cycles``.
    bytes, compulsory_bytes : int
        Everything that crossed the port; queries and context, if they had to.
    roofline_cycles, roofline_utilization : float
        ``max(macs / multipliers, compulsory_bytes / port_bytes)``, and that over ``cycles``.
    row_block : int
        Rows of scores that are on the chip of each of two heads.
    streamed : bool
        Queries come from external memory, and the context goes there, during these cycles.
    bit_exact : bool
        Whether every bit is what the machine gives, and what the golden model gives.
    cosine, relative_error : float
        Of the context, to attention in floating point of the numbers before they were rounded.
    softmax_error : float
        How far a probability is, at most, from that of the same rounded scores.
    counters : dict
        All of the hardware's counters, or the machine's.
    """

    seq: int
    heads: int
    head_dim: int
    causal: bool
    port_bytes: int
    macs: int
    cycles: int | None
    estimated_cycles: int | None
    utilization: float | None
    ideal_cycles: int
    tiling_utilization: float | None
    bytes: int
    compulsory_bytes: int
    roofline_cycles: float
    roofline_utilization: float | None
    row_block: int
    streamed: bool
    bit_exact: bool
    cosine: float
    relative_error: float
    softmax_error: float
    simulated_per_second: float | None
    counters: dict[str, int]


def bench_attention(
    config: Config, tokens: int, *, heads: int, features: int, causal: bool = False,
    backend: str = "rtl", simulator: str = "verilator", seed: int = 0,
    progress: Progress | None = None,
) -> AttentionMeasurement:  # fmt: skip
    """Compute attention of random queries, keys and values, and measure.

    The functional machine runs the same programs first; with the backend "machine" nothing else
    does.

    Raises
    ------
    ConfigError
        If the shape does not fit, in a sentence that names what is too small.
    """
    progress = progress or Progress()
    plan = plan_attention(config, tokens, heads=heads, features=features, causal=causal)
    shape = (heads, tokens, features)
    attention = Attention.random(config, shape, causal=causal, seed=seed)
    programs = AttentionPrograms(plan, attention.base)
    work = attention_workload(plan, programs, attention)
    predicted = outcome = work.predict(progress)
    if backend == "rtl":
        outcome = work.simulate(simulator, progress, f"attention of {heads} heads")
    result, machine = (Result(*programs.unpack(ran.memory)) for ran in (outcome, predicted))
    progress("comparing")
    return AttentionMeasurement(
        **_measure(plan, outcome.counters, outcome.seconds),
        **_compare(attention, result), estimated_cycles=work.estimate(),
        bit_exact=result.equals(machine) and result.equals(attention.expected()),
        counters=dict(outcome.counters),
    )


def attention_workload(
    plan: HeadsPlan, programs: AttentionPrograms, attention: Attention
) -> Workload:
    """Return the programs with the integers of some heads."""
    regions, port = programs.regions, plan.config.bus.data_bytes
    return Workload(
        config=plan.config, size=programs.size, parts=attention.parts(programs),
        programs={name: (regions[name].address, program)
                  for name, program in programs.programs.items()},
        expected_cycles=plan.ideal_cycles + programs.size / port,
    )  # fmt: skip


def _measure(plan: HeadsPlan, counters: dict[str, int], seconds: float) -> dict:
    """Return all that follows from the plan, and from the counters."""
    common = timed(
        plan.config, counters, seconds, macs=plan.macs, compulsory_bytes=plan.compulsory_bytes
    )
    cycles = common["cycles"]
    return common | {
        "seq": plan.tokens, "heads": plan.heads, "head_dim": plan.head, "causal": plan.causal,
        "ideal_cycles": plan.ideal_cycles,
        "tiling_utilization": cycles and plan.ideal_cycles / cycles,
        "row_block": plan.row_block, "streamed": plan.spill,
    }  # fmt: skip


def _compare(attention: Attention, result: Result) -> dict:
    """Return how close the context is to floating point."""
    got, exact = attention.to_real(result).ravel(), attention.exact().ravel()
    return {
        "cosine": cosine(got, exact),
        "relative_error": float(np.linalg.norm(got - exact) / np.linalg.norm(exact)),
        "softmax_error": attention.softmax_error(),
    }
