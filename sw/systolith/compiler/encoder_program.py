"""The program of a whole encoder: embedding, then a loop over its layers.

One program serves all lengths: the host writes how many tokens there are to the register LENGTH,
and the sentences' tables to external memory.
"""

from systolith_hw.config import ConfigError
from systolith_hw.isa import Register, StoreKind
from systolith_sim.transformer.model import EncoderModel

from .encoder_blocks import BlocksPart
from .encoder_embedding import EmbeddingPart
from .encoder_heads import HeadsPart
from .encoder_layout import EncoderLayout
from .encoder_tables import Header
from .encoder_writer import EncoderWriter

__all__ = ["write_encoder"]


def write_encoder(layout: EncoderLayout, model: EncoderModel) -> bytes:
    """Return the program.

    Raises
    ------
    ConfigError
        If it takes more semaphores, registers or instructions of a loop than there are.
    """
    try:
        return _write(EncoderWriter(layout), model)
    except ValueError as error:
        raise ConfigError(f"this encoder cannot be programmed: {error}") from error


def _write(writer: EncoderWriter, model: EncoderModel) -> bytes:
    plan, program, layout = writer.plan, writer.program, writer.layout
    EmbeddingPart(writer, model.norm, model.base).append()
    program.credit(writer.free, plan.slots)
    program.credit(writer.tables_free)
    if writer.stored is not None and writer.vacated is not None:
        # As if a layer before had stored what the embedding has.
        (count,) = writer.scratch[:1]
        writer.read_header(count, Header.TOKEN_BLOCKS)
        program.credit(writer.stored, 0, patches={"count": count})
        program.minimum(count, 0, Register.LENGTH, plan.token_block)
        program.credit(writer.vacated, 0, patches={"count": count})
    program.calc(writer.slot)
    with program.loop(plan.shape.layers, counter=writer.layer, step=layout.layer_bytes):
        HeadsPart(writer, model.base, model.layers[0].score_shift).append()
        BlocksPart(writer, model.layers[0]).append()
    if plan.resident:
        program.barrier()
        program.store(
            StoreKind.WIDE, address=writer.address("tokens"), rows=0,
            row_stride=layout.token_bytes, elements=plan.wide_stride,
            local_stride=plan.wide_stride, patches={"rows": Register.LENGTH},
        )  # fmt: skip
    program.end()
    return program.assemble()
