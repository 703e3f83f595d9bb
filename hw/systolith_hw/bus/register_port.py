"""What lies between a bus adapter and the control registers."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterPort"]


class RegisterPort(wiring.Signature):
    """Access to 32-bit registers, one at a time, seen from the bus adapter.

    Members
    -------
    address : Out(12)
        Byte address. Steady from the cycle of ``read`` or ``write`` until the access is over.
    error : In(1)
        No register has this address; combinational from ``address``.
    write : Out(1)
        Strobe that writes ``write_data``.
    write_data : Out(32)
    read : Out(1)
        Strobe that asks for a value.
    valid : In(1)
        Strobe, one cycle later or more: what was asked for is done, and after a ``read``,
        ``read_data`` holds the value until the next access.
    read_data : In(32)
    """

    def __init__(self) -> None:
        super().__init__({
            "address": Out(12),
            "error": In(1),
            "write": Out(1),
            "write_data": Out(32),
            "read": Out(1),
            "valid": In(1),
            "read_data": In(32),
        })
