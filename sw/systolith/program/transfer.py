"""Instructions that move data between external memory and the chip."""

from typing import Unpack

from systolith_hw.code_pages import PARAMETER_BITS
from systolith_hw.isa import LoadKind, Opcode, StoreKind
from systolith_sim.machine.transfer import load_bytes, store_bytes

from .instructions import NONE, Instructions, Patches, Semaphores, require

__all__ = ["Transfer"]


class Transfer(Instructions):
    """The methods that append LOAD and STORE."""

    def load(
        self, kind: LoadKind, *, address: int, elements: int, rows: int = 1,
        beats: int | None = None, row_stride: int | None = None, local: int = 0,
        local_stride: int = 0, ring: tuple[int, int] | None = None, lane: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append LOAD.

        By default ``beats`` are just enough for the elements, runs follow one another without a
        gap, and the ring is the whole memory.
        """
        memory = self.config.memory
        depth = {
            LoadKind.OPERAND_ROWS: memory.operand_tiles,
            LoadKind.OPERAND_COLUMNS: memory.operand_tiles,
            LoadKind.ACTIVATION: memory.activation_words,
            LoadKind.WIDE: memory.wide_words,
            LoadKind.SCALE: memory.scale_words,
            **dict.fromkeys(PARAMETER_BITS, memory.operand_tiles),
        }[kind]
        require(
            kind not in PARAMETER_BITS or self.config.bus.codecs,
            f"LOAD {kind.name} takes a core that expands codes: set bus.codecs to true",
        )
        ring_base, ring_end = ring or (0, depth)
        self._check_ring(Opcode.LOAD, ring_base, ring_end, depth)
        self._check_depth(Opcode.LOAD, "local", local, ring_end)
        self._check_depth(Opcode.LOAD, "local_stride", local_stride, ring_end - ring_base + 1)
        if kind == LoadKind.OPERAND_COLUMNS:
            self._check_depth(Opcode.LOAD, "lane", lane, self.config.array.columns)
        fields = {
            "kind": kind, "local": local, "local_stride": local_stride, "ring_base": ring_base,
            "ring_end": ring_end, "lane": lane,
            **self._runs(Opcode.LOAD, address, rows, beats, row_stride, elements,
                         load_bytes(self.config, kind, elements), patches),
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._append(Opcode.LOAD, fields, patches)

    def store(
        self, kind: StoreKind, *, address: int, elements: int, rows: int = 1,
        beats: int | None = None, row_stride: int | None = None, local: int = 0,
        local_stride: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append STORE, with the defaults of :meth:`load`."""
        if kind == StoreKind.WIDE:
            self._check_depth(Opcode.STORE, "local", local, self.config.memory.wide_words)
        fields = {
            "kind": kind, "local": local, "local_stride": local_stride,
            **self._runs(Opcode.STORE, address, rows, beats, row_stride, elements,
                         store_bytes(self.config, kind, elements), patches),
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._append(Opcode.STORE, fields, patches)

    def _runs(
        self, opcode: Opcode, address: int, rows: int, beats: int | None, row_stride: int | None,
        elements: int, size: int, patches: Patches,
    ) -> dict[str, int]:  # fmt: skip
        """Return the fields of runs in external memory."""
        port = self.config.bus.data_bytes
        name = opcode.name
        if beats is None:
            beats = -(-size // port)
        if row_stride is None:
            row_stride = beats * port
        for field, value in (("address", address), ("row_stride", row_stride)):
            require(
                value % port == 0,
                f"{name}.{field} must be a multiple of bus.data_bytes, {port}, not {value:#x}",
            )
        require(
            beats * port >= size or "beats" in patches or "elements" in patches,
            f"{name}.beats must be at least {-(-size // port)} for {elements} elements of "
            f"together {size} bytes, not {beats}",
        )
        reach = 1 << self.config.bus.address_bits
        require(
            address < reach,
            f"{name}.address must be below {reach:#x} (bus.address_bits), not {address:#x}",
        )
        return {
            "address": address, "row_stride": row_stride, "rows": rows, "beats": beats,
            "elements": elements,
        }  # fmt: skip
