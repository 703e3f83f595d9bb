"""The programs of a language model that lies on the chip whole.

One brings it there; the other computes tokens. That one goes through positions from POSITION on,
as many as the header says. Of each it reads the token, and computes keys, values and residual; from
the prompt's last token on also the likeliest next token, which it adds to the list and reads for
the next position. It stops by itself behind a token that ends texts. Where there is room for blocks
of a prompt, :mod:`.decoder_text` has another one.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from systolith_hw.isa import DrainKind, LoadKind, Register, StoreKind
from systolith_sim.transformer.decoder_model import DecoderModel

from ..program import Program
from .decoder_attention import AttentionPart
from .decoder_codes import load_codes
from .decoder_hidden import HiddenPart
from .decoder_layout import DecoderLayout, Matrix, count_rows
from .decoder_logits import LogitsPart, LogitsRows
from .decoder_writer import DecoderWriter
from .layout import log2
from .token_list import Header

__all__ = ["TokenProgram", "write_setup"]


def write_setup(layout: DecoderLayout) -> bytes:
    """Return the program that brings all matrices and their entries to the chip."""
    plan, program = layout.plan, Program(layout.config)
    layers = plan.shape.layers
    if plan.shape.kind == LoadKind.OPERAND_ROWS:
        address = layout.address("matrices")
        for matrix in layout.matrices:
            _load_matrix(program, matrix, address, layers, layout.layer_bytes, plan.block_tiles)
            address += matrix.size
        _load_matrix(program, layout.head, layout.address("head"), 1, layout.head.size, 0)
    else:
        load_codes(program, layout)
    program.load(
        LoadKind.SCALE, address=layout.address("tables"), elements=plan.tables["end"], rows=layers,
        row_stride=layout.table_bytes, local_stride=plan.block_entries,
    )  # fmt: skip
    program.load(
        LoadKind.SCALE, address=layout.address("head tables"), local=plan.unit_table,
        elements=plan.scale_need - plan.unit_table,
    )  # fmt: skip
    program.end()
    return program.assemble()


def _load_matrix(
    program: Program, matrix: Matrix, address: int, rows: int, row_stride: int, local_stride: int
) -> None:
    program.load(
        LoadKind.OPERAND_ROWS, address=address, elements=matrix.elements, rows=rows,
        row_stride=row_stride, local=matrix.local, local_stride=local_stride,
    )  # fmt: skip


class TokenProgram:
    """The program that computes tokens, one by one.

    Parameters
    ----------
    layout : DecoderLayout
    model : DecoderModel
    ends : sequence of int
    """

    numbered: int | None = None
    """Semaphore, for the array: VECTOR has chosen the next token."""

    stored: int | None = None
    """Semaphore, for VECTOR: the word may be written from which the last token is stored."""

    def __init__(self, layout: DecoderLayout, model: DecoderModel, ends: Sequence[int]) -> None:
        self.layout = layout
        self.plan = layout.plan
        self.model = model
        self.ends = ends
        self.writer: Any = self._new_writer()
        self.program = program = self.writer.program
        self.place = program.register("bytes to the position's entry of the list")
        self.prompted = program.register("positions to come whose token is the prompt's")
        self.alive = program.register("whether no token yet has ended the text")
        self.token = program.register("the position's token, or what is to be done")
        self.chosen = program.semaphore("the next token is in wide memory")
        self.turned = None
        if self.plan.shape.rotary:
            self.turned = program.semaphore("the position's angles are not needed any more")
        self.logits = self._new_logits(layout.logits) if layout.logits else None

    def _new_writer(self) -> Any:
        """Return what the parts of the program share; a model that is streamed has another one."""
        return DecoderWriter(self.layout.plan, self.model.norm)

    def _new_logits(self, rows: LogitsRows) -> Any:
        """Return what stores the logits of a position."""
        return LogitsPart(
            self.writer, self.model.norm, rows, place=self.place,
            list_stride=self.layout.list.stride, stored=self.chosen,
        )  # fmt: skip

    def assemble(self) -> bytes:
        """Return it."""
        program, tokens = self.program, self.layout.list
        self._begin()
        program.calc(self.alive, immediate=1)
        program.calc(self.place, Register.POSITION, left=log2(tokens.stride))
        self._load_angles(0)
        self.writer.find_places()
        with (
            program.loop(
                count_register=self.token, counter=self.place, initial=self.place,
                step=tokens.stride,
            ),
            program.loop(count_register=self.alive),
        ):  # fmt: skip
            self._find_rows(0)
            program.barrier()  # the token before has been stored
            self._look_up()
            self._check_end()
            with program.loop(count_register=self.alive):
                self._compute()
        program.end()
        return program.assemble()

    def _begin(self) -> None:
        """Find which positions are to come."""
        self._read_header(self.prompted, Header.PROMPT)
        self._read_header(self.token, Header.POSITIONS)

    def _read_header(self, target: int, word: Header) -> None:
        self.program.read(target, immediate=self.layout.list.header(word))

    def _load_angles(self, ahead: int, wait_outer: int | None = None) -> None:
        """Bring the angles of a position so many ahead to wide memory, if there are any."""
        program, plan, layout, scratch = self.program, self.plan, self.layout, self.writer.tile
        if not plan.shape.rotary:
            return
        left = log2(layout.angle_bytes) - log2(layout.list.stride)
        program.calc(scratch, self.place, left=left)
        program.load(
            LoadKind.WIDE, address=layout.address("angles") + ahead * layout.angle_bytes,
            elements=plan.angle_words, patches={"address": scratch}, wait_outer=wait_outer,
        )  # fmt: skip

    def _find_rows(self, ahead: int) -> None:
        """Count the rows in front of those of a learned position so many ahead."""
        if self.plan.shape.learned:
            count_rows(self.program, self.layout, self.writer.tile, self.place, ahead)

    def _look_up(self) -> None:
        """Read the position's token, and bring its embedding to wide memory."""
        self.program.read(self.token, self.place, self.layout.list.entries)
        self._load_row()

    def _load_row(self) -> None:
        """Bring the token's embedding to wide memory."""
        program, plan, layout, scratch = self.program, self.plan, self.layout, self.writer.tile
        if plan.shape.learned:
            program.calc(scratch, scratch, self.token, left=log2(layout.row_bytes))
        else:
            self.writer.multiply(scratch, self.token, layout.row_bytes)
        program.load(
            LoadKind.WIDE, address=layout.address("embedding"), local=plan.residual,
            elements=plan.beats(plan.tiles), patches={"address": scratch},
            post_outer=self.writer.summed,
        )  # fmt: skip

    def _check_end(self) -> None:
        """Note whether the core made the token, and it is an end."""
        program, scratch, flag = self.program, self.writer.tile, self.alive
        for end in self.ends:
            # Less than one only for this token, and one more if it is the prompt's.
            program.minimum(scratch, self.token, self.alive, -end)
            program.calc(scratch, scratch, self.prompted)
            program.minimum(flag, scratch, flag)

    def _compute(self) -> None:
        """Go through the layers, and from the prompt's last token on make the next token.

        Logits, where they are stored, are those of all positions.
        """
        program, writer, flag = self.program, self.writer, self.token
        self._enter()
        self._layers()
        # Where a subtraction wraps around, the other number is the smaller one.
        program.minimum(self.prompted, self.prompted, self.prompted, -1)
        program.minimum(flag, self.prompted, self.alive)
        if self.logits:
            self._norm()
            self.logits.append(self.turned)
        else:
            with program.loop(count_register=flag):
                self._skip_norm()
        program.minimum(flag, flag, self.alive, -1)
        self._choose(flag)
        self._load_angles(1, wait_outer=self.turned)
        writer.next_position()

    def _enter(self) -> None:
        """Make of the residual what the first layer begins with."""
        self.writer.first_norm()

    def _layers(self) -> None:
        """Go through the layers."""
        plan, writer, layer = self.plan, self.writer, self.model.layers[0]
        layers = plan.shape.layers
        with (
            self.program.loop(layers, counter=writer.tile, step=plan.block_tiles)
            if layers > 1 else nullcontext()
        ):  # fmt: skip
            self._attend(AttentionPart(writer, layer))
            HiddenPart(writer, layer).append()
            if layers > 1:
                writer.next_layer()

    def _attend(self, part: AttentionPart) -> None:
        """Add a layer's attention to the residual."""
        part.append()

    def _norm(self) -> None:
        """Make words of the residual behind all layers."""
        self.writer.norm(self.model.norm, self.turned)

    def _skip_norm(self) -> None:
        """Tell only that all before is done."""
        self.writer.skip_norm(self.turned)

    def _choose(self, flag: int) -> None:
        """If the register ``flag`` is one and not zero, choose the next token, and store it."""
        with self.program.loop(count_register=flag):
            if not self.logits:
                self._norm()
            self._find_best()
            self._store_best()

    def _store_best(self) -> None:
        """Store the token that was chosen, behind the position's."""
        self.program.store(
            StoreKind.WIDE, address=self.layout.list.entry(1), elements=1, local=self.plan.best,
            patches={"address": self.place}, wait_outer=self.chosen, post_inner=self.stored,
        )  # fmt: skip

    def _find_best(self) -> None:
        """Choose the next token by the words of the last norm."""
        program, plan, writer = self.program, self.plan, self.writer
        sampled = plan.config.vector.candidates > 0
        program.matmul(
            steps=plan.steps, tiles=plan.vocabulary_tiles, operand=plan.head_matrix,
            wait_outer=None if self.logits else writer.normed,
        )  # fmt: skip
        if sampled:
            program.read(writer.tile, immediate=self.layout.list.header(Header.CANDIDATES))
        waits = writer.deferred and not self.logits  # for the norm's factor
        first = 1 if waits and self.turned is not None and plan.vocabulary_tiles > 1 else 0
        chosen = None if sampled else self.chosen
        inner = self.turned if waits and not first else None
        if first:  # tells that all before is done, so that angles come beside the other tiles
            self._drain_logits(
                0, first, wait_inner=self.stored, post_outer=self.turned,
                **writer.behind_norm(self.model.norm, first=True),
            )  # fmt: skip
        self._drain_logits(
            first, plan.vocabulary_tiles - first, columns_last=plan.vocabulary_last,
            wait_inner=None if first else self.stored,
            post_inner=self.numbered if inner is None else inner, post_outer=chosen,
            **writer.behind_norm(self.model.norm, first=waits and not first),
        )  # fmt: skip
        if sampled:
            self._sample()

    def _drain_logits(self, first: int, tiles: int, **fields: Any) -> None:
        """Compare some tiles of the head with those before, or keep the largest of all."""
        plan, sampled = self.plan, self.plan.config.vector.candidates > 0
        self.program.drain(
            DrainKind.CANDIDATES if sampled else DrainKind.BEST, accumulate=first > 0, tiles=tiles,
            scale=plan.head_table + plan.beats(first), destination=plan.best,
            entries=first * plan.config.array.columns,
            patches={"token_stride": self.writer.tile} if sampled else {}, **fields,
        )  # fmt: skip

    def _sample(self) -> None:
        """Choose one of the largest logits, as the header says."""
        program, tokens = self.program, self.layout.list
        seed, sharpness = self.writer.tile, self.token  # both are free by now
        program.read(seed, immediate=tokens.header(Header.SEED))
        program.read(sharpness, immediate=tokens.header(Header.SHARPNESS))
        program.sample(
            destination=self.plan.best, position=1, post_outer=self.chosen,
            patches={"seed": seed, "sharpness": sharpness, "position": Register.POSITION},
        )  # fmt: skip
