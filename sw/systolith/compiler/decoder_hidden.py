"""The part of a language model's program that adds the feed-forward of a layer to the residual.

::

    row      norm
    array         | gate and up                   | down 0 | down 1
    vector             SiLU of gate | up x gate 0 | up x gate 1 | residual += ...

Without gates there is one matrix, and ReLU behind it.
"""

from systolith_hw.isa import DrainFunction, DrainKind
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden

from .decoder_writer import DecoderWriter
from .layer_places import added

__all__ = ["HiddenPart"]


class HiddenPart:
    """Append the feed-forward of a layer.

    Parameters
    ----------
    writer : DecoderWriter
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, writer: DecoderWriter, layer: DecoderLayer) -> None:
        self.writer = writer
        self.plan = writer.plan
        self.program = writer.program
        self.layer = layer
        hidden = layer.hidden
        self.shift = hidden.shift if isinstance(hidden, GatedHidden) else 0

    def append(self) -> None:
        """Append the instructions."""
        writer, plan, program = self.writer, self.plan, self.program
        writer.norm(self.layer.hidden_norm)
        matrices = 1 + plan.shape.gated
        program.matmul(
            steps=plan.steps, tiles=matrices * plan.hidden_tiles, operand=plan.expansion,
            patches=added(operand=writer.layer.tile), wait_outer=writer.normed,
        )  # fmt: skip
        if plan.shape.gated:
            program.drain(
                DrainKind.WIDE, function=DrainFunction.SILU, tiles=plan.hidden_tiles,
                columns_last=plan.hidden_last, scale=plan.tables["gate"], destination=plan.gates,
                patches=added(scale=writer.layer.entry),
                **writer.behind_norm(self.layer.hidden_norm, first=True),
            )  # fmt: skip
        first = 0
        for words in plan.hidden_groups:
            self._finish(first, words)
            first += words
        writer.add(plan.hidden_groups, plan.down_matrix, plan.hidden, plan.tables["down"])

    def _finish(self, first: int, words: int) -> None:
        """Make some hidden words out of the results of up, and the gates if there are any."""
        plan, array = self.plan, self.plan.config.array
        start = first * array.rows // array.columns
        end = min(plan.hidden_tiles, -(-(first + words) * array.rows // array.columns))
        gated = plan.shape.gated
        self.program.drain(
            DrainKind.ACTIVATION, function=DrainFunction.PRODUCT if gated else DrainFunction.RELU,
            shift=self.shift, entries=plan.gates + plan.beats(start) if gated else 0,
            tiles=end - start, exponent_base=self.layer.base,
            columns_last=plan.hidden_last if end == plan.hidden_tiles else array.columns,
            scale=plan.tables["up"] + plan.beats(start), destination=plan.hidden + first,
            patches=added(scale=self.writer.layer.entry), post_outer=self.writer.written,
            **self.writer.behind_norm(self.layer.hidden_norm, first=not gated and not first),
        )  # fmt: skip
