"""The loops of DRAIN where there is a row unit, against the functional machine's turns."""

import dataclasses

import numpy as np
import pytest

from systolith_hw.isa import DrainFunction, DrainKind, ErrorCode, Opcode
from systolith_hw.vector.block_loop import BlockLoop
from systolith_sim.errors import ProgramError

from .block_loop_bench import (
    machine_turns,
    make,
    reads_wide,
    run_loop,
    some_fields,
    turn_beats,
    turn_waits,
)
from .loop_checks import PRESENT, check_beat, check_halt

SHAPES = [
    make(4, 2, 1), make(8, 8, 4), make(4, 16, 2, candidates=16), make(16, 8, 8),
    make(8, 8, 8, candidates=4), make(32, 4, 4, 1),
]  # fmt: skip

DRAIN = {
    "kind": int(DrainKind.ACTIVATION), "scale": 3, "destination": 5, "token_stride": 4,
    "group_stride": 9, "exponent_base": 4, "function": 0, "accumulate": 0, "factor": 0,
    "maximum": 0, "rotate": 0, "scaled": 0, "shift": 9, "row": 2, "offset": 17, "tokens": 3,
    "groups": 2, "tiles": 2, "tiles_last": 1, "columns_last": 5, "entries": 0, "pc": 77,
    "wait_outer": 0, "wait_inner": 0, "post_outer": 0, "post_inner": 0,
}  # fmt: skip
WIDE = DRAIN | {"kind": int(DrainKind.WIDE), "groups": 1, "maximum": 1, "entries": 7}
KEYS = DRAIN | {"kind": int(DrainKind.KEYS), "entries": 380, "tiles_last": 4}
VALUES = KEYS | {"kind": int(DrainKind.VALUES)}
HEADS = DRAIN | {"kind": int(DrainKind.HEADS)}
BEST = DRAIN | {"kind": int(DrainKind.BEST), "tokens": 1, "entries": 65530, "destination": 412}
CANDIDATES = DRAIN | {
    "kind": int(DrainKind.CANDIDATES), "tokens": 1, "entries": 65530, "token_stride": 3, "pc": 77,
}  # fmt: skip
PRODUCT = DRAIN | {"function": 3, "entries": 365}
TURNED = DRAIN | {"rotate": 1, "shift": 3, "row": 48}


def instructions_of(config, rng, count, *, legal):
    """Return random instructions, all legal or all not, with what the machine does of each."""
    found: list[tuple] = []
    while len(found) < count:
        fields = some_fields(config, rng)
        if not legal:
            fields |= spoil(config, rng, fields)
        try:
            machine = machine_turns(config, fields)
        except ProgramError:
            continue  # it gets in its own way, which no hardware sees
        if (machine[1] is None) == legal:
            found.append((fields, *machine))
    return found


def spoil(config, rng, fields):
    """Return changes of one or two fields that may lead out of a memory, or mean nothing."""
    far = [0, 1, 2, 15, 16, 17, 33, 40, 64, 99, 100, 129, 150, 199, 200, 413, 500, 0x8000, 0xFFFF]
    choices = {
        "kind": range(max(DrainKind) + 2), "function": range(max(DrainFunction) + 2),
        "accumulate": range(2), "maximum": range(2),
        "rotate": range(2), "shift": range(32), "row": (*range(16), 50, 99, 255),
        "tokens": (0, 9, 17), "groups": (0, 2, 9), "tiles": (0, 1, 3, 5, 9),
        "tiles_last": (0, 5, *far), "columns_last": far, "entries": far, "scale": far[2:],
        "destination": far, "token_stride": far, "group_stride": far,
    }  # fmt: skip
    names = rng.choice(list(choices), size=rng.integers(1, 3), replace=False)
    return {str(name): int(rng.choice(list(choices[name]))) for name in names}


