"""The programs of a language model that is streamed: as in :mod:`.decoder_program`, but that one
brings only an identity matrix to the chip, and the other one all weights for each token."""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import partial

from systolith_hw.config import ConfigError
from systolith_hw.isa import LoadKind, Register
from systolith_sim.timing import Unending, is_modelled, replay
from systolith_sim.transformer.decoder_model import DecoderModel

from ..program import Program, programming
from .decoder_logits import LogitsRows
from .decoder_program import TokenProgram
from .decoder_streamed_attention import StreamedAttention
from .decoder_streamed_head import StreamedHead
from .decoder_streamed_hidden import StreamedHidden
from .decoder_streamed_layout import StreamedLayout
from .decoder_streamed_logits import StreamedLogits
from .decoder_streamed_prompt import StreamedPrompt
from .decoder_streamed_writer import StreamedWriter
from .decoder_writer import WORD_BITS
from .layout import log2
from .memory_needs import with_longest_loops
from .streamed_prompt_plan import StreamedPromptPlan, plan_streamed_prompt
from .token_list import Header

__all__ = ["choose_blocks", "write_streamed", "write_streamed_setup"]

TABLES = "tables"
"""The scale entries that a layer needs behind its heads."""

QUEUE_DEPTH = 4
"""In shorter queues a LOAD that waits for a place in the ring may keep away the one that another
unit waits for, so that a program has to be tried."""


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


def choose_blocks(layout: StreamedLayout, model: DecoderModel) -> StreamedPromptPlan | None:
    """Return how a prompt goes through the model, or None if its tokens go one by one.

    They do where logits of each are wanted, where a core has no room for blocks, where the
    program's memory has none for a block's instructions, where semaphores or registers are too few
    for blocks, and where queues are so short that a block's loads would wait for one another.
    """
    blocks, config = plan_streamed_prompt(layout.plan), layout.config
    if blocks is None or layout.logits is not None:
        return None
    roomy = dataclasses.replace(layout.plan, config=with_longest_loops(config))
    try:
        with programming("a block of a prompt"):
            program = StreamedProgram(
                StreamedLayout(roomy), model, (), dataclasses.replace(blocks, plan=roomy)
            )
            program.assemble()
    except ConfigError:
        return None  # what is wrong with single tokens, too, is said when those are written
    longest = program.program.longest_loop
    if longest > config.memory.program_instructions:
        return None
    if config.sequencer.queue_depth >= QUEUE_DEPTH:  # without writing it a second time
        return blocks
    ends = _comes_to_its_end(layout, write_streamed(layout, model, (), blocks), blocks.size + 2)
    return blocks if ends else None


def write_streamed(
    layout: StreamedLayout, model: DecoderModel, ends: Sequence[int],
    blocks: StreamedPromptPlan | None = None,
) -> bytes:  # fmt: skip
    """Return the program that computes tokens; behind one of ``ends`` it computes no more.

    Raises
    ------
    ConfigError
        If it takes more registers or instructions of a loop than there are, or longer queues.
    """
    with programming("this language model"):
        program = StreamedProgram(layout, model, ends, blocks).assemble()
    if blocks is None and not _comes_to_its_end(layout, program, 1):
        depth = layout.config.sequencer.queue_depth
        raise ConfigError(
            "this language model's loads would wait for one another for ever: "
            f"sequencer.queue_depth is {depth}; raise it to {depth + 1} or more, or raise "
            "memory.operand_tiles"
        )
    return program


def _comes_to_its_end(layout: StreamedLayout, program: bytes, prompt: int) -> bool:
    """Return whether a core with short queues gets through a prompt of so many tokens."""
    config, tokens = layout.config, layout.list
    if config.sequencer.queue_depth >= QUEUE_DEPTH or not is_modelled(config):
        return True
    text = [0] * min(prompt, layout.plan.tokens - 1)
    try:
        replay(
            config, program, parts={tokens.address: tokens.pack(text, 1)},
            registers={Register.POSITION: 0},
        )  # fmt: skip
    except Unending:
        return False
    return True


