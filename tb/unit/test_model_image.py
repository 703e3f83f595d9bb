"""Images of whole models: what they keep, and what they refuse."""

import numpy as np
import pytest

from systolith.encoder import CompiledEncoder, MachineEncoder
from systolith.image import ImageError
from systolith.model_image import FORMAT_VERSION, ModelImage
from systolith_hw.isa import ISA_VERSION
from systolith_hw.presets import preset

from .encoder_bench import random_model

CONFIG = preset("ulx3s").replace({"vector.rows": 64})


@pytest.fixture(scope="module")
def encoder():
    return CompiledEncoder.compile(CONFIG, random_model(CONFIG), tokens=12, segments=2)


@pytest.fixture(scope="module")
def raw(encoder):
    return encoder.image("a model").to_bytes()


def test_round_trip(encoder, tmp_path):
    """A program from a file gives what it gave before."""
    path = tmp_path / "folder" / "image"
    encoder.image("a model").save(path)
    again = CompiledEncoder.from_image(ModelImage.load(path, CONFIG), CONFIG, "a model")
    assert again.plan == encoder.plan
    assert again.parts == encoder.parts
    places = {"program": encoder.program, "positions": encoder.plan.tokens, "size": encoder.size}
    assert ModelImage.load(path, CONFIG).places == places
    first, second = (
        MachineEncoder(item).run([[1, 2, 3], [4, 5]]).states for item in (encoder, again)
    )
    assert all(map(np.array_equal, first, second))
    assert [item.name for item in path.parent.iterdir()] == ["image"]


@pytest.mark.parametrize("offset", [9, 13, 17, 21, 40, 2000, -1])
def test_every_damaged_byte_is_noticed(raw, offset):
    damaged = bytearray(raw)
    damaged[offset] ^= 16
    with pytest.raises(ImageError):
        ModelImage.from_bytes(bytes(damaged), CONFIG)


def test_refusals(raw):
    with pytest.raises(ImageError, match="not a Systolith model image"):
        ModelImage.from_bytes(b"PK" + raw, CONFIG)
    with pytest.raises(ImageError, match="not a Systolith model image"):
        ModelImage.from_bytes(raw[:12], CONFIG)
    with pytest.raises(ImageError, match=f"announces {len(raw)} bytes, but holds {len(raw) - 1}"):
        ModelImage.from_bytes(raw[:-1], CONFIG)
    sentence = f"format 9 and instruction set {ISA_VERSION}, but .* reads format {FORMAT_VERSION}"
    with pytest.raises(ImageError, match=sentence):
        ModelImage.from_bytes(raw[:4] + b"\x09\x00" + raw[6:], CONFIG)
    damaged = raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]
    with pytest.raises(ImageError, match="damaged: its checksum does not match"):
        ModelImage.from_bytes(damaged, CONFIG)


def test_another_configuration(raw, tmp_path):
    other = preset("small").replace({"vector.rows": 64})
    path = tmp_path / "image"
    path.write_bytes(raw)
    with pytest.raises(ImageError, match=f"image: the image is for .*{CONFIG.hash:#010x}"):
        ModelImage.load(path, other)


def test_another_compiler(encoder):
    image = encoder.image("a model")
    image = ModelImage({**image.manifest, "compiler": "older"}, image.parts, image.config_hash)
    with pytest.raises(ImageError, match="another version's of this software"):
        CompiledEncoder.from_image(image, CONFIG, "a model")


def test_another_model(raw):
    image = ModelImage.from_bytes(raw, CONFIG)
    with pytest.raises(ImageError, match="the image is of a model, not of another"):
        CompiledEncoder.from_image(image, CONFIG, "another")
