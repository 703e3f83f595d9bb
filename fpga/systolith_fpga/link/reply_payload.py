"""The payload of a reply."""

from typing import Any

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith_hw.link_protocol import IDENTITY_BYTES, Identity

__all__ = ["ReplyPayload"]


class ReplyPayload(wiring.Component):
    """Collect bytes, or take the identity, which stands in the same memory; then give them.

    Parameters
    ----------
    identity : Identity
        What there is to give, and with ``payload_bytes`` how much is collected at most.

    Members
    -------
    rewind : In(1)
        Begin at the first byte.
    identify : In(1)
        Give the identity, until ``collect``.
    collect : In(1)
        Give what has been collected.
    i : In(stream of 8 bits, always ready)
    o : Out(stream of 8 bits)
        Always valid: whoever takes it knows how many bytes there are, and leaves 3 cycles free
        behind ``rewind`` and behind each byte.
    """

    rewind: Signal
    identify: Signal
    collect: Signal
    i: Any
    o: Any

    def __init__(self, identity: Identity) -> None:
        size = identity.payload_bytes
        if size < IDENTITY_BYTES or size & (size - 1):
            raise ValueError(
                f"payload_bytes must be a power of two from {IDENTITY_BYTES}, not {size}"
            )
        self.size, self.contents = size, [*bytes(size), *identity.pack()]
        super().__init__({
            "rewind": In(1), "identify": In(1), "collect": In(1),
            "i": In(stream.Signature(8, always_ready=True)),
            "o": Out(stream.Signature(8, always_valid=True)),
        })  # fmt: skip

    def elaborate(self, platform) -> Module:
        m = Module()
        held: Any
        m.submodules.memory = held = memory.Memory(
            shape=8, depth=2 * self.size, init=self.contents, attrs={"ram_style": "block"}
        )
        write, read = held.write_port(), held.read_port(transparent_for=[])
        place, identity = Signal(range(self.size)), Signal()
        came, taken, byte = Signal(), Signal(), Signal(8)
        following = Signal(len(place))
        m.d.comb += [
            following.eq(place + (came | taken)),
            write.addr.eq(place), write.data.eq(byte), write.en.eq(came),
            read.addr.eq(Cat(place, identity)),
        ]  # fmt: skip
        m.d.sync += [
            # What tells of a byte comes late, and block RAM alone takes half a cycle.
            came.eq(self.i.valid), byte.eq(self.i.payload), taken.eq(self.o.ready),
            self.o.payload.eq(read.data),
            place.eq(Mux(self.rewind, 0, following)),
            identity.eq(self.identify | identity & ~self.collect),
        ]  # fmt: skip
        return m
