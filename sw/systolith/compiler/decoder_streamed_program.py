"""The programs of a language model that is streamed: as in :mod:`.decoder_program`, but that one
brings only an identity matrix to the chip, and the other one all weights for each token."""

from collections.abc import Sequence

from systolith_hw.config import ConfigError
from systolith_hw.isa import LoadKind
from systolith_sim.transformer.decoder_model import DecoderModel

from ..program import Program
from .decoder_program import TokenProgram
from .decoder_streamed_attention import StreamedAttention
from .decoder_streamed_head import StreamedHead
from .decoder_streamed_hidden import StreamedHidden
from .decoder_streamed_layout import StreamedLayout
from .decoder_streamed_writer import StreamedWriter

__all__ = ["write_streamed", "write_streamed_setup"]


def write_streamed_setup(layout: StreamedLayout) -> bytes:
    """Return the program that brings an identity matrix to the chip, and entries of one."""
    plan, program = layout.plan, Program(layout.config)
    array = layout.config.array
    program.load(
        LoadKind.OPERAND_ROWS, address=layout.address("identity"), local=plan.identity,
        elements=plan.config.tiles_per_group * array.rows // layout.config.write_rows,
    )  # fmt: skip
    program.load(
        LoadKind.SCALE, address=layout.address("units"), local=plan.units,
        elements=plan.beats(plan.page_tiles),
    )  # fmt: skip
    program.end()
    return program.assemble()


def write_streamed(layout: StreamedLayout, model: DecoderModel, ends: Sequence[int]) -> bytes:
    """Return the program that computes tokens; behind one of ``ends`` it computes no more.

    Raises
    ------
    ConfigError
        If it takes more registers or instructions of a loop than there are.
    """
    try:
        return StreamedProgram(layout, model, ends).assemble()
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"this language model cannot be programmed: {error}") from error


class StreamedProgram(TokenProgram):
    """The program that computes tokens.

    Parameters
    ----------
    layout : StreamedLayout
    model : DecoderModel
    ends : sequence of int
    """

    layout: StreamedLayout

    def __init__(self, layout: StreamedLayout, model: DecoderModel, ends: Sequence[int]) -> None:
        super().__init__(layout, model, ends)
        self.drained = self.program.semaphore("half of the head's entries are done with")
        self.program.credit(self.writer.free, layout.plan.slots)
        self.program.credit(self.drained, len(layout.plan.head_tables))

    def _new_writer(self) -> StreamedWriter:
        return StreamedWriter(self.layout)

    def _layers(self) -> None:
        """Go through the layers."""
        writer, layer = self.writer, self.model.layers[0]
        with self.program.loop(
            self.plan.shape.layers, counter=writer.layer, step=self.layout.layer_bytes
        ):
            self._load_tables(0)
            self._load_matrix("projection")
            StreamedAttention(writer, layer).append(self._load_behind_heads)
            StreamedHidden(writer, layer).append()
        self.program.load(
            LoadKind.SCALE, address=self.layout.address("last norm"),
            local=self.layout.plan.last_norm, elements=self.plan.beats(self.plan.tiles),
            post_outer=writer.tabled,
        )  # fmt: skip

    def _load_tables(self, part: int) -> None:
        """Load a part of the layer's scale entries, a norm's among them."""
        layout, writer = self.layout, self.writer
        first, words, place = layout.table_parts[part]
        self.program.load(
            LoadKind.SCALE, address=layout.address("layers") + place, local=first, elements=words,
            patches={"address": writer.layer}, post_outer=writer.tabled,
        )  # fmt: skip

    def _load_matrix(self, name: str) -> None:
        place = self.layout.address("layers") + self.layout.places[name]
        self.writer.load(self.layout.ring_matrices[name], place, self.writer.layer)

    def _load_behind_heads(self) -> None:
        """Load what the layer needs behind its heads, as far ahead as LOAD's queue allows."""
        self._load_matrix("output")
        self._load_tables(1)
        self._load_matrix("expansion")

    def _norm(self) -> None:
        """Make words of the residual behind all layers."""
        self.writer.norm(
            self.model.norm, self.layout.plan.last_norm, post_outer=self.writer.normed,
            post_inner=self.turned,
        )  # fmt: skip

    def _skip_norm(self) -> None:
        """Tell only that all before is done."""
        self.writer.norm(self.model.norm, self.layout.plan.last_norm, post_inner=self.turned)

    def _choose(self, flag: int) -> None:
        """If the register ``flag`` is one and not zero, choose the next token, and store it."""
        sampled = self.plan.config.vector.candidates > 0
        head = StreamedHead(
            self.writer, drained=self.drained, chosen=None if sampled else self.chosen
        )
        with self.program.loop(count_register=flag):
            self._norm()
            head.begin()
        head.go_on(flag)
        with self.program.loop(count_register=flag):
            head.end()
            if sampled:
                self._sample()
            self._store_best()
