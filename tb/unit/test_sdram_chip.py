"""The model of an SDRAM chip: what it stores, when data come, and that every rule is checked."""

import dataclasses
import math

import numpy as np
import pytest

from systolith_fpga.memory.sdram_chips import SDRAM_CHIPS, SdramTiming, sdram_chip
from systolith_hw.config import ConfigError
from systolith_sim.board.sdram_chip import SdramChip, SdramPins, chip_settings
from systolith_sim.device.device import DeviceError

HZ = 133e6
RECORD = sdram_chip("IS42S16160G-7")
T = SdramTiming(RECORD, HZ, power_up_us=0.1)
CODES = {"NOP": 7, "ACT": 3, "READ": 5, "WRITE": 4, "PRE": 2, "REF": 1, "MODE": 0, "STOP": 6}
ALL = 1 << 10


class Player:
    """Gives a chip commands, in the cycles in which they are due."""

    def __init__(self, round_trip: float = 3.5, **changes: float) -> None:
        settings = chip_settings(RECORD, HZ, round_trip_ns=round_trip, power_up_us=0.1)
        for name, value in changes.items():
            setattr(settings, name, value)
        self.chip = SdramChip(settings)
        self.seen: list[int] = []

    def do(
        self, name: str, cycles: int = 1, *, bank: int = 0, address: int = 0, **pins: int
    ) -> None:
        """Give a command, and then NOPs, so that ``cycles`` pass until the next."""
        code = CODES[name]
        drives = int(name == "WRITE")
        pins = {"cke": 1, "drives": drives, **pins}
        self.seen.append(self.chip.clock(SdramPins(
            ras_n=code >> 2, cas_n=code >> 1 & 1, we_n=code & 1, bank=bank, address=address, **pins
        )))  # fmt: skip
        for _ in range(cycles - 1):
            self.seen.append(self.chip.clock(SdramPins(cke=1, ras_n=1, cas_n=1, we_n=1)))

    def start(self, refreshes: int = 2) -> None:
        self.do("NOP", T.power_up)
        self.do("PRE", T.rp, address=ALL)
        for _ in range(refreshes):
            self.do("REF", T.rfc)
        self.do("MODE", T.mrd, address=RECORD.cas << 4)


@pytest.fixture
def player() -> Player:
    player = Player()
    player.start()
    return player


def test_stores_bytes(player):
    """Masks, banks and rows; the byte array has them where addresses say."""
    player.do("ACT", T.rcd, bank=2, address=5)
    player.do("WRITE", bank=2, address=7, data=0x1234)
    player.do("WRITE", bank=2, address=8, data=0x5678, mask=1)
    player.do("WRITE", T.wr, bank=2, address=9, data=0x9ABC, mask=2)
    place = ((5 * 4 + 2) * 512 + 7) * 2
    assert player.chip.memory[place : place + 6].tolist() == [0x34, 0x12, 0, 0x56, 0xBC, 0]
    player.chip.memory[place] = 0x99
    player.do("READ", RECORD.cas + 2, bank=2, address=7)
    player.do("PRE", T.rp, bank=2)
    player.chip.check()
    assert 0x1299 in player.seen
    assert player.chip.statistics()["writes"] == 3


@pytest.mark.parametrize("round_trip", [2.5, 3.5, 4.5])
@pytest.mark.parametrize("mhz", [100, 120, 133, 143])
def test_data_come_when_they_are_captured(mhz, round_trip):
    """The edge that :class:`SdramTiming` finds has the data, for all of the round trip."""
    timing = SdramTiming(RECORD, mhz * 1e6)
    chip = SdramChip(chip_settings(RECORD, timing.hz, round_trip_ns=round_trip, power_up_us=0))
    chip.memory[:4] = [1, 2, 3, 4]
    script = {0: ("PRE", ALL)}
    script |= {20 * (1 + index): ("REF", 0) for index in range(2)}
    script |= {60: ("MODE", RECORD.cas << 4), 80: ("ACT", 0), 100: ("READ", 0), 101: ("READ", 1)}
    seen = []
    for cycle in range(120):
        name, address = script.get(cycle, ("NOP", 0))
        code = CODES[name]
        seen.append(chip.clock(SdramPins(
            cke=1, ras_n=code >> 2, cas_n=code >> 1 & 1, we_n=code & 1, address=address
        )))  # fmt: skip
    chip.check()
    # Call k is the controller's time k + 1/2, and its next edge is k + 1: the pins of a READ that
    # changed at 100 are seen by call 100, and edge 100 + n by call 99 + n.
    at = 99 + timing.capture
    assert seen[at : at + 2] == [0x0201, 0x0403]


# Each line breaks one rule; all times before it are kept.
def too_soon(name: str) -> int:
    """Return the most cycles that are less than a time of the chip."""
    return math.ceil(getattr(RECORD, name) / T.period_ns) - 1