def check(config, instructions, log):
    """Compare everything that comes before the end, or the fault."""
    at, semaphores, best = 0, 0, False
    for fields, turns, *_ in instructions:
        waits_for_all = best
        best = fields["kind"] in (DrainKind.BEST, DrainKind.CANDIDATES)
        for turn in range(turns):
            semaphores += turn_waits(fields, turn)
            assert log.taken[at] >= semaphores, "a beat came before its semaphore"
            if turn == 0:
                assert log.written[at] or not waits_for_all, "what it reads was not written"
                assert log.exponents_written[at] or not fields["maximum"], "exponents were not"
                assert log.wide_written[at] or not reads_wide(fields), "what it adds was not"
            for wanted in turn_beats(config, fields, turn):
                check_beat(log.beats[at], wanted)
                at += 1
    assert at == len(log.beats)
    assert log.waits == [number for *_, taken in instructions for number in taken]
    gathered = [(begin.channel, begin.anew, begin.most) for begin in log.sampling]
    assert gathered == [
        (fields["entries"], 1 - fields["accumulate"], fields["token_stride"])
        for fields, _, code, _ in instructions
        if fields["kind"] == DrainKind.CANDIDATES and code in (None, ErrorCode.ADDRESS_RANGE)
        and fields["token_stride"] <= config.vector.candidates
    ]
    assert log.best == [
        (fields["entries"], 1 - fields["accumulate"])
        for fields, _, code, _ in instructions
        if fields["kind"] == DrainKind.BEST and code in (None, ErrorCode.ADDRESS_RANGE)
    ]


def machine(config, *instructions):
    """Return the instructions with what the machine does of them."""
    return [(fields, *machine_turns(config, fields)) for fields in instructions]


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("p_ready, p_wait", [(1, 1), (0.4, 1), (1, 0.1), (0.6, 0.6)])
def test_beats(config, p_ready, p_wait):
    rng = np.random.default_rng([config.array.columns, int(10 * p_ready)])
    instructions = instructions_of(config, rng, 10, legal=True)
    log = run_loop(config, [fields for fields, *_ in instructions], p_ready=p_ready, p_wait=p_wait)
    assert log.fault is None
    check(config, instructions, log)


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("p_ready", [1, pytest.param(0.5, marks=pytest.mark.slow)])
def test_errors(config, p_ready):
    """The machine's code, when the turns that the machine does have been offered and taken."""
    rng = np.random.default_rng([config.array.rows, int(10 * p_ready)])
    legal = instructions_of(config, rng, 1, legal=True)
    for instruction in instructions_of(config, rng, 12, legal=False):
        fields, _, code, _ = instruction
        log = run_loop(config, [legal[0][0], fields, DRAIN], p_ready=p_ready, p_wait=0.7)
        assert log.fault == (code, fields["pc"])
        check(config, [*legal, instruction], log)


