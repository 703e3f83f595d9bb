"""Run matrix products on the simulated hardware, and measure them by its own counters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config
from systolith_sim.device.device import Device
from systolith_sim.timing import is_modelled, replay

from .compiler.limits import require_at_most
from .compiler.matmul import MatmulPlan, plan_matmul
from .compiler.tiling import Tiling
from .compiler.weight_codecs import CODECS
from .product import Product, Result
from .progress import Progress
from .workload import ORDER, Workload, moved_bytes

__all__ = [
    "ORDER",
    "START_UP",
    "Measurement",
    "bench_matmul",
    "execute",
    "run_product",
]

START_UP = 80
"""Cycles that a product on chip may take beyond its control words, and the tests' bound."""

SIMULATED_BYTES = 1 << 28
"""Most bytes of external memory that are simulated."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One matrix product on the hardware.

    Parameters
    ----------
    weights : str
        Key of ``CODECS``: how they lie in external memory.
    operands : str
        "onchip": loaded before the clock starts to count; "stream": from external memory.
    results : str
        "onchip": they stay in wide or activation memory; "memory": they leave through the port
        while the clock counts, since they are streamed, or there is no room for them on chip.
    macs : int
        Useful multiplications, M * K * N.
    cycles : int
        From the start write to the done flag.
    estimated_cycles : int or None
        The same by the times of the program's instructions, as ``systolith estimate`` tells them;
        None of cores whose instructions' times are not known, as ``tiny``.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    ideal_cycles : int
        ``M * ceil(K / R) * ceil(N / C)``: control words that the array needs.
    bytes : int
        Everything that crossed the port: program, weights, scales, inputs, results.
    bandwidth_utilization : float
        ``bytes`` over what the port could move in these cycles.
    roofline_cycles : float
        ``max(macs / multipliers, bytes that must move / port_bytes)``, each weight, scale, input
        and result once.
    first_panel_cycles : float
        Time of the first panel's weights at the port, before which no multiplier can start.
    roofline_utilization : float
        ``roofline_cycles`` over ``cycles``. When multipliers are the limit the first panel's
        load is left out of ``cycles``; when the port is, the roofline has it already.
    bit_exact : bool
        Whether every bit is what the machine gives, and what the golden models give.
    simulated_per_second : float
        Cycles per second of this computer's time, all that it took to run the programs counted;
        0 if not known. Varies from run to run.
    counters : dict
        All of the hardware's counters.
    """

    m: int
    k: int
    n: int
    weights: str
    operands: str
    results: str
    port_bytes: int
    macs: int
    cycles: int
    estimated_cycles: int | None
    utilization: float
    ideal_cycles: int
    bytes: int
    bandwidth_utilization: float
    roofline_cycles: float
    first_panel_cycles: float
    roofline_utilization: float
    bit_exact: bool
    simulated_per_second: float
    counters: dict[str, int]


