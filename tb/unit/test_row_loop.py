"""The loops of NORM and SOFTMAX against plain loops in Python."""

import dataclasses

import numpy as np
import pytest
from amaranth.sim import Simulator

from systolith_hw.isa import ErrorCode, Opcode, Unit, encode
from systolith_hw.vector.row_address import RowAddress
from systolith_hw.vector.row_loop import RowLoop
from systolith_sim.errors import MachineError
from systolith_sim.machine.memory import ChipMemory, ExternalMemory
from systolith_sim.machine.row import row
from systolith_sim.machine.run import Run
from systolith_sim.machine.scheduler import Job

from .loop_checks import PRESENT, check_beat, check_halt
from .row_loop_bench import kind_of, make, run_loop, some_fields, sweep_beats, sweeps_of

SHAPES = [make(4, 2, 1), make(8, 8, 4), make(4, 16, 2), make(16, 8, 8)]

NORM = {
    "opcode": int(Opcode.NORM), "scale": 3, "destination": 5, "token_stride": 7, "source": 11,
    "source_stride": 30, "exponent_base": 4, "tokens": 4, "elements": 30, "centre": 1, "back": 0,
    "inverse": 0x8888, "inverse_shift": 20, "epsilon": 3, "defer": 0, "row": 0,
    "wait_outer": 0, "wait_inner": 0, "post_outer": 0, "post_inner": 0,
}  # fmt: skip
SOFTMAX = {name: NORM[name] for name in list(NORM)[:9] + list(NORM)[-4:]} | {
    "opcode": int(Opcode.SOFTMAX), "row": 2, "causal": 0, "back": 0, "scale_stride": 0,
}  # fmt: skip
DEFERRED = NORM | {"defer": 1, "centre": 0, "scale": 60000, "row": 12}


def check(config, instructions, log):
    """Compare all beats; their sweeps may come in any order that the loop is free to choose."""
    at, records, waits, rows = 0, 0, [], 0
    for fields in instructions:
        kinds = sweeps_of(fields)
        count = dict.fromkeys(kinds, 0)
        outer = [fields["wait_outer"] - PRESENT] if fields["wait_outer"] else []
        while count[kinds[-1]] < fields["tokens"]:
            kind = kind_of(log.beats[at])
            token = count[kind]
            if kind == kinds[0]:
                waits += outer
                waits += [fields["wait_inner"] - PRESENT] if fields["wait_inner"] else []
                outer = []
                assert log.taken[at] >= len(waits), "a beat came before its semaphore"
                rows += 1
                assert len(kinds) == 1 or token < count["normalise"] + 2
            else:
                done = sum(made <= at for made in log.made)
                assert done > rows - count["measure"] + token, "there is no record yet"
            wanted = sweep_beats(config, fields, kind, token, records % 2)
            for beat, want in zip(log.beats[at:], wanted):  # noqa: B905
                check_beat(beat, want)
            at += len(wanted)
            count[kind] += 1
            records += kind == "normalise"
    assert at == len(log.beats)
    assert log.waits == waits
    constants = iter(log.constants)
    for fields in instructions:
        for _ in range(fields["tokens"]):
            constant = next(constants)
            if fields["opcode"] == Opcode.NORM:
                assert constant.inverse.scale == fields["inverse"]
                assert constant.inverse.shift == fields["inverse_shift"]
                assert constant.epsilon == fields["epsilon"]
                assert constant.centre == fields["centre"]


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("p_ready, p_wait", [(1, 1), (0.4, 1), (1, 0.1), (0.6, 0.6)])
def test_beats(config, p_ready, p_wait):
    rng = np.random.default_rng(config.array.columns)
    instructions = [some_fields(config, rng) for _ in range(8)]
    log = run_loop(config, instructions, p_ready=p_ready, p_wait=p_wait)
    check(config, instructions, log)


