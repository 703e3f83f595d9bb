"""The check of frames."""

from amaranth.lib.crc import Processor
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC

__all__ = ["crc_processor"]


def crc_processor() -> Processor:
    """Return a CRC-32 that takes a bit per cycle, each byte's least significant first."""
    return CRC32_ISO_HDLC(data_width=1).create()
