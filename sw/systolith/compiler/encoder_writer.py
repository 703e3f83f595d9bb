"""What the parts of an encoder's program share: resources, and idioms of several instructions."""

import contextlib
from collections.abc import Iterator
from typing import Unpack

from systolith_hw.isa import DrainKind, LoadKind, Register, StoreKind

from ..program import Program
from ..program.instructions import Semaphores
from .encoder_layout import EncoderLayout
from .encoder_tables import Header
from .slot_ring import SlotRing

__all__ = ["EncoderWriter"]


class EncoderWriter:
    """A program under construction, with the semaphores and registers that last.

    Parameters
    ----------
    layout : EncoderLayout

    Attributes
    ----------
    program : Program
    layer : int
        Register: bytes from the first layer to the present one, in external memory.
    ring : SlotRing
        Through which weights pass.
    stores : int
        Register: STOREs of residuals that the array has not waited for; that of the position, which
        means nothing to an encoder.
    scratch : tuple of int
        Registers of whatever part of the program is under way.
    """

    def __init__(self, layout: EncoderLayout) -> None:
        self.layout = layout
        self.plan = layout.plan
        self.program = program = Program(layout.config)
        self.layer = program.register("layer")
        self.ring = SlotRing(
            program, size=self.plan.slot, slots=self.plan.slots, stride=layout.slot_bytes,
            address=self.address("layers") + layout.slots,
        )  # fmt: skip
        self.stores = int(Register.POSITION)
        self.scratch = tuple(program.register(f"scratch {number}") for number in range(11))

        semaphore = program.semaphore
        self.tables_free = self.blended = self.attended = None
        if not self.plan.streamed:
            self.tables_free = semaphore("scales of a layer may be replaced")
        self.projected = semaphore("queries, keys and values of a head are there")
        self.summed = semaphore("a row's scores, or a token's last sum, are there")
        self.normed = semaphore("words of a row's probabilities, or a token's norm, are there")
        if not self.plan.streamed:
            self.blended = semaphore("the context of a block is there")
            self.attended = semaphore("the context of all is there")
        self.hidden = semaphore("a token's hidden words are there")
        self.finished = semaphore("a block's words for the next layer are there")
        self.to_store = self.stored = self.caught_up = None
        self.vacated = self.restored = self.spilt = None
        if self.plan.moves:
            self.to_store = semaphore("a token's residual is there")
            self.stored = semaphore("a block's residual is in external memory")
            self.vacated = semaphore("the place of a token's residual is free")
            self.restored = semaphore("a token's residual has come back")
        if not self.plan.resident and not self.plan.streamed:
            self.caught_up = semaphore("all blocks' residuals are in external memory")
        if self.plan.spill:
            self.spilt = semaphore("the context of a block is in external memory")
        self.vacant = self.brought = self.written = None
        if self.plan.streamed:
            # All that LOAD hears from the vector unit, in the same order on both sides.
            self.vacant = self.caught_up = semaphore("the place of a token's input is free")
            self.brought = semaphore("a token's input is there")
            self.written = semaphore("a block's words for the next layer are in external memory")

    def address(self, region: str) -> int:
        """Return where a region of external memory begins."""
        return self.layout.regions[region].address

    @property
    def contexts(self) -> int:
        """Where the first token's spilt context begins, in external memory."""
        return self.address("tokens") + self.layout.residual_bytes

    @property
    def inputs(self) -> int:
        """Where the first token's words, the layer's input, begin in external memory."""
        return self.address("tokens") + self.layout.words

    def load_residual(self, rows: int, *, first: int = 0, offset: int | None = None) -> None:
        """Load the residual of ``rows``, a register, tokens behind a block's ``first``.

        ``offset`` is the register that says where the block is, if it is not the first one.
        """
        plan, layout = self.plan, self.layout
        patches = {"rows": rows} if offset is None else {"rows": rows, "address": offset}
        self.program.load(
            LoadKind.WIDE, address=self.address("tokens") + first * layout.token_bytes, rows=0,
            row_stride=layout.token_bytes, elements=plan.wide_stride,
            local=first * plan.wide_stride, local_stride=plan.wide_stride, patches=patches,
            wait_inner=self.vacated, post_inner=self.restored,
        )  # fmt: skip

    def store_touched(self, rows: int, **semaphores: Unpack[Semaphores]) -> None:
        """Store the residual of ``rows``, a register, tokens: those in whose place scores lie."""
        plan, layout = self.plan, self.layout
        self.program.store(
            StoreKind.WIDE, rows=0, row_stride=layout.token_bytes, elements=plan.wide_stride,
            address=self.address("tokens") + plan.untouched * layout.token_bytes,
            local=plan.untouched * plan.wide_stride, local_stride=plan.wide_stride,
            patches={"rows": rows}, **semaphores,
        )  # fmt: skip

    def load_input(self, rows: int, offset: int) -> None:
        """Load the words of ``rows``, a register, tokens, ``offset``, another one, bytes on."""
        plan, layout = self.plan, self.layout
        self.program.load(
            LoadKind.ACTIVATION, address=self.inputs, rows=0, row_stride=layout.token_bytes,
            elements=plan.steps, local_stride=plan.steps,
            patches={"rows": rows, "address": offset},
            wait_inner=self.vacant, post_inner=self.brought,
        )  # fmt: skip

    def store_input(self, rows: int, offset: int, counter: int, base: int, *,
                    wait: int | None = None, post: int | None = None) -> None:  # fmt: skip
        """Store the words of ``rows``, a register, tokens where :meth:`load_input` finds them.

        No path leads there but through the array, which multiplies them by the identity; rounding
        them again changes nothing. ``wait`` is taken for each token.
        """
        plan, array = self.plan, self.plan.config.array
        steps, tiles, parts = (
            plan.unit // array.rows, plan.unit // array.columns, plan.shape.features // plan.unit
        )  # fmt: skip
        self.program.store(
            StoreKind.STREAM, address=self.inputs, rows=0, row_stride=self.layout.token_bytes,
            elements=plan.steps, patches={"rows": rows, "address": offset}, post_outer=post,
        )  # fmt: skip
        with self.program.loop(count_register=rows, counter=counter, step=plan.steps):
            self.program.matmul(
                steps=steps, tiles=tiles, tokens=parts, operand=plan.identity,
                patches={"activation": counter}, wait_outer=wait,
            )  # fmt: skip
            self.program.drain(
                DrainKind.STREAM, tiles=tiles, tokens=parts, scale=plan.unity, exponent_base=base
            )

    @contextlib.contextmanager
    def unless_zero(self, register: int, scratch: int) -> Iterator[None]:
        """Skip what the ``with`` block appends if a register is zero."""
        self.program.minimum(scratch, 0, register, 1)
        with self.program.loop(count_register=scratch):
            yield

    def read_header(self, target: int, word: Header) -> None:
        """Read a word that the host wrote in front of its tables."""
        self.program.read(target, immediate=self.address("tables") + 4 * word)

    def read_table(self, target: int, offset: int, counter: int) -> None:
        """Read a word of the host's tables, ``counter`` bytes behind ``offset``."""
        self.program.read(target, counter, self.address("tables") + offset)

    def load_slots(
        self, first: int, count: int, local: int, *, layer: int | None = None,
        silent: bool = False,
    ) -> None:  # fmt: skip
        """Load slots of the layer, by its numbers, from the ring's tile in register ``local`` on.

        That is where the slots before them end. ``layer`` is the register that says where the layer
        is, if not the usual one. If ``silent``, nobody is told of each slot.
        """
        offset = self.layer if layer is None else layer
        self.ring.load(first, count, local, offset=offset, silent=silent)

    def hold_loads(self, semaphore: int | None, *, register: int = 0,
                   wait_inner: int | None = None) -> None:  # fmt: skip
        """Let LOAD wait for a count of a semaphore, whatever it does next.

        With ``register``, also for so many counts of ``wait_inner``.
        """
        self.load_nothing(register, wait_outer=semaphore, wait_inner=wait_inner)

    def load_nothing(self, rows: int = 0, **semaphores: Unpack[Semaphores]) -> None:
        """Let LOAD take and give semaphores, for ``rows``, a register, rows, or for one.

        What it loads nobody reads.
        """
        self.program.load(
            LoadKind.SCALE, address=self.address("unity"), elements=1, row_stride=0,
            rows=0 if rows else 1, local=self.plan.spare, patches={"rows": rows} if rows else {},
            **semaphores,
        )  # fmt: skip

    def vacate(self, register: int) -> None:
        """Tell LOAD, for each token of a block, that all before has left the input's place."""
        self.program.minimum(register, 0, Register.LENGTH, self.plan.input_block)
        # As :meth:`meet`, but what is read and written is where queries were.
        plan, patches = self.plan, {"tokens": register}
        self.program.matmul(
            steps=1, tokens=0, operand=plan.keys, activation=plan.queries, activation_stride=0,
            patches=patches,
        )  # fmt: skip
        self.program.drain(
            DrainKind.ACTIVATION, tokens=0, destination=plan.queries + 1, scale=plan.unity,
            patches=patches, post_inner=self.vacant,
        )  # fmt: skip

    def meet(self, semaphore: int | None, *, count: int = 0, register: int = 0,
             post: int | None = None) -> None:  # fmt: skip
        """Let the array wait for counts of a semaphore, whatever it does next.

        It computes a result for each count. They mean nothing, and DRAIN writes them where
        probabilities were, or will be; but it says in ``post`` that they came.
        """
        plan = self.plan
        patches = {"tokens": register} if register else {}
        self.program.matmul(
            steps=1, tokens=count, operand=plan.keys,
            activation=plan.queries if plan.streamed else 0,  # never a probability
            activation_stride=0, wait_inner=semaphore, patches=patches,
        )  # fmt: skip
        self.program.drain(
            DrainKind.ACTIVATION, tokens=count, destination=plan.powers, scale=plan.unity,
            patches=patches, post_outer=post,
        )  # fmt: skip
