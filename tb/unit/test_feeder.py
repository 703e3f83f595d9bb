"""Feeder against the loops of MATMUL in Python."""

import collections
from typing import Any

import numpy as np
import pytest

from systolith_hw.array.feeder import Feeder
from systolith_hw.array.short_feeder import ShortFeeder
from systolith_hw.isa import ErrorCode

from .array_bench import (
    Around,
    control_words,
    matmul,
    random_matmul,
    simulate,
    small_config,
)


class Run:
    """Everything that happened while a Feeder executed ``programs`` (fields of MATMULs)."""

    def __init__(self, config, programs, *, rng, p_valid=1.0, p_ready=1.0, p_take=1.0, p_give=1.0,
                 given=(), start=0, halt_at=None, deadline=None):  # fmt: skip
        self.config = config
        short = config.short_pipelines and config.sequencer.instructions_stand
        self.dut: Any = ShortFeeder(config) if short else Feeder(config)
        self.around = Around(self.dut)
        self.programs = programs
        self.rng = rng
        self.p = (p_valid, p_ready, p_take, p_give)
        self.given = list(given)
        self.give_counts = self.gives
        self.start = start
        self.halt_at = halt_at
        self.words, self.word_cycles = [], []
        self.accepts, self.waits, self.posts = [], [], []
        self.events: collections.Counter[str] = collections.Counter()
        self.fault = None
        self.most_waiting = 0
        self.finished = False
        self.expected = sum(len(list(control_words(**fields))) for fields in programs)
        self.deadline = deadline or 60 * self.expected + 400 + start

    def go(self):
        benches = [self.instructions, self.give_counts, self.monitor]
        simulate(self.around, *benches, deadline=self.deadline)
        return self

    async def instructions(self, ctx):
        dut = self.dut
        for _ in range(self.start):
            await ctx.tick()
        for pc, fields in enumerate(self.programs):
            while self.rng.random() >= self.p[0]:
                await ctx.tick()
            ctx.set(dut.instruction.payload.as_value(), matmul(self.config, pc=pc, **fields))
            ctx.set(dut.instruction.valid, 1)
            while True:
                *_, ready = await ctx.tick().sample(dut.instruction.ready)
                if ready or self.finished:
                    break
            ctx.set(dut.instruction.valid, 0)

    async def gives(self, ctx):
        for semaphore in self.given:
            ctx.set(self.around.semaphores.give, 0)
            while self.rng.random() >= self.p[3]:
                await ctx.tick()
            ctx.set(self.around.semaphores.give_id, semaphore)
            ctx.set(self.around.semaphores.give, 1)
            await ctx.tick()
        ctx.set(self.around.semaphores.give, 0)

    async def monitor(self, ctx):
        """Take words and results, and note down everything."""
        dut, (_, p_ready, p_take, _) = self.dut, self.p
        depth = self.config.array.output_depth
        begun = ended = taken = 0
        held = None
        last_end = -self.config.beats_per_result
        drained = 0
        for cycle in range(self.deadline):
            halted = self.halt_at is not None and cycle in self.halt_at
            ctx.set(dut.halt, halted)
            ctx.set(dut.control.ready, self.rng.random() < p_ready)
            take = ended > taken and self.rng.random() < p_take
            ctx.set(dut.taken, take)
            *_, valid, ready, word, accept, w_valid, w_ready, w_id, inner, inner_id, outer, \
                outer_id, fault, code, pc, idle, events = await ctx.tick().sample(
                    dut.control.valid, dut.control.ready, dut.control.payload,
                    dut.instruction.valid & dut.instruction.ready,
                    dut.wait.valid, dut.wait.ready, dut.wait.id,
                    dut.post_inner.valid, dut.post_inner.id,
                    dut.post_outer.valid, dut.post_outer.id,
                    dut.fault.valid, dut.fault.code, dut.fault.pc, dut.idle, dut.events)
            taken += take
            offer = (word.operand, word.activation, word.last)
            assert held is None or halted or (valid and offer == held), "an offer was taken back"
            assert not (halted and (valid or accept))
            held = offer if valid and not ready else None
            if valid and ready:
                first = not self.words or self.words[-1][2]
                begun += first
                ended += offer[2]
                assert begun - taken + take <= depth, "more results than the FIFO holds"
                if offer[2]:
                    assert cycle - last_end >= self.config.beats_per_result, "beats would collide"
                    last_end = cycle
                self.words.append(offer)
                self.word_cycles.append(cycle)
            if accept:
                self.accepts.append(cycle)
            if w_valid and w_ready:
                self.waits.append((cycle, w_id))
            if inner:
                self.posts.append((cycle, "inner", inner_id))
            if outer:
                self.posts.append((cycle, "outer", outer_id))
            for name in ("busy", "wait_semaphore", "wait_output", "wait_write"):
                self.events[name] += getattr(events, name)
            if idle:
                assert taken - take == ended, "idle, but a result waits"
            if fault:
                self.fault = (code, pc)
                break
            drained = drained + 1 if idle and len(self.words) == self.expected else 0
            if drained > 3:
                break
        self.finished = True


