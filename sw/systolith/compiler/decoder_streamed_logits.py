"""The part of a streamed language model's program that stores logits.

All of the head comes once more, chunk by chunk. Results go to the place of the gates, as many as it
has room for, and from there to the position's row::

    array    | chunk 0                       | chunk 1
    vector       to the gates | to the gates |     ...      each when those before have been stored
    store                 to the row  | to the row
"""

from systolith_hw.isa import DrainKind, StoreKind

from .decoder_logits import LogitsRows, tiles_at_once
from .decoder_ring import RingMatrix
from .decoder_streamed_head import HeadPass
from .decoder_streamed_writer import StreamedWriter
from .layout import log2

__all__ = ["StreamedLogits"]


class StreamedLogits(HeadPass):
    """Append what stores the logits of a position.

    Parameters
    ----------
    writer : StreamedWriter
    rows : LogitsRows
    place : int
        Register that counts bytes of the list of tokens.
    list_stride : int
        What it counts for each position.
    stored : int
        Semaphore that only STORE waits for.

    Raises
    ------
    ConfigError
        If what is computed at once cannot be stored.
    """

    def __init__(
        self, writer: StreamedWriter, rows: LogitsRows, *, place: int, list_stride: int, stored: int
    ) -> None:
        super().__init__(writer, ready=writer.normed)
        self.rows = rows
        self.place = place
        self.list_stride = list_stride
        self.stored = stored
        self.tiles = tiles_at_once(self.plan)
        self.free = self.program.semaphore("logits have been stored")
        self.program.credit(self.free)

    def append(self, done: int | None) -> None:
        """Append the instructions; ``done`` has been given by the norm, which is not deferred."""
        self.begin()
        self.go_on()
        self.end()
        self.program.barrier()  # so that the ring, and the halves, are as at the beginning

    def _restart(self) -> None:
        """Find the position's row."""
        left = log2(self.rows.stride) - log2(self.list_stride)
        self.program.calc(self.counter, self.place, left=left)

    def _step(self, chunk: RingMatrix) -> int:
        """Return the bytes of a whole chunk in the row."""
        return self.rows.place(1)

    def _take(self, number: int, half: int) -> None:
        """Store the logits of a chunk."""
        plan, program, panels = self.plan, self.program, self.layout.chunks[number].panels
        for first in range(0, panels, self.tiles):
            tiles = min(self.tiles, panels - first)
            last = first + tiles == panels
            program.drain(
                DrainKind.WIDE, tiles=tiles, scale=half + plan.beats(first),
                columns_last=self._columns_last(number) if last else plan.config.array.columns,
                destination=plan.gates, wait_inner=self.free, post_inner=self.stored,
                post_outer=self.writer.drained if last else None,
            )  # fmt: skip
            place = self.rows.place(number) + plan.beats(first) * plan.config.wide_word_bytes
            program.store(
                StoreKind.WIDE, elements=plan.beats(tiles), local=plan.gates,
                address=self.rows.address + place, patches={"address": self.counter},
                wait_outer=self.stored, post_inner=self.free,
            )  # fmt: skip
