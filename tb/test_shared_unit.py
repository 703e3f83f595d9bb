"""SharedUnit, as emitted Verilog: DRAIN, NORM and SOFTMAX at once do what the machine says.

Whatever has a handshake pauses at random: instructions, sums, semaphores, scale words, the stream.
What the unit writes without one is checked in the cycle in which it comes.
"""

from typing import Any

import cocotb
import numpy as np
import pytest

from harness import config_from_env, run, settings_from_env
from row_machine import RowMachine, random_chip
from row_programs import CONFIGS, INPUTS, Fields, products
from shared_unit_bench import Bench
from systolith.compiler.encoder_quantizer import factor
from systolith.program import Program
from systolith_hw.config import WIDE_BANK_WORDS
from systolith_hw.isa import DrainKind
from systolith_hw.vector.shared_unit import SharedUnit

SHAPES = CONFIGS | {
    # Tables and blocks in logic cells, and a word takes two results.
    "logic": CONFIGS["small"].replace({
        "array.columns": 4, "vector.lanes": 2, "vector.distributed": True,
    }),
    "deferred": CONFIGS["tall"].replace({
        "vector.deferred_norms": True, "memory.wide_words": WIDE_BANK_WORDS + 50,
    }),
}  # fmt: skip

SCORED, SOFTENED, ADDED, NORMED, VECTOR_INNER, VECTOR_OUTER, ROW_INNER, ROW_OUTER = range(8)
"""Semaphores; nobody waits for the last four."""

VECTOR_POSTS = {"post_inner": VECTOR_INNER, "post_outer": VECTOR_OUTER}
ROW_POSTS = {"post_inner": ROW_INNER, "post_outer": ROW_OUTER}
SPARE = range(80, 100)
"""Scale words that no program of :mod:`row_programs` reads or writes."""

ENTRIES, ENTRY_WORDS = 100, 12
"""Where :meth:`Fields.operands` has its exponents: the first of their scale words, and how many."""

LAST_ROW = 15
"""Whose reference nobody reads."""

LIMIT = 20_000
"""Most cycles that a part may take; with all pauses they take some hundreds."""


def stream(fields, program):
    """Append a DRAIN to the stream."""
    loops = fields.loops(kind=DrainKind.ACTIVATION)
    del loops["steps"]
    program.drain(
        DrainKind.STREAM, scale=fields.draw(0, 40), exponent_base=fields.draw(0, 8),
        columns_last=fields.draw(1, fields.config.array.columns), **loops, **VECTOR_POSTS,
    )  # fmt: skip


def heads(fields, program):
    """Append a DRAIN to the stream, whose words share exponents."""
    fields.heads(program, **VECTOR_POSTS)


