"""External memory as devices have it: timing, bus rules, errors, pauses; played pin by pin."""

import itertools
import random
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from systolith_hw.config import BusConfig, Config, ConfigError
from systolith_sim.device.device import DeviceError
from systolith_sim.device.host import CoreInputs, CoreOutputs, DramTiming, Host, Pauses

BEAT = 8
NO_REFRESH = DramTiming(refresh_period=0)


@dataclass
class Burst:
    address: int
    beats: int
    id: int = 0
    data: bytes = b""
    strobes: list[int] = field(default_factory=list)
    asked: int = -1
    times: list[int] = field(default_factory=list)  # cycle of each beat read, or of the response
    got: bytes = b""
    responses: list[int] = field(default_factory=list)

    @property
    def first(self):
        return self.times[0]


class Master:
    """A legal AXI master: asks for bursts as fast as it may, or with pauses of its own."""

    def __init__(self, *, beat=BEAT, timing=None, pauses=None, memory_bytes=1 << 20, stall=0.0):
        config = Config(bus=BusConfig(data_bytes=beat, burst_beats=16))
        self.host = Host.alone(config, timing=timing, pauses=pauses, memory_bytes=memory_bytes)
        self.beat = beat
        self.stall = stall
        self.takes_reads = True
        self.random = random.Random(1)
        self.out, self.inp = CoreOutputs(), self.host.inputs()
        for channel in ("ar", "aw"):
            setattr(self.out, f"{channel}size", beat.bit_length() - 1)
            setattr(self.out, f"{channel}burst", 1)
        self.reads: deque[Burst] = deque()
        self.writes: deque[Burst] = deque()
        self.waiting_data: deque[Burst] = deque()
        self.beats_sent = 0
        self.open_reads: dict[int, deque[Burst]] = {number: deque() for number in range(4)}
        self.open_writes: deque[Burst] = deque()
        self.finished: list[Burst] = []

    def read(self, address, beats, id=0):
        self.reads.append(Burst(address, beats, id))
        return self.reads[-1]

    def write(self, address, data, strobes=None):
        beats = len(data) // self.beat
        full = (1 << self.beat) - 1
        self.writes.append(Burst(address, beats, 0, bytes(data), strobes or [full] * beats))
        self.waiting_data.append(self.writes[-1])
        return self.writes[-1]

    def idle(self):
        return not (self.reads or self.writes or self.waiting_data or self.open_writes
                    or any(self.open_reads.values()))  # fmt: skip

    def _offers(self):
        return self.random.random() >= self.stall

    def clock(self):
        """Offer what there is, take what comes, pass one edge."""
        out, inp = self.out, self.inp
        if self.reads and (out.arvalid or self._offers()):
            out.arvalid, burst = 1, self.reads[0]
            out.araddr, out.arlen, out.arid = burst.address, burst.beats - 1, burst.id
        if self.writes and (out.awvalid or self._offers()):
            out.awvalid, burst = 1, self.writes[0]
            out.awaddr, out.awlen = burst.address, burst.beats - 1
        if self.waiting_data and (out.wvalid or self._offers()):
            burst, index = self.waiting_data[0], self.beats_sent
            out.wvalid, out.wlast = 1, index == burst.beats - 1
            raw = burst.data[index * self.beat : (index + 1) * self.beat]
            out.wdata[: self.beat] = raw
            size = (self.beat + 7) // 8
            out.wstrb[:size] = burst.strobes[index].to_bytes(size, "little")
        out.rready, out.bready = self.takes_reads and self._offers(), self._offers()
        self._take(self.host.cycle)
        after = CoreInputs()
        fired = (inp.arready and out.arvalid, inp.awready and out.awvalid,
                 inp.wready and out.wvalid)  # fmt: skip
        self.host.clock(out, after)
        if fired[0]:
            burst = self.reads.popleft()
            burst.asked, out.arvalid = self.host.cycle - 1, 0
            self.open_reads[burst.id].append(burst)
        if fired[1]:
            burst = self.writes.popleft()
            burst.asked, out.awvalid = self.host.cycle - 1, 0
            self.open_writes.append(burst)
        if fired[2]:
            out.wvalid = 0
            self.beats_sent += 1
            if self.beats_sent == self.waiting_data[0].beats:
                self.waiting_data.popleft()
                self.beats_sent = 0
        self.inp = after

    def _take(self, cycle):
        out, inp = self.out, self.inp
        if inp.rvalid and out.rready:
            burst = self.open_reads[inp.rid][0]
            burst.times.append(cycle)
            burst.got += bytes(inp.rdata)[: self.beat]
            burst.responses.append(inp.rresp)
            assert inp.rlast == (len(burst.times) == burst.beats)
            if inp.rlast:
                self.finished.append(self.open_reads[inp.rid].popleft())
        if inp.bvalid and out.bready:
            burst = self.open_writes.popleft()
            burst.times.append(cycle)
            burst.responses.append(inp.bresp)
            self.finished.append(burst)

    def finish(self, limit=100_000):
        """Clock until all is answered."""
        for _ in range(limit):
            if self.idle():
                self.host.check()
                return
            self.clock()
        raise AssertionError(f"not idle after {limit} cycles")

    def skip_to(self, cycle):
        while self.host.cycle < cycle:
            self.clock()


