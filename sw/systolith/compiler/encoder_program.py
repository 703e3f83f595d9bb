"""The program of a whole encoder: embedding, then a loop over its layers.

One program serves all lengths: the host writes how many tokens there are to the register LENGTH,
and the sentences' tables to external memory.
"""

import dataclasses

import numpy as np

from systolith_hw.config import SCALE_BITS
from systolith_hw.isa import Register, StoreKind
from systolith_sim.transformer.encoder import EncoderLayer, Linear, Norm, Words
from systolith_sim.transformer.model import EncoderModel
from systolith_sim.vector.row import Factor

from ..program import programming
from .encoder_blocks import BlocksPart
from .encoder_embedding import EmbeddingPart
from .encoder_heads import HeadsPart
from .encoder_layout import EncoderLayout
from .encoder_plan import EncoderPlan
from .encoder_streamed import StreamedHeadsPart
from .encoder_tables import Header
from .encoder_writer import EncoderWriter
from .memory_needs import with_longest_loops

__all__ = ["blank_model", "longest_loop", "write_encoder", "write_stages"]

UNITY = Factor(1 << SCALE_BITS - 1, SCALE_BITS - 1)


def write_encoder(layout: EncoderLayout, model: EncoderModel) -> bytes:
    """Return the program.

    Raises
    ------
    ConfigError
        If it takes more semaphores, registers or instructions of a loop than there are.
    """
    with programming("this encoder"):
        return _end(_write(layout, model))


def longest_loop(plan: EncoderPlan) -> int:
    """Return the most instructions of a loop, for all of which program memory must have room.

    No parameters are needed: any others make a program of the same length.

    Raises
    ------
    ConfigError
        If the program takes more semaphores or loops than there are.
    """
    config = with_longest_loops(plan.config)
    with programming("this encoder"):
        writer = _write(EncoderLayout(dataclasses.replace(plan, config=config)), blank_model())
        return writer.program.longest_loop


def _write(layout: EncoderLayout, model: EncoderModel) -> EncoderWriter:
    """Return the program but for its end."""
    writer = EncoderWriter(layout)
    EmbeddingPart(writer, model.norm, model.base, back=not model.norm_first).append()
    _compute_layers(writer, model)
    if layout.plan.resident:
        writer.program.barrier()
        _store_residual(writer)
    return writer


def blank_model(*, norm_first: bool = False, activation: str = "gelu") -> EncoderModel:
    """Return a model without parameters: its numbers mean nothing, but its program takes as long
    as any other's."""
    none = np.zeros((0, 0), np.int64)
    words, linear = Words(none, none), Linear(none, none, none, none)
    norm = Norm(none, none.astype(np.bool), none, none, inverse=UNITY, epsilon=1)
    layer = EncoderLayer(
        heads=1, query=linear, key=linear, value=linear, output=linear, up=linear, down=linear,
        attention_norm=norm, output_norm=norm, score_shift=0, base=0, output_chunk=0, down_chunk=0,
        activation=activation,
    )  # fmt: skip
    return EncoderModel(words, words, norm, 0, [layer], norm_first)


def write_stages(layout: EncoderLayout, model: EncoderModel) -> dict[str, bytes]:
    """Return the same cut into programs: "setup", the embedding; "main", all layers; and, if the
    result stays on the chip, "readout", which stores it.

    Raises
    ------
    ConfigError
        As :func:`write_encoder`.
    """
    with programming("this encoder"):
        setup, main, readout = (EncoderWriter(layout) for _ in range(3))
        EmbeddingPart(setup, model.norm, model.base, back=not model.norm_first).append()
        _compute_layers(main, model)
        stages = {"setup": _end(setup), "main": _end(main)}
        if layout.plan.resident:
            _store_residual(readout)
            stages["readout"] = _end(readout)
        return stages


def _compute_layers(writer: EncoderWriter, model: EncoderModel) -> None:
    """Append the loop over layers, whose input is where the embedding leaves it."""
    plan, program = writer.plan, writer.program
    program.credit(writer.ring.free, plan.slots)
    if writer.tables_free is not None:
        program.credit(writer.tables_free)
    if writer.stored is not None and writer.vacated is not None:
        # As if a layer before had stored what the embedding has.
        count, flag = writer.scratch[:2]
        writer.read_header(count, Header.STORES)
        with writer.unless_zero(count, flag):
            program.credit(writer.stored, 0, patches={"count": count})
            if plan.crowded:
                writer.read_header(count, Header.TOUCHED)
            else:
                program.minimum(count, 0, Register.LENGTH, plan.token_block)
            program.credit(writer.vacated, 0, patches={"count": count})
    if writer.written is not None and writer.vacant is not None:
        # Its words, too: as many STOREs as of residuals.
        count, _ = writer.scratch[:2]
        writer.read_header(count, Header.STORES)
        program.credit(writer.written, 0, patches={"count": count})
        program.minimum(count, 0, Register.LENGTH, plan.input_block)
        program.credit(writer.vacant, 0, patches={"count": count})
    program.calc(writer.ring.slot)
    heads = StreamedHeadsPart if plan.streamed else HeadsPart
    with program.loop(plan.shape.layers, counter=writer.layer, step=writer.layout.layer_bytes):
        heads(writer, model.base, model.layers[0].score_shift).append()
        BlocksPart(writer, model.layers[0], back=not model.norm_first).append()


def _store_residual(writer: EncoderWriter) -> None:
    """Store the residual of all tokens, which is on the chip."""
    plan = writer.plan
    writer.program.store(
        StoreKind.WIDE, address=writer.address("tokens"), rows=0,
        row_stride=writer.layout.token_bytes, elements=plan.wide_stride,
        local_stride=plan.wide_stride, patches={"rows": Register.LENGTH},
    )  # fmt: skip


def _end(writer: EncoderWriter) -> bytes:
    writer.program.end()
    return writer.program.assemble()
