"""A bench around SharedUnit: the functional machine says what it is to do."""

import itertools
import random
from collections import Counter, deque
from typing import Any

import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from row_ledger import Ledger
from row_machine import UNITS, Part
from scale_parts import scale_parts
from shared_unit_models import Port, Results, Source, WideModel, split
from streams import pack, unpack
from systolith_hw.config import WEIGHT_BITS, Config
from systolith_hw.interfaces import activation_word, lane_write, scale_write, word_write
from systolith_hw.isa import Unit
from systolith_hw.vector.block_writer import EARLY
from systolith_sim.machine.memory import ChipMemory

__all__ = ["Bench"]

RESET_CYCLES = 4
PREFIX = {Unit.VECTOR: "", Unit.ROW: "row__"}
INPUTS = (
    "halt", "row__halt", "wait__ready", "row__wait__ready", "stream__ready", "arrived",
    "wide_read__data", "instruction__valid", "row__instruction__valid", "results__valid",
    "scale_writes__valid",
)  # fmt: skip
COUNTS = ("VECTOR_BUSY", "ROW_BUSY", "SATURATIONS", "FLUSHES")


class Bench:
    """The unit between models of everything around it, each of which pauses at random.

    Parameters
    ----------
    dut : handle
        SharedUnit.
    config : Config
        What it was made from.
    chip : ChipMemory
        What memories hold at first, and what scale memory is filled with.
    pause : float
        Probability with which whoever could go on in a cycle does not.
    spare : range
        Scale words that nobody reads before the last part: they are written beside the work.
    """

    def __init__(
        self, dut: Any, config: Config, chip: ChipMemory, *, pause: float, spare: range
    ) -> None:
        self.dut, self.config, self.pause = dut, config, pause
        self.cycle = 0
        self.counts: Counter[str] = Counter()
        self.operand = chip.operand.copy()
        self.mantissas, self.exponents = chip.mantissas.copy(), chip.exponents.copy()
        self.streamed: list[tuple[list[int], int]] = []
        self.semaphores: Counter[int] = Counter()
        self.ledger = Ledger()
        self._posts: deque[tuple[int, Unit, str, int]] = deque()  # from when on they count
        self.results = Results(dut, config, pause)
        self.wide = WideModel(dut, config, chip.wide.copy())
        self.queues: dict[Unit, deque[int]] = {unit: deque() for unit in UNITS}
        self._sources = [
            Source(dut, f"{PREFIX[unit]}instruction", self.queues[unit], pause) for unit in UNITS
        ]
        words = range(config.memory.scale_words)
        self._spare_writes = itertools.cycle(
            [write for word in spare for write in self._scale_writes(chip, word)]
        )
        self._scale_queue = deque(
            write for word in words if word not in spare for write in self._scale_writes(chip, word)
        )
        self._sources.append(Source(dut, "scale_writes", self._scale_queue, pause))
        self._outputs = {
            "words": (Port(dut, "words"), word_write(config)),
            "lanes": (Port(dut, "lanes"), lane_write(config)),
            "stream": (Port(dut, "stream"), activation_word(config)),
        }

    def _scale_writes(self, chip: ChipMemory, word: int) -> list[int]:
        """Return the payloads that fill a word of scale memory."""
        entries = [
            {"scale": int(scale), "shift": int(shift), "bias": int(bias)}
            for scale, shift, bias in zip(
                chip.scale[word], chip.shift[word], chip.bias[word], strict=True
            )
        ]  # fmt: skip
        writes: list[Any] = [
            scale_write(self.config).const(part) for part in scale_parts(self.config, word, entries)
        ]
        return [write.as_value().value for write in writes]

    async def reset(self) -> None:
        """Reset the unit, and fill scale memory, but for its spare words."""
        for name in INPUTS:
            self._port(name).value = 0
        for level in (1, 0):
            self._port("rst").value = level
            for _ in range(RESET_CYCLES):
                await self._edge()
        while self._scale_queue:
            await self._step()

    async def run(self, part: Part, limit: int) -> None:
        """Run a part until both units are idle, at most ``limit`` cycles, and compare it all."""
        lanes, bits = self.config.vector.lanes, self.config.array.accumulator_bits
        for results in part.results:
            beats = results.reshape(-1, lanes).tolist()
            self.results.beats += [pack(beat, bits) for beat in beats]
        self.ledger.begin(part)
        for unit in UNITS:
            self.queues[unit] += part.instructions[unit]
        end, busy = self.cycle + limit, True
        while busy:
            busy = any(self.queues.values())  # one that is taken now is at work from the next on
            busy |= bool(self._posts)
            busy |= await self._step()
            assert self.cycle < end, f"not idle after {limit} cycles"
        self.ledger.end()
        assert not self.results.left, "sums are left"
        assert self.streamed == part.streamed
        self.streamed.clear()
        np.testing.assert_array_equal(self.wide.words, part.chip.wide)
        for name in ("mantissas", "exponents", "operand"):
            np.testing.assert_array_equal(getattr(self, name), getattr(part.chip, name), name)
        for name in COUNTS:
            assert self.counts[name] == part.counts[name], name

    async def _step(self) -> bool:
        """Go on by a cycle; return whether a unit is at work in it."""
        if not self._scale_queue:
            self._scale_queue.append(next(self._spare_writes))
        for source in self._sources:
            source.offer()
        self.results.offer(self.cycle)
        self.wide.offer(self.cycle)
        self._port("stream__ready").value = self._goes_on()
        await Timer(1, "ns")
        for unit in UNITS:
            self._grant(unit)
        await Timer(1, "ns")
        self._look()
        busy = not (self._is("idle") and self._is("row__idle"))
        await self._edge()
        self.cycle += 1
        return busy

    async def _edge(self) -> None:
        for level in (1, 0):
            self._port("clk").value = level
            await Timer(1, "ns")

    def _grant(self, unit: Unit) -> None:
        """Give a unit the semaphore that it waits for, if there is a count."""
        name = f"{PREFIX[unit]}wait"
        number = self._get(f"{name}__id")
        granted = self._is(f"{name}__valid") and self.semaphores[number] > 0 and self._goes_on()
        self._port(f"{name}__ready").value = granted
        self.semaphores[number] -= granted

    def _look(self) -> None:
        """See what happens in this cycle: what is taken, written, given and counted."""
        for source in self._sources:
            source.look()
        self.results.look(self.cycle)
        address = self.wide.look(self.cycle)
        if address is not None:
            self.ledger.write("wide", address)
        for name, write in (
            ("words", self._write_word), ("lanes", self._write_lanes), ("stream", self._stream)
        ):  # fmt: skip
            port, layout = self._outputs[name]
            if port.moves:
                write(split(layout, int(port.payload.value)))
        for unit in UNITS:
            self._look_at(unit)
        # Nobody outside has a semaphore sooner.
        while self._posts and self._posts[0][0] == self.cycle:
            _, unit, name, number = self._posts.popleft()
            self.ledger.post(unit, name, number)
            self.semaphores[number] += 1
        self.counts["SATURATIONS"] += self._get("saturations")
        self.counts["FLUSHES"] += self._get("flushes")

    def _look_at(self, unit: Unit) -> None:
        """See what one of the units tells."""
        prefix = PREFIX[unit]
        assert not self._is(f"{prefix}fault__valid"), f"{unit.name} has a fault"
        self.counts[f"{unit.name}_BUSY"] += self._get(f"{prefix}events") & 1
        for name in ("inner", "outer"):
            if self._is(f"{prefix}post_{name}__valid"):
                number = self._get(f"{prefix}post_{name}__id")
                self._posts.append((self.cycle + EARLY, unit, name, number))

    def _write_word(self, write: dict[str, int]) -> None:
        mantissas, exponent = self._word(split(activation_word(self.config), write["word"]))
        address, lane = write["address"], write["lane"]
        if write["operand"]:
            self.ledger.write("operand", address)
            self.operand[address, :, lane] = mantissas.astype(np.int8)  # the low bits
            return
        self.ledger.write("activation", address)
        self.mantissas[address], self.exponents[address] = mantissas, exponent

    def _write_lanes(self, write: dict[str, int]) -> None:
        lanes = self.config.vector.lanes
        first = write["part"] * lanes
        values = unpack(write["data"], WEIGHT_BITS, lanes)
        self.ledger.write("operand", write["tile"])
        self.operand[write["tile"], write["row"], first : first + lanes] = values

    def _stream(self, word: dict[str, int]) -> None:
        mantissas, exponent = self._word(word)
        self.streamed.append((mantissas.tolist(), exponent))

    def _word(self, word: dict[str, int]) -> tuple[NDArray[np.int64], int]:
        array = self.config.array
        return unpack(word["mantissas"], array.mantissa_bits, array.rows), word["exponent"]

    def _goes_on(self) -> bool:
        return random.random() >= self.pause

    def _port(self, name: str) -> Any:
        return getattr(self.dut, name)

    def _get(self, name: str) -> int:
        return int(self._port(name).value)

    def _is(self, name: str) -> bool:
        return bool(self._get(name))
