"""What tests of machine and compiler share: configurations, products, edited programs."""

from dataclasses import dataclass

import numpy as np

from systolith.compiler.matmul import MatmulPlan, plan_matmul
from systolith.compiler.quantize import Scales
from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import Opcode, decode, encode
from systolith_hw.presets import PRESETS
from systolith_sim.array.accumulator import accumulate
from systolith_sim.machine import Machine
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import requantize

TINY = PRESETS["tiny"].replace({
    "memory.operand_tiles": 40, "memory.activation_words": 48, "memory.wide_words": 60,
    "memory.scale_words": 20, "bus.address_bits": 17,
})  # fmt: skip
"""4 x 2, one lane, queues of one, memories that nothing fits."""

CONFIGS = {
    "tiny": TINY,
    "small": PRESETS["small"].replace({"memory.operand_tiles": 100}),
    "ulx3s": PRESETS["ulx3s"].replace({"memory.operand_tiles": 90, "memory.scale_words": 6}),
    "flat": PRESETS["small"].replace({
        "array.rows": 4, "array.columns": 16, "vector.lanes": 4, "bus.data_bytes": 32,
        "memory.activation_words": 100, "array.mantissa_bits": 11, "array.window": 20,
    }),
    "fine": PRESETS["small"].replace({
        "array.mantissa_bits": 16, "array.window": 9, "bus.data_bytes": 1, "vector.lanes": 8,
        "memory.activation_words": 30, "memory.operand_tiles": 64,
    }),
    "broad": PRESETS["tiny"].replace({"bus.data_bytes": 128, "memory.operand_tiles": 64}),
    "tall": PRESETS["small"].replace({
        "array.rows": 64, "array.columns": 2, "vector.lanes": 1, "array.output_depth": 74,
        "bus.data_bytes": 16,
    }),
}  # fmt: skip


@dataclass
class Product:
    """A plan with random operands and what must come out."""

    plan: MatmulPlan
    image: bytes
    fixed: np.ndarray
    saturations: int
    flushes: int
    mantissas: np.ndarray
    exponents: np.ndarray

    def machine(self) -> Machine:
        """Return a machine with everything in its memory."""
        machine = Machine(self.plan.config, max(self.plan.size, 1))
        machine.memory.write(0, self.image)
        return machine

    def run(self, machine: Machine, **replaced: bytes) -> dict[str, int]:
        """Run all programs, some of them replaced; return the counts of main."""
        counts = {}
        for name in ("setup", "main", "readout"):
            if name in self.plan.programs:
                result = machine.run(replaced.get(name, self.plan.programs[name]))
                if name == "main":
                    counts = result.counts
        return counts

    def check(self, machine: Machine) -> None:
        """Compare the results, wherever they are."""
        plan, tiling = self.plan, self.plan.tiling
        if plan.out == "wide":
            np.testing.assert_array_equal(plan.unpack_wide(machine.memory.array), self.fixed)
            return
        mantissas, exponents = plan.unpack_words(machine.memory.array)
        if plan.out == "activation":
            words = plan.out_word + np.arange(tiling.m * tiling.out_words).reshape(tiling.m, -1)
            np.testing.assert_array_equal(mantissas, machine.chip.mantissas[words])
            np.testing.assert_array_equal(exponents, machine.chip.exponents[words])
        np.testing.assert_array_equal(mantissas, self.mantissas)
        np.testing.assert_array_equal(exponents, self.exponents)


def random_product(config: Config, m: int, k: int, n: int, *, seed: int = 0, **how) -> Product:
    """Return an M x K by K x N product of random operands, planned as ``how`` says."""
    rng = np.random.default_rng([seed, m, k, n])
    array = config.array
    base = int(rng.integers(0, 12))
    plan = plan_matmul(config, m, k, n, exponent_base=base, **how)
    steps = plan.tiling.steps

    limit = (1 << array.mantissa_bits - 1) - 1
    inputs = rng.integers(-limit, limit + 1, (m, steps * array.rows))
    inputs[:, k:] = 0
    mantissas = inputs.reshape(m, steps, array.rows)
    exponents = rng.integers(0, array.window + 1, (m, steps))
    weights = rng.integers(-128, 128, (k, n)).astype(np.int8)
    shift = rng.integers(array.mantissa_bits, array.accumulator_bits - 4, n)
    scales = Scales(
        rng.integers(1 << 15, 1 << 16, n), shift, rng.integers(-(2**24), 2**24, n)
    )

    padded = np.zeros((steps * array.rows, n), np.int64)
    padded[:k] = weights
    sums = accumulate(mantissas, exponents, padded.reshape(steps, array.rows, n))
    fixed, saturations = requantize(sums, scales.scale, scales.shift, scales.bias)
    words = np.zeros((m, plan.tiling.out_words * array.rows), np.int64)
    words[:, :n] = fixed
    *expected, clipped, flushes = normalize(
        words.reshape(m, -1, array.rows), base,
        mantissa_bits=array.mantissa_bits, window=array.window,
    )  # fmt: skip
    if plan.out == "wide":
        clipped = flushes = 0
    image = plan.image(mantissas, exponents, weights, scales)
    return Product(plan, image, fixed, saturations + clipped, flushes, *expected)


def instructions(program: bytes) -> list[tuple[Opcode, dict[str, int]]]:
    """Take a program apart into opcodes and fields."""
    parts = []
    for start in range(0, len(program), INSTRUCTION_BYTES):
        instruction, fields = decode(program[start : start + INSTRUCTION_BYTES])
        parts.append((instruction.opcode, fields))
    return parts


def without(program: bytes, pc: int, name: str) -> bytes:
    """Return a program with one field of one instruction zero."""
    opcode, fields = instructions(program)[pc]
    fields = {key: value for key, value in fields.items() if key not in ("opcode", name)}
    raw = encode(opcode, **fields)
    start = pc * INSTRUCTION_BYTES
    return program[:start] + raw + program[start + INSTRUCTION_BYTES :]
