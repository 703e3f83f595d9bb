"""What a model on the chip made its last token of: the words behind its last norm."""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from systolith_sim.device.device import Device

from .compiler.readback import Readback
from .driver import Driver
from .language import CompiledDecoder, MachineDecoder

__all__ = ["LastWords", "Pair"]

Pair = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Mantissas (words, R) and exponents (words,)."""


class LastWords:
    """Reads the last norm's words out of activation memory, where they stay behind a run.

    Every number of every layer has its part in them, so they tell much more than the token that is
    made of them. Reading writes over the model's first weights: nothing can be computed behind it.

    Parameters
    ----------
    decoder : CompiledDecoder
        A model on the chip.

    Attributes
    ----------
    decoder : CompiledDecoder
        The same model, with the program that reads in external memory.

    Raises
    ------
    ConfigError
        If a word of this config can be wider than fixed point, or external memory is too small.
    """

    def __init__(self, decoder: CompiledDecoder) -> None:
        plan, regions = decoder.plan, decoder.layout.map
        self._readback = Readback(plan.config, plan.steps, regions)
        self._program = self._readback.program(first=0)  # as plans have it
        self._address = regions.add("readback", len(self._program)).address
        self.decoder = dataclasses.replace(
            decoder, parts=decoder.parts | self._readback.parts | {self._address: self._program}
        )

    def of_machine(self, runner: MachineDecoder) -> Pair:
        """Return those behind the machine's last run."""
        machine = runner.machine
        machine.run(self._program)
        return self._read(machine.memory.read)

    def of_device(self, device: Device) -> Pair:
        """Return those behind the device's last run."""
        config = self.decoder.plan.config
        driver = Driver(device, config)
        driver.load_program(self._address, self._program, config_hash=config.hash)
        driver.run()
        return self._read(device.read_memory)

    def _read(self, read: Callable[[int, int], bytes]) -> Pair:
        return self._readback.unpack(np.frombuffer(read(0, self._readback.output.end), np.uint8))
