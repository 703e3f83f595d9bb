"""The part of a streamed language model's program that finds the likeliest tokens.

The head's panels come in chunks, whose scale entries take turns in two halves. All chunks between
the first two and the last ones are a loop over pairs, no deeper in other loops than the layers are.
"""

from systolith_hw.isa import DrainKind, LoadKind

from .decoder_ring import RingMatrix
from .decoder_streamed_writer import StreamedWriter
from .token_list import Header

__all__ = ["HeadPass", "StreamedHead"]


class HeadPass:
    """Append the LOADs and MATMULs of all chunks of the head, and whatever takes their results.

    Parameters
    ----------
    writer : StreamedWriter
    ready : int or None
        Semaphore, for the array: the words of the last norm are there. None: they are already.
    """

    def __init__(self, writer: StreamedWriter, *, ready: int | None) -> None:
        self.writer = writer
        self.layout = writer.layout
        self.plan = writer.plan
        self.program = writer.program
        self.ready = ready
        self.counter, self.scratch, self.third = writer.spare
        chunks = self.layout.chunks
        whole = sum(chunk.panels == chunks[0].panels for chunk in chunks)
        self.pairs = max(0, whole - 2) // 2

    def begin(self) -> None:
        """Append the first two chunks."""
        self._clear()
        for number in range(min(2, len(self.layout.chunks))):
            self._chunk(number)

    def go_on(self, flag: int | None = None) -> None:
        """Append all pairs behind them; with ``flag`` only if that register is one, and not zero.
        """
        if not self.pairs:
            return
        writer, program, chunk = self.writer, self.program, self.layout.chunks[0]
        program.calc(self.scratch, immediate=self.pairs)
        if flag is not None:
            program.calc(writer.tile, flag, left=15)  # more than there are pairs, or zero
            program.minimum(self.scratch, self.scratch, writer.tile)
        with program.loop(
            count_register=self.scratch, counter=writer.layer,
            step=2 * self.layout.chunk_bytes(chunk),
        ):  # fmt: skip
            self._chunk(2)
            self._chunk(3)
            program.calc(self.counter, self.counter, immediate=2 * self._step(chunk))

    def end(self) -> None:
        """Append the chunks behind all pairs."""
        self._clear()
        for number in range(2 + 2 * self.pairs, len(self.layout.chunks)):
            self._chunk(number)

    def _clear(self) -> None:
        """Say that chunks are where the program has them."""
        self.program.calc(self.writer.layer)
        self._restart()

    def _restart(self) -> None:
        """Set the register ``counter`` for chunks that are where the program has them."""
        raise NotImplementedError

    def _step(self, chunk: RingMatrix) -> int:
        """Return what ``counter`` counts for each chunk."""
        raise NotImplementedError

    def _take(self, number: int, half: int) -> None:
        """Take the results of a chunk, whose scale entries begin at ``half``; the last instruction
        posts ``drained``."""
        raise NotImplementedError

    def _chunk(self, number: int) -> None:
        """Multiply by a chunk, or by those that follow it by what registers say."""
        layout, plan, writer = self.layout, self.plan, self.writer
        chunk = layout.chunks[number]
        address = layout.address("head") + sum(map(layout.chunk_bytes, layout.chunks[:number]))
        half = plan.head_tables[number % 2]
        self.program.load(
            LoadKind.SCALE, address=address, elements=plan.beats(chunk.panels), local=half,
            patches={"address": writer.layer}, wait_outer=writer.drained,
        )  # fmt: skip
        writer.load(chunk, address + layout.chunk_tables(chunk), writer.layer)
        writer.multiply_by(chunk, 0, None if number else self.ready)
        self._take(number, half)

    def _columns_last(self, number: int) -> int:
        """Return the valid columns of a chunk's last tile."""
        last = number + 1 == len(self.layout.chunks)
        return self.plan.vocabulary_last if last else self.plan.config.array.columns


class StreamedHead(HeadPass):
    """Append the head: BEST, or CANDIDATES where there are any.

    Parameters
    ----------
    writer : StreamedWriter
    ready : int or None
        As for :class:`HeadPass`.
    chosen : int or None
        Semaphore: the likeliest token is in wide memory. None: there are candidates for SAMPLE.
    """

    def __init__(
        self, writer: StreamedWriter, *, ready: int | None, chosen: int | None
    ) -> None:
        super().__init__(writer, ready=ready)
        self.chosen = chosen
        self.candidates = 0 if chosen is not None else self.third

    def begin(self) -> None:
        """Append the first two chunks."""
        if self.candidates:
            self.program.read(
                self.candidates, immediate=self.layout.list.header(Header.CANDIDATES)
            )
        super().begin()

    def _restart(self) -> None:
        self.program.calc(self.counter)

    def _step(self, chunk: RingMatrix) -> int:
        """Return its channels."""
        return chunk.panels * self.plan.config.array.columns

    def _take(self, number: int, half: int) -> None:
        """Compare the channels of a chunk."""
        chunks = self.layout.chunks
        kept = {"token_stride": self.candidates} if self.candidates else {}
        self.program.drain(
            DrainKind.CANDIDATES if kept else DrainKind.BEST, tiles=chunks[number].panels,
            scale=half, destination=self.plan.best, columns_last=self._columns_last(number),
            accumulate=number > 0, entries=sum(map(self._step, chunks[:number])),
            patches={"entries": self.counter, **kept}, post_outer=self.writer.drained,
            post_inner=self.chosen if number + 1 == len(chunks) else None,
        )  # fmt: skip
