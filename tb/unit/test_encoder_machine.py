"""Whole encoder layers, run by the functional machine, against the golden model of the layer."""

import numpy as np
import pytest

from systolith.compiler.encoder_quantizer import measure_grams, quantize_layer
from systolith.program import Program
from systolith_hw.config import NEGATIVE_SHIFT, ConfigError
from systolith_hw.presets import PRESETS
from systolith_sim.machine import Deadlock, Machine, Race
from systolith_sim.transformer import encoder

from .layer_places import LayerShape, place_layer
from .layer_program import LayerProgram
from .machine_bench import CONFIGS, instructions, with_rows, without
from .test_golden_encoder import random_layer

ROOMY = {
    name: with_rows(config).replace({
        "memory.operand_tiles": 4096, "memory.activation_words": 1024, "memory.wide_words": 1024,
        "memory.scale_words": 1024,
    })
    for name, config in {
        **{name: PRESETS[name] for name in ("tiny", "small", "ulx3s", "wide")},
        "flat": CONFIGS["flat"],
        "fine": CONFIGS["fine"],
    }.items()
}  # fmt: skip
FEATURES, HEADS, HIDDEN = 48, 3, 96


class Chip:
    """A machine with a layer's parameters and one sentence on the chip."""

    def __init__(self, name, tokens, **chunks):
        self.config = ROOMY[name]
        rng = np.random.default_rng(tokens)
        layer = random_layer(rng, FEATURES, HEADS, HIDDEN)
        sentences = [rng.normal(0, 1, (10, FEATURES)) for _ in range(4)]
        grams = next(measure_grams([layer], sentences))
        for norm in (layer.attention_norm, layer.output_norm):
            norm.gamma[::3] *= -1
        self.layer = quantize_layer(self.config, layer, grams, **chunks)
        self.z = np.rint(rng.normal(0, 1, (tokens, FEATURES)) * 65536).astype(np.int64)
        self.shape = LayerShape(tokens, FEATURES, HEADS, HIDDEN)
        self.places = place_layer(self.config, self.shape)
        self.machine = Machine(self.config, 1 << 12)
        self._scribble(rng)
        for matrix, tile in self.places.operands.items():
            self._write_matrix(matrix, tile)
        for norm in ("attention_norm", "output_norm"):
            self._write_norm(norm)
        self._write_input()

    def program(self, layers=1):
        program = Program(self.config)
        builder = LayerProgram(program, self.shape, self.places)
        for _ in range(layers):
            builder.append(self.layer)
        program.end()
        return program.assemble()

    def result(self):
        """Return the fixed-point values that the layer left, and its words."""
        words = self.shape.tokens * FEATURES // self.config.array.rows
        part = slice(self.places.words, self.places.words + words)
        chip, split = self.machine.chip, (self.shape.tokens, -1)
        count = self.shape.tokens * FEATURES // self.config.vector.lanes
        fixed = chip.wide[self.places.fixed : self.places.fixed + count].reshape(split)
        mantissas = chip.mantissas[part].reshape(*split, self.config.array.rows)
        exponents = chip.exponents[part].reshape(split)
        return fixed, encoder.Words(mantissas.astype(np.int64), exponents.astype(np.int64))

    def _scribble(self, rng):
        """Leave nothing zero."""
        chip = self.machine.chip
        for table in vars(chip).values():
            table[:] = rng.integers(1, 16, table.shape)

    def _write_matrix(self, name, tile):
        array, linear = self.config.array, getattr(self.layer, name)
        k, n = linear.weights.shape
        tiles = linear.weights.reshape(k // array.rows, array.rows, -1, array.columns)
        tiles = tiles.transpose(2, 0, 1, 3).reshape(-1, array.rows, array.columns)
        self.machine.chip.operand[tile : tile + len(tiles)] = tiles
        self._write_entries(self.places.scales[name], linear.scale, linear.shift, linear.bias)
        if name in self.places.unbiased:
            first = self.places.unbiased[name]
            self._write_entries(first, linear.scale, linear.shift, np.zeros(n, int))

    def _write_norm(self, name):
        norm = getattr(self.layer, name)
        shift = np.minimum(norm.shift, NEGATIVE_SHIFT - 1) + norm.negative * NEGATIVE_SHIFT
        self._write_entries(self.places.scales[name], norm.scale, shift, norm.bias)

    def _write_entries(self, first, *tables):
        chip, lanes = self.machine.chip, self.config.vector.lanes
        for name, table in zip(("scale", "shift", "bias"), tables, strict=True):
            memory = getattr(chip, name)
            memory[first : first + len(table) // lanes] = table.reshape(-1, lanes)

    def _write_input(self):
        chip, lanes = self.machine.chip, self.config.vector.lanes
        words = encoder.to_words(self.config.array, self.z, self.layer.base)
        part = slice(self.places.words, self.places.words + words.exponents.size)
        chip.mantissas[part] = words.mantissas.reshape(-1, self.config.array.rows)
        chip.exponents[part] = words.exponents.ravel()
        fixed = self.z.reshape(-1, lanes)
        chip.wide[self.places.fixed : self.places.fixed + len(fixed)] = fixed


@pytest.mark.parametrize("tokens", [1, 5, 9])
@pytest.mark.parametrize("name", ROOMY)
def test_layer(name, tokens):
    chip = Chip(name, tokens)
    chip.machine.run(chip.program())
    fixed, words = chip.result()
    array = chip.config.array
    expected = encoder.encode(array, chip.layer, chip.z)
    np.testing.assert_array_equal(fixed, expected)
    expected_words = encoder.to_words(array, expected, chip.layer.base)
    np.testing.assert_array_equal(words.mantissas, expected_words.mantissas)
    np.testing.assert_array_equal(words.exponents, expected_words.exponents)


def test_layers_follow_each_other_and_are_added_in_chunks():
    chip = Chip("ulx3s", 7, output_chunk=16, down_chunk=32)
    chip.machine.run(chip.program(layers=3))
    expected = chip.z
    for _ in range(3):
        expected = encoder.encode(chip.config.array, chip.layer, expected)
    np.testing.assert_array_equal(chip.result()[0], expected)


@pytest.mark.parametrize("name", ["tiny", "small", "fine"])
def test_every_semaphore_is_needed(name):
    """Without a wait something races, without a post somebody waits for ever."""
    chip = Chip(name, 5)
    program = chip.program(layers=2)
    parts = instructions(program)
    waits = [
        (pc, field)
        for pc, (_, fields) in enumerate(parts[: len(parts) // 2])
        for field in ("wait_inner", "wait_outer")
        if fields.get(field)
    ]
    assert len(waits) == 3 * HEADS + 5
    for pc, field in waits:
        with pytest.raises(Race):
            chip.machine.run(without(program, pc, field))
    for pc, (_, fields) in enumerate(parts[: len(parts) // 2]):
        for field in ("post_inner", "post_outer"):
            if fields.get(field):
                with pytest.raises(Deadlock):
                    chip.machine.run(without(program, pc, field))


@pytest.mark.parametrize(
    "changes, settings, words",
    [
        ({"tokens": 33}, {}, "two heads of 33 tokens do not fit vector.rows, 64"),
        ({"hidden": 100}, {}, "hidden must be a multiple of 8 .* not 100"),
        ({"heads": 4}, {}, "features / heads must be a multiple of 8 .* not 12"),
        ({}, {"memory.operand_tiles": 287}, "operand_tiles is 287, but .* needs 288 or more"),
        ({}, {"memory.wide_words": 70}, "memory.wide_words is 70, but"),
    ],
)
def test_refusals(changes, settings, words):
    shape = {"tokens": 5, "features": FEATURES, "heads": HEADS, "hidden": HIDDEN} | changes
    with pytest.raises(ConfigError, match=words):
        place_layer(ROOMY["small"].replace(settings), LayerShape(**shape))
