"""Bring the matrices of a language model to the chip, expanded from codes on the way."""

from ..program import Patches, Program
from .decoder_layout import DecoderLayout, Matrix

__all__ = ["load_codes"]


def load_codes(program: Program, layout: DecoderLayout) -> None:
    """Append what loads the matrices of one layer after the other, and the head.

    A LOAD's runs are the panels of one matrix, so layers take a loop.
    """
    plan = layout.plan
    place, block = program.register("the layer's bytes"), program.register("the layer's tiles")

    def load(matrix: Matrix, address: int, patches: Patches) -> None:
        program.load(
            plan.shape.kind, address=address, elements=matrix.elements, rows=matrix.runs,
            row_stride=matrix.stride, local=matrix.local, local_stride=matrix.steps,
            patches=patches,
        )  # fmt: skip

    program.calc(place)
    program.calc(block)
    with program.loop(plan.shape.layers):
        address = layout.address("matrices")
        for matrix in layout.matrices:
            load(matrix, address, {"address": place, "local": block})
            address += matrix.size
        program.calc(place, place, immediate=layout.layer_bytes)
        program.calc(block, block, immediate=plan.block_tiles)
    load(layout.head, layout.address("head"), {})
