"""The driver of the host link against the bridge's golden model."""

import random
import time

import numpy as np
import pytest

from systolith.link.exchange import Exchange, Request
from systolith.link.frames import Decoder, encode
from systolith_hw.link_protocol import (
    END,
    ESCAPE,
    HEADER,
    IDENTITY_BYTES,
    PROTOCOL_VERSION,
    REPLY,
    Identity,
    Operation,
    Status,
)
from systolith_hw.presets import preset
from systolith_sim.device.device import DeviceError

from .link_bench import request
from .link_lines import GoldenLine

CONFIG = preset("ulx3s")
BAUD = 3_000_000


def who(**other) -> Identity:
    values = {
        "protocol": PROTOCOL_VERSION, "payload_bytes": 512, "isa": 7, "config_hash": CONFIG.hash,
        "memory_bytes": 1 << 20, "clock_hz": 80_000_000, "baud": BAUD, "board": "golden",
        "gateware": "0.0",
    }  # fmt: skip
    return Identity(**{**values, **other})  # type: ignore[arg-type]


def exchange(line, patience=2.0):
    return Exchange(line, "line", BAUD, patience)


def writes(data, start=0, size=512):
    return [Request(Operation.WRITE, start + at, data[at : at + size])
            for at in range(0, len(data), size)]  # fmt: skip


def reads(count, start=0, size=512):
    return [Request(Operation.READ, start + at, wanted=min(size, count - at))
            for at in range(0, count, size)]  # fmt: skip


def read_back(asking, count):
    data = bytearray(count)
    for index, reply in asking.run(reads(count)):
        assert reply.status == Status.OK
        data[512 * index : 512 * index + len(reply.payload)] = reply.payload
    return bytes(data)


def test_traffic_is_what_went_over_the_line(seed):
    line = GoldenLine(CONFIG, who(), seed=seed)
    asking = exchange(line)
    list(asking.run(writes(bytes(700))))
    asking.ask(Request(Operation.READ, 0, wanted=8))
    frame = HEADER.size + 4 + 2
    assert asking.traffic == (3 * frame + 700, 3 * frame + 8, 2)


# -- frames ---------------------------------------------------------------------------------------


def test_frames_are_those_of_the_golden_model(seed):
    rng = random.Random(seed)
    line = GoldenLine(CONFIG, who(), seed=seed)
    line.memory.bytes[:] = bytes(rng.choice([END, ESCAPE, 0, 1]) for _ in range(1 << 20))
    for _ in range(200):
        payload = bytes(rng.choice([END, ESCAPE, 0xDC, 0xDD, 7]) for _ in range(rng.randint(1, 9)))
        address = rng.randrange((1 << 20) - 9)
        asked = encode(5, Operation.WRITE, address, len(payload), payload)
        assert asked == bytes([END]) + request(Operation.WRITE, address, payload, sequence=5)
        assert line.bridge.receive(asked)
        (reply,) = Decoder().feed(
            line.bridge.receive(encode(6, Operation.READ, address, len(payload), b""))
        )
        assert reply == (6, Operation.READ, Status.OK, address + len(payload), payload)


def test_decoder_survives_anything(seed):
    rng = random.Random(seed)
    decoder, count = Decoder(), 0
    body = request(REPLY | Operation.WRITE, 3, sequence=9)
    for _ in range(300):
        noise = rng.randbytes(rng.randint(0, 60))
        for reply in [*decoder.feed(noise), *decoder.feed(bytes([END]))]:
            raise AssertionError(reply)
        cut = rng.randint(0, len(body))
        count += len([*decoder.feed(body[:cut]), *decoder.feed(body[cut:])])
    assert count == 300
    assert decoder.dropped > 100
    for kind in (Operation.WRITE, REPLY | 7 << 4):  # no reply, and none with such a status
        assert not list(decoder.feed(request(kind)))
    assert not list(decoder.feed(request(REPLY, length=1)))


def test_identity():
    identity = who()
    assert len(identity.pack()) == IDENTITY_BYTES
    assert Identity.unpack(identity.pack()) == identity
    assert Identity.unpack(bytes(64)) is None
    assert Identity.unpack(identity.pack()[:-1]) is None
    with pytest.raises(ValueError, match="board must be up to 16 letters of ASCII, not 'ü'"):
        who(board="ü").pack()