def expected_words(programs):
    return [
        (word.operand, word.activation, int(word.last))
        for fields in programs
        for word in control_words(**fields)
    ]


def sample(rng, config, count):
    return [random_matmul(rng, config) for _ in range(count)]


STALLS = [
    {},
    {"p_ready": 0.5},
    {"p_take": 0.15},
    {"p_valid": 0.2},
    {"p_valid": 0.5, "p_ready": 0.7, "p_take": 0.5},
]


# Instructions that are copied out of their queue, that stay there, and that stay for a ShortFeeder.
MODES = [{}, {"queue_depth": 1}, {"queue_depth": 1, "short": True}]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("stalls", STALLS, ids=str)
@pytest.mark.parametrize("shape", [(4, 4), (8, 2), (2, 8)], ids=str)
def test_words_of_random_instructions(shape, stalls, mode):
    rng = np.random.default_rng(shape[0])
    config = small_config(*shape, output_depth=max(15, shape[0] + 12), **mode)
    programs = sample(rng, config, 12)
    run = Run(config, programs, rng=rng, **stalls).go()
    assert run.fault is None
    assert run.words == expected_words(programs)
    assert run.events["busy"] == len(run.words)
    assert (run.events["wait_write"] > 0) == ("p_ready" in stalls)
    if stalls == {}:
        assert run.events["wait_semaphore"] == 0
        assert (run.events["wait_output"] > 0) == (config.beats_per_result > 1)


def test_waits_for_room_in_the_output():
    config = small_config(4, 4)
    programs = [{"ring_end": 22, "tokens": 40}]
    run = Run(config, programs, rng=np.random.default_rng(1), p_take=0.2).go()
    assert run.words == expected_words(programs)
    assert run.events["wait_output"] > 20


@pytest.mark.parametrize("p_give", [1.0, 0.15])
@pytest.mark.parametrize("waits", [(0, 3), (5, 0), (5, 3), (3, 3)], ids=str)
@pytest.mark.parametrize("stalls", [{}, {"p_ready": 0.6, "p_take": 0.6}], ids=str)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_semaphores(mode, stalls, waits, p_give):
    """Waits come before what they guard, posts after it, each exactly as often as it should."""
    rng = np.random.default_rng(7)
    config = small_config(4, 4, **mode)
    outer, inner = waits
    programs = [
        fields
        | {"wait_outer": outer and 16 + outer, "wait_inner": inner and 16 + inner}
        | {"post_outer": 16 + 9, "post_inner": 16 + 8 if index % 2 else 0}
        for index, fields in enumerate(sample(rng, config, 6))
    ]
    order = [word for fields in programs for word in control_words(**fields)]
    needed = []
    for word in order:
        needed += [outer] * bool(outer and word.group_first)
        needed += [inner] * bool(inner and word.token_first)
    run = Run(config, programs, rng=rng, given=needed, p_give=p_give, **stalls).go()
    assert run.words == expected_words(programs)
    assert [semaphore for _, semaphore in run.waits] == needed

    cycles = iter([cycle for cycle, _ in run.waits])
    for word, entered in zip(order, run.word_cycles, strict=True):
        for _ in range(bool(outer and word.group_first) + bool(inner and word.token_first)):
            assert next(cycles) < entered

    posts = []
    position = iter(zip(order, run.word_cycles, strict=True))
    for fields in programs:
        for _ in control_words(**fields):
            word, entered = next(position)
            if word.token_end and fields["post_inner"]:
                posts.append((entered + 1, "inner", 8))
            if word.group_end:
                posts.append((entered + 1, "outer", 9))
    assert run.posts == posts
    if p_give < 0.5 and not stalls:
        assert run.events["wait_semaphore"] > (0 if mode else 3)


def test_waits_no_more_than_it_needs():
    """What it takes ahead belongs to this instruction: the rest is left for the next one."""
    config = small_config(4, 4)
    programs = [{"ring_end": 22, "tokens": 3, "wait_inner": 16 + 2}]
    run = Run(config, programs, rng=np.random.default_rng(0), given=[2] * 9).go()
    assert len(run.waits) == 3


def test_a_missing_semaphore_stops_only_what_it_guards():
    config = small_config(4, 4)
    programs = [{"ring_end": 22, "tokens": 3, "steps": 2, "wait_inner": 16 + 2}]
    run = Run(config, programs, rng=np.random.default_rng(0), given=[2, 2], deadline=200)
    with pytest.raises(AssertionError, match="not done"):
        run.go()
    assert len(run.words) == 4
    assert len(run.waits) == 2


