"""Whole language models, run by the functional machine, against the golden model."""

import dataclasses

import numpy as np
import pytest

from systolith.compiler import decoder_layout
from systolith.language import CompiledDecoder, MachineDecoder
from systolith_hw.config import ConfigError
from systolith_hw.isa import Register
from systolith_hw.presets import PRESETS
from systolith_sim.errors import ProgramError
from systolith_sim.machine import Deadlock, Race
from systolith_sim.transformer.decoder_reference import KeyValueCache
from systolith_sim.transformer.row_norm import RowNorm

from .language_bench import MICROGPT, golden_tokens, random_model
from .machine_bench import CONFIGS, instructions, with_rows, without

ROOMY = {
    name: with_rows(config).replace({
        "memory.operand_tiles": 4096, "memory.activation_words": 1024, "memory.wide_words": 1024,
        "memory.scale_words": 2048, "memory.program_instructions": 128,
    })
    for name, config in {
        **{name: PRESETS[name] for name in ("small", "ulx3s", "wide")},
        "flat": CONFIGS["flat"],
        "fine": CONFIGS["fine"],
    }.items()
}  # fmt: skip
CONTEXT = 18


TABLED = {
    "vector.deferred_norms": True, "memory.activation_words": 4096, "memory.wide_words": 8192,
}
"""With room for tables of what the tokens of a model of one layer begin with."""


class Compiled(MachineDecoder):
    """A random model on the machine."""

    def __init__(
        self, name, architecture="llama", *, ends=(), seed=0, settings=None, **dimensions
    ):
        self.config = ROOMY[name].replace(settings or {})
        self.model = random_model(
            self.config, "int8", architecture, seed=seed, context=CONTEXT, **dimensions
        )
        self.decoder = CompiledDecoder.compile(self.config, self.model, ends=ends)
        self.plan = self.decoder.plan
        super().__init__(self.decoder)

    def check(self, prompt, count, ends=()):
        """Compare one run's tokens with the golden model's."""
        made = self.run(prompt, count)
        assert made == golden_tokens(self.model, prompt, count, ends)
        return made


def prompt(length, vocabulary=40, seed=0):
    return np.random.default_rng(seed).integers(0, vocabulary, length).tolist()


@pytest.mark.parametrize("name", ROOMY)
def test_texts_up_to_the_context(name):
    """A prompt of one token, and one of many; keys and values fill more than a tile."""
    compiled = Compiled(name, layers=1)
    assert compiled.plan.tokens == CONTEXT
    compiled.check(prompt(1), 2)
    rows = compiled.config.array.rows
    compiled.check(prompt(rows - 1, seed=1), CONTEXT - rows + 1 if rows == 16 else 4)


@pytest.mark.parametrize(
    "name, dimensions",
    [
        ("small", {"dim": 36, "heads": 3, "kv_heads": 1, "hidden": 50, "vocab": 27}),
        ("ulx3s", {"dim": 24, "heads": 4, "kv_heads": 4, "hidden": 41, "vocab": 27}),
        ("wide", {"dim": 40, "heads": 2, "kv_heads": 1, "hidden": 33, "vocab": 17}),
        ("ulx3s", {"dim": 96, "heads": 2, "kv_heads": 1}),
    ],
)  # fmt: skip
def test_sizes_that_are_no_multiples(name, dimensions):
    """Heads of 12, 6, 20 and 48 features, whose last words and tiles have zeros behind."""
    compiled = Compiled(name, layers=2, **dimensions)
    compiled.check(prompt(3, dimensions.get("vocab", 40)), 4)


@pytest.mark.parametrize(
    "name, settings, dimensions",
    [
        ("small", {}, {}),
        ("flat", {}, {"layers": 2, "kv_heads": 2}),
        ("small", {"array.columns": 4, "vector.deferred_norms": True}, {}),
        ("small", {"array.columns": 4, **TABLED}, {}),
        ("small", {"array.columns": 4, "array.numbered": True, **TABLED}, {}),
        ("ulx3s", {"vector.deferred_norms": True}, {"layers": 2, "hidden": 50}),
    ],
)  # fmt: skip
def test_relu_and_learned_positions(name, settings, dimensions):
    """At every position, of a prompt in blocks, too, and token by token with logits."""
    compiled = Compiled(name, "microgpt", settings=settings, **MICROGPT | dimensions)
    assert compiled.plan.tokens == CONTEXT and compiled.decoder.block > 1
    assert compiled.plan.shape.tabled == (TABLED.items() <= settings.items())
    made = compiled.check([5], CONTEXT - 1)
    assert compiled.check([5, *made[:8]], CONTEXT - 9) == made[8:]
    ending = CompiledDecoder.compile(compiled.config, compiled.model, ends=(made[5],))
    assert MachineDecoder(ending).run([5], CONTEXT - 1) == made[: made.index(made[5]) + 1]
    storing = CompiledDecoder.compile(compiled.config, compiled.model, logits=True)
    text = prompt(4, 27)
    np.testing.assert_array_equal(
        MachineDecoder(storing).logits(text), compiled.model.logits(text)
    )


