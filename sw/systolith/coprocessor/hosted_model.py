"""A golden language model whose products somebody else makes."""

import dataclasses

from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden, RectifiedHidden
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.encoder import Linear

from .block import Block, DeviceLinear, join

__all__ = ["with_blocks"]


def with_blocks(model: DecoderModel) -> tuple[DecoderModel, list[Block]]:
    """Return a model with the numbers of another, and the blocks that make its products.

    All else is the golden model's own code: norms, rotary positions, attention, the function of
    hidden values, additions, and the scale of each channel.
    """
    blocks: list[Block] = []

    def place(*linears: Linear, chunk: int | None = None) -> list[DeviceLinear]:
        more, placed = join(list(linears), model.array.columns, chunk)
        blocks.extend(more)
        return placed

    def layer(one: DecoderLayer) -> DecoderLayer:
        query, key, value = place(one.query, one.key, one.value)
        (output,) = place(one.output, chunk=one.output_chunk)
        hidden: GatedHidden | RectifiedHidden
        if isinstance(one.hidden, GatedHidden):
            gate, up = place(one.hidden.gate, one.hidden.up)
            hidden = dataclasses.replace(one.hidden, gate=gate, up=up)
        else:
            hidden = RectifiedHidden(*place(one.hidden.up))
        (down,) = place(one.down, chunk=one.down_chunk)
        return dataclasses.replace(
            one, query=query, key=key, value=value, output=output, hidden=hidden, down=down
        )

    layers = [layer(one) for one in model.layers]
    (head,) = place(model.head)
    return dataclasses.replace(model, layers=layers, head=head), blocks