@pytest.mark.parametrize("factor_cycles", [(1, 2), (60, 90)])
def test_order(factor_cycles):
    """While a token is measured the factor of the one before is made."""
    fields = NORM | {"tokens": 5, "elements": 60, "source_stride": 60}
    log = run_loop(SHAPES[1], [fields], factor_cycles=factor_cycles)
    check(SHAPES[1], [fields], log)
    sweeps = "".join(kind_of(beat)[0] for beat in log.beats if beat.row_begin)
    assert sweeps == "mmnmnmnmnn" if factor_cycles[0] > 1 else "mnmnmnmnmn"


def test_no_deadlock():
    """A token that waits for what the one before it posts does not keep that from being done."""
    fields = NORM | {"wait_inner": PRESENT + 3, "post_inner": PRESENT + 3, "tokens": 3}
    log = run_loop(SHAPES[1], [fields] * 2, posted=3)
    check(SHAPES[1], [fields] * 2, log)
    assert "".join(kind_of(beat)[0] for beat in log.beats if beat.row_begin) == "mnmnmnmnmnmn"


def test_rate():
    """A beat per cycle; a cycle between sweeps, three between instructions."""
    config = SHAPES[1]
    fields = SOFTMAX | {"elements": 40, "source_stride": 10, "wait_inner": PRESENT + 1}
    log = run_loop(config, [fields] * 3, factor_cycles=(1, 2))
    check(config, [fields] * 3, log)
    assert log.cycles[0] == log.accepted[0][0] + 6
    gaps = np.diff(log.cycles)
    ends = np.array([beat.row_end for beat in log.beats[:-1]])
    assert np.all(gaps[~ends.astype(bool)] == 1)
    assert sorted(set(gaps[ends.astype(bool)])) == [2, 7]


@pytest.mark.parametrize("waits", [False, True])
def test_waiting(waits):
    fields = SOFTMAX | {"wait_inner": (PRESENT + 1) * waits, "tokens": 3}
    log = run_loop(SHAPES[1], [fields], p_wait=0.03)
    assert log.waiting > 20 if waits else log.waiting == 0


def test_halt():
    check_halt(RowLoop(SHAPES[1]), SOFTMAX)


def machine_code(config, fields):
    """Return the error that the functional machine gives, or None."""
    run = Run(config, ChipMemory(config), ExternalMemory(64))
    opcode = Opcode(fields["opcode"])
    named = {name: value for name, value in fields.items() if name not in ("opcode", "back")}
    if opcode == Opcode.NORM:
        named["back"] = fields["back"]
    job = Job(0, encode(opcode, **named), Unit.ROW, opcode, fields)
    run.lines[Unit.ROW].begin(job.pc, job.raw)
    try:
        for _ in row(run, job):
            raise AssertionError("nothing to wait for")
    except MachineError as error:
        assert error.unit == Unit.ROW
        return error.code
    return None


ERRORS = [
    (NORM, {"tokens": 0}), (SOFTMAX, {"tokens": 0, "elements": 1000}), (NORM, {"elements": 0}),
    (NORM, {"elements": 91}), (NORM, {"epsilon": 0}), (NORM, {"inverse": 0x7FFF}),
    (NORM, {"inverse": 0, "epsilon": 0}), (NORM, {"inverse": 0, "epsilon": 0, "elements": 91}),
    (SOFTMAX, {"elements": 65535}), (SOFTMAX, {"row": 13}), (SOFTMAX, {"row": 12}),
    (SOFTMAX, {"row": 255}), (SOFTMAX, {"destination": 172}), (SOFTMAX, {"destination": 176}),
    (NORM, {"destination": 175}), (NORM, {"destination": 176}), (NORM, {"destination": 0x8000}),
    (NORM, {"source": 315}), (NORM, {"source": 316}), (NORM, {"source": 65535}),
    (SOFTMAX, {"source_stride": 131}), (SOFTMAX, {"source_stride": 132}),
    (SOFTMAX, {"source_stride": 65535}), (NORM, {"source_stride": 65535, "tokens": 1}),
    (NORM, {"scale": 92}), (NORM, {"scale": 93}), (SOFTMAX, {"scale": 93}),
    (SOFTMAX, {"scale_stride": 29}), (SOFTMAX, {"scale_stride": 30}),
    (SOFTMAX, {"scale_stride": 65535}), (SOFTMAX, {"scale_stride": 65535, "tokens": 1}),
    (NORM, {"scale": 60000}), (NORM, {"token_stride": 64}), (NORM, {"token_stride": 63}),
    (NORM, {"token_stride": 256}), (NORM, {"source": 400, "destination": 199}),
    (NORM, {"defer": 1}), (DEFERRED, {}), (DEFERRED, {"row": 13}), (DEFERRED, {"back": 1}),
    (DEFERRED, {"destination": 176}), (DEFERRED, {"source": 316}),
]  # fmt: skip


