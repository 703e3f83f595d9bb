"""The part of a streamed language model's program that finds the likeliest token.

The head's panels come in chunks, whose scale entries take turns in two halves. All chunks between
the first two and the last ones are a loop over pairs.
"""

from systolith_hw.isa import DrainKind, LoadKind

from .decoder_ring import RingMatrix
from .decoder_streamed_writer import StreamedWriter

__all__ = ["StreamedHead"]


class StreamedHead:
    """Append the head, whose result is a wide word.

    Parameters
    ----------
    writer : StreamedWriter
    drained : int
        Semaphore, for LOAD: a half for entries is free; two counts of it have been given.
    chosen : int
        Semaphore: the result is there.
    channel : int
        Register that may be used: first channel of a pair of chunks.
    """

    def __init__(self, writer: StreamedWriter, drained: int, chosen: int, channel: int) -> None:
        self.writer = writer
        self.layout = writer.layout
        self.plan = writer.plan
        self.program = writer.program
        self.drained = drained
        self.chosen = chosen
        self.channel = channel

    def append(self) -> None:
        """Append the instructions; the first chunk waits for the words of the last norm."""
        writer, chunks = self.writer, self.layout.chunks
        whole = sum(chunk.panels == chunks[0].panels for chunk in chunks)
        pairs = max(0, whole - 2) // 2
        self.program.calc(writer.layer)
        self.program.calc(self.channel)
        for number in range(min(2, len(chunks))):
            self._chunk(number)
        if pairs:
            columns = self.plan.config.array.columns
            with self.program.loop(
                pairs, counter=writer.layer, step=2 * self.layout.chunk_bytes(chunks[0])
            ):
                self._chunk(2)
                self._chunk(3)
                self.program.calc(
                    self.channel, self.channel, immediate=2 * chunks[0].panels * columns
                )
            self.program.calc(writer.layer)
            self.program.calc(self.channel)
        for number in range(2 + 2 * pairs, len(chunks)):
            self._chunk(number)

    def _chunk(self, number: int) -> None:
        """Compare the channels of a chunk, or of those that follow it by what registers say."""
        layout, plan, writer, program = self.layout, self.plan, self.writer, self.program
        chunk, last = layout.chunks[number], number + 1 == len(layout.chunks)
        before = layout.chunks[:number]
        address = layout.address("head") + sum(map(layout.chunk_bytes, before))
        half = plan.head_tables[number % 2]
        program.load(
            LoadKind.SCALE, address=address, elements=plan.beats(chunk.panels), local=half,
            patches={"address": writer.layer}, wait_outer=self.drained,
        )  # fmt: skip
        writer.load(chunk, address + layout.chunk_tables(chunk), writer.layer)
        writer.multiply_by(chunk, 0, None if number else writer.normed)
        program.drain(
            DrainKind.BEST, tiles=chunk.panels, scale=half, destination=plan.best,
            columns_last=plan.vocabulary_last if last else plan.config.array.columns,
            accumulate=number > 0, entries=_panels(before) * plan.config.array.columns,
            patches={"entries": self.channel}, post_outer=self.drained,
            post_inner=self.chosen if last else None,
        )  # fmt: skip


def _panels(chunks: tuple[RingMatrix, ...]) -> int:
    """Return the panels of some chunks."""
    return sum(chunk.panels for chunk in chunks)
