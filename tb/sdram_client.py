"""A client of the SDRAM controller, with a golden memory that it compares reads with."""

import random
from collections import deque
from dataclasses import dataclass

import numpy as np
from cocotb.triggers import RisingEdge

from systolith_fpga.memory.sdram_admission import LEVEL_DELAY

__all__ = ["Burst", "SdramClient", "random_bursts"]


@dataclass(frozen=True)
class Burst:
    """A request: byte ``address``, ``beats``, and the beats and strobes of a write."""

    address: int
    beats: int
    data: tuple[int, ...] = ()
    strobes: tuple[int, ...] = ()

    @property
    def write(self) -> bool:
        return bool(self.data)


def random_bursts(count: int, size: int, width: int, *, longest: int = 40, writes: float = 0.5,
                  spread: int = 1 << 13) -> list[Burst]:  # fmt: skip
    """Return bursts near a few places of a memory of ``size`` bytes, so that they meet."""
    homes = [random.randrange(size // spread) * spread for _ in range(3)]
    bursts = []
    for _ in range(count):
        beats = random.choice([1, 2, 3, random.randint(1, longest)])
        address = random.choice(homes) + random.randrange(spread // width) * width
        page = 4096 - address % 4096
        beats = min(beats, page // width)
        if random.random() < writes:
            data = tuple(random.getrandbits(8 * width) for _ in range(beats))
            full = random.random() < 0.5
            strobes = tuple((1 << width) - 1 if full else random.getrandbits(width)
                            for _ in range(beats))  # fmt: skip
            bursts.append(Burst(address, beats, data, strobes))
        else:
            bursts.append(Burst(address, beats))
    return bursts


class SdramClient:
    """Send ``bursts`` to ``dut.port``; check what comes back against ``golden``.

    ``golden`` starts as what the chip holds, and is changed as the bursts say.

    Parameters
    ----------
    dut : handle
        An ``SdramController``.
    golden : array of uint8
        The memory.
    width : int
        Bytes of a beat.
    capacity : int
        Of its queues.
    pause : float
        Probability, in each cycle, that a stream pauses.
    """

    def __init__(self, dut, golden: np.ndarray, width: int, capacity: int, pause: float) -> None:
        self.dut, self.golden, self.width = dut, golden, width
        self.capacity, self.pause = capacity, pause
        self.cycle = 0
        self.latencies: list[int] = []

    def _goes(self) -> bool:
        return not self.pause or random.random() >= self.pause

    def _expect(self, burst: Burst) -> list[tuple[int, bool]]:
        """Do a burst in the golden memory; return its beats, if it is a read."""
        width, golden = self.width, self.golden
        beats = []
        for index in range(burst.beats):
            at = burst.address + index * width
            if burst.write:
                for byte in range(width):
                    if burst.strobes[index] >> byte & 1:
                        golden[at + byte] = burst.data[index] >> 8 * byte & 0xFF
            else:
                word = int.from_bytes(golden[at : at + width].tobytes(), "little")
                beats.append((word, index == burst.beats - 1))
        return beats

    async def run(self, bursts: list[Burst], limit: int) -> int:
        """Do all bursts; return the cycles from the first request to the last beat."""
        dut, width = self.dut, self.width
        queue = deque(bursts)
        expected: deque[tuple[int, bool]] = deque()
        ready: deque[int] = deque()  # beats to write, as payloads
        later: deque[int] = deque()  # those that are not there yet
        kept = 0  # beats read that the client has not taken
        pops, pushes = deque([0] * LEVEL_DELAY), deque([0] * LEVEL_DELAY)
        asked: deque[int] = deque()
        begin = self.cycle
        offered = False
        dut.port__request__valid.value = 0
        dut.port__write__valid.value = 0
        while queue or expected or ready or later or kept:
            if self.cycle - begin > limit:
                raise TimeoutError(f"{len(queue)} bursts and {len(expected)} beats are left")
            if not offered and queue and self._goes():
                offered = True
                burst = queue[0]
                dut.port__request__payload.value = (
                    burst.address | (burst.beats - 1) << self._address_bits
                    | int(burst.write) << self._address_bits + 8
                )
                dut.port__request__valid.value = 1
            if later and len(ready) < self.capacity and self._goes():
                ready.append(later.popleft())
            dut.port__write__valid.value = bool(ready)
            if ready:
                dut.port__write__payload.value = ready[0]
            if kept and self._goes():
                kept -= 1
            # The controller may learn of what it took and gave as late as this.
            dut.write_level.value = min(len(ready) + sum(pops), self.capacity)
            dut.read_room.value = self.capacity - kept + sum(pushes)
            await RisingEdge(dut.clk)
            self.cycle += 1
            popped, pushed = 0, 0
            if offered and dut.port__request__ready.value:
                offered = False
                burst = queue.popleft()
                beats = self._expect(burst)
                expected.extend(beats)
                if beats:
                    asked.extend([self.cycle] + [0] * (len(beats) - 1))
                later.extend(d | s << 8 * width
                             for d, s in zip(burst.data, burst.strobes, strict=True))  # fmt: skip
                dut.port__request__valid.value = 0
            if dut.port__write__ready.value:
                assert ready, "a beat to write is taken that is not there"
                ready.popleft()
                popped = 1
            if dut.port__read__valid.value:
                payload = int(dut.port__read__payload.value)
                got = payload & (1 << 8 * width) - 1, bool(payload >> 8 * width)
                assert expected, "a beat that nobody asked for"
                want = expected.popleft()
                assert got == want, f"cycle {self.cycle}: read {got}, not {want}"
                if since := asked.popleft():
                    self.latencies.append(self.cycle - since)
                kept += 1
                pushed = 1
                assert kept <= self.capacity, "more beats than there is room for"
            pops.append(popped)
            pops.popleft()
            pushes.append(pushed)
            pushes.popleft()
        return self.cycle - begin

    @property
    def _address_bits(self) -> int:
        return (len(self.golden) - 1).bit_length()
