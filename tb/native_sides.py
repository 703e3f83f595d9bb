"""Host and memory on the core's own ports; nobody else has a model of those."""

import random
from collections import deque

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from bus_memory import BusMemory, Refused

__all__ = ["NativeSides"]


class NativeSides:
    """A host, and a memory that pauses with probability ``pause`` on every stream."""

    def __init__(self, dut, memory: BusMemory, pause: float) -> None:
        self.dut = dut
        self.memory = memory
        self.pause = pause
        self.data_bytes = len(dut.store_data_strobe)
        for name in ("read", "write", "address", "write_data"):
            getattr(dut, f"register_{name}").value = 0
        for name in ("fetch", "load"):
            cocotb.start_soon(self._serve_reads(name))
        cocotb.start_soon(self._serve_writes())

    def _signal(self, name: str):
        return getattr(self.dut, name)

    def _goes(self) -> bool:
        return random.random() >= self.pause

    def _request(self, name: str) -> tuple[int, int] | None:
        """Return address and beats of a request that this edge takes."""
        if not (self._signal(f"{name}_request_valid").value
                and self._signal(f"{name}_request_ready").value):  # fmt: skip
            return None
        address = int(self._signal(f"{name}_request_address").value)
        beats = int(self._signal(f"{name}_request_last").value) + 1
        assert address % 4096 + beats * self.data_bytes <= 4096, "crosses 4096 bytes"
        return address, beats

    async def _serve_reads(self, name: str) -> None:
        """Answer bursts beat by beat."""
        valid, ready = (self._signal(f"{name}_data_{end}") for end in ("valid", "ready"))
        data, error, last = (self._signal(f"{name}_data_{part}")
                             for part in ("data", "error", "last"))  # fmt: skip
        accepts = self._signal(f"{name}_request_ready")
        valid.value = accepts.value = 0
        beats: deque[tuple[int, bool]] = deque()
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.rst.value:
                beats.clear()
                valid.value = accepts.value = 0
                continue
            if valid.value and ready.value:
                beats.popleft()
            if burst := self._request(name):
                address, count = burst
                beats.extend((address + index * self.data_bytes, index == count - 1)
                             for index in range(count))  # fmt: skip
            offered = valid.value and not ready.value
            if not offered:
                valid.value = bool(beats) and self._goes()
                if beats:
                    address, ends = beats[0]
                    word, refused = random.randbytes(self.data_bytes), 1
                    try:
                        word, refused = self.memory.load(address, self.data_bytes), 0
                    except Refused:
                        pass
                    data.value, error.value = int.from_bytes(word, "little"), refused
                    last.value = ends
            accepts.value = self._goes()

    async def _serve_writes(self) -> None:
        """Take bursts, write their beats, and respond."""
        dut = self.dut
        pins = dut.store_request_ready, dut.store_data_ready, dut.store_response_valid
        bursts: deque[list[int]] = deque()
        responses: deque[int] = deque()
        failed = 0
        for pin in pins:
            pin.value = 0
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value:
                bursts.clear()
                responses.clear()
                for pin in pins:
                    pin.value = 0
                continue
            if dut.store_response_valid.value:
                responses.popleft()
            if dut.store_data_valid.value and dut.store_data_ready.value:
                assert bursts, "data before their request"
                burst = bursts[0]
                word = int(dut.store_data_data.value).to_bytes(self.data_bytes, "little")
                try:
                    self.memory.store_selected(burst[0], word, int(dut.store_data_strobe.value))
                except Refused:
                    failed = 1
                burst[:] = burst[0] + self.data_bytes, burst[1] - 1
                assert bool(dut.store_data_last.value) == (burst[1] == 0)
                if not burst[1]:
                    bursts.popleft()
                    responses.append(failed)
                    failed = 0
            if request := self._request("store"):
                bursts.append(list(request))
            dut.store_request_ready.value = self._goes()
            dut.store_data_ready.value = self._goes()
            answers = bool(responses) and self._goes()
            dut.store_response_valid.value = answers
            dut.store_response_error.value = responses[0] if answers else 0

    async def read(self, offset: int) -> int:
        """Read a register."""
        await self._access("read", offset)
        return int(self.dut.register_read_data.value)

    async def write(self, offset: int, value: int) -> None:
        """Write a register."""
        self.dut.register_write_data.value = int(value)
        await self._access("write", offset)

    async def _access(self, strobe: str, offset: int) -> None:
        dut = self.dut
        pin = self._signal(f"register_{strobe}")
        dut.register_address.value = offset
        pin.value = 1
        await ReadOnly()
        assert not dut.register_error.value
        await RisingEdge(dut.clk)
        pin.value = 0
        for _ in range(1000):
            await RisingEdge(dut.clk)
            if dut.register_valid.value:
                return
        raise AssertionError(f"register {offset:#x} never answers")