def attention(fields, program, scale=None):
    """Append scores, their softmax and what is divided by its sums, token behind token.

    SOFTMAX tells of its words and factors together, or one after the other. ``scale`` is where it
    finds exponents.
    """
    array, beats = fields.config.array, fields.config.beats_per_result
    tiles, row, last = fields.draw(1, 4), fields.draw(0, 8), fields.draw(1, array.columns)
    scores = (tiles - 1) * array.columns + last
    words = -(-scores // array.rows)
    tokens = fields.draw(1, min(8, 100 // words))
    causal = fields.draw(0, 1) * fields.draw(1, scores)
    early = fields.draw(0, 1)
    program.drain(
        DrainKind.WIDE, tokens=tokens, tiles=tiles, columns_last=last, token_stride=tiles * beats,
        scale=fields.draw(0, 40), maximum=True, row=row, entries=causal, post_inner=SCORED,
    )  # fmt: skip
    program.softmax(
        elements=scores, source=0, source_stride=tiles * beats, destination=190, tokens=tokens,
        token_stride=words, scale=fields.draw(120, 130) if scale is None else scale, row=row,
        causal=causal, exponent_base=fields.draw(0, 8), wait_inner=SCORED,
        **({"post_inner": ROW_INNER, "post_outer": SOFTENED} if early
           else {"post_inner": SOFTENED}),
    )  # fmt: skip
    kind = (DrainKind.WIDE, DrainKind.ACTIVATION)[fields.draw(0, 1)]
    program.drain(
        kind, tokens=tokens, tiles=2, factor=True, row=row, offset=fields.draw(0, 9),
        destination=160 if kind == DrainKind.WIDE else INPUTS, exponent_base=fields.draw(0, 8),
        token_stride=max(2 * beats, 2 * array.columns // array.rows),
        **{"wait_outer" if early else "wait_inner": SOFTENED}, **VECTOR_POSTS,
    )  # fmt: skip


def residual(fields, program):
    """Append sums that are added twice, normalised in place, and added to again."""
    tokens, tiles = fields.draw(1, 4), fields.draw(1, 4)
    elements = tiles * fields.config.array.columns
    stride = tiles * fields.config.beats_per_result
    added = {"accumulate": True, "tokens": tokens, "tiles": tiles, "token_stride": stride}
    program.drain(DrainKind.WIDE, scale=fields.draw(0, 40), **added)
    program.drain(DrainKind.WIDE, scale=fields.draw(0, 40), post_inner=ADDED, **added)
    program.norm(
        elements=elements, inverse=factor(1 / elements), epsilon=fields.draw(1, 1 << 14), source=0,
        source_stride=stride, destination=190, tokens=tokens, scale=fields.draw(120, 130),
        token_stride=-(-elements // fields.config.array.rows), exponent_base=fields.draw(0, 8),
        centre=bool(fields.draw(0, 1)), back=True, wait_inner=ADDED, post_inner=NORMED,
    )  # fmt: skip
    program.drain(
        DrainKind.WIDE, scale=fields.draw(0, 40), wait_inner=NORMED, **VECTOR_POSTS, **added
    )


def deferred(fields, program):
    """Append values whose words are measured, and products that are scaled by what comes of it."""
    array = fields.config.array
    tokens, tiles, row = fields.draw(1, 3), fields.draw(1, 4), fields.draw(9, 12)
    elements, stride = tiles * array.columns, tiles * fields.config.beats_per_result
    program.drain(
        DrainKind.WIDE, scale=fields.draw(0, 40), tokens=tokens, tiles=tiles, token_stride=stride,
        post_inner=ADDED,
    )  # fmt: skip
    program.norm(
        elements=elements, inverse=factor(1 / elements), epsilon=fields.draw(1, 1 << 14), source=0,
        source_stride=stride, destination=190, tokens=tokens, centre=False, defer=True, row=row,
        token_stride=-(-elements // array.rows), exponent_base=fields.draw(0, 8),
        wait_inner=ADDED, post_inner=ROW_INNER, post_outer=NORMED,
    )  # fmt: skip
    scaled = {"tokens": tokens, "tiles": tiles, "scaled": True, "row": row, "wait_outer": NORMED}
    if fields.draw(0, 1):
        program.drain(
            DrainKind.WIDE, scale=fields.draw(0, 40), token_stride=stride, **scaled, **VECTOR_POSTS
        )
        return
    shift = fields.draw(2, 4)
    program.drain(
        DrainKind.ACTIVATION, scale=fields.draw(0, 40), destination=INPUTS, rotate=True,
        token_stride=-(-elements // array.rows), exponent_base=fields.draw(0, 8), shift=shift,
        **scaled, **VECTOR_POSTS,
    )  # fmt: skip


def operands(fields, program):
    """Append a DRAIN of keys, and one whose scales are the exponents of that; or one of values, and
    a softmax that finds theirs."""
    config = fields.config
    if fields.draw(0, 1):
        fields.operands(program, DrainKind.VALUES, **VECTOR_POSTS)
        attention(fields, program, scale=ENTRIES)
        return
    fields.operands(program, DrainKind.KEYS, **VECTOR_POSTS)
    program.drain(
        DrainKind.WIDE, tiles=-(-ENTRY_WORDS // config.beats_per_result), scale=ENTRIES,
        maximum=True, row=LAST_ROW, **VECTOR_POSTS,
    )  # fmt: skip


def posted_products(fields, program):
    """Append a product with any of the options, and its semaphores."""
    products(fields, program, **VECTOR_POSTS)


def everything(program, rng, parts):
    """Append ``parts`` parts, of work of VECTOR beside NORM; in the last all scales are read."""
    config = program.config
    fields = Fields(config, rng)
    works: list[Any] = [
        posted_products, stream, heads, operands, Fields.best, attention, residual,
    ]
    if config.vector.deferred_norms:
        works.insert(0, deferred)
    for number in range(parts):
        fields.norm(program, **ROW_POSTS)
        works[number % len(works)](fields, program)
        works[fields.draw(0, 4)](fields, program)
        fields.norm(program, **ROW_POSTS)
        program.barrier()
    program.drain(DrainKind.WIDE, tiles=config.memory.scale_words // config.beats_per_result)
    program.end()


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.2, 0.6])
async def does_what_the_machine_does(dut, pause):
    config, settings = config_from_env(), settings_from_env()
    rng = np.random.default_rng([cocotb.RANDOM_SEED, int(10 * pause)])
    program, chip = Program(config), random_chip(config, rng)
    everything(program, rng, settings["parts"])
    bench = Bench(dut, config, chip, pause=pause, spare=SPARE)
    await bench.reset()
    for part in RowMachine(config, chip, rng).run(program.assemble()):
        await bench.run(part, LIMIT)


def run_bench(name, sim, seed, parts):
    config = SHAPES[name]
    run(SharedUnit(config), config, test_module="test_shared_unit", tag=name, sim=sim, seed=seed,
        settings={"parts": parts})  # fmt: skip


GATE = {"small": ["verilator"], "deferred": ["verilator"]}


@pytest.mark.parametrize("name", ["small", "logic", "deferred"])
def test_shared_unit(name, sim, seed):
    run_bench(name, sim, seed, 2 if sim == "icarus" else 20)


@pytest.mark.slow
@pytest.mark.parametrize("more", range(1, 4))
@pytest.mark.parametrize("name", SHAPES)
def test_more_seeds(name, more, sim, seed):
    run_bench(name, sim, seed + more, 15 if sim == "icarus" else 60)
