"""Encoders on a device, and in a simulator with the functional machine beside it."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith_sim.device import VerilatedDevice
from systolith_sim.device.activity import Activity
from systolith_sim.device.device import Device

from .board_time import BoardTime
from .driver import Driver
from .encoder import CompiledEncoder, EncoderResult, MachineEncoder, Sentences
from .progress import Progress
from .watched_device import WatchedDevice
from .workload import clock_mhz_of, let_fetch, open_device

__all__ = ["DeviceEncoder", "Simulated", "simulate"]


class DeviceEncoder:
    """An encoder on a device.

    Parameters
    ----------
    encoder : CompiledEncoder
    device : Device
    """

    def __init__(self, encoder: CompiledEncoder, device: Device) -> None:
        self._encoder = encoder
        self._device = device
        for address, content in encoder.parts.items():
            device.write_memory(address, content)
        config = encoder.plan.config
        self._driver = Driver(device, config)
        program = encoder.parts[encoder.program]
        self._driver.load_program(encoder.program, program, config_hash=config.hash)
        let_fetch(self._driver, device)

    def run(self, sentences: Sentences) -> EncoderResult:
        """Run some sentences of token numbers, all at once."""
        encoder, device = self._encoder, self._device
        for address, content in encoder.inputs(sentences).items():
            device.write_memory(address, content)
        counters = self._driver.run(length=sum(map(len, sentences)))
        region = encoder.layout.regions["tokens"]
        rows = device.read_memory(region.address, region.end - region.address)
        return EncoderResult(
            encoder.unpack(sentences, np.frombuffer(rows, np.uint8)), counters
        )


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What only the hardware's time says about some runs.

    Parameters
    ----------
    simulator : str
        Or the port of a board.
    bit_exact : bool
        Whether every bit of the last layer is what the machine gives.
    cycles : int
        Of all runs, from start write to done flag.
    clock_mhz, milliseconds : float
        A clock, and the time of all runs at it.
    macs : int
        Useful multiplications of all layers.
    utilization : float
        ``macs`` over what all multipliers could do in these cycles.
    simulated_per_second : float
        Cycles per second of this computer's time.
    counters : dict
        All of the hardware's counters, of all runs together.
    activity : Activity or None
        What units did, if that was asked for.
    board : BoardTime or None
        Clocks and use of memory, if it is a board.
    """

    simulator: str
    bit_exact: bool
    cycles: int
    clock_mhz: float
    milliseconds: float
    macs: int
    utilization: float
    simulated_per_second: float
    counters: dict[str, int]
    activity: Activity | None = None
    board: BoardTime | None = None


def simulate(
    encoder: CompiledEncoder, groups: Sequence[Sentences], *, simulator: str,
    clock_mhz: float | None, progress: Progress, bin_cycles: int = 0,
) -> tuple[list[EncoderResult], Simulated]:  # fmt: skip
    """Run groups of sentences in a simulator or on a board, and compare each with the machine.

    With ``bin_cycles`` what units do is counted, in bins of so many cycles.
    """
    config = encoder.plan.config
    array = config.array
    macs = sum(encoder.plan.shape.macs(len(sentence)) for group in groups for sentence in group)
    with open_device(config, encoder.size, simulator, progress, activity=bin_cycles) as device:
        total = sum(_expected_cycles(encoder, group) for group in groups)
        progress("loading the model")
        runner = DeviceEncoder(encoder, WatchedDevice(device, progress, total))
        progress(f"running {len(groups)} programs in {simulator}")
        begin = time.perf_counter()
        results = [runner.run(group) for group in groups]
        seconds = time.perf_counter() - begin
        clock = clock_mhz_of(device, clock_mhz)
        counters = sum((Counter(result.counts) for result in results), Counter[str]())
        board = BoardTime.of(device, counters)
        activity = None
        if bin_cycles and isinstance(device, VerilatedDevice):
            activity = device.activity
    progress("running the functional machine")
    machine = MachineEncoder(encoder)
    exact = [
        _equal(result, machine.run(group)) for result, group in zip(results, groups, strict=True)
    ]
    cycles = counters["CYCLES"]
    return results, Simulated(
        simulator=simulator, bit_exact=all(exact), cycles=cycles, clock_mhz=clock,
        milliseconds=cycles / clock / 1000, macs=macs,
        utilization=macs / (cycles * array.rows * array.columns),
        simulated_per_second=cycles / seconds,
        counters={name: counters[name] for name in results[0].counts}, activity=activity,
        board=board,
    )  # fmt: skip


def _equal(one: EncoderResult, other: EncoderResult) -> bool:
    return all(map(np.array_equal, one.states, other.states))


def _expected_cycles(encoder: CompiledEncoder, sentences: Sentences) -> float:
    """Return about how many cycles a run takes: all weights once, or all multiplications."""
    config, shape = encoder.plan.config, encoder.plan.shape
    loaded = shape.layers * encoder.layout.layer_bytes / config.bus.data_bytes
    macs = sum(shape.macs(len(sentence)) for sentence in sentences)
    return max(loaded, macs / (config.array.rows * config.array.columns))