class StreamedProgram(TokenProgram):
    """The program that computes tokens.

    Parameters
    ----------
    layout : StreamedLayout
    model : DecoderModel
    ends : sequence of int
    blocks : StreamedPromptPlan or None
        How a prompt goes through the model; None: token by token.
    """

    layout: StreamedLayout

    def __init__(
        self, layout: StreamedLayout, model: DecoderModel, ends: Sequence[int],
        blocks: StreamedPromptPlan | None,
    ) -> None:  # fmt: skip
        super().__init__(layout, model, ends)
        self.blocks = blocks
        self.program.credit(self.writer.free, layout.plan.slots)
        self.program.credit(self.writer.drained, len(layout.plan.head_tables))

    def _new_writer(self) -> StreamedWriter:
        return StreamedWriter(self.layout)

    def _new_logits(self, rows: LogitsRows) -> StreamedLogits:
        return StreamedLogits(
            self.writer, rows, place=self.place, list_stride=self.layout.list.stride,
            stored=self.chosen,
        )  # fmt: skip

    def _begin(self) -> None:
        """Take the prompt's blocks; find which positions are to come, one by one."""
        program, last, one = self.program, self.prompted, self.alive
        if not self.blocks:
            super()._begin()
            return
        self._read_header(last, Header.PROMPT)
        program.calc(last, last, immediate=-1)
        StreamedPrompt(
            self.writer, self.blocks, self.model.layers[0], last,
            scratch=(self.place, self.alive, self.token),
        ).append()  # fmt: skip
        # One token more than the prompt's last is left, where it would have been a block by itself.
        bits = WORD_BITS - log2(self.blocks.size)
        self._read_header(last, Header.PROMPT)
        program.calc(last, last, immediate=-1, left=bits)
        program.calc(last, last, right=bits)
        program.calc(one, immediate=1)
        program.minimum(last, last, one, -1)  # zero for one, and one for all others
        program.calc(last, last, immediate=-1, right=WORD_BITS - 1)
        program.calc(last, last, immediate=1)
        self._read_header(self.token, Header.TOKENS)
        program.calc(self.token, self.token, last, -1)

    def _enter(self) -> None:
        """Do nothing: each layer makes its norms."""

    def _layers(self) -> None:
        """Go through the layers."""
        writer, layer = self.writer, self.model.layers[0]
        with self.program.loop(
            self.plan.shape.layers, counter=writer.layer, step=self.layout.layer_bytes
        ):
            writer.load_tables(0)
            self._load_matrix("projection")
            behind = self._loads_behind_heads()
            StreamedAttention(writer, layer).append(partial(self._load, *behind[0]))
            self._load(*behind[1])
            StreamedHidden(writer, layer).append()
        self.program.load(
            LoadKind.SCALE, address=self.layout.address("last norm"),
            local=self.layout.plan.last_norm, elements=self.plan.beats(self.plan.tiles),
            post_outer=writer.tabled,
        )  # fmt: skip

    def _load_matrix(self, name: str) -> None:
        place = self.layout.address("layers") + self.layout.places[name]
        self.writer.load(self.layout.ring_matrices[name], place, self.writer.layer)

    def _load(self, *names: str) -> None:
        """Load parts of a layer: matrices, or its second scale entries."""
        for name in names:
            if name == TABLES:
                self.writer.load_tables(1)
            else:
                self._load_matrix(name)

    def _loads_behind_heads(self) -> tuple[Sequence[str], Sequence[str]]:
        """Return what is loaded for the part behind the heads: while these are computed, and
        when the output matrix has been issued.

        If the ring does not hold all of that one, its LOAD waits for its MATMUL, which comes behind
        the LOADs that are issued earlier: so they must all have room in LOAD's queue.
        """
        matrices = self.layout.ring_matrices
        names = "output", TABLES, "expansion"
        if matrices["output"].slots <= self.layout.plan.slots:
            return names, ()
        loads = [1 if name == TABLES else matrices[name].loads for name in names]
        depth = self.layout.config.sequencer.queue_depth
        room = sum(total <= depth for total in itertools.accumulate(loads))
        return names[:room], names[room:]

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
            self.writer, ready=None if self.logits else self.writer.normed,
            chosen=None if sampled else self.chosen,
        )  # fmt: skip
        with self.program.loop(count_register=flag):
            if not self.logits:
                self._norm()
            head.begin()
        head.go_on(flag)
        with self.program.loop(count_register=flag):
            head.end()
            if sampled:
                self._sample()
            self._store_best()