CORNERS = {
    "two counts are zero": (DRAIN | {"tokens": 0, "tiles_last": 0}, ErrorCode.ZERO_COUNT),
    "no such kind, and a count is zero": (
        DRAIN | {"kind": max(DrainKind) + 1, "tokens": 0}, ErrorCode.ILLEGAL_INSTRUCTION),
    "the stream's product": (
        PRODUCT | {"kind": int(DrainKind.STREAM)}, ErrorCode.ILLEGAL_INSTRUCTION),
    "a product and a sum": (
        PRODUCT | {"kind": int(DrainKind.WIDE), "accumulate": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "a product and a maximum": (
        PRODUCT | {"kind": int(DrainKind.WIDE), "maximum": 1, "groups": 1},
        ErrorCode.ILLEGAL_INSTRUCTION),
    "wide values turned": (TURNED | {"kind": int(DrainKind.WIDE)}, ErrorCode.ILLEGAL_INSTRUCTION),
    "V turned": (VALUES | {"rotate": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "turned, and a function": (TURNED | {"function": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "turned, and ReLU": (TURNED | {"function": 4}, ErrorCode.ILLEGAL_INSTRUCTION),
    "no function": (DRAIN | {"function": 5}, ErrorCode.ILLEGAL_INSTRUCTION),
    "turned, and a factor": (TURNED | {"factor": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "turned by half a pair": (TURNED | {"shift": 0}, ErrorCode.ILLEGAL_INSTRUCTION),
    "the best for two tokens": (BEST | {"tokens": 2, "tiles": 0}, ErrorCode.ILLEGAL_INSTRUCTION),
    "the best for no token": (BEST | {"tokens": 0}, ErrorCode.ZERO_COUNT),
    "the best's place": (BEST, None),
    "a place for the best beyond": (BEST | {"destination": 413}, ErrorCode.ADDRESS_RANGE),
    "the last second factor": (PRODUCT | {"entries": 391}, None),
    "second factors beyond": (PRODUCT | {"entries": 392}, ErrorCode.ADDRESS_RANGE),
    "second factors of the last group beyond": (
        PRODUCT | {"entries": 412, "tokens": 1, "groups": 1}, ErrorCode.ADDRESS_RANGE),
    "the last angles": (TURNED, None),
    "angles beyond": (TURNED | {"row": 49}, ErrorCode.ADDRESS_RANGE),
    "far too many angles": (TURNED | {"shift": 31}, ErrorCode.ADDRESS_RANGE),
    "angles of whole memory": (TURNED | {"shift": 8, "row": 0, "tokens": 1}, None),
    "keys turned": (KEYS | {"rotate": 1, "shift": 2}, None),
    "heads turned, wherever": (
        HEADS | {"rotate": 1, "shift": 2, "destination": 60000, "tiles_last": 0,
                 "columns_last": 0x4000, "entries": 60000}, None),
    "heads as large as may be": (HEADS | {"tiles": 16, "scale": 0, "groups": 3}, None),
    "larger heads": (HEADS | {"tiles": 17}, ErrorCode.ADDRESS_RANGE),
    "scales of heads beyond": (HEADS | {"scale": 93}, ErrorCode.ADDRESS_RANGE),
    "accumulated heads": (HEADS | {"accumulate": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "addition to words": (DRAIN | {"accumulate": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "maximum of words": (DRAIN | {"maximum": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "maximum of two groups": (
        WIDE | {"groups": 2, "tiles_last": 0}, ErrorCode.ILLEGAL_INSTRUCTION),
    "maximum of no groups": (WIDE | {"groups": 0}, ErrorCode.ZERO_COUNT),
    "no tiles at last": (WIDE | {"tiles_last": 0}, ErrorCode.ZERO_COUNT),
    "a lane beyond": (KEYS | {"columns_last": 8}, ErrorCode.ADDRESS_RANGE),
    "an operand row beyond": (VALUES | {"columns_last": 0x4000}, ErrorCode.ADDRESS_RANGE),
    "an operand row beyond, and no tiles": (
        VALUES | {"columns_last": 8, "tiles": 0}, ErrorCode.ZERO_COUNT),
    "the largest head": (
        VALUES | {"tiles": 16, "token_stride": 4, "group_stride": 1, "destination": 88}, None),
    "beyond with the largest head": (
        VALUES | {"tiles": 16, "token_stride": 4, "group_stride": 1, "destination": 89},
        ErrorCode.ADDRESS_RANGE),
    "a stride beyond with the largest head": (
        VALUES | {"tiles": 16, "token_stride": 10}, ErrorCode.ADDRESS_RANGE),
    "a stride far beyond": (VALUES | {"token_stride": 512}, ErrorCode.ADDRESS_RANGE),
    "a larger head": (KEYS | {"tiles": 17}, ErrorCode.ADDRESS_RANGE),
    "the last wide word": (WIDE | {"destination": 403}, None),
    "a wide word beyond": (WIDE | {"destination": 404}, ErrorCode.ADDRESS_RANGE),
    "the last activation word": (DRAIN | {"destination": 182}, None),
    "an activation word beyond": (
        DRAIN | {"destination": 183, "group_stride": 10}, ErrorCode.ADDRESS_RANGE),
    "a stream, wherever": (DRAIN | {"kind": int(DrainKind.STREAM), "destination": 60000}, None),
    "the last scale word": (DRAIN | {"scale": 94}, None),
    "a scale word beyond": (DRAIN | {"scale": 95}, ErrorCode.ADDRESS_RANGE),
    "factors in place of scale words": (DRAIN | {"scale": 60000, "factor": 1}, None),
    "the last row": (DRAIN | {"row": 13, "factor": 1}, None),
    "a row beyond": (WIDE | {"row": 14}, ErrorCode.ADDRESS_RANGE),
    "many tiles without a place": (
        DRAIN | {"kind": int(DrainKind.STREAM), "factor": 1, "tiles": 300, "tokens": 1}, None),
    "many groups in one place": (
        DRAIN | {"factor": 1, "groups": 300, "group_stride": 0, "tokens": 1}, None),
    "the last tile of keys": (KEYS | {"destination": 135, "columns_last": 6}, None),
    "a tile of keys beyond": (
        KEYS | {"destination": 136, "columns_last": 6}, ErrorCode.ADDRESS_RANGE),
    "the last tile of values": (VALUES | {"destination": 135, "columns_last": 6}, None),
    "a tile of values beyond": (
        VALUES | {"destination": 136, "columns_last": 6}, ErrorCode.ADDRESS_RANGE),
    "the last entry": (KEYS | {"entries": 393}, None),
    "an entry beyond": (VALUES | {"entries": 394}, ErrorCode.ADDRESS_RANGE),
}  # fmt: skip


@pytest.mark.parametrize("name", CORNERS)
def test_corners(name):
    fields, code = CORNERS[name]
    instructions = machine(SHAPES[1], fields, DRAIN)
    log = run_loop(SHAPES[1], [fields, DRAIN], p_ready=0.8)
    assert instructions[0][2] == code
    assert log.fault == (None if code is None else (code, 77))
    check(SHAPES[1], instructions[: 1 if code else 2], log)


GATHERING = {
    "none kept": (CANDIDATES | {"token_stride": 0}, ErrorCode.ZERO_COUNT),
    "all kept": (CANDIDATES | {"token_stride": 4}, None),
    "more kept": (CANDIDATES | {"token_stride": 5}, ErrorCode.ADDRESS_RANGE),
    "kept for two tokens": (CANDIDATES | {"tokens": 2}, ErrorCode.ILLEGAL_INSTRUCTION),
    "kept, wherever": (CANDIDATES | {"destination": 60000}, None),
    "a maximum kept": (CANDIDATES | {"maximum": 1, "groups": 1}, ErrorCode.ILLEGAL_INSTRUCTION),
    "a kind beyond": (CANDIDATES | {"kind": max(DrainKind) + 1}, ErrorCode.ILLEGAL_INSTRUCTION),
}  # fmt: skip


@pytest.mark.parametrize("name", GATHERING)
def test_candidates(name):
    fields, code = GATHERING[name]
    instructions = machine(SHAPES[4], fields, DRAIN)
    log = run_loop(SHAPES[4], [fields, DRAIN], p_ready=0.8)
    assert instructions[0][2] == code
    assert log.fault == (None if code is None else (code, 77))
    if code is None:
        check(SHAPES[4], instructions, log)


@pytest.mark.parametrize("config", [SHAPES[2], SHAPES[4]])
@pytest.mark.parametrize("place, p_wait", [(412, 1), (7, 0.2), (413, 1)])
def test_sample(config, place, p_wait):
    """A token without sums, which goes where the number shall go; what it asks is told before."""
    asked = {"seed": 0xFEDCBA98, "position": 0x87654321, "sharpness": 0xABCD}
    fields = asked | {
        "opcode": int(Opcode.SAMPLE), "sharpness_shift": 77, "destination": place, "pc": 5,
        "wait_outer": PRESENT + 3, "wait_inner": PRESENT + 4, "post_inner": PRESENT + 5,
        "post_outer": PRESENT + 6,
    }  # fmt: skip
    log = run_loop(config, [CANDIDATES, fields, CANDIDATES], p_ready=0.7, p_wait=p_wait)
    begins = [begin for begin in log.sampling if begin.samples]
    assert len(begins) == 1 and not begins[0].gathers
    assert {name: begins[0][name] for name in ("seed", "position")} == {
        name: asked[name] for name in ("seed", "position")
    }
    assert (begins[0].sharpness.scale, begins[0].sharpness.shift) == (0xABCD, 77)
    assert not log.best
    beats = [beat for beat in log.beats if beat.sample]
    if place > 412:
        assert log.fault == (ErrorCode.ADDRESS_RANGE, 5) and not beats
        return
    assert log.fault is None and len(log.sampling) == 3
    assert log.waits == [3, 4]
    assert len(beats) == config.beats_per_result
    for number, beat in enumerate(beats):
        last = number == len(beats) - 1
        check_beat(beat, {
            "row_unit": 0, "results": 0, "centre": 0, "add": 0, "to_wide": 0, "to_best": 0,
            "to_sampler": 1, "wide": place, "lanes": 0, "counted": 0, "end": 1, "block_end": 1,
            "row_begin": number == 0, "row_end": last, "operation": 0,
            "inner": (PRESENT + 5) * last, "outer": (PRESENT + 6) * last,
        })  # fmt: skip


@pytest.mark.parametrize("fields", [DRAIN, WIDE, KEYS, VALUES, HEADS, PRODUCT, TURNED, BEST])
@pytest.mark.parametrize("config", [SHAPES[1], SHAPES[4]])
def test_rate(config, fields):
    """A beat per cycle with a semaphore for each token, the first of them after 3 cycles."""
    fields = fields | {"wait_inner": PRESENT + 1, "accumulate": 0}
    log = run_loop(config, [fields] * 4, flight=(1, 2))
    check(config, machine(config, *[fields] * 4), log)
    first = 3 + (fields["tiles"] - 1) * (fields["kind"] == DrainKind.VALUES)
    assert log.cycles[0] == log.accepted[0] + first
    count = len(log.beats) // 4
    gaps, border = np.diff(log.cycles), np.arange(1, 4 * count) % count == 0
    assert np.all(gaps[~border] == 1)
    waits = fields["kind"] == DrainKind.BEST
    assert np.all(gaps[border] == max(first, 3 + 2 * waits))


@pytest.mark.parametrize("p_ready, flight", [(1, 50), (0.02, 20)])
@pytest.mark.parametrize("before, fields, waits", [
    (WIDE, WIDE, False), (WIDE, WIDE | {"accumulate": 1}, True), (KEYS, DRAIN, False),
    (WIDE, PRODUCT, True), (WIDE, TURNED, True), (WIDE, BEST, False), (BEST, BEST, True),
    (VALUES, KEYS, False), (DRAIN, VALUES, False), (DRAIN, PRODUCT, False), (KEYS, TURNED, False),
    (KEYS, WIDE, True), (VALUES, WIDE, False), (BEST, DRAIN, True), (HEADS, HEADS, False),
])  # fmt: skip
def test_written(before, fields, waits, p_ready, flight):
    """What reads what DRAIN writes begins when that is written, anything else at once."""
    log = run_loop(
        SHAPES[1], [before, fields, DRAIN], p_ready=p_ready, flight=(flight, flight + 1)
    )
    check(SHAPES[1], machine(SHAPES[1], before, fields, DRAIN), log)
    turns = range(before["groups"] * before["tokens"])
    count = sum(len(list(turn_beats(SHAPES[1], before, turn))) for turn in turns)
    gap = log.cycles[count] - log.cycles[count - 1]
    assert gap > flight if waits else p_ready < 1 or gap < 6


def test_maximum_of_all_that_wide_memory_holds():
    config = dataclasses.replace(
        SHAPES[1], memory=dataclasses.replace(SHAPES[1].memory, wide_words=128)
    )
    fields = WIDE | {
        "tiles_last": 64, "columns_last": 8, "tokens": 1, "destination": 0, "factor": 1,
        "entries": 0,
    }  # fmt: skip
    log = run_loop(config, [fields])
    check(config, machine(config, fields), log)
    assert len(log.beats) == 128


@pytest.mark.parametrize("waits", [False, True])
def test_waiting(waits):
    fields = DRAIN | {"wait_inner": (PRESENT + 1) * waits}
    log = run_loop(SHAPES[1], [fields], p_wait=0.03)
    assert log.waiting > 20 if waits else log.waiting == 0


def test_halt():
    check_halt(BlockLoop(SHAPES[1]), DRAIN)


def test_refused_takes_no_semaphore():
    fields = DRAIN | {"tiles": 0, "wait_outer": PRESENT + 1, "wait_inner": PRESENT + 2}
    log = run_loop(SHAPES[1], [fields])
    assert log.fault == (ErrorCode.ZERO_COUNT, 77) and not log.waits and not log.beats
