"""What LOAD and STORE refuse before they start."""

from amaranth import *

from ..config import Config
from ..isa import ErrorCode

__all__ = ["transfer_error"]


def transfer_error(
    config: Config, fields, *, illegal: Value, empty: Value, outside: Value
) -> Value:
    """Return the error code of a descriptor of LOAD or STORE, or zero.

    Of several errors the first counts: ILLEGAL_INSTRUCTION, ZERO_COUNT, MISALIGNED,
    ADDRESS_RANGE.

    Parameters
    ----------
    config : Config
        Uses ``bus``.
    fields : View
        The descriptor.
    illegal : Value
        Its kind is not defined.
    empty : Value
        One of its counts besides ``beats`` is zero.
    outside : Value
        One of its on-chip addresses lies outside of its memory.
    """
    low = range((config.bus.data_bytes - 1).bit_length())
    zero = empty | (fields.beats == 0)
    misaligned = Cat((fields.address[bit], fields.row_stride[bit]) for bit in low).any()
    far = fields.address[config.bus.address_bits :].any()
    code: Value = Mux(far | outside, ErrorCode.ADDRESS_RANGE, ErrorCode.NONE)
    code = Mux(misaligned, ErrorCode.MISALIGNED, code)
    code = Mux(zero, ErrorCode.ZERO_COUNT, code)
    return Mux(illegal, ErrorCode.ILLEGAL_INSTRUCTION, code)
