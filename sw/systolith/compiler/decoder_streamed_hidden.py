"""The part of a streamed language model's program that adds the feed-forward of a layer."""

from systolith_hw.isa import DrainFunction, DrainKind
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden

from .decoder_streamed_writer import StreamedWriter

__all__ = ["StreamedHidden"]


class StreamedHidden:
    """Append the feed-forward of a layer.

    Parameters
    ----------
    writer : StreamedWriter
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, writer: StreamedWriter, layer: DecoderLayer) -> None:
        assert isinstance(layer.hidden, GatedHidden)
        self.writer = writer
        self.layer = layer
        self.shift = layer.hidden.shift

    def append(self) -> None:
        """Append the instructions, but for LOADs of tables and of the first matrices."""
        writer, layer = self.writer, self.layer
        plan, program, layout = writer.plan, writer.program, writer.layout
        writer.norm(layer.norm, plan.tables["hidden_norm"], post_outer=writer.normed)
        writer.multiply_by(layout.ring_matrices["expansion"], 0, writer.normed)
        program.drain(
            DrainKind.WIDE, function=DrainFunction.SILU, tiles=plan.hidden_tiles,
            columns_last=plan.hidden_last, scale=plan.tables["gate"], destination=plan.gates,
        )  # fmt: skip
        program.drain(
            DrainKind.ACTIVATION, function=DrainFunction.PRODUCT, shift=self.shift,
            tiles=plan.hidden_tiles, exponent_base=layer.base, columns_last=plan.hidden_last,
            scale=plan.tables["up"], entries=plan.gates, destination=plan.hidden,
            post_outer=writer.written,
        )  # fmt: skip
        place = layout.address("layers") + layout.places["down"]
        writer.load(layout.ring_matrices["down"], place, writer.layer)
        writer.add(layout.ring_matrices["down"], plan.hidden, "down")
