"""The programs of a language model that lies on the chip whole.

One brings it there; the other computes tokens. That one goes through positions from POSITION on,
as many as the header says: those of the prompt but for its last in blocks, if there is room for
some. Of each other it reads the token, and computes keys, values and residual; from the prompt's
last token on also the likeliest next token, which it adds to the list and reads for the next
position. It stops by itself behind a token that ends texts.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from systolith_hw.config import ConfigError
from systolith_hw.isa import DrainKind, LoadKind, Register, StoreKind
from systolith_sim.transformer.decoder_model import DecoderModel

from ..program import Program
from .decoder_attention import AttentionPart
from .decoder_codes import load_codes
from .decoder_hidden import HiddenPart
from .decoder_layout import DecoderLayout, Matrix
from .decoder_logits import LogitsPart, LogitsRows
from .decoder_prompt import PromptPart
from .decoder_writer import DecoderWriter
from .layout import log2
from .memory_needs import with_longest_loops
from .prompt_plan import PromptPlan, plan_prompt
from .token_list import Header

__all__ = ["choose_prompt", "write_decoder", "write_setup"]

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


def choose_prompt(layout: DecoderLayout, model: DecoderModel) -> PromptPlan | None:
    """Return how a prompt goes through the model, or None if its tokens go one by one.

    They do where a model is not of Llama's kind, where logits of each are wanted, where the
    memories have no room for two, and where the program's has none for a block.
    """
    prompt, config, shape = plan_prompt(layout.plan), layout.config, layout.plan.shape
    plain = shape.gated and shape.rotary and not shape.learned
    if prompt is None or layout.logits is not None or not plain:
        return None
    roomy = dataclasses.replace(layout.plan, config=with_longest_loops(config))
    program = TokenProgram(DecoderLayout(roomy), model, (), prompt)
    program.assemble()
    longest = program.program.longest_loop
    return prompt if longest <= config.memory.program_instructions else None


def write_decoder(
    layout: DecoderLayout, model: DecoderModel, ends: Sequence[int], prompt: PromptPlan | None
) -> bytes:
    """Return the program that computes tokens; behind one of ``ends`` it computes no more.

    Raises
    ------
    ConfigError
        If it takes more registers or instructions of a loop than there are.
    """
    try:
        return TokenProgram(layout, model, ends, prompt).assemble()
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"this language model cannot be programmed: {error}") from error


class TokenProgram:
    """The program that computes tokens.

    Parameters
    ----------
    layout : DecoderLayout
    model : DecoderModel
    ends : sequence of int
    prompt : PromptPlan or None
    """

    def __init__(
        self, layout: DecoderLayout, model: DecoderModel, ends: Sequence[int],
        prompt: PromptPlan | None,
    ) -> None:  # fmt: skip
        self.layout = layout
        self.plan = layout.plan
        self.model = model
        self.ends = ends
        self.prompt = prompt
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
            self.writer, rows, place=self.place, list_stride=self.layout.list.stride,
            stored=self.chosen,
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
            self._find_rows()
            program.barrier()  # the token before has been stored
            self._look_up()
            self._check_end()
            with program.loop(count_register=self.alive):
                self._compute()
        program.end()
        return program.assemble()

    def _begin(self) -> None:
        """Take the prompt's blocks; find which positions are to come, one by one."""
        self._read_header(self.prompted, Header.PROMPT)
        if self.prompt:
            self._take_prompt(self.prompt)
        self._read_header(self.token, Header.TOKENS if self.prompt else Header.POSITIONS)

    def _read_header(self, target: int, word: Header) -> None:
        self.program.read(target, immediate=self.layout.list.header(word))

    def _take_prompt(self, prompt: PromptPlan) -> None:
        """Go through the prompt, but for its last token."""
        program, remaining = self.program, self.prompted
        program.calc(remaining, remaining, immediate=-1)
        PromptPart(
            self.writer, self.layout, prompt, self.model.layers[0], remaining,
            scratch=(self.place, self.alive, self.token),
        ).append()  # fmt: skip
        program.calc(self.prompted, immediate=1)

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

    def _find_rows(self) -> None:
        """Count the rows of the embedding in front of those of a learned position."""
        layout = self.layout
        if self.plan.shape.learned:
            self.program.calc(
                self.writer.tile, self.place, right=log2(layout.list.stride),
                left=log2(layout.position_bytes) - log2(layout.row_bytes),
            )  # fmt: skip

    def _look_up(self) -> None:
        """Bring the token's embedding to wide memory."""
        program, plan, layout, scratch = self.program, self.plan, self.layout, self.writer.tile
        program.read(self.token, self.place, layout.list.entries)
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
        self._layers()
        # Where a subtraction wraps around, the other number is the smaller one.
        program.minimum(self.prompted, self.prompted, self.prompted, -1)
        program.minimum(flag, self.prompted, self.alive)
        if self.logits:
            self._norm()
            self.logits.append(self.turned)
        elif not self.prompt:  # else this is no token of a prompt but its last
            with program.loop(count_register=flag):
                self._skip_norm()
        program.minimum(flag, flag, self.alive, -1)
        self._choose(flag)
        self._load_angles(1, wait_outer=self.turned)
        writer.next_position()

    def _layers(self) -> None:
        """Go through the layers."""
        plan, writer, layer = self.plan, self.writer, self.model.layers[0]
        writer.first_norm()
        with self.program.loop(plan.shape.layers, counter=writer.tile, step=plan.block_tiles):
            AttentionPart(writer, layer).append()
            HiddenPart(writer, layer).append()
            writer.next_layer()

    def _norm(self) -> None:
        """Make words of the residual behind all layers."""
        self.writer.norm(self.turned)

    def _skip_norm(self) -> None:
        """Tell only that all before is done."""
        self.writer.skip_norm(self.turned)

    def _drain_first(self) -> int:
        """Drain the first tile of the head, which tells that all before is done, so that angles
        come beside the others; return how many tiles it was."""
        plan = self.plan
        self.program.drain(
            DrainKind.BEST, scale=plan.head_table, destination=plan.best, post_outer=self.turned,
            **self.writer.behind_norm(first=True),
        )  # fmt: skip
        return 1

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
            patches={"address": self.place}, wait_outer=self.chosen,
        )  # fmt: skip

    def _find_best(self) -> None:
        """Choose the next token by the words of the last norm."""
        program, plan, writer = self.program, self.plan, self.writer
        sampled = plan.config.vector.candidates > 0
        program.matmul(
            steps=plan.steps, tiles=plan.vocabulary_tiles, operand=plan.head_matrix,
            wait_outer=None if self.logits else writer.normed,
        )  # fmt: skip
        waits = writer.deferred and not self.logits  # for the norm's factor
        first = self._drain_first() if waits and plan.vocabulary_tiles > 1 else 0
        if sampled:
            program.read(writer.tile, immediate=self.layout.list.header(Header.CANDIDATES))
        program.drain(
            DrainKind.CANDIDATES if sampled else DrainKind.BEST, accumulate=first > 0,
            tiles=plan.vocabulary_tiles - first, columns_last=plan.vocabulary_last,
            scale=plan.head_table + plan.beats(first), destination=plan.best,
            entries=first * plan.config.array.columns,
            patches={"row": writer.tile} if sampled else {},
            post_inner=self.turned if waits and not first else None,
            post_outer=None if sampled else self.chosen,
            **writer.behind_norm(first=waits and not first),
        )  # fmt: skip
        if sampled:
            self._sample()

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
