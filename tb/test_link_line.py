"""The whole host link: the driver on a pseudo-terminal, a line of bits, the verilated bridge."""

import errno
import functools
import os
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from line_faults import require_no_wrong_byte
from systolith.driver import ForeignCoreError
from systolith.link.exchange import Request
from systolith.link.serial_device import LONG_BYTES, SerialDevice, identify
from systolith.progress import Progress
from systolith_fpga.link.link_bridge import LinkBridge
from systolith_hw.link_protocol import PROTOCOL_VERSION, WAIT_BYTES, Operation
from systolith_hw.presets import preset
from systolith_hw.verilog import component_verilog
from systolith_sim.board.link_board import LinkBoard
from systolith_sim.board.pseudo_terminal import PseudoTerminal
from systolith_sim.board.serial_line import SerialSettings
from systolith_sim.device.device import DeviceError, RegisterError
from unit.link_lines import GoldenBoard
from unit.test_exchange import who

serial = pytest.importorskip("serial")

CONFIG = preset("ulx3s")
BAUD = 3_000_000
SLOW_HZ, FAST_HZ = 80_000_000, 12_000_000
"""Core clocks at which a bit has 26 2/3 cycles, as on a board, and 4, which simulates fast."""
SIZE = 1 << 24


@functools.cache
def bridge_verilog(clock_hz: int) -> str:
    bridge = LinkBridge(
        CONFIG, memory_bytes=SIZE, clock_hz=clock_hz, baud=BAUD, board="bench", gateware="0.1.0"
    )
    return component_verilog(bridge, name="bridge")


def bridge_board(clock_hz: int, **line) -> LinkBoard:
    settings = SerialSettings(bit_cycles=Fraction(clock_hz, BAUD), **line)
    return LinkBoard(CONFIG, bridge_verilog(clock_hz), SIZE, settings)


def damaged(device: SerialDevice) -> tuple[int, int]:
    """Return how many frames were no frames any more when they came, to the board and back."""
    reply = device._ask(Request(Operation.WAIT, 0, wanted=WAIT_BYTES))
    return int.from_bytes(reply.payload[2:4], "little"), device._exchange.dropped


@pytest.mark.parametrize("count, fault", [
    (16_000, 1 / 2_000),
    pytest.param(10_000_000, 1 / 10_000, marks=pytest.mark.slow),
])  # fmt: skip
def test_no_byte_is_wrong(count, fault, seed):
    """Bytes are changed, lost, doubled and swapped both ways."""
    board = bridge_board(FAST_HZ, fault=fault, seed=seed)
    require_no_wrong_byte(CONFIG, board, count, seed)
    assert board.line.faults > 2 * count * fault / 2


def test_throughput():
    """With a converter that gathers bytes for a millisecond, and one more each way."""
    millisecond = SLOW_HZ // 1000
    board = bridge_board(SLOW_HZ, delay_cycles=millisecond, packet_cycles=millisecond)
    count = 9_000
    data = np.random.default_rng(1).bytes(count)
    rates = dict.fromkeys(("write", "read"), 0.0)
    with PseudoTerminal(board) as terminal, SerialDevice(CONFIG, terminal.name) as device:
        for name in 3 * tuple(rates):  # the board's clock goes on while a busy computer does not
            if rates[name] > 0.9:
                continue
            board.line.forget_times()
            if name == "write":
                device.write_memory(0x1001, data)
            else:
                assert device.read_memory(0x1001, count) == data
            busy = board.line.busy_cycles(from_board=name == "read")
            rates[name] = max(rates[name], count * 10 * SLOW_HZ / BAUD / busy)
        assert damaged(device) == (0, 0)
    print("shares of the line's rate:", rates)
    assert min(rates.values()) > 0.9
    assert max(rates.values()) < 1


def test_rate_of_the_host_may_differ(seed):
    """The board's clock is a percent off, and the host's the other way."""
    for deviation in (Fraction(985, 1000), Fraction(1015, 1000)):
        settings = SerialSettings(bit_cycles=deviation * SLOW_HZ / BAUD)
        board = LinkBoard(CONFIG, bridge_verilog(SLOW_HZ), SIZE, settings)
        data = np.random.default_rng(seed).bytes(1500)
        with PseudoTerminal(board) as terminal, SerialDevice(CONFIG, terminal.name) as device:
            device.write_memory(0, data)
            assert device.read_memory(0, 1500) == data
            assert damaged(device) == (0, 0)


def test_waits_for_cycles_and_interrupts():
    board = bridge_board(FAST_HZ)
    with PseudoTerminal(board) as terminal, SerialDevice(CONFIG, terminal.name) as device:
        before = board.line.cycle
        assert not device.wait(200_000)
        assert 200_000 <= board.line.cycle - before
        threading.Timer(0.1, board.interrupt, [True]).start()
        assert device.wait(1 << 40)
        assert device.wait(1 << 40)
        board.interrupt(False)
        assert not device.wait(10)