# -- timing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("latency", [1, 20, 60])
def test_latency(latency):
    """From acceptance to the first beat: the latency, and 8 more for a new row."""
    master = Master(timing=DramTiming(latency=latency))
    cold = master.read(0, 4)
    master.finish()
    warm = master.read(64, 4)
    master.finish()
    assert cold.first - cold.asked == latency + 8
    assert warm.first - warm.asked == latency
    assert np.all(np.diff(warm.times) == 1)


def test_latency_of_waiting_requests_overlaps():
    master = Master(timing=NO_REFRESH)
    bursts = [master.read(128 * index, 16) for index in range(8)]
    master.finish()
    times = np.concatenate([burst.times for burst in bursts])
    assert np.all(np.diff(times) == 1)


def test_row_switches():
    master = Master(timing=NO_REFRESH)
    row = 512 * BEAT
    bursts = [master.read(address, 1) for address in (0, 8, row, row + 8, 0)]
    master.finish()
    assert np.diff([burst.first for burst in bursts]).tolist() == [1, 9, 1, 9]
    assert master.host.statistics()["row_misses"] == 3


@pytest.mark.parametrize("banks, misses", [(1, 16), (2, 2), (4, 2)])
def test_banks_keep_rows_open(banks, misses):
    master = Master(timing=DramTiming(banks=banks))
    for index in range(16):
        master.read(index % 2 * 512 * BEAT + 64 * index, 8)
    master.finish()
    assert master.host.statistics()["row_misses"] == misses


def test_nothing_moves_during_refresh():
    master = Master(timing=DramTiming(row_cycles=0))
    bursts = [master.read(128 * index, 16) for index in range(200)]
    master.finish()
    cycles = np.concatenate([burst.times for burst in bursts])
    assert cycles[-1] - cycles[0] > 3000
    assert np.all(cycles % 780 < 772)
    # but for refresh, every cycle from the first beat to the last has one
    whole = np.arange(cycles[0], cycles[-1] + 1)
    np.testing.assert_array_equal(cycles, whole[whole % 780 < 772])


@pytest.mark.parametrize("write", [False, True])
def test_stream_reaches_97_percent(write):
    """One direction through all rows gets what rows and refresh leave, 97.4 % of the port."""
    timing = DramTiming()
    assert timing.reachable == pytest.approx(0.9745, abs=0.0001)
    bursts, beats = 2600, 16
    master = Master(timing=timing)
    for index in range(bursts):
        if write:
            master.write(128 * index, bytes(128))
        else:
            master.read(128 * index, beats)
    start = master.host.cycle
    master.finish()
    share = bursts * beats / (master.host.cycle - start - timing.latency)
    assert share == pytest.approx(timing.reachable, abs=0.001)


@pytest.mark.parametrize("port_bytes", [1, 2, 4, 8])
def test_narrow_port(port_bytes):
    """A beat takes one cycle for each word of the port; rows are counted in words."""
    words = BEAT // port_bytes
    timing = DramTiming(port_bytes=port_bytes, refresh_period=0)
    master = Master(timing=timing)
    burst = master.read(0, 16)
    master.finish()
    assert burst.first - burst.asked == 28 + words - 1
    assert np.all(np.diff(burst.times) == words)
    far = master.read(512 * port_bytes, 1)
    master.finish()
    assert far.first - far.asked == 28 + words - 1


