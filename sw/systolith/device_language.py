"""Language models on a device."""

from collections.abc import Generator, Sequence

from systolith_hw.registers import Status
from systolith_sim.device.device import Device

from .driver import Driver, DriverError
from .language import CompiledDecoder, Logits
from .sampling import GREEDY, Sampling

__all__ = ["DeviceDecoder"]

POLL_CYCLES = 500
"""Cycles between two looks for a token."""


class DeviceDecoder:
    """A language model on a device, which computes tokens by itself once it is started.

    Parameters
    ----------
    decoder : CompiledDecoder
    device : Device
    sampling : Sampling
        How tokens are chosen.

    Attributes
    ----------
    counters : dict of int
        The hardware's, of the last text that came to its end.
    """

    def __init__(
        self, decoder: CompiledDecoder, device: Device, sampling: Sampling = GREEDY
    ) -> None:
        sampling.require(decoder.plan.config)
        self._decoder = decoder
        self._sampling = sampling
        self._device = device
        self.counters: dict[str, int] = {}
        for address, content in decoder.parts.items():
            device.write_memory(address, content)
        config = decoder.plan.config
        self._driver = Driver(device, config)
        for address in (decoder.setup, decoder.program):
            program = decoder.parts[address]
            self._driver.load_program(address, program, config_hash=config.hash)
            if address == decoder.setup:
                self._driver.run()

    def generate(self, prompt: Sequence[int], count: int) -> Generator[int, None, None]:
        """Yield ``count`` tokens behind a prompt as they come, or fewer if one ends the text.

        Whoever stops taking them stops the core.
        """
        tokens, device, driver = self._decoder.layout.list, self._device, self._driver
        device.write_memory(
            tokens.address, tokens.pack(prompt, count, sampling=self._sampling)
        )
        driver.start()
        last, ended = len(prompt) + count - 1, False
        try:
            for number in range(len(prompt), last + 1):
                while (token := self._look(number)) is None and not ended:
                    ended = driver.advance(POLL_CYCLES)
                if token is None:
                    raise DriverError(f"the program ended without the token of position {number}")
                finished = number == last or token in self._decoder.ends
                if finished:
                    while not ended:
                        ended = driver.advance(POLL_CYCLES)
                    self.counters = driver.counters()
                yield token
                if finished:
                    break
        finally:
            if driver.status & Status.RUNNING:
                driver.abort()
                driver.reset()

    def run(self, prompt: Sequence[int], count: int, first: int = 0) -> list[int]:
        """Return the tokens of one run; positions before ``first`` are on the chip already."""
        tokens = self._decoder.layout.list
        self._device.write_memory(
            tokens.address, tokens.pack(prompt, count, first, self._sampling)
        )
        self.counters = self._driver.run(position=first)
        made = map(self._look, range(len(prompt), len(prompt) + count))
        return [token for token in made if token is not None]

    def read_logits(self, count: int) -> Logits:
        """Return logits (count, V) in nats of the first positions of the last text.

        Raises
        ------
        ConfigError
            If the program stores none.
        """
        return self._decoder.unpack_logits(self._device.read_memory, count)

    def _look(self, number: int) -> int | None:
        """Return a token of the list, if it is there."""
        tokens = self._decoder.layout.list
        return tokens.token(self._device.read_memory(tokens.entry(number), 4))
