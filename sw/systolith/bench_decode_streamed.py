"""Compute a token of a streamed language model on the simulated hardware, and measure it."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from systolith_hw.code_pages import PARAMETER_BITS
from systolith_hw.config import (
    CODE_BITS,
    CODE_GROUP,
    SCALE_ENTRY_BYTES,
    WEIGHT_BITS,
    Config,
)
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import KeyValueCache

from .bench_decode import WORD, require_position
from .compiler.decoder_pages import cache_pages
from .compiler.decoder_shape import DecoderShape
from .compiler.decoder_streamed_layout import StreamedLayout
from .device_language import DeviceDecoder
from .language import CompiledDecoder, MachineDecoder
from .progress import Progress
from .token_timing import streamed_token
from .watched_device import WatchedDevice
from .workload import FREQUENCY, moved_bytes, open_device

__all__ = [
    "StreamedMeasurement", "bench_decode_streamed", "cache_bytes", "compulsory_bytes",
    "weight_bytes",
]  # fmt: skip

SHARED_EXPONENT = 1
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class StreamedMeasurement:
    """A token on the hardware, whose weights, keys and values are in external memory.

    What needs the hardware's time is None without it.

    Parameters
    ----------
    position : int
        Tokens in front of it, to all of which it attends, besides itself.
    macs : int
        Useful multiplications, of matrices, attention and logits.
    cycles_per_token : int
        From the start write to the done flag of a run that computes this position, its likeliest
        token and all. Positions before it are in external memory already.
    estimated_cycles : int
        The same by the times of the program's instructions, as ``systolith estimate`` tells them.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    bytes_per_token : int
        Compulsory bytes: each weight and scale entry once, mantissas and exponents of all keys and
        values, and the position's row of the embedding and of angles.
    bandwidth_utilization : float
        These over what the port could move in these cycles.
    moved_bytes : int
        Everything that crossed the port.
    bit_exact : bool
        Whether the token, and all layers' keys and values of the position, are the golden model's;
        the machine's are, too.
    counters : dict
        The hardware's, or the machine's.
    """

    position: int
    port_bytes: int
    macs: int
    cycles_per_token: int | None
    estimated_cycles: int
    utilization: float | None
    bytes_per_token: int
    bandwidth_utilization: float | None
    moved_bytes: int
    tokens_per_second_at_100mhz: float | None
    bit_exact: bool
    counters: dict[str, int]


class Memory(Protocol):
    """External memory of a device, or of the machine."""

    def read_memory(self, address: int, size: int) -> bytes:
        """Return some bytes."""
        ...

    def write_memory(self, address: int, content: bytes) -> None:
        """Write some bytes."""
        ...


def bench_decode_streamed(
    model: DecoderModel, config: Config, position: int, *, context: int | None = None,
    backend: str = "rtl", simulator: str = "verilator", seed: int = 0,
    progress: Progress | None = None,
) -> StreamedMeasurement:  # fmt: skip
    """Compute the token behind ``position`` random ones and another one, and measure.

    Keys and values of those in front are the golden model's, written by the host.

    Raises
    ------
    ConfigError
        If the model does not fit, or has no such position.
    """
    progress = progress or Progress()
    compiled = CompiledDecoder.compile(config, model, context=context, streamed=True)
    plan, array = compiled.plan, config.array
    require_position(plan, position)
    progress("computing the golden model")
    test = _Test(compiled, model, position, seed)
    progress("running the functional machine")
    machine = MachineDecoder(compiled)
    exact, counters = test.run(machine, _MachineMemory(machine)), machine.counters
    needed, cycles = compulsory_bytes(compiled, position), None
    if backend == "rtl":
        with open_device(config, compiled.size, simulator, progress) as device:
            progress(f"running a token in {simulator}")
            watched = WatchedDevice(device, progress, needed / config.bus.data_bytes)
            runner = DeviceDecoder(compiled, watched)
            exact = test.run(runner, watched) and exact
            counters, cycles = runner.counters, runner.counters["CYCLES"]
    macs = plan.shape.macs(position)
    return StreamedMeasurement(
        position=position, port_bytes=config.bus.data_bytes, macs=macs, cycles_per_token=cycles,
        utilization=cycles and macs / (cycles * array.rows * array.columns),
        bytes_per_token=needed, estimated_cycles=streamed_token(compiled, position).cycles,
        bandwidth_utilization=cycles and needed / (cycles * config.bus.data_bytes),
        moved_bytes=moved_bytes(config, counters),
        tokens_per_second_at_100mhz=cycles and FREQUENCY / cycles, bit_exact=exact,
        counters=dict(counters),
    )  # fmt: skip


def compulsory_bytes(compiled: CompiledDecoder, position: int) -> int:
    """Return the bytes that must come to the chip, or leave it, for one token."""
    shape = compiled.plan.shape
    cached = cache_bytes(shape, position + 1)  # the token's own is written, too
    return weight_bytes(shape) + cached + WORD * (shape.features + 2 * shape.head)


def weight_bytes(shape: DecoderShape) -> int:
    """Return those of all weights of a model, and of their scales."""
    weights = shape.layers * shape.layer_weights + shape.features * shape.vocabulary
    if shape.kind in PARAMETER_BITS:
        weights = weights * (CODE_BITS * CODE_GROUP + PARAMETER_BITS[shape.kind]) // (
            WEIGHT_BITS * CODE_GROUP
        )
    channels = shape.layers * (
        4 * shape.features + (shape.heads + 2 * shape.key_heads) * shape.head + 2 * shape.hidden
    )  # fmt: skip
    return weights + SCALE_ENTRY_BYTES * (channels + shape.features + shape.vocabulary)


def cache_bytes(shape: DecoderShape, position: int) -> int:
    """Return those of the keys and values that the token at a position sees, with its own."""
    heads = 2 * shape.layers * shape.key_heads
    return (position + 1) * heads * (shape.head + SHARED_EXPONENT)


class _Test:
    """A position whose results are known."""

    def __init__(
        self, compiled: CompiledDecoder, model: DecoderModel, position: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self.text = rng.integers(0, compiled.plan.shape.vocabulary, position + 1).tolist()
        cache = KeyValueCache(len(model.layers))
        model.advance(self.text[:-1], cache)
        self.token = int(model.advance(self.text[-1:], cache)[-1].argmax())
        assert isinstance(compiled.layout, StreamedLayout)
        pages = partial(cache_pages, compiled.layout, model.base, cache)
        self.before = dict(pages(range(position)))
        self.made = dict(pages(range(position, position + 1)))

    def run(self, runner: MachineDecoder | DeviceDecoder, memory: Memory) -> bool:
        """Compute the position; return whether all is as it must be."""
        for address, page in self.before.items():
            memory.write_memory(address, page)
        made = runner.run(self.text, 1, len(self.text) - 1)
        return made == [self.token] and all(
            memory.read_memory(address, len(page)) == page for address, page in self.made.items()
        )


class _MachineMemory:
    """The machine's memory as that of a device."""

    def __init__(self, decoder: MachineDecoder) -> None:
        self._memory = decoder.machine.memory

    def read_memory(self, address: int, size: int) -> bytes:
        """Return some bytes."""
        return bytes(self._memory.read(address, size))

    def write_memory(self, address: int, content: bytes) -> None:
        """Write some bytes."""
        self._memory.write(address, content)
