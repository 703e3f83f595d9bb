"""The compiler takes the plan of an encoder with the fewest cycles."""

import dataclasses
import json

import pytest

from systolith.compiler.encoder_choice import (
    MOST,
    RESOLUTION,
    Candidate,
    PlanChoice,
    choose_encoder,
)
from systolith.compiler.encoder_fit import candidate_plans, plan_encoder
from systolith.compiler.encoder_layout import EncoderLayout
from systolith.compiler.encoder_program import blank_model, write_encoder
from systolith.compiler.encoder_shape import EncoderShape
from systolith_hw.isa import Register
from systolith_hw.presets import preset
from systolith_sim.timing import replay

SHAPE = EncoderShape(features=64, heads=4, hidden=128, layers=1, vocabulary=64, positions=64)
NARROW = preset("small").replace({
    "memory.wide_words": 512, "memory.activation_words": 512, "device": "",
})  # fmt: skip
CORES = {"small": preset("small"), "narrow": NARROW, "ulx3s": preset("ulx3s")}


def cycles_of(plan):
    """Return what a plan's program takes, by its instructions' times."""
    layout = EncoderLayout(plan)
    program = write_encoder(layout, blank_model())
    tables = layout.tables.pack([range(plan.tokens)], layout.token_bytes)
    address = layout.map.add("program", len(program)).address
    parts = {layout.regions["tables"].address: tables}
    return replay(plan.config, program, address=address, parts=parts,
                  registers={Register.LENGTH: plan.tokens}).cycles  # fmt: skip


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("tokens", [8, 48, 64])
def test_none_is_faster(core, tokens):
    """By more than the cycle model can tell; and it is no slower than the first of the order."""
    config = CORES[core]
    plan, choice = choose_encoder(config, SHAPE, tokens=tokens, segments=4)
    plans = candidate_plans(config, SHAPE, tokens=tokens, segments=4)[:MOST]
    cycles = [cycles_of(one) for one in plans]
    assert [one.cycles for one in choice.candidates] == cycles
    assert plans[choice.chosen] == plan
    assert cycles_of(plan) <= min(cycles) * (1 + RESOLUTION)
    assert cycles_of(plan) <= cycles_of(plan_encoder(config, SHAPE, tokens=tokens, segments=4))


def test_another_than_the_first_of_the_order():
    """Small blocks of rows come sooner to the array than large ones, in spite of the order."""
    first = plan_encoder(CORES["ulx3s"], SHAPE, tokens=64, segments=4)
    plan, choice = choose_encoder(CORES["ulx3s"], SHAPE, tokens=64, segments=4)
    assert (first.row_block, plan.row_block, choice.chosen) == (32, 16, 1)
    hand, best = (choice.candidates[place].cycles for place in range(2))
    assert best < hand * (1 - RESOLUTION) and best == min(one.cycles for one in choice.candidates)


def test_differences_that_mean_nothing():
    """The first of the order is taken of plans that the model cannot tell apart."""
    _, choice = choose_encoder(CORES["small"], SHAPE, tokens=64, segments=4)
    cycles = [one.cycles for one in choice.candidates]
    assert choice.chosen == 0 and min(cycles) < cycles[0] < min(cycles) * (1 + RESOLUTION)


def test_what_the_first_layer_alone_would_hide():
    """Blocks of 8 rows begin sooner, and then take longer with every layer."""
    shape = EncoderShape(features=32, heads=2, hidden=64, layers=2, vocabulary=64, positions=64)
    plan, choice = choose_encoder(CORES["ulx3s"], shape, tokens=32, segments=4)
    assert choice.layers == 2 and plan.row_block == 32
    assert [one.cycles for one in choice.candidates][0] == min(x.cycles for x in choice.candidates)


@pytest.mark.parametrize("segments, tokens", [(2, 16), (1, 16)])
def test_fewer_positions_than_tokens(segments, tokens):
    """Programs may be for more tokens than a sentence can have."""
    shape = dataclasses.replace(SHAPE, positions=10)
    plan, choice = choose_encoder(CORES["small"], shape, tokens=tokens, segments=segments)
    assert plan.tokens == tokens and all(one.cycles > 0 for one in choice.candidates)


def test_what_is_said_and_kept():
    few, many = (Candidate(32, 32, rows, rows == 8, cycles)
                 for rows, cycles in ((16, 1234567), (8, 1300000)))  # fmt: skip
    choice = PlanChoice(0, (few, many), 2)
    assert str(choice) == (
        "plan: blocks of 32 tokens and 16 rows, 2 candidates, 1,234,567 cycles of 2 layers; "
        "next 1,300,000, blocks of 32 tokens and 8 rows, contexts outside"
    )
    assert str(PlanChoice(0, (few,), 1)).endswith("rows, 1 candidate, 1,234,567 cycles of 1 layer")
    assert PlanChoice.from_dict(json.loads(json.dumps(dataclasses.asdict(choice)))) == choice


@pytest.mark.parametrize("chosen, cycles", [(2, 1), (0, "1"), (-1, 1), (0, None)])
def test_damaged_choices(chosen, cycles):
    with pytest.raises(ValueError, match="plan"):
        PlanChoice(chosen, (Candidate(1, 1, 8, False, cycles), Candidate(1, 1, 4, False, 3)), 1)
    with pytest.raises(ValueError, match="neither true nor false"):
        PlanChoice(0, (Candidate(1, 1, 8, 1, 3),), 1)  # type: ignore[arg-type]
