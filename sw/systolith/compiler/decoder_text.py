"""The program that computes tokens of a model on the chip, whose prompt goes through it in blocks.

All tokens of the prompt but its last are done before; so each that is computed makes the next one,
whose number goes straight from VECTOR to the sequencer, and its embedding is on its way while the
list of tokens is still being written. A token that ends the text is told apart only when its first
products have been issued.
"""

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from systolith_hw.isa import Register
from systolith_sim.transformer.decoder_model import DecoderModel

from ..program import programming
from .decoder_attention import AttentionPart
from .decoder_layout import DecoderLayout
from .decoder_opening import OpeningPart
from .decoder_program import TokenProgram
from .decoder_prompt import PromptPart
from .layout import log2
from .memory_needs import with_longest_loops
from .prompt_plan import PromptPlan, plan_prompt
from .token_list import Header

__all__ = ["choose_prompt", "write_decoder"]


def choose_prompt(layout: DecoderLayout, model: DecoderModel) -> PromptPlan | None:
    """Return how a prompt goes through the model, or None if its tokens go one by one.

    They do where logits of each are wanted, where the memories have no room for two, and where the
    program's has none for a block.
    """
    prompt, config = plan_prompt(layout.plan), layout.config
    if prompt is None or layout.logits is not None:
        return None
    roomy = dataclasses.replace(layout.plan, config=with_longest_loops(config))
    program = TextProgram(DecoderLayout(roomy), model, (), prompt)
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
    with programming("this language model"):
        if prompt is None:
            return TokenProgram(layout, model, ends).assemble()
        return TextProgram(layout, model, ends, prompt).assemble()


class TextProgram(TokenProgram):
    """The program that takes a prompt in blocks, and goes on with it.

    Parameters
    ----------
    layout : DecoderLayout
    model : DecoderModel
    ends : sequence of int
    prompt : PromptPlan
    """

    def __init__(
        self, layout: DecoderLayout, model: DecoderModel, ends: Sequence[int], prompt: PromptPlan
    ) -> None:
        super().__init__(layout, model, ends)
        self.prompt = prompt
        self.stored = self.program.semaphore("the last token has been read, to be stored")
        self.program.credit(self.stored)
        tabled = self.plan.shape.tabled
        self.opening = OpeningPart(self.writer, layout, self.prompted) if tabled else None
        self.numbered = self.opening.numbered if self.opening else None

    def assemble(self) -> bytes:
        """Return it."""
        program, stride = self.program, self.layout.list.stride
        count = Register.LENGTH  # which nobody else wants to know
        self._read_header(self.prompted, Header.PROMPT)
        self._take_prompt()
        program.calc(self.alive, immediate=1)
        program.calc(self.place, Register.POSITION, left=log2(stride))
        self._load_angles(0)
        if self.opening:
            self.opening.begin(self.model.norm)
        self._find_rows(0)
        self._look_up()
        self.writer.find_places()
        self._read_header(count, Header.TOKENS)
        # Between a token's number and its first product there is no end of a loop: it takes time.
        self._enter()
        self._finish()
        program.calc(count, count, immediate=-1)
        program.calc(self.place, self.place, immediate=stride)
        with (
            program.loop(
                count_register=count, counter=self.place, initial=self.place, step=stride
            ),
            self._unless_ended(),
        ):
            self._enter_chosen()
            for end in self.ends:  # less than one only for this token
                program.minimum(self.alive, self.token, self.alive, -end)
            with self._unless_ended():
                self._finish()
        program.end()
        return program.assemble()

    def _unless_ended(self) -> AbstractContextManager[None]:
        """Leave out what follows behind a token that ends the text, if any does."""
        return self.program.loop(count_register=self.alive) if self.ends else nullcontext()

    def _take_prompt(self) -> None:
        """Go through the prompt, but for its last token."""
        program, remaining = self.program, self.prompted
        program.calc(remaining, remaining, immediate=-1)
        PromptPart(
            self.writer, self.layout, self.prompt, self.model.layers[0], remaining,
            scratch=(self.place, self.alive, self.token),
        ).append()  # fmt: skip

    def _load_row(self) -> None:
        """Find what the token begins with, or bring its embedding to wide memory."""
        if self.opening:
            self.opening.find_words(self.token)
        else:
            super()._load_row()

    def _enter_chosen(self) -> None:
        """Begin with the token that VECTOR has chosen.

        Where the array finds its words by itself, the sequencer has time to find its residual,
        unless the token may end the text.
        """
        opening = self.opening
        if opening and opening.numbered is not None:
            opening.leave_token(self.token, asked=bool(self.ends))
            self._attention().project(opening.numbered)
            if self.ends:
                self.program.read_number(self.token, fresh=True)
            return
        self.program.read_number(self.token)
        self._load_row()
        self._enter()

    def _find_rows(self, ahead: int) -> None:
        """Count the rows in front of a learned position's, unless they are tables."""
        if not self.opening:
            super()._find_rows(ahead)

    def _enter(self) -> None:
        """Make K, Q and V of words that are there, or words of the residual."""
        if self.opening:
            self._attention().project()
        else:
            super()._enter()

    def _attend(self, part: AttentionPart) -> None:
        """Add a layer's attention to the residual."""
        if self.opening:
            part.attend(self.opening.find_sum)
        else:
            super()._attend(part)

    def _attention(self) -> AttentionPart:
        return AttentionPart(self.writer, self.model.layers[0])

    def _finish(self) -> None:
        """Go through the layers, make the next token, and see to its position."""
        self._layers()
        self._norm()
        self._find_best()
        self._store_best()
        self._load_angles(1, wait_outer=self.turned)
        if self.opening:
            self.opening.fill()  # first, since it takes long
        self.writer.next_position()
        self._find_rows(1)
