"""The check of frames."""

from amaranth import *
from amaranth.lib.crc import Processor
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC

__all__ = ["add_crc"]


def add_crc(m: Module, restart: Signal) -> Processor:
    """Return a CRC-32 that takes a bit per cycle, each byte's least significant first.

    It begins anew in the cycle behind ``restart``, as a reset: that takes no logic, where the
    processor's own ``start`` may come along with data and takes a third of its size.
    """
    processor = CRC32_ISO_HDLC(data_width=1).create()
    m.submodules.crc = ResetInserter(restart)(processor)
    return processor
