"""What a block of a prompt's tokens begins with: their angles and embeddings in wide memory."""

from systolith_hw.isa import LoadKind, Register

from ..program import Program
from .block_places import BlockPlaces
from .decoder_layout import DecoderLayout, count_rows
from .decoder_writer import multiply
from .layout import log2

__all__ = ["bring_rows"]


def bring_rows(
    program: Program, layout: DecoderLayout, places: BlockPlaces, rows: int,
    scratch: tuple[int, int, int, int], *, arrived: int,
) -> None:  # fmt: skip
    """Append what brings rows of as many tokens as a register says, from POSITION on.

    Parameters
    ----------
    program : Program
    layout : DecoderLayout
        Where rows are in external memory.
    places : BlockPlaces
        Where they go to on the chip.
    rows : int
        Register: tokens of the block.
    scratch : tuple of int
        Four more registers.
    arrived : int
        Semaphore: a token's embedding is there.
    """
    entry, local, token, offset = scratch
    plan, stride = places.plan, layout.list.stride
    if plan.shape.rotary:
        program.calc(offset, Register.POSITION, left=log2(layout.angle_bytes))
        program.load(
            LoadKind.WIDE, address=layout.address("angles"), row_stride=layout.angle_bytes, rows=0,
            elements=plan.angle_words, local_stride=plan.angle_words,
            patches={"address": offset, "rows": rows},
        )  # fmt: skip
    program.calc(entry, Register.POSITION, left=log2(stride))
    program.calc(local)
    with program.loop(count_register=rows, counter=entry, initial=entry, step=stride):
        program.read(token, entry, layout.list.entries)
        if plan.shape.learned:
            count_rows(program, layout, offset, entry)
            program.calc(offset, offset, token, left=log2(layout.row_bytes))
        else:
            multiply(program, offset, token, layout.row_bytes)
        program.load(
            LoadKind.WIDE, address=layout.address("embedding"), local=places.residual,
            elements=places.residual_stride, patches={"address": offset, "local": local},
            post_outer=arrived,
        )  # fmt: skip
        program.calc(local, local, immediate=places.residual_stride)
