"""Program images: what they keep, and what they refuse."""

import pytest

from systolith.image import Image, ImageError
from systolith.program import Program
from systolith_hw.config import ConfigError
from systolith_hw.isa import ISA_VERSION
from systolith_hw.presets import PRESETS
from systolith_sim.machine import Machine

CONFIG = PRESETS["tiny"]


def make_image() -> Image:
    program = Program(CONFIG)
    program.barrier()
    program.end()
    return Image.of(program.assemble(), CONFIG)


def test_round_trip(tmp_path):
    image = make_image()
    assert image.config_hash == CONFIG.hash
    image.save(tmp_path / "program.slt")
    assert Image.load(tmp_path / "program.slt", CONFIG) == image
    assert Image.from_bytes(image.to_bytes()) == image


def test_refuses_another_configuration():
    other = CONFIG.replace({"array.rows": 8, "array.output_depth": 20})
    with pytest.raises(ImageError, match=f"for configuration {CONFIG.hash:#010x}, but this one"):
        Image.from_bytes(make_image().to_bytes(), other)
    with pytest.raises(ConfigError, match=f"made for configuration {CONFIG.hash:#010x}"):
        Machine(other).run(make_image())
    assert Machine(CONFIG).run(make_image()).counts["INSTRUCTIONS"] == 0


def test_device_does_not_matter():
    Image.from_bytes(make_image().to_bytes(), CONFIG.replace({"device": "ecp5-85k"}))


@pytest.mark.parametrize("offset", [8, 12, 16, 20, 40, 83])
def test_every_damaged_byte_is_noticed(offset):
    raw = bytearray(make_image().to_bytes())
    raw[offset] ^= 4
    with pytest.raises(ImageError):
        Image.from_bytes(bytes(raw), CONFIG)


def test_refusals():
    raw = make_image().to_bytes()
    with pytest.raises(ImageError, match="not a Systolith program image"):
        Image.from_bytes(b"ELF" + raw)
    with pytest.raises(ImageError, match="not a Systolith program image"):
        Image.from_bytes(raw[:10])
    with pytest.raises(ImageError, match="announces 2 instructions, 64 bytes, but holds 63"):
        Image.from_bytes(raw[:-1])
    with pytest.raises(ImageError, match=f"format 9 and instruction set {ISA_VERSION}, but this"):
        Image.from_bytes(raw[:4] + b"\x09\x00" + raw[6:])
    with pytest.raises(ImageError, match="instructions of 32 bytes, not 33 bytes"):
        Image(bytes(33), 0)
    with pytest.raises(ImageError, match="not 0 bytes"):
        Image(b"", 0)
