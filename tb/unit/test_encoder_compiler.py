"""Whole encoders on the machine, bit for bit what the golden model gives."""

import numpy as np
import pytest

from systolith.compiler.encoder_fit import plan_encoder
from systolith.compiler.encoder_shape import EncoderShape
from systolith_hw.config import ConfigError
from systolith_hw.isa import Opcode
from systolith_hw.presets import preset

from .encoder_bench import Compiled, random_model
from .machine_bench import instructions

MINILM = EncoderShape(
    features=384, heads=12, hidden=1536, layers=6, vocabulary=30522, positions=512
)


def sentences(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 50, length).tolist() for length in lengths]


def rows(name, changes=()):
    """Return a preset with a row unit, and changed."""
    return preset(name).replace({"vector.rows": 64, "memory.bias_words": 0} | dict(changes))


def check(name, changes, tokens, segments, runs, **sizes):
    config = rows(name, changes)
    compiled = Compiled(config, random_model(config, **sizes), tokens, segments)
    for lengths in runs:
        compiled.check(sentences(*lengths))
    return compiled.plan


@pytest.mark.parametrize("name", ["small", "ulx3s", "ulx3s-resident", "wide"])
def test_one_program_for_all_lengths(name):
    changes = {"device": "", "memory.program_instructions": 256}
    plan = check(name, changes, 37, 1, [(1,), (2,), (7,), (37,)])
    assert plan.resident


def test_layers_and_segments():
    """An odd head, a last chunk of hidden values that is not full, more layers than one."""
    runs = [(5, 6, 1, 8), (20,), (1, 1, 1, 1), (19, 1)]
    check("ulx3s", {}, 20, 4, runs, layers=3, heads=3, features=48, hidden=112)


@pytest.mark.parametrize("wide_words, queue_depth", [(70, 4), (40, 8)])
def test_residual_in_blocks_of_tokens(wide_words, queue_depth):
    changes = {"memory.wide_words": wide_words, "sequencer.queue_depth": queue_depth}
    plan = check("ulx3s", changes, 20, 3, [(19,), (13, 1, 6)], layers=2)
    assert not plan.resident and plan.moves


def test_loads_that_would_wait_for_one_another_are_refused():
    with pytest.raises(ConfigError, match="raise memory.operand_tiles, or sequencer.queue_depth"):
        check("ulx3s", {"memory.wide_words": 40}, 20, 3, [(19,)], layers=2)


@pytest.mark.parametrize("activation_words", [400, 140], ids=["whole context", "spilt context"])
@pytest.mark.parametrize("wide_words", [89, 80])
def test_scores_in_the_place_of_the_last_tokens(wide_words, activation_words):
    """Their residual alone leaves the chip, unless the sentences end before them."""
    changes = {"memory.wide_words": wide_words, "memory.activation_words": activation_words}
    runs = [(20,), (13, 1, 6), (1,), (8,), (11,)]
    plan = check("ulx3s", changes, 20, 3, runs, layers=3)
    assert plan.resident and plan.crowded and plan.spill == (activation_words == 140)
    assert 8 <= plan.untouched <= 10


def test_scores_behind_the_residual():
    plan = check("ulx3s", {"memory.wide_words": 200}, 20, 3, [(19,), (13, 1, 6)], layers=2)
    assert plan.resident and not plan.moves


@pytest.mark.parametrize("heads, words, port, queue_depth", [
    (2, 200, 2, 4), (1, 260, 16, 8), (4, 360, 4, 4)
])  # fmt: skip
def test_spilt_context(heads, words, port, queue_depth):
    changes = {
        "memory.wide_words": 100, "memory.activation_words": words, "bus.data_bytes": port,
        "sequencer.queue_depth": queue_depth,
    }  # fmt: skip
    runs = [(37,), (13, 14, 9), (2, 1, 20)]
    plan = check("ulx3s", changes, 37, 3, runs, layers=2, heads=heads, features=16 * max(2, heads))
    assert plan.spill


STREAMED = [
    # wide and activation words, operand tiles, heads, port; tokens of input and residual on chip
    (80, 140, 160, 2, 2, (19, 19)),  # eight rows of scores
    (60, 110, 160, 2, 8, (13, 13)),  # probabilities take all of the input's place
    (60, 240, 300, 4, 16, (19, 7)),  # blocks of input hold several of the residual's
    (60, 180, 100, 1, 4, (13, 13)),  # an odd head
]


@pytest.mark.parametrize("wide, words, tiles, heads, port, blocks", STREAMED)
def test_streamed_input(wide, words, tiles, heads, port, blocks):
    """Sentences end, and begin, in the middle of a block, and of a tile of K and V."""
    changes = {
        "memory.wide_words": wide, "memory.activation_words": words, "bus.data_bytes": port,
        "memory.operand_tiles": tiles,
    }  # fmt: skip
    runs = [(37,), (13, 14, 10), (2, 1, 20), (19, 18), (1,)]
    plan = check("ulx3s", changes, 37, 3, runs, layers=2, heads=heads, features=16 * max(2, heads))
    assert plan.streamed and (plan.input_block, plan.token_block) == blocks


@pytest.mark.parametrize(
    "changes", [
        {"array.rows": 4, "array.columns": 16, "memory.activation_words": 400,
         "bus.data_bytes": 32, "array.mantissa_bits": 11, "array.window": 20},
        {"array.mantissa_bits": 16, "array.window": 9, "vector.lanes": 8},
    ],
)  # fmt: skip
def test_streamed_input_of_other_shapes(changes):
    memory = {"memory.activation_words": 220, "memory.wide_words": 100}
    runs = [(37,), (13, 14, 9)]
    plan = check("small", {**memory, **changes, "device": ""}, 37, 3, runs, layers=2)
    assert plan.streamed


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_short_rings(slots):
    tiles = 24 + 4 * slots
    plan = check("ulx3s", {"memory.operand_tiles": tiles}, 16, 1, [(9,)], layers=2)
    assert plan.slots >= slots


