"""Language models on a device, without hardware: the machine stands in for it."""

import pytest

from systolith.device_language import DeviceDecoder
from systolith.driver import DriverError
from systolith.language import CompiledDecoder
from systolith_hw.presets import preset
from systolith_hw.registers import OFFSETS, Control, Status

from .language_bench import golden_tokens, random_model
from .machine_device import CYCLES, MachineDevice

CONFIG = preset("small").replace({"vector.rows": 64})
MODEL = random_model(CONFIG, layers=1)
PROMPT = [5, 4, 3]
MADE = golden_tokens(MODEL, PROMPT, 5)


class GradualDevice(MachineDevice):
    """Shows one token more, in the list that it was given, each time it is waited for."""

    def __init__(self, decoder):
        super().__init__(CONFIG, 1 << 17)
        self.tokens = decoder.layout.list
        self.hidden = []
        self.commands = []

    @property
    def made(self):
        """What is in the list behind the prompt."""
        tokens = self.tokens
        return [tokens.token(self.read_memory(tokens.entry(entry), 4)) for entry in range(3, 8)]

    def write_register(self, offset, value):
        if offset == OFFSETS["CONTROL"]:
            self.commands.append(Control(value))
            if value in (Control.ABORT, Control.RESET):
                self.registers[OFFSETS["STATUS"]] = Status(0)
        super().write_register(offset, value)

    def wait(self, cycles):
        if self.hidden:
            self.write_memory(*self.hidden.pop(0))
        if not self.hidden:
            self.registers[OFFSETS["STATUS"]] = Status.DONE
        return not self.hidden

    def _run(self):
        region = self.tokens.address, self.tokens.size
        before = self.read_memory(*region)
        super()._run()
        after = self.read_memory(*region)
        self.write_memory(region[0], before)
        self.hidden = [
            (region[0] + place, after[place : place + 4])
            for place in range(0, region[1], 4)
            if after[place : place + 4] != before[place : place + 4]
        ]
        if self.hidden:
            self.registers[OFFSETS["STATUS"]] = Status.RUNNING


def compiled(ends=()):
    return CompiledDecoder.compile(CONFIG, MODEL, ends=ends, context=16)


def test_tokens_come_as_they_are_made():
    decoder = compiled()
    device = GradualDevice(decoder)
    runner = DeviceDecoder(decoder, device)
    for number, token in enumerate(runner.generate(PROMPT, 5)):
        assert token == MADE[number]
        assert device.made == MADE[: number + 1] + [None] * (4 - number)
    assert number == 4 and device.commands == [Control.START] * 2
    assert runner.counters["CYCLES"] == CYCLES


def test_end_of_text():
    end = MADE[2]
    decoder = compiled((end,))
    runner = DeviceDecoder(decoder, MachineDevice(CONFIG, 1 << 17))
    expected = MADE[: MADE.index(end) + 1]
    assert list(runner.generate(PROMPT, 5)) == expected
    assert runner.run(PROMPT, 5) == expected


def test_a_program_that_ends_too_soon():
    class Forgetful(GradualDevice):
        def _run(self):
            super()._run()
            self.hidden = self.hidden[:1]

    decoder = compiled()
    stream = DeviceDecoder(decoder, Forgetful(decoder)).generate(PROMPT, 5)
    assert next(stream) == MADE[0]
    with pytest.raises(DriverError, match="ended without the token of position 4"):
        next(stream)


def test_who_stops_taking_tokens_stops_the_core():
    decoder = compiled()
    device = GradualDevice(decoder)
    runner = DeviceDecoder(decoder, device)
    stream = runner.generate(PROMPT, 5)
    assert next(stream) == MADE[0]
    with pytest.raises(DriverError, match="a program is running already"):
        next(runner.generate(PROMPT, 5))
    stream.close()
    assert device.commands[-2:] == [Control.ABORT, Control.RESET]
    assert list(runner.generate(PROMPT, 5)) == MADE
