"""DRAIN's functions, additions, rows and operands, NORM and SOFTMAX, on the Verilated core.

Random instructions of both units at once; afterwards all memories are those of the functional
machine.
"""

import numpy as np
import pytest

from mirror import Mirror
from row_programs import CONFIGS, Fields, products
from systolith.compiler.encoder_quantizer import factor
from systolith_hw.isa import DrainFunction, DrainKind

GATE = (0.2, 3)
"""How often the buses pause, and the seed of everything."""

CORES = {"tall", "flat"}
"""On which that is tried before each change: a result is one beat, and R < C. The rest is slow."""

MORE = [(0.0, 11), (0.6, 12), (0.2, 13)]


def cases():
    """Yield configs with pauses and seeds."""
    for name in CONFIGS:
        yield pytest.param((name, *GATE), marks=[pytest.mark.slow] * (name not in CORES))
        for case in MORE:
            yield pytest.param((name, *case), marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=cases(), ids=str)
def mirror(request):
    name, pause, seed = request.param
    with Mirror(CONFIGS[name], pause=pause, seed=seed) as both:
        yield both


def run(mirror, seed, count, append):
    """Run what ``append`` appends ``count`` times, with a barrier behind each."""
    rng = np.random.default_rng([mirror.seed, seed])
    mirror.fill(rng)
    fields = Fields(mirror.config, rng)

    def build(program):
        for _ in range(count):
            append(fields, program)
            program.barrier()

    counters = mirror.run(build)
    mirror.compare()
    return counters


def test_functions_and_additions(mirror):
    run(mirror, 1, 30, products)


def test_attention(mirror):
    """Scores, softmax, and what is made of it."""
    counters = run(mirror, 5, 20, Fields.attention)
    assert counters["ROW_BUSY"] > 0


def test_keys_and_values(mirror):
    def append(fields, program):
        kind = (DrainKind.KEYS, DrainKind.VALUES)[fields.draw(0, 1)]
        fields.operands(program, kind)

    run(mirror, 2, 30, append)


def test_products_and_turns(mirror):
    """Second factors and angles, of which some have just been written."""
    def append(fields, program):
        for options in ({"function": DrainFunction.PRODUCT}, {"rotate": True}):
            kinds = (DrainKind.ACTIVATION, DrainKind.WIDE)[: 1 + ("function" in options)]
            fields.product(program, DrainKind.WIDE)
            fields.product(program, kinds[fields.draw(0, len(kinds) - 1)], **options)
            fields.norm(program)

    run(mirror, 7, 20, append)


def test_best(mirror):
    """One after another, and beside rows that are written back."""
    def append(fields, program):
        fields.norm(program)
        for _ in range(fields.draw(1, 3)):
            fields.best(program)
        products(fields, program)

    run(mirror, 8, 30, append)


def test_candidates(mirror):
    """The largest values, and a choice among them, beside rows that are written back."""
    def append(fields, program):
        fields.norm(program)
        fields.candidates(program)
        fields.best(program)
        products(fields, program)

    run(mirror, 9, 20, append)


def test_norm(mirror):
    counters = run(mirror, 3, 20, Fields.norm)
    assert counters["ROW_BUSY"] > 0


def test_norm_beside_products(mirror):
    """Both units at work, each on memory of its own."""
    run(mirror, 4, 20, lambda f, p: (f.norm(p), products(f, p), f.product(p, DrainKind.WIDE)))


def test_rows_follow_one_another(mirror):
    """Sums are added, normalised and multiplied again token by token, by semaphores alone."""
    config = mirror.config
    elements = 4 * config.array.columns
    words, inputs = elements // config.vector.lanes, -(-elements // config.array.rows)
    tokens = min(300 // words, 240 // inputs, 290 // (2 * config.beats_per_result))

    def build(program):
        added, normed = program.semaphore("added"), program.semaphore("normed")
        program.matmul(ring=(0, 40), activation_stride=0, steps=2, tokens=tokens, tiles=4)
        program.drain(
            DrainKind.WIDE, tokens=tokens, tiles=4, token_stride=words, accumulate=True,
            post_inner=added,
        )  # fmt: skip
        program.norm(
            elements=elements, inverse=factor(1 / elements), epsilon=1, source=0,
            source_stride=words, destination=60, tokens=tokens, token_stride=inputs, scale=120,
            exponent_base=3, back=True, wait_inner=added, post_inner=normed,
        )  # fmt: skip
        program.matmul(
            ring=(0, 40), activation=60, steps=inputs, tokens=tokens, tiles=2, wait_inner=normed
        )
        program.drain(
            DrainKind.WIDE, tokens=tokens, tiles=2, destination=310, function=DrainFunction.GELU,
            token_stride=2 * config.beats_per_result,
        )  # fmt: skip

    mirror.fill(np.random.default_rng([mirror.seed, 6]))
    mirror.run(build)
    mirror.compare()
