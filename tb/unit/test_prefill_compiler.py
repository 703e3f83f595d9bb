"""Layers of a language model for a whole prompt, on the machine; and what does not fit."""

import itertools
import json

import numpy as np
import pytest

from systolith import bench_prefill as module
from systolith.bench_prefill import bench_prefill, prefill_workload
from systolith.compiler.causal_attention import row_blocks
from systolith.compiler.decoder_shape import DecoderShape
from systolith.compiler.prefill_plan import plan_prefill
from systolith_hw.config import ConfigError
from systolith_sim.machine import Deadlock, Machine, Race

from .machine_bench import instructions, without
from .prefill_bench import (
    CONFIGS,
    FLAT,
    SIZES,
    TALL,
    one_by_one,
    prefill_model,
    random_residual,
)
from .test_cli import refused, run


def workload(name, tokens, config=None):
    model = prefill_model(name)
    residual = random_residual(model, tokens)
    plan = plan_prefill(config or CONFIGS[name], DecoderShape.of(model), tokens)
    layout, work = prefill_workload(plan, model, residual)
    return model, residual, plan, layout, work


@pytest.mark.parametrize(
    "name, tokens", [("flat", 2), ("flat", 12), ("tall", 1), ("tall", 8), ("tall", 21)]
)
def test_as_token_by_token(name, tokens):
    """One token, whole units of places, and one more; one block of rows, and several."""
    model, residual, plan, layout, work = workload(name, tokens)
    got = layout.unpack(work.predict().memory)
    np.testing.assert_array_equal(got, one_by_one(model, residual))
    assert plan.row_block <= 8 or name == "flat"


def test_one_layer_and_one_chunk():
    """No loop runs, and no layer's tables are replaced."""
    model = prefill_model("tall", layers=1)
    plan = plan_prefill(TALL, DecoderShape.of(model), 5)
    assert plan.chunks == 3
    residual = random_residual(model, 5)
    layout, work = prefill_workload(plan, model, residual)
    got = layout.unpack(work.predict().memory)
    np.testing.assert_array_equal(got, one_by_one(model, residual))


def test_weights_cross_the_port_once():
    *_, plan, layout, work = workload("tall", 16)
    counted = work.predict().counters
    assert counted["LOAD_BEATS"] * 16 == 2 * (layout.table_bytes + plan.layer_slots * 16 * 128)
    assert counted["STORE_BEATS"] == 0


def test_tiles_above_the_diagonal_are_skipped():
    blocks = row_blocks(heads=2, tokens=37, most=16)
    assert [(block.head, block.first, block.rows, block.keys) for block in blocks] == [
        (head, first, rows, first + rows)
        for head in (0, 1) for first, rows in ((0, 16), (16, 16), (32, 5))
    ]  # fmt: skip


FREE = 16 + 1
"""In fields, the semaphore of free slots: one not given back only makes the ring shorter."""


@pytest.mark.parametrize("tiles", [TALL.memory.operand_tiles, 720])
def test_every_semaphore_is_needed(tiles):
    """Without a wait something races, without a post somebody waits for ever.

    The larger ring holds a layer: then only semaphores keep tables from being replaced too early.
    In the smaller one slots are.
    """
    *_, plan, _, work = workload("tall", 17, config=TALL.replace({"memory.operand_tiles": tiles}))
    whole = plan.slots == plan.layer_slots
    program = work.programs["main"][1]
    seen = set()
    for pc, (opcode, values) in enumerate(instructions(program)):
        for kind, place in itertools.product(("wait", "post"), ("inner", "outer")):
            number = values.get(name := f"{kind}_{place}", 0)
            # One of each sort: there are many of the same.
            sort = opcode, values.get("kind"), name, number
            checked = whole if number != FREE else kind == "wait" and not whole
            if not number or sort in seen or not checked:
                continue
            seen.add(sort)
            with pytest.raises(Race if kind == "wait" else Deadlock):
                run_main(work, without(program, pc, name))
    assert len(seen) == (19 if whole else 1)