@pytest.mark.parametrize("p_ready", [1, 0.5])
@pytest.mark.parametrize("index", range(len(ERRORS)))
def test_errors(index, p_ready):
    """The machine's code, when all tokens before have been done, and nothing outside a memory."""
    config = SHAPES[1]
    base, changes = ERRORS[index]
    fields = base | changes | {"pc": 77}
    code = machine_code(config, base | changes)
    log = run_loop(config, [fields, NORM], p_ready=p_ready)
    if code is None:
        assert log.fault is None
        check(config, [fields, NORM], log)
        return
    assert log.fault == (code, 77)
    kinds = sweeps_of(fields)
    count = dict.fromkeys(kinds, 0)
    at = 0
    while at < len(log.beats):
        kind = kind_of(log.beats[at])
        wanted = sweep_beats(config, fields, kind, count[kind], count[kinds[-1]] % 2)
        for beat, want in zip(log.beats[at : at + len(wanted)], wanted, strict=True):
            check_beat(beat, want)
        at += len(wanted)
        count[kind] += 1
    # The token that is wrong is the one behind the last one done.
    done = count[kinds[-1]]
    if fields["tokens"]:
        assert machine_code(config, base | changes | {"tokens": done + 1}) == code
    assert not done or machine_code(config, base | changes | {"tokens": done}) is None


def test_refused_takes_no_semaphore():
    fields = NORM | {"epsilon": 0, "wait_outer": PRESENT + 1, "wait_inner": PRESENT + 2}
    log = run_loop(SHAPES[1], [fields])
    assert log.fault == (ErrorCode.ZERO_COUNT, 0) and not log.waits and not log.beats


def test_row_memory_of_one_row():
    config = dataclasses.replace(make(8, 8, 4), vector=make(8, 8, 4, 1).vector)
    fields = SOFTMAX | {"row": 0, "tokens": 1}
    check(config, [fields], run_loop(config, [fields]))
    log = run_loop(config, [fields | {"tokens": 2}])
    assert log.fault[0] == ErrorCode.ADDRESS_RANGE
    assert log.beats[-1].row_end and len(log.beats) == 8


@pytest.mark.parametrize("depth", [2, 16, 100, 512])
def test_row_address(depth):
    rng = np.random.default_rng(depth)
    dut = RowAddress(depth)
    assert dut.latency == 3
    bits = (depth - 1).bit_length()

    def fold(number):
        return number % (1 << bits) | (number >> bits > 0) << bits

    async def bench(ctx):
        for _ in range(60):
            first = int(rng.choice([rng.integers(depth), rng.integers(1 << 16)], p=[0.9, 0.1]))
            stride, span = (int(rng.integers(0, 2 + depth // 4)) for _ in range(2))
            stride = 60000 if rng.random() < 0.05 else stride
            ctx.set(dut.stride, fold(stride))
            ctx.set(dut.span, fold(span))
            ctx.set(dut.first, first)
            for token in range(5):
                ctx.set(dut.load, token == 0)
                ctx.set(dut.step, token > 0)
                await ctx.tick()
                ctx.set(dut.load, 0)
                ctx.set(dut.step, 0)
                address = first + token * stride
                assert address >= depth or ctx.get(dut.address) == address
                await ctx.tick().repeat(dut.latency - 1)
                assert ctx.get(dut.outside) == (address + span >= depth)

    sim = Simulator(dut)
    sim.add_clock(10e-9)
    sim.add_testbench(bench)
    sim.run()
