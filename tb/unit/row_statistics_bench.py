"""Rows of scores, powers and mantissas for RowStatistics, and what is around it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from systolith_hw.config import ArrayConfig, Config, MemoryConfig, VectorConfig
from systolith_hw.tables import FRACTION
from systolith_hw.vector.row_statistics import RowStatistics
from systolith_hw.vector.row_tokens import WAITING
from systolith_sim.vector.exponential import reference
from systolith_sim.vector.row import Factor, normal_factor, reciprocal_factor, row_sums

ROWS = 16
FLIGHT = 12
"""Cycles from taking a beat to its values, at least."""


def make(lanes):
    return Config(
        array=ArrayConfig(rows=8, columns=8, output_depth=32),
        vector=VectorConfig(lanes=lanes, rows=ROWS), memory=MemoryConfig(wide_words=60),
    )  # fmt: skip


@dataclass
class Row:
    """A row of NORM or SOFTMAX: its beats, and what must become of it."""

    task: dict
    beats: list
    mean: int
    factor: Factor
    constants: dict = field(default_factory=dict)


def with_ends(beats):
    """Return beats that say where their row begins and ends."""
    last = len(beats) - 1
    return [beat | {"first": at == 0, "last": at == last} for at, beat in enumerate(beats)]


def semaphore(rng):
    return {"id": int(rng.integers(16)), "present": int(rng.integers(2))}


def soft_row(rng, lanes):
    """Return a row of SOFTMAX, the largest of its powers not below 1."""
    summands = rng.integers(0, 1 << 16, (int(rng.integers(1, 7)), lanes))
    summands[-1, rng.integers(lanes)] |= 1 << 15
    task = {
        "normal": 0, "record": 0, "drained": 0, "row": int(rng.integers(ROWS)),
        "base": int(rng.integers(32)), "post_inner": semaphore(rng), "post_outer": semaphore(rng),
    }  # fmt: skip
    beats = with_ends([{"summands": beat} for beat in summands.tolist()])
    return Row(task, beats, 0, reciprocal_factor(int(summands.sum())))


def norm_rows(rng, config, count):
    """Return the rows of a NORM, perhaps deferred, or of as many MEASURED; some of their means are
    large."""
    lanes, length = config.vector.lanes, int(rng.integers(1, 9))
    scale = round(2**16 / (length * lanes) * 2 ** ((length * lanes - 1).bit_length() - 1))
    inverse = Factor(min(scale, 0xFFFF), 15 + (length * lanes - 1).bit_length())
    constants: dict[str, Any] = {
        "inverse": {"scale": inverse.scale, "shift": inverse.shift},
        "epsilon": int(rng.integers(1, 1 << 16)), "centre": int(rng.integers(2)),
    }  # fmt: skip
    base, record = int(rng.integers(0, 8)), int(rng.integers(2))
    drained = int(rng.integers(2)) & ~record
    rows = []
    for _ in range(count):
        spread = int(rng.choice([1, 20, 127]))
        mantissas = np.clip(
            rng.integers(-127, 128) + rng.integers(-spread, spread + 1, (length, lanes)), -127, 127
        )
        exponents = rng.integers(0, 17, length)
        mean, factor = normal_factor(
            row_sums([mantissas], [exponents])[0], inverse, base=base,
            epsilon=constants["epsilon"], centre=bool(constants["centre"] and not drained),
        )  # fmt: skip
        beats = with_ends([
            {"mantissas": beat, "exponent": int(exponent)}
            for beat, exponent in zip(mantissas.tolist(), exponents, strict=True)
        ])  # fmt: skip
        task = {"normal": 1, "record": record, "drained": drained, "base": base,
                "row": int(rng.integers(ROWS)), "post_inner": semaphore(rng),
                "post_outer": semaphore(rng)}  # fmt: skip
        rows.append(Row(task, beats, mean, factor, constants))
    return rows


def some_rows(rng, config, instructions):
    """Return the rows of as many NORM and SOFTMAX."""
    rows = []
    for _ in range(instructions):
        count = int(rng.integers(1, 12))
        if rng.integers(2):
            rows += norm_rows(rng, config, count)
        else:
            rows += [soft_row(rng, config.vector.lanes) for _ in range(count)]
    return rows


def score_rows(rng, lanes, count):
    """Return rows of scores: a row's number, its beats, and its reference."""
    rows = []
    for _ in range(count):
        z = rng.integers(-(1 << 31), 1 << 31, (int(rng.integers(1, 7)), lanes))
        keep = rng.random(z.shape) < 0.8
        keep[0, 0] = True
        beats = with_ends([
            {"integers": (beat >> FRACTION).tolist(),
             "keep": sum(bit << lane for lane, bit in enumerate(mask))}
            for beat, mask in zip(z, keep.tolist(), strict=True)
        ])  # fmt: skip
        rows.append((int(rng.integers(ROWS)), beats, int(reference(z[keep]))))
    return rows