def bench_matmul(
    config: Config,
    m: int,
    k: int,
    n: int,
    *,
    weights: str = "int8",
    operands: str = "onchip",
    simulator: str = "verilator",
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Multiply random matrices, M x K by K x N, and measure; with biases if the core has a place
    for each.

    Raises
    ------
    ConfigError
        If the shape does not fit, in a sentence that names what is too small.
    """
    # A shape that does not fit is refused before its matrices are made.
    codec = CODECS[weights]
    _require_simulated(Tiling(config, m, k, n, codec.kind))
    plan_matmul(config, m, k, n, operands=operands, kind=codec.kind)
    rng = np.random.default_rng(seed)
    x, matrix = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    bias = 0.0 if config.memory.bias_words else rng.normal(size=n)
    product = Product.quantize(config, x, matrix, bias, codec)
    plan = plan_matmul(config, m, k, n, operands=operands, kind=codec.kind,
                       exponent_base=product.output.exponent_base)  # fmt: skip
    measurement, _ = run_product(plan, product, simulator=simulator, progress=progress)
    return measurement


def _require_simulated(tiling: Tiling) -> None:
    """Refuse shapes that are beyond what a simulation can hold, before they are planned."""

    def need(shape: Tiling) -> int:
        results = shape.m * shape.out_words * (shape.config.array.word_bytes + 1)
        return shape.m * shape.input_stride + shape.groups * shape.group_stride + results

    require_at_most(
        tiling, need, SIMULATED_BYTES,
        f"inputs, weights and results take {need(tiling)} bytes, and the memory that is simulated "
        f"has at most {SIMULATED_BYTES}",
        "measure a part of it",
    )  # fmt: skip


def run_product(
    plan: MatmulPlan, product: Product, *, simulator: str, progress: Progress | None = None
) -> tuple[Measurement, Result]:
    """Run a product on a simulated core; return what was measured, and what came out.

    The functional machine runs the same programs first, which refuses any whose outcome
    could depend on timing.
    """
    progress = progress or Progress()
    work = workload(plan, product)
    predicted = read_result(plan, work.predict(progress).memory)
    outcome = work.simulate(simulator, progress, f"{plan.macs:,} multiplications")
    result = read_result(plan, outcome.memory)
    exact = result.equals(predicted) and result.equals(product.expected(plan))
    return measure(plan, outcome.counters, exact, outcome.seconds), result


def workload(plan: MatmulPlan, product: Product) -> Workload:
    """Return the plan's programs with the product's integers."""
    programs = {
        name: (plan.regions[name].address, program) for name, program in plan.programs.items()
    }
    return Workload(
        config=plan.config, size=plan.size, parts={0: image(plan, product)}, programs=programs,
        expected_cycles=expected_cycles(plan),
    )  # fmt: skip


def predict(plan: MatmulPlan, product: Product) -> NDArray[np.uint8]:
    """Return the memory that the functional machine leaves behind the plan's programs."""
    return workload(plan, product).predict().memory


def execute(plan: MatmulPlan, product: Product, device: Device) -> tuple[dict[str, int], Result]:
    """Run the plan's programs on a device; return main's counters, and the result."""
    outcome = workload(plan, product).execute(device)
    return outcome.counters, read_result(plan, outcome.memory)


def expected_cycles(plan: MatmulPlan) -> float:
    """Return about how many cycles all of the plan's programs take."""
    tiling, port = plan.tiling, plan.config.bus.data_bytes
    main = max(tiling.m * tiling.steps * tiling.output_tiles, plan.compulsory_bytes / port)
    # What is loaded before main, and stored behind it, is about everything in memory.
    return main + (plan.size / port if len(plan.programs) > 1 else 0)


def image(plan: MatmulPlan, product: Product) -> bytes:
    """Return external memory with the plan's programs and the product's integers."""
    inputs = product.activations
    return plan.image(inputs.mantissas, inputs.exponents, product.loaded, product.scales)


def read_result(plan: MatmulPlan, memory: np.ndarray) -> Result:
    """Return the plan's result from external memory."""
    if plan.out == "wide":
        return Result(plan.unpack_wide(memory))
    return Result(*plan.unpack_words(memory))


def _estimate(plan: MatmulPlan) -> int | None:
    """Return main's cycles by the times of its instructions."""
    known = is_modelled(plan.config)
    return replay(plan.config, plan.programs["main"], parts={}).cycles if known else None


def measure(
    plan: MatmulPlan, counters: dict[str, int], bit_exact: bool, seconds: float = 0.0
) -> Measurement:
    """Turn counters, and the time that it took to get them, into the numbers that are reported."""
    config, tiling = plan.config, plan.tiling
    port, multipliers = config.bus.data_bytes, config.array.rows * config.array.columns
    cycles = counters["CYCLES"]
    moved = moved_bytes(config, counters)
    first_panel = tiling.weight_bytes * config.array.columns / tiling.n / port * plan.streamed
    by_multipliers = plan.macs / multipliers >= plan.compulsory_bytes / port
    counted = cycles - first_panel if by_multipliers else cycles
    return Measurement(
        m=tiling.m,
        k=tiling.k,
        n=tiling.n,
        weights=next(name for name, codec in CODECS.items() if codec.kind == tiling.kind),
        operands="stream" if plan.streamed else "onchip",
        results="memory" if plan.out == "memory" else "onchip",
        port_bytes=port,
        macs=plan.macs,
        cycles=cycles,
        estimated_cycles=_estimate(plan),
        utilization=plan.macs / (cycles * multipliers),
        ideal_cycles=tiling.m * tiling.steps * tiling.output_tiles,
        bytes=moved,
        bandwidth_utilization=moved / (cycles * port),
        roofline_cycles=plan.roofline_cycles,
        first_panel_cycles=first_panel,
        roofline_utilization=plan.roofline_cycles / counted,
        bit_exact=bit_exact,
        simulated_per_second=cycles / seconds if seconds else 0.0,
        counters=counters,
    )