@pytest.mark.parametrize("seed", range(12))
def test_random_shapes(seed):
    """Rows, columns and sizes that are no multiples of one another; tables, chunks and blocks."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.choice([(8, 16), (4, 16), (16, 8), (8, 8), (8, 4), (16, 32)]).tolist()
    heads, architecture = int(rng.choice([1, 2, 4])), str(rng.choice(["llama", "microgpt"]))
    config = ROOMY["small"].replace({
        "array.rows": rows, "array.columns": columns, "vector.deferred_norms": bool(seed % 4),
        "array.output_depth": 48, "memory.program_instructions": 512, "memory.wide_words": 2048,
    })  # fmt: skip
    sizes = {
        "layers": int(rng.choice([1, 2])), "dim": heads * int(rng.choice([2, 4, 6, 12, 16])),
        "heads": heads, "kv_heads": 1 if architecture == "llama" and seed % 2 else heads,
        "hidden": int(rng.choice([1, 3, 7, 20, 48, 50, 63, 100])),
        "vocab": int(rng.choice([2, 27, 64])),
    }  # fmt: skip
    model = random_model(config, "int8", architecture, seed=seed, context=24, **sizes)
    machine = MachineDecoder(CompiledDecoder.compile(config, model))
    text = rng.integers(0, sizes["vocab"], rng.choice([1, 2, 5, 13])).tolist()
    assert machine.run(text, 6) == golden_tokens(model, text, 6)


def test_positions_that_are_too_many(monkeypatch):
    """Sums of all tokens' rows with theirs, 32 of 128 bytes for each position."""
    model = random_model(ROOMY["small"], "int8", "microgpt", context=CONTEXT, **MICROGPT)
    monkeypatch.setattr(decoder_layout, "LARGEST_SUMS", 10 * 32 * 128)
    sentence = "27 tokens' rows and 18 learned positions take 73728 bytes .* a text to 10, or take"
    with pytest.raises(ConfigError, match=sentence):
        CompiledDecoder.compile(ROOMY["small"], model)
    assert CompiledDecoder.compile(ROOMY["small"], model, context=10).plan.tokens == 10


@pytest.mark.parametrize("weights", ["int4", "int4-exponent"])
@pytest.mark.parametrize("port", [2, 8])
def test_codes(weights, port):
    """Heads and hidden values with rows behind, chunks, and panels that end inside a page."""
    config = ROOMY["ulx3s"].replace({"bus.data_bytes": port})
    sizes = {"dim": 48, "heads": 6, "kv_heads": 3, "hidden": 75, "vocab": 27}
    model = random_model(config, weights, context=CONTEXT, down_chunk=64, **sizes)
    machine = MachineDecoder(CompiledDecoder.compile(config, model))
    text = prompt(3, 27)
    assert machine.run(text, 5) == golden_tokens(model, text, 5)
    key = model.layers[0].key.weights[: config.array.rows, : config.array.columns]
    np.testing.assert_array_equal(machine.machine.chip.operand[0], key)


