"""A layer of MiniLM on the core, beside a fraction of its products on the CPU."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware import Job
from systolith.bench_layer import LayerCase
from systolith.model_image import ModelImage
from systolith.workload import ORDER, Outcome
from systolith_fpga.firmware.staging import Staging
from systolith_hw.registers import COUNTERS, counter_offsets
from work import Work

__all__ = ["LayerOnSoc", "layer_work"]

LOOP_TOKENS, LOOP_CHANNELS = 2, 2
"""What of the first feed-forward matrix the CPU multiplies."""

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class LayerOnSoc:
    """The work, and what the CPU's loop must come to.

    Parameters
    ----------
    work : Work
    macs : int
        Products of the CPU's loop.
    sums : (channels, tokens) int64
        Its results.
    """

    work: Work
    macs: int
    sums: NDArray[np.int64]

    def read(self, memory: NDArray[np.uint8], text: str, seconds: float) -> "LayerRun":
        """Return what a run that ended well came to, from main memory and what the CPU said.

        Raises
        ------
        RuntimeError
            If it did not, or the CPU's sums are wrong.
        """
        if not text.endswith("done: ok\n"):
            raise RuntimeError(f"the program did not do its work: {text}")
        said = [int(value) for value in re.findall(r"^sum = (\d+)$", text, re.MULTILINE)]
        expected = [int(value) & MASK for value in self.sums.flat]
        if said != expected:
            raise RuntimeError(f"the CPU's sums are {said}, but must be {expected}")
        values = re.findall(r"^counter (\d+) = (\d+)$", text, re.MULTILINE)
        counters = {COUNTERS[int(number)].name: int(value) for number, value in values}
        return LayerRun(
            outcome=Outcome(memory[: self.work.job.core_bytes].copy(), counters, seconds),
            cpu_cycles=_value(text, "cycles of the cpu"),
            loop_cycles=_value(text, "cycles of the loop"),
            interrupts=_value(text, "interrupts"),
        )


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """What a run said.

    Parameters
    ----------
    outcome : Outcome
        Main memory, and the core's counters.
    cpu_cycles : int
        Of the layer, as the CPU saw them: its driver's time is in them.
    loop_cycles : int
        Of its own loop.
    interrupts : int
        How often the core woke it before the layer was done.
    """

    outcome: Outcome
    cpu_cycles: int
    loop_cycles: int
    interrupts: int


def layer_work(case: LayerCase) -> LayerOnSoc:
    """Return the work of running a layer, embedding before and results after it.

    Each program is an image; the first one also has the tables. Weights are in main memory from the
    start, as are the operands of the CPU's loop: words and weights of the model.
    """
    work, config = case.work, case.plan.config
    largest = 1 << 12
    tables = {at: part for at, part in work.parts.items() if len(part) <= largest}
    large = {at: part for at, part in work.parts.items() if len(part) > largest}
    staging = Staging(work.size)
    names = [name for name in ORDER if name in work.programs]
    images = []
    for number, name in enumerate(names):
        address, program = work.programs[name]
        parts = {address: program, **({} if number else tables)}
        places = {"program": address, "positions": case.plan.tokens, "size": work.size}
        images.append(ModelImage({"model": f"layer, {name}"}, parts, config.hash, places))

    # The loop has to do with 16-bit words and 8-bit weights, as the core has; exponents are left
    # out, in the CPU's favour.
    rows = case.model.words.mantissas[:LOOP_TOKENS].reshape(LOOP_TOKENS, -1)
    activations = rows[:, : case.plan.shape.features].astype("<i2")
    weights = case.model.layers[0].up.weights[:, :LOOP_CHANNELS].T.astype("<i1")
    sums = weights.astype(np.int64) @ activations.T.astype(np.int64)
    pieces = staging.images(images)
    had = counter_offsets(config)
    counters = sum(1 << number for number, one in enumerate(COUNTERS) if one.name in had)
    job = Job(
        kind=Job.LAYER, core_bytes=staging.core_bytes, images=pieces, length=work.length,
        measured=names.index("main"), counters=counters, loop_tokens=LOOP_TOKENS,
        loop_channels=LOOP_CHANNELS, loop_inputs=activations.shape[1],
        activations=staging.add(activations.tobytes()), weights=staging.add(weights.tobytes()),
    )  # fmt: skip
    return LayerOnSoc(
        Work(config=config, memory={**large, **staging.parts}, memory_bytes=staging.end, job=job),
        activations.shape[1] * LOOP_TOKENS * LOOP_CHANNELS, sums,
    )  # fmt: skip


def _value(text: str, name: str) -> int:
    found = re.search(rf"^{name} = (\d+)$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f'the program did not say "{name}": {text}')
    return int(found[1])