# -- exchange -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault, late", [(0.0, 0.0), (0.0, 0.3), (0.0005, 0.0), (0.002, 0.2)])
def test_no_byte_is_wrong(fault, late, seed):
    data = np.random.default_rng(seed).bytes(60_000)
    line = GoldenLine(CONFIG, who(), fault=fault, late=late, seed=seed)
    asking = exchange(line)
    assert all(reply.status == Status.OK for _, reply in asking.run(writes(data)))
    assert bytes(line.memory.bytes[: len(data)]) == data
    assert read_back(asking, len(data)) == data
    assert bool(line.faults) == bool(fault)
    assert bool(asking.repeated) >= bool(fault)
    assert asking.repeated <= 3 * line.faults + (1000 if late else 0)


def test_registers_are_accessed_once(seed):
    """However many of the frames are spoilt, and with frames for memory between."""
    line = GoldenLine(CONFIG, who(), fault=0.01, seed=seed)
    asking = exchange(line)
    want: list[tuple[int, int | None]] = []
    rng = random.Random(seed)
    for value in range(120):
        offset = 4 * rng.randrange(64)
        if value % 2:
            asking.ask(Request(Operation.WRITE_REGISTER, offset, value.to_bytes(4, "little")))
            want.append((offset, value))
        else:
            reply = asking.ask(Request(Operation.READ_REGISTER, offset, wanted=4))
            held = dict(item for item in want if item[1] is not None).get(offset, 0)
            assert int.from_bytes(reply.payload, "little") == held
            want.append((offset, None))
        if value % 50 == 0:
            list(asking.run(reads(600, size=16)))
    assert line.registers.log == want
    assert asking.repeated > 20


def test_errors_come_back():
    line = GoldenLine(CONFIG, who())
    line.memory.refused = range(0x400, 0x440)
    asking = exchange(line)
    ask = asking.ask
    reply = ask(Request(Operation.READ, 0x3F0, wanted=64))
    assert (reply.status, reply.address, reply.payload) == (Status.MEMORY, 0x430, b"")
    reply = ask(Request(Operation.WRITE, (1 << 20) - 2, bytes(4)))
    assert (reply.status, reply.address) == (Status.BAD_ADDRESS, 1 << 20)
    assert ask(Request(Operation.READ, 0, wanted=513)).status == Status.BAD_LENGTH
    assert ask(Request(Operation.READ_REGISTER, 2, wanted=4)).status == Status.REGISTER


def test_a_late_answer_is_none_to_another_request():
    """What was asked for twice is answered twice; the second answer comes between others."""
    line = GoldenLine(CONFIG, who())
    asking = exchange(line)
    line.memory.bytes[:8] = b"old memo"
    asking.ask(Request(Operation.READ, 0, wanted=8))
    late = encode(1, Operation.READ, 0, 4, b"")  # ends at address 4, with 4 bytes
    for _ in range(300):  # past all sequences
        line.write(late)
        assert asking.ask(Request(Operation.READ, 8, wanted=4)).payload == bytes(4)
        line.write(late)
        assert asking.ask(Request(Operation.READ_REGISTER, 4, wanted=4)).payload == bytes(4)


@pytest.mark.parametrize("patience", [0.3, 0.6])
def test_silence_ends(patience):
    """A board that was there and is not any more is given up in time, also in the middle."""
    line = GoldenLine(CONFIG, who(), late=0.0)
    asking = exchange(line, patience)
    begin = time.monotonic()
    with pytest.raises(DeviceError, match="board at line has not answered for 0.* s: it is unplu"):
        for index, _ in asking.run(writes(bytes(100_000))):
            if index == 40:
                line.mute = True
                begin = time.monotonic()
    assert patience <= time.monotonic() - begin < patience + 0.5


def test_noise_is_no_answer(seed):
    """A device that says much, and nothing of this protocol."""

    class Noise:
        rng = random.Random(seed)

        def write(self, data):
            pass

        def read(self, seconds):
            time.sleep(0.001)
            return self.rng.randbytes(200) + bytes([END])

    begin = time.monotonic()
    with pytest.raises(DeviceError, match="has not answered"):
        Exchange(Noise(), "line", BAUD, 0.3).ask(Request(Operation.IDENTIFY, 7, wanted=64))
    assert time.monotonic() - begin < 1


def test_an_echo_is_no_answer():
    """A modem that sends everything back: requests are no replies."""

    class Echo:
        said = b""

        def write(self, data):
            self.said += data

        def read(self, seconds):
            said, self.said = self.said, b""
            time.sleep(0.001)
            return said

    with pytest.raises(DeviceError, match="has not answered"):
        Exchange(Echo(), "line", BAUD, 0.3).ask(Request(Operation.WAIT, 0, wanted=4))
    assert HEADER.size == 8
