"""Run a person's language model: logits of texts, and text that the core makes by itself."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import ConfigError
from systolith_sim.device.device import Device

from .device_language import DeviceDecoder
from .language import CompiledDecoder, Logits, MachineDecoder
from .language_program import LanguageProgram
from .link.ports import is_port
from .progress import Progress
from .workload import open_device

__all__ = ["LanguageEngine"]


class LanguageEngine:
    """A language model on the functional machine or a simulated core.

    Parameters
    ----------
    program : LanguageProgram
    simulator : str
        "verilator" or "icarus", or the port of a board; empty for the machine.
    progress : Progress

    Attributes
    ----------
    counts : Counter
        Of all runs, without those that bring the model to the chip.
    runs : int
    opened : list of Device
        Cores in use.
    """

    def __init__(self, program: LanguageProgram, simulator: str, progress: Progress) -> None:
        self._program = program
        self._simulator = simulator
        self._progress = progress
        self.opened: list[Device] = []
        self._runners: dict[int, MachineDecoder | DeviceDecoder] = {}
        self.counts: Counter[str] = Counter()
        self.runs = 0

    def close(self) -> None:
        """Close simulated cores; they are opened again when needed."""
        for device in self.opened:
            device.close()
        self.opened, self._runners = [], {}

    def logits(self, texts: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return logits (batch, S, V) in nats behind each token of texts (batch, S), one by one.

        Raises
        ------
        ConfigError
            If they are too long, or empty, or have a token that is none.
        """
        if not texts.size:
            raise ConfigError(f"there is no token in texts of the shape {list(texts.shape)}")
        return np.stack([self._logits(text.tolist()) for text in texts]).astype(np.float32)

    def generate(self, prompt: Sequence[int], count: int) -> list[int]:
        """Return ``count`` tokens behind a prompt, which the core makes in one run.

        Raises
        ------
        ConfigError
            If there is no room for so many, or the prompt has a token that is none.
        """
        if not isinstance(count, int):
            raise ConfigError(f"the tokens to generate must be a whole number, not {count}")
        return self._run(self._program.text, prompt, count)

    def _logits(self, text: Sequence[int]) -> Logits:
        self._run(self._program.logits, text, 1)
        return self._runner(self._program.logits).read_logits(len(text))

    def _run(self, decoder: CompiledDecoder, prompt: Sequence[int], count: int) -> list[int]:
        decoder.layout.list.pack(prompt, count)  # refuses before a core is opened
        runner = self._runner(decoder)
        made = runner.run(prompt, count)
        self.counts.update(runner.counters)
        self.runs += 1
        return made

    def _runner(self, decoder: CompiledDecoder) -> MachineDecoder | DeviceDecoder:
        """Return what runs one of the programs, which is opened the first time."""
        key = id(decoder)
        if key not in self._runners:
            if self._simulator:
                if is_port(self._simulator):  # there is one board, with one memory
                    self.close()
                config = decoder.plan.config
                device = open_device(config, decoder.size, self._simulator, self._progress)
                self.opened.append(device)
                self._runners[key] = DeviceDecoder(decoder, device)
            else:
                self._runners[key] = MachineDecoder(decoder)
        return self._runners[key]