SHAPES = [
    {"steps": 1, "tokens": 9},
    {"steps": 1, "tokens": 3, "groups": 5, "tiles": 2, "tiles_last": 1},
    {"steps": 1, "groups": 9},
    {"steps": 3, "tokens": 4, "groups": 2, "tiles": 2, "tiles_last": 2},
    {"steps": 7},
    {"steps": 2, "tokens": 2, "operand": 20, "groups": 3},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("waits", [{}, {"wait_inner": 17}, {"wait_outer": 18}], ids=str)
def test_no_gap_within_and_between_instructions(waits, shape):
    """With room and semaphores at hand there is a word in every cycle."""
    config = small_config(4, 4, tiles=21, output_depth=200)
    fields = {"ring_end": 21, "activation": 2, "activation_stride": 1} | shape | waits
    programs = [fields] * 4
    run = Run(config, programs, rng=np.random.default_rng(0), given=[1, 2] * 150,
              start=320 if waits else 0).go()  # fmt: skip
    assert run.words == expected_words(programs)
    assert run.word_cycles[-1] - run.word_cycles[0] == len(run.words) - 1
    assert run.word_cycles[0] - run.accepts[0] == Feeder.latency


def test_one_word_instructions_take_two_cycles():
    config = small_config(4, 4)
    programs = [{"ring_end": 22, "operand": index} for index in range(12)]
    run = Run(config, programs, rng=np.random.default_rng(0)).go()
    assert np.all(np.diff(run.word_cycles) == 2)


@pytest.mark.parametrize("mode", MODES[1:], ids=str)
def test_an_instruction_that_stays_is_accepted_at_its_end(mode):
    config = small_config(4, 4, **mode)
    programs = [{"ring_end": 22, "tokens": 3, "tiles": 2, "tiles_last": 2, "steps": 2}] * 4
    run = Run(config, programs, rng=np.random.default_rng(0)).go()
    ends = np.array(run.word_cycles[11::12])
    assert run.accepts == (ends + 1).tolist()
    # From word to word of two tiles it takes a ShortFeeder 2 cycles, of two tokens 3.
    between = 3 * 1 + 2 * 2 + 1 if "short" in mode else 0
    assert set(np.diff(ends)) == {12 + between + 4}
    assert run.word_cycles[0] == (4 if "short" in mode else 3)


NUMBERED = [
    ({"numbered": 3, "activation": 1}, 2), ({"numbered": 1, "tokens": 2, "groups": 2}, 3),
    ({"numbered": 15}, 0), ({}, 0xFFFF), ({"numbered": 2, "tokens": 3, "activation_stride": 2}, 3),
]


def test_words_of_a_number(seed=0):
    """Each instruction waits for its number, which is there from the cycle before the semaphore."""
    config = small_config(4, 4, vector_rows=4, numbered=True)
    programs = [{"ring_end": 22, "steps": 2, "wait_inner": 16 + 1} | fields
                for fields, _ in NUMBERED]  # fmt: skip
    run = Run(config, programs, rng=np.random.default_rng(seed), deadline=900)

    async def tells(ctx):
        around = run.around
        for fields, number in NUMBERED:
            await ctx.tick().repeat(int(run.rng.integers(30, 60)))
            ctx.set(run.dut.number, number)
            await ctx.tick()
            ctx.set(around.semaphores.give_id, 1)
            ctx.set(around.semaphores.give, 1)
            await ctx.tick().repeat(fields.get("tokens", 1) * fields.get("groups", 1))
            ctx.set(around.semaphores.give, 0)

    run.give_counts = tells
    run.go()
    assert run.fault is None
    assert run.words == expected_words([
        fields | {"number": number}
        for fields, (_, number) in zip(programs, NUMBERED, strict=True)
    ])


@pytest.mark.parametrize("fields, number", [
    ({"numbered": 1}, 12), ({"numbered": 3}, 3), ({"numbered": 15}, 0xFFFF), ({"numbered": 15}, 1),
    ({"numbered": 4}, 0x8000),
])  # fmt: skip
def test_words_of_a_number_outside(fields, number):
    config = small_config(4, 4, vector_rows=4, numbered=True)
    run = Run(config, [GOOD | {"tokens": 1} | fields], rng=np.random.default_rng(0), deadline=300)

    async def tells(ctx):
        ctx.set(run.dut.number, number)

    run.give_counts = tells
    assert run.go().fault == (ErrorCode.ADDRESS_RANGE, 0)
    assert run.words == []


def test_a_semaphore_lets_the_word_in_a_cycle_later():
    config = small_config(4, 4)
    programs = [{"ring_end": 22, "tokens": 4, "wait_inner": 16 + 2}]
    run = Run(config, programs, rng=np.random.default_rng(3), given=[2] * 4, p_give=0.05).go()
    assert [entered - cycle for entered, (cycle, _) in zip(
        run.word_cycles, run.waits, strict=True)] == [1] * 4


GOOD = {"ring_end": 22, "steps": 2, "tokens": 2, "activation_stride": 2, "activation": 1}
WRONG = [
    ({"steps": 0}, ErrorCode.ZERO_COUNT),
    ({"tokens": 0}, ErrorCode.ZERO_COUNT),
    ({"groups": 0}, ErrorCode.ZERO_COUNT),
    ({"tiles": 0}, ErrorCode.ZERO_COUNT),
    ({"tiles_last": 0}, ErrorCode.ZERO_COUNT),
    ({"tokens": 0, "ring_end": 23}, ErrorCode.ZERO_COUNT),
    ({"ring_end": 23}, ErrorCode.ADDRESS_RANGE),
    ({"ring_end": 65535}, ErrorCode.ADDRESS_RANGE),
    ({"ring_end": 0}, ErrorCode.ADDRESS_RANGE),
    ({"ring_base": 22}, ErrorCode.ADDRESS_RANGE),
    ({"ring_end": 9, "ring_base": 9}, ErrorCode.ADDRESS_RANGE),
    ({"ring_end": 9, "operand": 9}, ErrorCode.ADDRESS_RANGE),
    ({"operand_stride": 23}, ErrorCode.ADDRESS_RANGE),
    ({"operand_stride": 65535, "ring_base": 5}, ErrorCode.ADDRESS_RANGE),
    ({"operand_stride": 6, "ring_base": 2, "ring_end": 7}, ErrorCode.ADDRESS_RANGE),
    ({"operand": 32 + 3}, ErrorCode.ADDRESS_RANGE),
    ({"numbered": 1}, ErrorCode.ADDRESS_RANGE),
    ({"activation": 16}, ErrorCode.ADDRESS_RANGE),
    ({"activation": 13}, ErrorCode.ADDRESS_RANGE),
    ({"activation": 12, "tokens": 1}, ErrorCode.ADDRESS_RANGE),
    ({"steps": 9}, ErrorCode.ADDRESS_RANGE),  # max_k is 32, of 4 elements
    ({"steps": 65535}, ErrorCode.ADDRESS_RANGE),
]
WRONG_LATER = [
    ({"activation_stride": 11}, 1),
    ({"activation_stride": 16}, 1),
    ({"activation_stride": 32}, 1),
    ({"activation_stride": 65535}, 1),
    ({"activation_stride": 5, "tokens": 4}, 3),
    ({"activation_stride": 15, "tokens": 2}, 1),
]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("change, code", WRONG, ids=str)
def test_wrong_instruction(change, code, mode):
    """What comes before it is still executed, nothing of it or after it is."""
    config = small_config(4, 4, max_k=32, **mode)
    if config.short_feeder and change.keys() & {"operand_stride", "numbered"}:
        return  # refused before it comes here
    programs = [GOOD, GOOD, GOOD | change, GOOD]
    run = Run(config, programs, rng=np.random.default_rng(0), deadline=300).go()
    assert run.fault == (code, 2)
    assert run.words == expected_words([GOOD, GOOD])


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("change, tokens", WRONG_LATER, ids=str)
def test_token_runs_out_of_the_memory(change, tokens, mode):
    """A token that would leave the activation memory does not begin."""
    config = small_config(4, 4, max_k=32, **mode)
    run = Run(config, [GOOD | change], rng=np.random.default_rng(0), deadline=300).go()
    assert run.fault == (ErrorCode.ADDRESS_RANGE, 0)
    assert run.words == expected_words([GOOD | change])[: tokens * GOOD["steps"]]


@pytest.mark.parametrize("limits", [{"max_k": 32, "words": 13}, {"max_k": 64, "words": 8}], ids=str)
def test_longest_reduction(limits):
    config = small_config(4, 4, **limits)
    fields = {"ring_end": 22, "steps": 8}
    run = Run(config, [fields], rng=np.random.default_rng(0)).go()
    assert run.fault is None
    assert run.words == expected_words([fields])


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_halt_starts_nothing(mode):
    rng = np.random.default_rng(5)
    config = small_config(4, 4, **mode)
    programs = sample(rng, config, 20)
    halts = {cycle for cycle in range(3000) if rng.random() < 0.4}
    run = Run(config, programs, rng=rng, p_ready=0.8, halt_at=halts).go()
    assert run.words == expected_words(programs)
