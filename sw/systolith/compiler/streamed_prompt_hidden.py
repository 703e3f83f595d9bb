"""The part of a block of a streamed prompt that adds the feed-forward of a layer."""

from systolith_hw.isa import DrainFunction, DrainKind
from systolith_sim.transformer.decoder import DecoderLayer, GatedHidden

from .decoder_ring import RingMatrix
from .streamed_prompt_writer import BlockWriter

__all__ = ["BlockHidden"]


class BlockHidden:
    """Append the feed-forward of a layer.

    Parameters
    ----------
    block : BlockWriter
    layer : DecoderLayer
        Any: what the instructions hold is the same in all.
    """

    def __init__(self, block: BlockWriter, layer: DecoderLayer) -> None:
        assert isinstance(layer.hidden, GatedHidden)
        self.block = block
        self.writer = block.writer
        self.program = block.program
        self.layout = block.layout
        self.plan = block.plan
        self.prompt = block.prompt
        self.layer = layer
        self.shift = layer.hidden.shift

    def append(self) -> None:
        """Add the feed-forward to the residual."""
        block = self.block
        plan, prompt, writer = self.plan, self.prompt, self.writer
        gate, up, down = (
            prompt.matrices["gate"], prompt.matrices["up"], self.layout.ring_matrices["down"]
        )  # fmt: skip
        block.norm("hidden_norm")
        block.load("up", "expansion", plan.hidden_tiles)
        block.multiply(gate, 0, plan.steps, free=block.freed, ready=writer.normed)
        self._drain_gates(gate)
        down.load(
            self.program, block.address("down"), {"address": writer.layer}, free=writer.free,
            arrived=writer.arrived, begin=block.expanded,
        )  # fmt: skip
        block.multiply(up, 0, plan.steps, free=block.freed)
        self._drain_hidden(up)
        block.multiply(
            down, prompt.hidden, prompt.hidden_words, free=writer.free, ready=writer.written
        )
        block.add(down, "down")

    def _drain_gates(self, gate: RingMatrix) -> None:
        """Put gates where PRODUCT looks for them: those of a slot's tokens side by side."""
        block = self.block
        plan, prompt = self.plan, self.prompt
        for first, groups, panels in gate.pieces:
            last = first + groups == gate.slots
            self.program.drain(
                DrainKind.WIDE, function=DrainFunction.SILU, tokens=0, groups=groups, tiles=panels,
                columns_last=plan.hidden_last if last else plan.config.array.columns,
                scale=plan.tables["gate"] + first * prompt.gate_words,
                destination=prompt.last_gates if last else prompt.gates,
                token_stride=plan.beats(panels),
                patches=block.tokens if last else block.tokens | {"group_stride": block.gates},
            )  # fmt: skip

    def _drain_hidden(self, up: RingMatrix) -> None:
        """Make hidden words; the array is told of each token's, and LOAD of all."""
        block = self.block
        plan, prompt = self.plan, self.prompt
        for first, groups, panels in up.pieces:
            last = first + groups == up.slots
            self.program.drain(
                DrainKind.ACTIVATION, function=DrainFunction.PRODUCT, shift=self.shift, tokens=0,
                groups=groups, tiles=panels, exponent_base=self.layer.base,
                columns_last=plan.hidden_last if last else plan.config.array.columns,
                scale=plan.tables["up"] + first * prompt.gate_words,
                entries=prompt.last_gates if last else prompt.gates,
                destination=prompt.hidden + first * prompt.unit_words,
                group_stride=prompt.unit_words, token_stride=prompt.hidden_words,
                patches=block.tokens, post_inner=self.writer.written if last else None,
                post_outer=block.expanded if last else None,
            )  # fmt: skip