def run_main(work, changed):
    """Run setup, and another program in place of the main one."""
    machine = Machine(work.config, -(-work.size // 4096) * 4096)
    for place, part in work.parts.items():
        machine.memory.write(place, part)
    machine.run(work.programs["setup"][1])
    machine.memory.write(work.programs["main"][0], changed)
    machine.run(changed)


# -- what does not fit ------------------------------------------------------------------------


@pytest.mark.parametrize("memory, need", [
    ("operand_tiles", 48), ("activation_words", 208), ("wide_words", 476), ("scale_words", 128),
])  # fmt: skip
def test_every_memory_is_looked_at(memory, need):
    shape = DecoderShape.of(prefill_model("tall", layers=1))
    plan = plan_prefill(TALL.replace({f"memory.{memory}": need}), shape, 17)
    assert getattr(plan, f"{memory.partition('_')[0]}_need") == need
    with pytest.raises(ConfigError, match=f"memory.{memory} must be at least {need}, 1 more than"):
        plan_prefill(TALL.replace({f"memory.{memory}": need - 1}), shape, 17)


@pytest.mark.parametrize("sizes, sentence", [
    ({"dim": 96}, "a head's features must be a power of two and at least 32, not 24"),
    ({"dim": 64}, "a head's features must be a power of two and at least 32, not 16"),
    ({"hidden": 48}, "hidden values must be a multiple of a head's 32 features, not 48"),
])  # fmt: skip
def test_models_that_cannot_be_streamed(sizes, sentence):
    from .language_bench import random_model

    model = random_model(TALL, layers=1, **SIZES["tall"] | sizes)
    with pytest.raises(ConfigError, match=f"cannot be streamed: .*{sentence}"):
        bench_prefill(model, TALL, 5, backend="machine")


def test_other_refusals():
    shape = DecoderShape.of(prefill_model("flat", layers=1))
    with pytest.raises(ConfigError, match="the prompt's tokens must be 1 to 64, .* not 65"):
        plan_prefill(FLAT, shape, 65)
    for bits, tokens, sentence in (
        (4, 10, "sequencer.semaphore_bits must be at least 5, not 4"),
        (5, 20, "tokens must be at most 15, .* not 20; lower them, or .*semaphore_bits to 6"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            plan_prefill(FLAT.replace({"sequencer.semaphore_bits": bits}), shape, tokens)


# -- the measurement --------------------------------------------------------------------------

DIMENSIONS = "layers=2,dim=128,heads=4,kv_heads=2,hidden=96,vocab=40,context=32"


def test_machine():
    model = prefill_model("tall", layers=1)
    values = bench_prefill(model, TALL, 16, model_layers=3, backend="machine")
    assert values.bit_exact and values.cycles is None and values.cycles_per_token is None
    matrices = 16 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 96)
    assert values.macs == matrices + 2 * (16 * 17 // 2) * 128
    assert values.square_macs == matrices + 2 * 16 * 16 * 128
    assert values.layers == 1 and values.model_layers == 3
    assert values.bytes == 16 * values.bytes_per_token
    assert values.compulsory_bytes <= values.bytes < 1.01 * values.compulsory_bytes


def test_wrong_bits_are_seen(monkeypatch):
    predict = module.Workload.predict

    def wrong(work, progress=None):
        outcome = predict(work, progress)
        outcome.memory[0] ^= 1
        return outcome

    monkeypatch.setattr(module.Workload, "predict", wrong)
    assert not bench_prefill(prefill_model("flat"), FLAT, 3, backend="machine").bit_exact


def test_command():
    words = ("bench", "prefill", "--tokens", "5", "--arch", "llama", "--dims", DIMENSIONS)
    values = json.loads(run(*words, "--backend", "machine", "--json").stdout)
    assert values["model"] == f"llama {DIMENSIONS}" and values["weights"] == "random"
    assert values["bit_exact"] and values["tokens"] == 5 and values["layers"] == 2


@pytest.mark.parametrize("words, sentence", [
    (["--arch", "llama"], "--arch and --dims go together"),
    (["--model", "other"], "there are no sizes of other; known are smollm2"),
    (["--arch", "llama", "--dims", DIMENSIONS, "--layers", "1"],
     "--layers does nothing beside --arch; leave one out"),
    (["--backend", "machine", "--sim", "icarus"], "--sim takes --backend rtl, and does nothing"),
    (["--layers", "31"], "the layers of smollm2 must be at most 30, not 31"),
    (["--arch", "microgpt", "--dims", "layers=1,dim=32,heads=1,hidden=96,vocab=27"],
     "whose prompt is a batch must have hidden values gated (SwiGLU), not behind ReLU"),
])  # fmt: skip
def test_commands_that_are_refused(words, sentence):
    assert sentence in refused(2, "bench", "prefill", "--tokens", "5", *words)