@pytest.mark.parametrize("what", ["write", "read", "wait", "register"])
def test_unplugged(what):
    """A board that goes away ends every operation in time, in words."""
    board = bridge_board(FAST_HZ)
    with PseudoTerminal(board) as terminal:
        device = SerialDevice(CONFIG, terminal.name, patience=0.5)
        threading.Timer(0.1, terminal.unplug).start()
        begin = time.monotonic()
        with pytest.raises(DeviceError, match="unplugged"):
            while True:
                match what:
                    case "write":
                        device.write_memory(0, bytes(10_000_000))
                    case "read":
                        device.read_memory(0, 10_000_000)
                    case "wait":
                        device.wait(1 << 50)
                    case "register":
                        device.write_register(0, 1)
        assert time.monotonic() - begin < 3
        device.close()
        with pytest.raises(DeviceError, match="the device has been closed"):
            device.read_register(0)


# -- who is there ---------------------------------------------------------------------------------


def golden(**other):
    return PseudoTerminal(GoldenBoard(CONFIG, who(**other)))


def test_device_over_the_golden_model():
    board = GoldenBoard(CONFIG, who())
    board.golden.memory.refused = range(0x400, 0x402)
    with PseudoTerminal(board) as terminal, SerialDevice(CONFIG, terminal.name) as device:
        assert (device.memory_bytes, device.clock_hz) == (1 << 20, 80_000_000)
        with pytest.raises(DeviceError, match="memory refused to read before 0x440"):
            device.read_memory(0, 4096)
        with pytest.raises(DeviceError, match="memory refused to write before 0x402"):
            device.write_memory(0x400, bytes(2))
        with pytest.raises(RegisterError, match="the core has no register at offset 0x102"):
            device.read_register(0x102)
        with pytest.raises(ValueError, match="are not all in the device's memory"):
            device.read_memory(1 << 20, 1)
        assert device.read_memory(0x440, 0) == b""
        device.write_memory(0x1001, b"abc")
        assert device.read_memory(0x1000, 5) == b"\0abc\0"


def test_long_transfers_are_told():
    told = []

    class Told(Progress):
        def reached(self, done, total):
            told.append((done, total))

    with golden() as terminal:
        with SerialDevice(CONFIG, terminal.name, progress=Told()) as device:
            device.write_memory(0, bytes(1000))
            assert not told
            data = np.random.default_rng(2).bytes(LONG_BYTES + 100)
            device.write_memory(5, data)
            assert len(told) > 100 and told == sorted(told) and told[-1] == (len(data), len(data))
            told.clear()
            assert device.read_memory(5, len(data)) == data
            assert told == sorted(told) and told[-1] == (len(data), len(data))


def test_other_versions():
    with golden(protocol=2) as terminal:
        with pytest.raises(DeviceError, match=f"speaks version 2 .* version {PROTOCOL_VERSION}: b"):
            SerialDevice(CONFIG, terminal.name)
    with golden(isa=1) as terminal:
        with pytest.raises(ForeignCoreError, match="golden at .* has instruction set 1, this soft"):
            SerialDevice(CONFIG, terminal.name)
    small = preset("small").hash
    with golden(config_hash=small) as terminal:
        says = rf"configuration {small:08x} \(--preset small\), not from .*\(--preset ulx3s\): use"
        with pytest.raises(ForeignCoreError, match=says):
            SerialDevice(CONFIG, terminal.name)
        assert identify(terminal.name).config_hash == small  # it was given back


def test_somebody_else():
    """What answers in other words, or not at all, is no board; asking ends in time."""
    ours, theirs = os.openpty()
    begin = time.monotonic()
    with pytest.raises(DeviceError, match="no Systolith board answers at .* 3,000,000 or 1,000,00"):
        identify(os.ttyname(theirs))
    assert time.monotonic() - begin < 5
    with pytest.raises(DeviceError, match="at 9,600 baud: flash"):
        identify(os.ttyname(theirs), baud=9600)
    os.close(ours)
    os.close(theirs)


def test_ports_that_cannot_be_used(tmp_path, monkeypatch):
    with pytest.raises(DeviceError, match="there is no serial port /dev/ttyNone; `systolith devic"):
        identify("/dev/ttyNone")
    with pytest.raises(DeviceError, match="/dev/null is no serial port"):
        identify("/dev/null")
    with golden() as terminal, SerialDevice(CONFIG, terminal.name):
        with pytest.raises(DeviceError, match="is used by another program; close that first"):
            identify(terminal.name)

    def refuse(*_, **__):
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial, "Serial", refuse)
    (tmp_path / "tty").touch()
    with pytest.raises(DeviceError, match="no permission to use .*: it belongs to the group root; "
                       "join that .sudo usermod -aG root .USER. and log in again, or add a udev"):
        identify(str(tmp_path / "tty"))