@pytest.mark.parametrize(
    "changes",
    [
        {"array.rows": 4, "array.columns": 16, "bus.data_bytes": 32, "array.mantissa_bits": 11,
         "array.window": 20},
        {"array.mantissa_bits": 16, "array.window": 9, "bus.data_bytes": 1, "vector.lanes": 8},
        {"vector.lanes": 1, "vector.rows": 8},
        {"array.window": 8, "sequencer.queue_depth": 4},
        {"sequencer.queue_depth": 16, "bus.data_bytes": 128},
    ],
)  # fmt: skip
def test_other_shapes(changes):
    check("small", {**changes, "device": ""}, 16, 3, [(5, 6, 5), (16,)], layers=2)


@pytest.mark.parametrize("words, streamed", [(200, False), (140, True)])
def test_the_layer_loop_fits_every_preset(words, streamed):
    """The layers are a loop, whose body must fit the program memory."""
    config = rows("ulx3s", {"memory.wide_words": 100, "memory.activation_words": words})
    compiled = Compiled(config, random_model(config), 37, 3)
    program = compiled.encoder.parts[compiled.encoder.program]
    bodies = [fields["body"] for opcode, fields in instructions(program) if opcode == Opcode.LOOP]
    assert compiled.plan.spill and not compiled.plan.resident
    assert compiled.plan.streamed == streamed
    assert max(bodies) <= min(
        preset(name).memory.program_instructions for name in ("small", "ulx3s")
    )


@pytest.mark.parametrize("name, tokens, resident", [
    ("ulx3s", 32, True), ("ulx3s", 128, True), ("small", 16, True), ("small", 32, False),
])  # fmt: skip
def test_minilm_fits(name, tokens, resident):
    plan = plan_encoder(rows(name), MINILM, tokens=tokens, segments=4)
    assert plan.resident == resident
    assert plan.slots >= 2


@pytest.mark.parametrize(
    "name, tokens, blocks",
    [("ulx3s", 143, (143, 72)), ("ulx3s", 256, (128, 128)), ("small", 71, (71, 18)),
     ("small", 128, (64, 19))],
)  # fmt: skip
def test_minilm_in_blocks(name, tokens, blocks):
    """The input moves only if it must; and all that the model takes runs on ``ulx3s``."""
    plan = plan_encoder(rows(name), MINILM, tokens=tokens, segments=4)
    assert (plan.input_block, plan.token_block) == blocks


@pytest.mark.parametrize(
    "changes, tokens, sentence",
    [
        ({}, 512, "for 512 tokens .* memory.operand_tiles must be at least 658, .* tokens to 355"),
        ({"memory.operand_tiles": 90}, 4, "operand_tiles .*; raise memory.operand_tiles"),
        ({"memory.activation_words": 100}, 32, "activation_words .* lower the tokens to [123];?"),
        ({"memory.scale_words": 512}, 32, "memory.scale_words must be at least 667, 155 more"),
        ({"memory.wide_words": 30}, 32, "memory.wide_words must be"),
        ({"sequencer.semaphore_bits": 5}, 32, "sequencer.semaphore_bits must be at least 8"),
        ({"memory.program_instructions": 16}, 32,
         "a loop of 111 instructions: memory.program_instructions must be at least 128, not 16$"),
        ({"memory.program_instructions": 128}, 128, "at least 256, not 128; .* tokens to 74$"),
        ({"sequencer.semaphores": 12}, 128, "sequencer.semaphores is 12, and must be at least 13"),
        ({"sequencer.queue_depth": 2}, 32, "a sequencer.queue_depth of at least 4"),
        ({"memory.bias_words": 16}, 32, "memory.bias_words must be 0, not 16"),
        ({"vector.rows": 0}, 32, "an encoder needs a vector.rows of at least 2, not 0"),
        ({"array.rows": 64, "array.output_depth": 80}, 32, "a head of 32 features is no multiple"),
        ({"array.max_k": 256}, 32, "array.max_k must be at least 384"),
        ({}, 0, "tokens must be at least 1"),
    ],
)
def test_what_does_not_fit(changes, tokens, sentence):
    config = rows("ulx3s", changes)
    with pytest.raises(ConfigError, match=sentence):
        plan_encoder(config, MINILM, tokens=tokens, segments=4)


def test_lower_tokens_do_fit():
    config = rows("small")
    with pytest.raises(ConfigError, match="lower the tokens to 131"):
        plan_encoder(config, MINILM, tokens=256, segments=4)
    assert plan_encoder(config, MINILM, tokens=131, segments=4).streamed
    with pytest.raises(ConfigError):
        plan_encoder(config, MINILM, tokens=132, segments=4)


def test_inputs_that_do_not_fit():
    config = rows("ulx3s")
    compiled = Compiled(config, random_model(config, positions=10), 16, 2)
    for lengths, sentence in (
        ((17,), "17 tokens are too many: the program takes 16"),
        ((1, 1, 1), "3 sentences are too many: the program takes 2"),
        ((11,), "a sentence of 11 tokens is too long: the model has 10 positions"),
        ((3, 0), "every sentence must have at least one token"),
        ((), "every sentence must have at least one token"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            compiled.run(sentences(*lengths))