def test_reads_and_writes_share_the_port_and_neither_starves():
    timing = DramTiming()
    master = Master(timing=timing)
    reads = [master.read(128 * index, 16) for index in range(600)]
    writes = [master.write((1 << 19) + 128 * index, bytes(128)) for index in range(600)]
    start = master.host.cycle
    master.finish()
    moved = 2 * 600 * 16 / (master.host.cycle - start)
    assert 0.85 < moved < timing.reachable
    # In front of a burst: a full queue of its direction (for writes also one of addresses), which
    # takes some turns, and as many turns of the other one, each with a burst, a row and a refresh.
    ahead = 2 * timing.queue * 16
    turns = -(-ahead // timing.patience) + 1
    longest = ahead + turns * (timing.patience + 16 + 2 * 8)
    assert max(burst.first - burst.asked for burst in reads + writes) < longest
    halfway = master.finished[: len(master.finished) // 2]
    assert 0.3 < sum(bool(burst.data) for burst in halfway) / len(halfway) < 0.7


def test_write_does_not_wait_for_the_latency_of_reads():
    master = Master(timing=NO_REFRESH)
    master.read(0, 1)
    write = master.write(64, bytes(BEAT))
    master.finish()
    assert write.first - write.asked < 20


def test_untaken_read_lets_writes_pass():
    master = Master(timing=NO_REFRESH)
    read = master.read(0, 256)
    master.takes_reads = False
    master.skip_to(100)
    write = master.write(2048, bytes(BEAT))
    master.skip_to(150)
    assert write.times and not read.times
    assert master.host.statistics()["read_beats"] == 16 + 1, "buffered, and offered"
    master.takes_reads = True
    master.finish()
    assert len(read.times) == 256


# -- contents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("pause", [0.0, 0.3])
@pytest.mark.parametrize("beat", [1, 2, 8, 32, 128])
def test_random_traffic_against_array(beat, pause, stall):
    rng = np.random.default_rng(beat)
    master = Master(beat=beat, pauses=Pauses(probability=pause, seed=7), stall=stall,
                    memory_bytes=1 << 16)  # fmt: skip
    expected = np.zeros(1 << 16, np.uint8)
    for _ in range(12):
        for _ in range(6):
            beats = int(rng.integers(1, 17))
            page = int(rng.integers(0, 8)) * 4096
            address = page + int(rng.integers(0, 4096 // beat - beats + 1)) * beat
            if rng.integers(2):
                raw = rng.integers(0, 256, beats * beat, dtype=np.uint8)
                mask = rng.integers(0, 2, beats * beat, dtype=np.uint8)
                strobes = [
                    int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")
                    for row in mask.reshape(beats, beat)
                ]
                master.write(address, raw.tobytes(), strobes)
                region = expected[address : address + beats * beat]
                region[mask == 1] = raw[mask == 1]
            master.finish()
        reads = [
            master.read(int(rng.integers(0, 8)) * 4096 + 16 * beat, 8, id=int(rng.integers(2)))
            for _ in range(4)
        ]
        master.finish()
        for burst in reads:
            want = expected[burst.address : burst.address + 8 * beat].tobytes()
            assert burst.got == want
    np.testing.assert_array_equal(master.host.memory, expected)


def test_pauses_are_reproducible_and_interleave_ids():
    def run(seed):
        master = Master(pauses=Pauses(probability=0.5, seed=seed))
        bursts = [master.read(128 * index, 16, id=index % 2) for index in range(20)]
        master.finish()
        return [burst.times for burst in bursts]

    times = run(3)
    assert times == run(3) != run(4)
    assert any(later[0] < sooner[-1] for sooner, later in itertools.pairwise(times))


def test_reset_forgets_what_is_under_way_but_not_contents():
    master = Master()
    master.host.memory[:8] = 7
    master.read(0, 16)
    master.skip_to(master.host.cycle + 10)
    master.host.reset(3)
    quiet, inputs = CoreOutputs(), master.host.inputs()
    assert inputs.rst == 1
    for _ in range(60):
        master.host.clock(quiet, inputs)
        assert not inputs.rvalid
    assert inputs.rst == 0
    assert master.host.memory[0] == 7
    master.host.check()


# -- refusals -------------------------------------------------------------------------------------


def test_refused_range():
    master = Master()
    master.host.memory[:256] = 1
    master.host.refuse(100, 110)
    read, write = master.read(64, 16), master.write(64, bytes(range(128)))
    fine = master.write(192, bytes(64))
    master.finish()
    slave_error = 2
    assert read.responses == [0] * 4 + [slave_error] * 2 + [0] * 10
    assert write.responses == [slave_error] and fine.responses == [0]
    assert np.all(master.host.memory[96:112] == 1)
    master.host.behave()
    again = master.read(64, 16)
    master.finish()
    assert again.responses == [0] * 16


def test_beyond_memory():
    master = Master(memory_bytes=4096 + 16)
    read, write = master.read(4096, 4), master.write(4096, bytes(32))
    master.finish()
    assert read.responses == [0, 0, 3, 3]
    assert write.responses == [3]


@pytest.mark.parametrize("reads, writes", [(True, False), (False, True)])
def test_hang(reads, writes):
    master = Master()
    master.host.hang(reads=reads, writes=writes)
    read, write = master.read(0, 1), master.write(64, bytes(8))
    master.skip_to(2000)
    assert bool(read.times) == (not reads)
    assert bool(write.times) == (not writes)
    master.host.check()


# -- rules of the bus -----------------------------------------------------------------------------


def _outputs(**values):
    out = CoreOutputs(arsize=3, awsize=3, arburst=1, awburst=1, rready=1, bready=1)
    for name, value in values.items():
        setattr(out, name, value)
    return out


def _burst(**values):
    return [_outputs(arvalid=1, **values)]


VIOLATIONS = {
    "ARBURST is 0": _burst(arburst=0),
    "ARBURST is 2": _burst(arburst=2),
    "ARSIZE is 2, but a beat has 8 bytes": _burst(arsize=2),
    "ARADDR 0x4 is not a multiple": _burst(araddr=4),
    "16 bytes from ARADDR 0xff8 crosses": _burst(araddr=0xFF8, arlen=1),
    "2048 bytes from AWADDR 0xa00 crosses": [_outputs(awvalid=1, awaddr=0xA00, awlen=255)],
    "AWBURST is 2": [_outputs(awvalid=1, awburst=2)],
    "WLAST is missing at beat 1": [_outputs(awvalid=1), _outputs(wvalid=1)],
    "WLAST is missing at beat 2": [_outputs(wvalid=1), _outputs(wvalid=1),
                                   _outputs(awvalid=1, awlen=1)],
    "WLAST came at beat 1 of a burst of 2": [_outputs(awvalid=1, awlen=1),
                                             _outputs(wvalid=1, wlast=1)],
    "register read that was not asked for": [_outputs(axil_rvalid=1)],
    "register write that was not complete": [_outputs(axil_bvalid=1)],
}  # fmt: skip


@pytest.mark.parametrize("words", VIOLATIONS)
def test_violation(words):
    master = Master()
    master.clock()
    inputs = CoreInputs()
    for outputs in VIOLATIONS[words]:
        assert master.host.violation == ""
        master.host.clock(outputs, inputs)
    assert words in master.host.violation
    with pytest.raises(DeviceError, match="broke a rule of its bus: cycle"):
        master.host.check()


CHANNELS = {"AR": "araddr", "AW": "awaddr", "W": "wdata"}


@pytest.mark.parametrize("fault", ["fell", "changed", "none"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_valid_and_payload_are_held(channel, fault):
    """Where ready is low after reset; W's payload is a whole array."""
    host = Master().host
    host.reset(1)
    inputs = CoreInputs()
    host.clock(CoreOutputs(), inputs)
    assert not (inputs.arready or inputs.awready or inputs.wready)
    before, after = _outputs(), _outputs()
    for out in (before, after):
        setattr(out, f"{channel.lower()}valid", 1)
        out.wlast = 1
    if fault == "fell":
        setattr(after, f"{channel.lower()}valid", 0)
    elif fault == "changed" and channel == "W":
        after.wdata[7] = 1
    elif fault == "changed":
        setattr(after, CHANNELS[channel], 64)
    host.clock(before, inputs)
    host.clock(after, inputs)
    expected = {"fell": f"{channel}VALID fell before {channel}READY came",
                "changed": f"the {channel} payload changed before", "none": ""}  # fmt: skip
    assert expected[fault] in host.violation
    assert bool(host.violation) == (fault != "none")


def test_bus_during_reset():
    host = Master().host
    host.reset(2)
    inputs = CoreInputs()
    host.clock(_outputs(arvalid=1), inputs)
    assert host.violation == ""
    host.clock(_outputs(arvalid=1), inputs)
    assert "during reset" in host.violation


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings, words", [
    ({"banks": 0}, "banks must be at least 1, not 0"),
    ({"latency": 0}, "latency must be at least 1, not 0"),
    ({"refresh_period": 8}, "refresh_cycles must be less than refresh_period 8, not 8"),
])  # fmt: skip
def test_timing_rejects(settings, words):
    with pytest.raises(ConfigError, match=words):
        DramTiming(**settings)


@pytest.mark.parametrize("port_bytes", [3, 16])
def test_port_bytes_rejects(port_bytes):
    with pytest.raises(ConfigError, match=f"port_bytes must be .* not {port_bytes}"):
        Master(timing=DramTiming(port_bytes=port_bytes))


def test_pauses_reject():
    with pytest.raises(ConfigError, match=r"probability must be in 0\.\.1, not 1\.5"):
        Pauses(probability=1.5)