class Bench:
    """Sends rows as RowLoop lets them come, and looks at what is made of them.

    Parameters
    ----------
    lanes : int
        Of the config.
    rng : Generator
        Of everything.
    pause : float
        Probability of a cycle without a beat, or a task.
    """

    def __init__(self, lanes, rng, pause):
        self.config = make(lanes)
        self.dut = RowStatistics(self.config)
        self.rng, self.pause = rng, pause
        self.rows = deque(some_rows(rng, self.config, 12))
        self.scores = deque(
            (row, beat, wanted)
            for row, beats, wanted in score_rows(rng, lanes, 60) for beat in beats
        )  # fmt: skip
        # Beats under way, and from when on, by "normal".
        self.paths: dict[int, deque] = {0: deque(), 1: deque()}
        self.pending: deque[Row] = deque()  # rows whose factors are not made
        self.records: deque[Row] = deque()  # those of NORM that are made, and not yet read
        self.measured = 0  # rows of NORM without a factor, or with a record
        self.posts: deque[Row] = deque()
        self.references: dict[int, tuple[int, int]] = {}  # from when on, and what
        self.factors: dict[int, Factor] = {}
        self.record = 0
        self.constants: dict = {}

    def run(self, limit=20_000):
        """Run until all is done."""

        async def bench(ctx):
            for cycle in range(limit):
                self._offer(ctx, cycle)
                reads = self._read(ctx, cycle)
                self._look(ctx)
                await ctx.tick()
                self._check(ctx, reads)
                if not (self.rows or self.scores or self.pending or self.posts or self.measured):
                    break
            else:
                raise AssertionError(f"{len(self.rows)} rows are left after {limit} cycles")
            await ctx.tick().repeat(FLIGHT)
            assert ctx.get(self.dut.empty)

        sim = Simulator(self.dut)
        sim.add_clock(10e-9)
        sim.add_testbench(bench)
        sim.run()

    def _goes_on(self):
        return self.rng.random() >= self.pause

    def _offer(self, ctx, cycle):
        """Send beats, and a task when its row may come."""
        dut = self.dut
        for normal, port in enumerate((dut.powers, dut.mantissas)):
            path = self.paths[normal]
            valid = bool(path) and path[0][0] <= cycle and self._goes_on()
            ctx.set(port.valid, valid)
            if valid:
                ctx.set(port.payload, path.popleft()[1])
        valid = bool(self.scores) and self._goes_on()
        ctx.set(dut.scores.valid, valid)
        if valid:
            row, beat, wanted = self.scores.popleft()
            ctx.set(dut.score_row, row)
            ctx.set(dut.scores.payload, beat)
            if beat["last"]:
                self.references[row] = cycle + self.config.vector.lanes.bit_length() + 1, wanted
        valid = bool(self.rows) and self._may_come(self.rows[0]) and self._goes_on()
        ctx.set(dut.task.valid, valid)
        if valid:
            self._begin(ctx, self.rows.popleft(), cycle)

    def _may_come(self, row):
        """Return whether the loop of ROW would let a row come."""
        if not row.task["normal"]:
            return len(self.pending) < WAITING
        stays = row.constants is self.constants or not self.measured
        return stays and len(self.pending) < 2 and self.measured < 2

    def _begin(self, ctx, row, cycle):
        normal = row.task["normal"]
        ctx.set(self.dut.task.payload, row.task)
        self.paths[normal] += [(cycle + FLIGHT, beat) for beat in row.beats]
        self.pending.append(row)
        if normal:
            self.measured += 1
            self.constants = row.constants
            ctx.set(self.dut.constants, row.constants)

    def _read(self, ctx, cycle):
        """Ask for what must be there; return that."""
        dut, wanted = self.dut, dict[str, Any]()
        ready = [row for row, (since, _) in self.references.items() if since <= cycle]
        if ready:
            row = ready[self.rng.integers(len(ready))]
            ctx.set(dut.reference_row, row)
            wanted["reference"] = self.references[row][1]
        if self.factors:
            row = list(self.factors)[self.rng.integers(len(self.factors))]
            ctx.set(dut.factor_row, row)
            wanted["factor"] = self.factors[row]
        if self.records and self._goes_on():
            ctx.set(dut.mean_record, self.record)
            ctx.set(dut.factor_record, self.record)
            wanted["record"] = self.records.popleft()
            self.record ^= 1
            self.measured -= 1
        return wanted

    def _look(self, ctx):
        """See what is made and given in this cycle."""
        dut = self.dut
        before = len(self.pending) - ctx.get(dut.task.valid)
        assert not (ctx.get(dut.empty) and before), "empty, but a row has no factor"
        given = {
            name: ctx.get(getattr(dut, name).id)
            for name in ("post_inner", "post_outer") if ctx.get(getattr(dut, name).valid)
        }  # fmt: skip
        if given:
            assert self.posts, "a semaphore is given before its row has a factor"
            assert given == posts_of(self.posts.popleft())
        made, measured = ctx.get(dut.made), ctx.get(dut.measured)
        if made or measured:
            row = self.pending.popleft()
            assert measured == row.task["drained"] and made != measured
            if row.task["record"]:
                self.records.append(row)
            else:
                self.measured -= row.task["normal"]
                self.factors[row.task["row"]] = row.factor
                self.posts += [row] * bool(posts_of(row))

    def _check(self, ctx, wanted):
        """Compare what was asked for in the cycle before."""
        dut = self.dut
        if "reference" in wanted:
            assert ctx.get(dut.reference) == wanted["reference"]
        if "factor" in wanted:
            assert plain(ctx.get(dut.factor)) == wanted["factor"]
        if "record" in wanted:
            row = wanted["record"]
            assert ctx.get(dut.mean) == row.mean
            assert plain(ctx.get(dut.record_factor)) == row.factor


def posts_of(row):
    """Return the semaphores that a row gives."""
    return {
        name: row.task[name]["id"]
        for name in ("post_inner", "post_outer") if row.task[name]["present"]
    }  # fmt: skip


def plain(factor):
    return Factor(factor.scale, factor.shift)
