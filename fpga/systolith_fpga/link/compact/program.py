"""What the compact endpoint does, as a program: take a frame, do what that asks for, reply."""

from systolith_hw.link_protocol import REGISTER_BYTES

from .instructions import Program
from .layout import IDENTITY_PLACE, KEPT, PAYLOAD_BYTES
from .operations import access, choose, move, wait
from .receiving import receive
from .replying import reply

__all__ = ["IDENTITY_PLACE", "PAYLOAD_BYTES", "link_program"]


def link_program(memory_bytes: int) -> list[int]:
    """Return the words of the program.

    Parameters
    ----------
    memory_bytes : int
        A multiple of 256 up to 32768.
    """
    p = Program(KEPT + REGISTER_BYTES)
    p.load(0)
    p.store("kept operation", "dropped", "dropped high")
    receive(p)
    choose(p)
    move(p, memory_bytes // 256)
    access(p)
    wait(p)
    reply(p)
    return p.words()
