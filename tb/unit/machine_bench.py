"""What tests of machine and compiler share: configurations, products, edited programs."""

from dataclasses import dataclass

import numpy as np

from systolith.compiler.matmul import MatmulPlan, plan_matmul
from systolith.compiler.quantize import Scales
from systolith.program import Program
from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import Opcode, decode, encode
from systolith_hw.presets import PRESETS
from systolith_sim.array.accumulator import accumulate
from systolith_sim.machine import Machine
from systolith_sim.machine.memory import ring_addresses
from systolith_sim.vector.normalizer import normalize
from systolith_sim.vector.requantizer import requantize

TINY = PRESETS["tiny"].replace({
    "memory.operand_tiles": 40, "memory.activation_words": 48, "memory.wide_words": 60,
    "memory.scale_words": 20, "bus.address_bits": 17,
})  # fmt: skip
"""4 x 2, one lane, queues of one, memories that nothing fits."""

CONFIGS = {
    "tiny": TINY,
    "small": PRESETS["small"].replace({
        "memory.operand_tiles": 100, "memory.wide_words": 512, "memory.scale_words": 512,
        "memory.program_instructions": 128,
    }),
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
        "array.rows": 64, "array.columns": 2, "vector.lanes": 1, "array.output_depth": 76,
        "bus.data_bytes": 16,
    }),
}  # fmt: skip


ROOMY = {
    name: config.replace({
        "memory.operand_tiles": 200, "memory.activation_words": 500, "memory.wide_words": 600,
        "memory.scale_words": 300,
    })
    for name, config in CONFIGS.items()
}  # fmt: skip
"""The same shapes with memories that hold a few groups, whatever these are."""


def with_rows(config: Config) -> Config:
    """Return a config that has a row unit, and for that no small parts."""
    return config.replace({
        "vector.rows": 64, "short_pipelines": False,
        "array.output_depth": max(config.array.output_depth, 128 // config.array.columns),
        "sequencer.queue_depth": max(2, config.sequencer.queue_depth),
    })  # fmt: skip


ROWS = {name: with_rows(config) for name, config in ROOMY.items()}
"""The same with a row unit."""


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
    bias = rng.integers(-(2**24), 2**24, n) * (not config.memory.bias_words)
    scales = Scales(rng.integers(1 << 15, 1 << 16, n), shift, bias)

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


def run(machine, *appends, registers=None):
    """Run a program of ``appends`` and END; return its counts."""
    program = Program(machine.config)
    for append in appends:
        append(program)
    program.end()
    return machine.run(program.assemble(), registers).counts


def random_machine(config, seed=1):
    """Return a machine whose memories are full of random numbers."""
    rng = np.random.default_rng(seed)
    machine = Machine(config, 1 << 16)
    chip, array = machine.chip, config.array
    machine.memory.array[:] = rng.integers(0, 256, machine.memory.size)
    chip.operand[:] = rng.integers(-128, 128, chip.operand.shape)
    limit = (1 << array.mantissa_bits - 1) - 1
    chip.mantissas[:] = rng.integers(-limit, limit + 1, chip.mantissas.shape)
    chip.exponents[:] = rng.integers(0, array.window + 1, chip.exponents.shape)
    chip.wide[:] = rng.integers(-(2**31), 2**31, chip.wide.shape)
    chip.scale[:] = rng.integers(1 << 15, 1 << 16, chip.scale.shape)
    chip.shift[:] = rng.integers(10, 40, chip.shift.shape)
    chip.bias[:] = rng.integers(-(2**20), 2**20, chip.bias.shape)
    return machine


def multiply(machine, *, operand, ring, activation, stride, steps, tokens, tile_counts):
    """Return for each group the sums (tokens, tiles * C)."""
    chip = machine.chip
    words = activation + np.arange(tokens)[:, None] * stride + np.arange(steps)
    groups = []
    pointer = operand
    for tiles in tile_counts:
        addresses = ring_addresses(pointer, tiles * steps + 1, *ring)
        pointer = int(addresses[-1])
        panels = chip.operand[addresses[:-1].reshape(tiles, steps)]
        sums = [accumulate(chip.mantissas[words], chip.exponents[words], panel) for panel in panels]
        groups.append(np.concatenate(sums, axis=-1))
    return groups


def finish(machine, groups, *, scale, columns_last):
    """Return for each group the fixed-point values (tokens, tiles * C), and the saturations."""
    chip, config = machine.chip, machine.config
    first = scale
    finished, saturations = [], 0
    for index, sums in enumerate(groups):
        words = first + np.arange(sums.shape[1] // config.vector.lanes)
        first += groups[0].shape[1] // config.vector.lanes
        valid = sums.shape[1]
        if index == len(groups) - 1:
            valid += columns_last - config.array.columns
        tables = [table[words].ravel()[:valid] for table in (chip.scale, chip.shift, chip.bias)]
        z = np.zeros_like(sums)
        z[:, :valid], clipped = requantize(sums[:, :valid], *tables)
        saturations += clipped
        finished.append(z)
    return finished, saturations
