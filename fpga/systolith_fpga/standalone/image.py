"""What flash memory holds behind the bitstream: ``struct boot_header`` of ``boot.h``, and parts."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from systolith_hw.config import Config, ConfigError

from ..firmware.job import JOB_BYTES
from ..firmware.story import Story
from .host import HostSettings

__all__ = ["HEADER_BYTES", "flash_image"]

MAGIC, FORMAT = 0x46544C53, 1
HEADER_BYTES, MOST_PARTS, JOB_AT, PARTS_AT, CHECKED = 1024, 27, 64, 576, 1020
GAP = 4096
"""Parts of main memory with fewer bytes between them are one, with zeros there."""

LINE = 64


@dataclass(frozen=True)
class _Part:
    address: int
    content: bytes


def flash_image(
    config: Config, story: Story, prompt: str, settings: HostSettings, memory_bytes: int
) -> bytes:
    """Return what is at ``settings.image_offset`` of a standalone board's flash memory.

    Parameters
    ----------
    config : Config
        Of the board's core.
    story : Story
    prompt : str
        The text in front of the one that is made.
    settings : HostSettings
    memory_bytes : int
        Of the board's main memory.

    Raises
    ------
    ConfigError
        If it has no room in flash or main memory.
    """
    said = prompt.encode()
    at, room = -(-story.memory_bytes // LINE) * LINE, memory_bytes - HEADER_BYTES
    if at + len(said) > room:
        raise ConfigError(
            f"the model takes {at + len(said):,} bytes of main memory, and a standalone board has "
            f"{room:,}; take a smaller model, or 4-bit weights, or fewer --tokens"
        )
    parts = _joined({**story.memory, at: said})
    table, places = [], HEADER_BYTES
    for part in parts:
        table += [places, part.address, len(part.content), zlib.crc32(part.content)]
        places += -(-len(part.content) // 4) * 4
    space = settings.flash.bytes - settings.image_offset
    if places > space:
        raise ConfigError(
            f"the image has {places:,} bytes, and flash memory has room for {space:,} behind the "
            "bitstream; take a smaller model, or 4-bit weights"
        )
    header = bytearray(HEADER_BYTES)
    words = [MAGIC, FORMAT, config.hash, len(parts), at, len(said)]
    job = story.job.to_bytes()
    assert len(job) <= JOB_BYTES
    for begin, content in ((0, _words(words)), (JOB_AT, job), (PARTS_AT, _words(table))):
        header[begin : begin + len(content)] = content
    header[CHECKED:] = _words([zlib.crc32(header[:CHECKED])])
    padded = (part.content.ljust(-(-len(part.content) // 4) * 4, b"\0") for part in parts)
    return bytes(header) + b"".join(padded)


def _joined(memory: Mapping[int, bytes]) -> list[_Part]:
    """Return parts in order, those near one another as one, and none without bytes."""
    parts: list[_Part] = []
    for address, content in sorted(memory.items()):
        if not content:
            continue
        if parts and 0 <= (gap := address - parts[-1].address - len(parts[-1].content)) < GAP:
            last = parts.pop()
            content, address = last.content + bytes(gap) + content, last.address
        parts.append(_Part(address, content))
    if len(parts) > MOST_PARTS:
        raise ConfigError(
            f"the image has {len(parts)} parts far from one another, and a header has room for "
            f"{MOST_PARTS}"
        )
    return parts


def _words(values: list[int]) -> bytes:
    return np.array(values, "<u4").tobytes()
