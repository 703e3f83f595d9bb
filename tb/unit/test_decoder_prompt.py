"""Prompts that go through a model in blocks, on the machine, against single tokens."""

import numpy as np
import pytest

from systolith import language
from systolith.compiler.decoder_fit import plan_decoder
from systolith.compiler.prompt_plan import PromptPlan, plan_prompt
from systolith.language import CompiledDecoder, MachineDecoder
from systolith_hw.presets import preset

from .language_bench import golden_tokens, random_model
from .test_decoder_machine import CONTEXT, ROOMY, prompt


def narrow(name, deferred=False):
    """Return a configuration that has room for blocks of four tokens of the random model."""
    rows = {"vector.rows": 16 if deferred else 8, "vector.deferred_norms": deferred}
    return ROOMY[name].replace(rows)


def compiled(config, **dimensions):
    model = random_model(config, context=CONTEXT, **dimensions)
    return model, CompiledDecoder.compile(config, model)


@pytest.mark.parametrize("deferred", [False, True], ids=["whole norms", "deferred norms"])
@pytest.mark.parametrize("name", ROOMY)
def test_lengths(name, deferred):
    """Blocks of one token to all in front of the last one, and several."""
    model, decoder = compiled(narrow(name, deferred))
    assert decoder.block == 4
    machine = MachineDecoder(decoder)
    for length in (1, 2, 3, 4, 5, 6, 11):
        text = prompt(length, seed=length)
        assert machine.run(text, 2) == golden_tokens(model, text, 2)


@pytest.mark.parametrize(
    "name, dimensions",
    [
        ("small", {"dim": 36, "heads": 3, "kv_heads": 1, "hidden": 50, "vocab": 27}),
        ("ulx3s", {"dim": 24, "heads": 4, "kv_heads": 4, "hidden": 41, "vocab": 27}),
        ("ulx3s", {"dim": 96, "heads": 2, "kv_heads": 1, "layers": 1}),
        ("small", {"dim": 64, "output_chunk": 32, "down_chunk": 16}),
        ("ulx3s", {"dim": 64, "output_chunk": 32, "down_chunk": 16, "layers": 3}),
    ],
)
def test_keys_and_values(name, dimensions, monkeypatch):
    """What later tokens read has the bits that single tokens leave; of all layers."""
    text = prompt(11, dimensions.get("vocab", 40))
    config = narrow(name, deferred=dimensions.get("layers") == 3)
    _, blocks = compiled(config, **dimensions)
    monkeypatch.setattr(language, "choose_prompt", lambda *_: None)
    _, single = compiled(config, **dimensions)
    assert (blocks.block, single.block) == (4, 1)
    one, other = (MachineDecoder(decoder) for decoder in (blocks, single))
    assert one.run(text, 1) == other.run(text, 1)
    assert one.counters["INSTRUCTIONS"] < other.counters["INSTRUCTIONS"]
    chips = one.machine.chip, other.machine.chip
    for memory in ("operand", "scale"):
        a, b = (getattr(chip, memory) for chip in chips)
        np.testing.assert_array_equal(a, b)


def test_goes_on_from_any_position():
    """Tokens that are on the chip already are not computed again; a block begins behind them."""
    model, decoder = compiled(narrow("ulx3s"))
    machine, text = MachineDecoder(decoder), prompt(15)
    machine.run(text[:3], 1)
    assert machine.run(text, 1, 3) == golden_tokens(model, text, 1)


def test_room():
    """As many tokens as the memories hold, fewer than the text has; of two heads' scores."""
    config, model = ROOMY["ulx3s"], random_model(ROOMY["ulx3s"], context=CONTEXT)
    plan = plan_decoder(config, model)
    assert plan_prompt(plan) == PromptPlan(plan, 16)
    changes = [({"vector.rows": 8}, 4)]
    for size in (2, 4, 8):
        prompts = PromptPlan(plan, size)
        changes += [({"memory.activation_words": prompts.activation_need}, size),
                    ({"memory.wide_words": prompts.wide_need}, size)]  # fmt: skip
    for change, size in changes:
        found = plan_prompt(plan_decoder(config.replace(change), model))
        assert found is not None and found.size == size


def test_programs_without_room_for_a_block():
    """The tokens go one by one, and the bits are the same."""
    config = ROOMY["ulx3s"].replace({"memory.program_instructions": 64})
    model, decoder = compiled(config)
    assert decoder.block == 1
    assert MachineDecoder(decoder).run(prompt(7), 2) == golden_tokens(model, prompt(7), 2)


def test_stories_fit_in_blocks_of_eight():
    """What is said of ``ulx3s-resident``."""
    from systolith.models.library import load_language_model
    from systolith.models.quantized_language import quantize_language

    pytest.importorskip("tokenizers")
    config = preset("ulx3s-resident")
    model = quantize_language(load_language_model("stories-260k"), config)
    assert CompiledDecoder.compile(config, model).block == 8