@pytest.mark.parametrize("hidden", [100, 128, 160])
def test_codes_where_hidden_values_go_in_chunks(hidden):
    """No chunk ends inside a group of inputs that share a step."""
    config = ROOMY["ulx3s"].replace({"vector.deferred_norms": True})
    model = random_model(config, "int4", layers=1, hidden=hidden, vocab=27)
    assert 1 < -(-hidden // model.layers[0].down_chunk)
    machine = MachineDecoder(CompiledDecoder.compile(config, model))
    text = prompt(3, 27)
    assert machine.run(text, 3) == golden_tokens(model, text, 3)


def test_codes_that_cannot_be_packed():
    config = ROOMY["ulx3s"]
    model = random_model(config, "int4", dim=40, heads=2, kv_heads=1)
    with pytest.raises(ConfigError, match="two groups of inputs, as where heads have a number"):
        CompiledDecoder.compile(config, model)
    plain = config.replace({"bus.codecs": False})
    with pytest.raises(ConfigError, match="set bus.codecs to true, or take weights int8"):
        CompiledDecoder.compile(plain, random_model(plain, "int4"))


def test_logits_that_are_all_negative():
    """Channels behind the vocabulary, which are zero, are no tokens."""
    config = ROOMY["ulx3s"]
    model = random_model(config, layers=1, vocab=27)
    head = dataclasses.replace(model.head, bias=np.full(27, -(1 << 24)))
    model = dataclasses.replace(model, head=head)
    assert (model.logits([1, 2]) < 0).all()
    machine = MachineDecoder(CompiledDecoder.compile(config, model))
    assert machine.run([1, 2], 2) == golden_tokens(model, [1, 2], 2)


@pytest.mark.parametrize("name", ["small", "ulx3s"])
def test_chunks(name):
    chunks = {"output_chunk": 32, "down_chunk": 16}
    compiled = Compiled(name, layers=2, dim=64, **chunks)
    assert compiled.plan.head_groups == (1, 1)
    assert compiled.plan.hidden_groups == ((2,) * 3 if name == "small" else (1,) * 3)
    compiled.check(prompt(4), 4)


def test_residual_of_every_layer():
    """Layers that follow are left out of the program: the residual is on the chip at its end, since
    one that stores logits does not look the next token up."""
    prompted = prompt(2)
    compiled = Compiled("ulx3s", layers=3)
    for layers in (1, 2, 3):
        part = type(compiled.model)(**vars(compiled.model) | {
            "layers": compiled.model.layers[:layers]
        })  # fmt: skip
        machine = MachineDecoder(CompiledDecoder.compile(compiled.config, part, logits=True))
        machine.run(prompted, 1)
        plan = compiled.plan
        words = slice(plan.residual, plan.residual + plan.steps * 2)
        residual = machine.machine.chip.wide[words].ravel()[: plan.shape.features]
        np.testing.assert_array_equal(residual, golden_residual(part, prompted))


class WatchedNorm(RowNorm):
    """Keeps what it norms."""

    def __call__(self, array, z):
        seen.append(z[-1])
        return super().__call__(array, z)


seen: list[np.ndarray] = []


def golden_residual(model, tokens):
    """Return the last token's residual behind all layers."""
    watched = type(model)(**vars(model) | {"norm": WatchedNorm(**vars(model.norm))})
    watched.advance(tokens, KeyValueCache(len(model.layers)))
    return seen.pop()


def test_end_of_text():
    """Whatever ends texts is the last token, but not where it is the prompt's."""
    text = prompt(4)
    compiled = Compiled("ulx3s", layers=1)
    made = golden_tokens(compiled.model, text, 12)
    end, other = made[3], next(token for token in range(40) if token not in made)
    first = made.index(end)
    compiled = Compiled("ulx3s", layers=1, ends=(other, end))
    assert compiled.check(text, 12, (other, end)) == made[: first + 1]
    issued = compiled.counters["INSTRUCTIONS"]
    compiled.run(text, first + 1)
    # No more was done than to look the end's embedding up.
    assert issued == compiled.counters["INSTRUCTIONS"] + 1
    compiled.check([end, *text], 2, (other, end))


def test_tokens_come_one_by_one():
    """Positions that are on the chip already are not computed again."""
    text = prompt(3)
    compiled = Compiled("small", layers=1)
    made = golden_tokens(compiled.model, text, 4)
    assert list(compiled.generate(text, 4)) == made
    issued = compiled.counters["INSTRUCTIONS"]
    compiled.run([*text, *made], 1, len(text) + 3)
    assert issued == compiled.counters["INSTRUCTIONS"]
    ended = Compiled("small", layers=1, ends=(made[2],))
    assert list(ended.generate(text, 4)) == made[: made.index(made[2]) + 1]


def test_end_of_text_that_begins_in_tables():
    """The token behind it has begun, but is not there; rotary positions need one table."""
    text = prompt(4)
    compiled = Compiled("small", layers=1, settings=TABLED)
    assert compiled.plan.shape.tabled
    made = compiled.check(text, 8)
    end = made[2]
    compiled = Compiled("small", layers=1, settings=TABLED, ends=(end,))
    assert compiled.check(text, 8, (end,)) == made[: made.index(end) + 1]
    compiled.check([end, *text], 2, (end,))


def test_every_semaphore_is_needed():
    """Without a wait something races or is left over, without a post somebody waits for ever."""
    compiled = Compiled("ulx3s", layers=2, heads=2, kv_heads=2)
    tokens, program = compiled.decoder.layout.list, compiled.decoder.parts[compiled.decoder.program]

    def run(changed):
        compiled.machine.memory.write(tokens.address, tokens.pack(prompt(4), 3))
        compiled.machine.run(changed, {Register.POSITION: 0})

    run(program)
    # Scores that are not there have no largest one, either.
    for kind, error in (("wait", (Race, ProgramError)), ("post", Deadlock)):
        fields = [
            (pc, f"{kind}_{place}")
            for pc, (_, values) in enumerate(instructions(program))
            for place in ("inner", "outer")
            if values.get(f"{kind}_{place}")
        ]
        assert len(fields) >= 24
        for pc, field in fields:
            with pytest.raises(error):
                run(without(program, pc, field))
