"""What is behind a bus in the benches of the whole core: bytes, some of which refuse accesses."""

__all__ = ["BusMemory", "Refused"]


class Refused(Exception):
    """An access to bytes that refuse it."""


class BusMemory:
    """Bytes from address zero on; those of ``refused`` answer with errors, and do not change."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)
        self.refused = range(0)

    def load(self, address: int, count: int) -> bytes:
        """Return what a beat reads."""
        self._check(address, count)
        return bytes(self.bytes[address : address + count])

    def store(self, address: int, data: bytes) -> None:
        """Write neighbouring bytes of a beat."""
        self._check(address, len(data))
        self.bytes[address : address + len(data)] = data

    def store_selected(self, address: int, data: bytes, select: int) -> None:
        """Write the bytes of a beat that ``select`` has a bit for."""
        self._check(address, len(data))
        for index, byte in enumerate(data):
            if select >> index & 1:
                self.bytes[address + index] = byte

    def _check(self, address: int, count: int) -> None:
        if address + count > len(self.bytes) or address in self.refused:
            raise Refused(f"{address:#x}")