BROKEN: dict[str, list[tuple]] = {
    "tRCD": [("ACT", too_soon("rcd")), ("READ", 1)],
    "tRP": [("ACT", 10), ("PRE", too_soon("rp")), ("ACT", 1)],
    "tRAS": [("ACT", too_soon("ras")), ("PRE", 1)],
    "tRC": [("ACT", too_soon("rc") - T.rp), ("PRE", T.rp), ("ACT", 1)],
    "tRRD": [("ACT", too_soon("rrd")), ("ACT", 1, {"bank": 1})],
    "tWR": [("ACT", 9), ("WRITE", too_soon("wr")), ("PRE", 1)],
    "tRFC": [("REF", too_soon("rfc")), ("ACT", 1)],
    "tMRD": [("MODE", 1, {"address": 3 << 4}), ("ACT", 1)],
    "REFRESH with an open bank": [("ACT", 10), ("REF", 1)],
    "MODE with an open bank": [("ACT", 10), ("MODE", 1, {"address": 3 << 4})],
    "CAS latency of 2": [("MODE", 1, {"address": 2 << 4})],
    "not bursts of one word": [("MODE", 1, {"address": 3 << 4 | 1})],
    "ACTIVATE of bank 0, which is open": [("ACT", 10), ("ACT", 1)],
    "READ of bank 1, which is closed": [("ACT", 10), ("READ", 1, {"bank": 1})],
    "WRITE of bank 0, which is closed": [("WRITE", 1)],
    "column 512": [("ACT", 10), ("READ", 1, {"address": 512})],
    "auto precharge": [("ACT", 10), ("READ", 1, {"address": ALL})],
    "BURST STOP": [("STOP", 1)],
    "CKE is low": [("NOP", 1, {"cke": 0})],
    "nobody drives": [("ACT", 10), ("WRITE", 1, {"drives": 0})],
    "drives the data while": [("ACT", 10), ("READ", RECORD.cas), ("WRITE", 1)],
    "drives the data while the chip does": [("ACT", 10), ("READ", RECORD.cas + 1), ("WRITE", 1)],
    "more than 9 are due": [("NOP", 9 * T.refresh_interval + 100)],
}  # fmt: skip


def give(player: Player, script: list[tuple]) -> None:
    for name, cycles, *more in script:
        player.do(name, cycles, **(more[0] if more else {}))


@pytest.mark.parametrize("rule", BROKEN)
def test_rules(player, rule):
    player.chip.check()
    give(player, BROKEN[rule][:-1])
    player.chip.check()  # only the last command is wrong
    give(player, BROKEN[rule][-1:])
    with pytest.raises(DeviceError, match=rule.replace("(", r"\(")):
        player.chip.check()


@pytest.mark.parametrize("rule", [rule for rule in BROKEN if rule.startswith("t")])
def test_times_to_the_cycle(rule):
    """A cycle later, each of the times is kept."""
    player = Player()
    player.start()
    script = list(BROKEN[rule])
    at = 0 if rule == "tRC" else -2
    name, cycles, *more = script[at]
    script[at] = (name, cycles + 1, *more)
    give(player, script)
    player.chip.check()


def test_initialisation():
    """Before its time, without PRECHARGE ALL, or with too few refreshes."""
    early = Player()
    early.do("PRE", address=ALL)
    few = Player()
    few.start(refreshes=1)
    none = Player()
    none.do("NOP", T.power_up)
    none.do("REF", T.rfc)
    no_mode = Player()
    no_mode.do("NOP", T.power_up)
    no_mode.do("PRE", T.rp, address=ALL)
    no_mode.do("ACT")
    for player, words in (
        (early, "after power-up"), (few, "after 1 refreshes"), (none, "REFRESH before the first"),
        (no_mode, "ACTIVATE before the chip is initialised"),
    ):  # fmt: skip
        with pytest.raises(DeviceError, match=words):
            player.chip.check()


def test_row_open_too_long():
    player = Player(refresh=1e9)
    player.start()
    player.do("ACT", math.ceil(RECORD.ras_max / T.period_ns) + 2)
    with pytest.raises(DeviceError, match="stays open for more than 100000 ns"):
        player.chip.check()


def test_read_mask_has_a_latency_of_two(player):
    """DQM at the edge of a READ holds back its data with a CAS latency of 2, not of 3."""
    player.chip.memory[:2] = [0xAA, 0xBB]
    player.do("ACT", 10)
    player.do("READ", mask=3)
    player.do("NOP", mask=0, cycles=8)
    assert 0xBBAA in player.seen
    player.seen.clear()
    player.do("READ")
    player.do("NOP", mask=3)
    player.do("NOP", cycles=8)
    assert 0xBBAA not in player.seen
    player.chip.check()


def test_first_violation_stays(player):
    player.do("WRITE")
    first = player.chip.violation
    player.do("STOP")
    assert player.chip.violation == first
    assert first.startswith(f"cycle {player.chip.cycle - 2}: ")


@pytest.mark.parametrize("name", SDRAM_CHIPS)
def test_cycles_are_never_short(name):
    """Every time in cycles lasts as long as the datasheet says, and one cycle less does not."""
    chip = sdram_chip(name)
    for mhz in np.linspace(100, 143, 25):
        timing = SdramTiming(chip, mhz * 1e6)
        for time in ("rcd", "rp", "rfc", "rrd", "wr"):
            cycles, least = getattr(timing, time), getattr(chip, time)
            assert (cycles - 1) * timing.period_ns < least <= cycles * timing.period_ns + 1e-6
        assert (timing.ras + timing.rp) * timing.period_ns >= chip.rc - 1e-6
        assert timing.refresh_interval * timing.period_ns <= chip.refresh_ns


@pytest.mark.parametrize("hz, words", [
    (166e6, "166.0 MHz, but IS42S16160G-7 runs with up to 143 MHz"),
    (-1.0, "up to 143 MHz"),
    (1e5, "more than a quarter"),
    (66e6, "no clock edge finds the data"),
])  # fmt: skip
def test_clocks_that_cannot_be(hz, words):
    with pytest.raises(ConfigError, match=words):
        SdramTiming(RECORD, hz)


def test_unknown_chip():
    with pytest.raises(ConfigError, match="no SDRAM chip MT48; known are IS42S16160G-7"):
        sdram_chip("MT48")


def test_slow_clocks_need_a_short_way():
    """What a round trip of nothing allows, a long one does not."""
    assert SdramTiming(RECORD, 66e6, round_trip_ns=(0, 0)).capture == 3
    assert dataclasses.replace(SdramTiming(RECORD, HZ), round_trip_ns=(3, 4)).capture == 4
