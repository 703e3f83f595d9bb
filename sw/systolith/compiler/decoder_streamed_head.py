"""The part of a streamed language model's program that finds the likeliest tokens.

The head's panels come in chunks, whose scale entries take turns in two halves. All chunks between
the first two and the last ones are a loop over pairs, no deeper in other loops than the layers are.
"""

from systolith_hw.isa import DrainKind, LoadKind

from .decoder_ring import RingMatrix
from .decoder_streamed_writer import StreamedWriter
from .token_list import Header

__all__ = ["StreamedHead"]


class StreamedHead:
    """Append the head: BEST, or CANDIDATES where there are any.

    Parameters
    ----------
    writer : StreamedWriter
    drained : int
        Semaphore, for LOAD: a half for entries is free; two counts of it have been given.
    chosen : int or None
        Semaphore: the likeliest token is in wide memory. None: there are candidates for SAMPLE.
    """

    def __init__(self, writer: StreamedWriter, *, drained: int, chosen: int | None) -> None:
        self.writer = writer
        self.layout = writer.layout
        self.plan = writer.plan
        self.program = writer.program
        self.drained = drained
        self.chosen = chosen
        # Registers that are found anew for each position.
        self.channel, self.scratch = writer.words, writer.key_tiles
        self.candidates = 0 if chosen is not None else writer.value_tiles
        chunks = self.layout.chunks
        whole = sum(chunk.panels == chunks[0].panels for chunk in chunks)
        self.pairs = max(0, whole - 2) // 2

    def begin(self) -> None:
        """Append the first two chunks, which wait for the words of the last norm."""
        self._clear()
        if self.candidates:
            self.program.read(
                self.candidates, immediate=self.layout.list.header(Header.CANDIDATES)
            )
        for number in range(min(2, len(self.layout.chunks))):
            self._chunk(number)

    def go_on(self, flag: int) -> None:
        """Append all pairs behind them, if the register ``flag`` is one and not zero."""
        if not self.pairs:
            return
        writer, program, chunk = self.writer, self.program, self.layout.chunks[0]
        program.calc(self.scratch, immediate=self.pairs)
        program.calc(writer.tile, flag, left=15)  # more than there are pairs, or zero
        program.minimum(self.scratch, self.scratch, writer.tile)
        with program.loop(
            count_register=self.scratch, counter=writer.layer,
            step=2 * self.layout.chunk_bytes(chunk),
        ):  # fmt: skip
            self._chunk(2)
            self._chunk(3)
            channels = 2 * chunk.panels * self.plan.config.array.columns
            program.calc(self.channel, self.channel, immediate=channels)

    def end(self) -> None:
        """Append the chunks behind all pairs."""
        self._clear()
        for number in range(2 + 2 * self.pairs, len(self.layout.chunks)):
            self._chunk(number)

    def _clear(self) -> None:
        """Say that addresses and channels are those of the program."""
        self.program.calc(self.writer.layer)
        self.program.calc(self.channel)

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
        kept = {"token_stride": self.candidates} if self.candidates else {}
        program.drain(
            DrainKind.CANDIDATES if kept else DrainKind.BEST, tiles=chunk.panels,
            scale=half, destination=plan.best,
            columns_last=plan.vocabulary_last if last else plan.config.array.columns,
            accumulate=number > 0, entries=_panels(before) * plan.config.array.columns,
            patches={"entries": self.channel, **kept}, post_outer=self.drained,
            post_inner=self.chosen if last else None,
        )  # fmt: skip


def _panels(chunks: tuple[RingMatrix, ...]) -> int:
    """Return the panels of some chunks."""
    return sum(chunk.panels for chunk in chunks)
