"""Where a language model lies in external memory.

All of it is brought to the chip once, but for embedding and angles, of which each token takes a
row each, and the list of tokens (``token_list.py``).
"""

from functools import cached_property

from systolith_hw.code_pages import PARAMETER_BITS
from systolith_hw.config import ConfigError
from systolith_sim.machine.transfer import load_bytes

from ..program import Program
from .decoder_logits import LogitsRows
from .decoder_plan import DecoderPlan
from .layout import MemoryMap, Region, log2, pad, power_of_two
from .token_list import TokenList

__all__ = ["DecoderLayout", "Matrix", "count_rows"]

LARGEST_SUMS = 1 << 24
"""Bytes of all sums of a token's row and a learned position's."""


class Matrix:
    """A matrix as it lies on the chip: panels of C channels, of ``steps`` tiles each.

    Weights of 8 bits are a single run; of codes, each panel is one, which begins with a page.

    Parameters
    ----------
    plan : DecoderPlan
    local : int
        First tile, of a block if it is one of a layer's.
    steps, tiles : int

    Attributes
    ----------
    runs : int
    elements : int
        Row writes of a run.
    stride : int
        Bytes from run to run in external memory.
    """

    def __init__(self, plan: DecoderPlan, local: int, steps: int, tiles: int) -> None:
        self.local = local
        self.steps = steps
        self.tiles = tiles
        config, kind = plan.config, plan.shape.kind
        self.runs = tiles if kind in PARAMETER_BITS else 1
        self.elements = steps * tiles // self.runs * (config.array.rows // config.write_rows)
        self.stride = pad(load_bytes(config, kind, self.elements), config.bus.data_bytes)

    @property
    def size(self) -> int:
        """Bytes in external memory."""
        return self.runs * self.stride


class DecoderLayout:
    """External memory of a language model.

    Parameters
    ----------
    plan : DecoderPlan
    with_logits : bool
        Logits are stored, too.

    Attributes
    ----------
    list : TokenList
        What the host writes, and where it finds what comes.
    logits : LogitsRows or None
        Where logits are.
    regions : dict of Region
        "list", "embedding" (with learned positions the sums of each position's row and each
        token's), "openings" if they are tabled, in the same steps, "angles" if any, "matrices" and
        "tables" of all layers, "head", and "head tables", of the last norm and the head.
    """

    def __init__(self, plan: DecoderPlan, *, with_logits: bool = False) -> None:
        self.plan = plan
        self.config = plan.config
        self.map = MemoryMap(plan.config, f"a language model for {plan.tokens} tokens")
        shape = plan.shape
        size = TokenList(plan.config, plan.shape, plan.tokens, 0).size
        address = self.map.add("list", size).address
        self.list = TokenList(plan.config, plan.shape, plan.tokens, address)
        self.map.add("embedding", self._embedding_size())
        if shape.tabled:
            self.map.add("openings", self._embedding_size())
        if shape.rotary:
            self.map.add("angles", (plan.tokens + 1) * self.angle_bytes)  # the last: never used
        self.map.add("matrices", shape.layers * self.layer_bytes)
        self.map.add("tables", shape.layers * self.table_bytes)
        self.map.add("head", self.head.size)
        self.map.add("head tables", self._padded(plan.scale_need - plan.unit_table))
        self.logits: LogitsRows | None = None
        if with_logits:
            parts = (plan.vocabulary_tiles,)
            address = self.map.add("logits", LogitsRows(plan, 0, parts).size).address
            self.logits = LogitsRows(plan, address, parts)

    @property
    def regions(self) -> dict[str, Region]:
        """Every region by name."""
        return self.map.regions

    def address(self, region: str) -> int:
        """Return where a region begins."""
        return self.regions[region].address

    @property
    def row_bytes(self) -> int:
        """Bytes from one embedding to the next, a power of two."""
        return self._step(self.plan.beats(self.plan.tiles))

    @property
    def position_bytes(self) -> int:
        """Bytes from the sums of one learned position to the next one's, a power of two."""
        return power_of_two(self.plan.shape.vocabulary) * self.row_bytes

    def _embedding_size(self) -> int:
        """Return the bytes of the embedding, or of its sums with learned positions.

        Raises
        ------
        ConfigError
            If these are more than anybody wants to fill.
        """
        shape, tokens = self.plan.shape, self.plan.tokens
        if not shape.learned:
            return self.position_bytes if shape.tabled else shape.vocabulary * self.row_bytes
        size = (tokens + shape.tabled) * self.position_bytes  # the last: never used
        if size > LARGEST_SUMS:
            raise ConfigError(
                f"the sums of {shape.vocabulary} tokens' rows and {tokens} learned positions take "
                f"{size} bytes of external memory, and at most {LARGEST_SUMS} are made; lower the "
                f"tokens of a text to {LARGEST_SUMS // self.position_bytes}, or take a model with "
                "rotary positions"
            )
        return size

    @property
    def angle_bytes(self) -> int:
        """Bytes from one position's angles to the next one's, a power of two."""
        return self._step(self.plan.angle_words)

    @cached_property
    def matrices(self) -> list[Matrix]:
        """Those of a layer, chunk after chunk, in the order of their places on the chip."""
        plan = self.plan
        context = [plan.shape.share * count * plan.head_words for count in plan.head_groups]
        gates = (1 + plan.shape.gated) * plan.hidden_tiles
        return [
            Matrix(plan, 0, plan.steps, plan.projection_tiles),
            *self._chunks(plan.output_matrix, context),
            Matrix(plan, plan.expansion, plan.steps, gates),
            *self._chunks(plan.down_matrix, plan.hidden_groups),
        ]

    @property
    def layer_bytes(self) -> int:
        """Bytes from one layer's matrices to the next one's."""
        return sum(matrix.size for matrix in self.matrices)

    @property
    def table_bytes(self) -> int:
        """Bytes from one layer's entries to the next one's."""
        return self._padded(self.plan.tables["end"])

    @property
    def head(self) -> Matrix:
        """The head."""
        plan = self.plan
        return Matrix(plan, plan.head_matrix, plan.steps, plan.vocabulary_tiles)

    def _chunks(self, local: int, steps: tuple[int, ...] | list[int]) -> list[Matrix]:
        """Return the chunks of a matrix to the features, of so many words each."""
        tiles = self.plan.tiles
        starts = [local + tiles * sum(steps[:number]) for number in range(len(steps))]
        return [Matrix(self.plan, *chunk, tiles) for chunk in zip(starts, steps, strict=True)]

    def _padded(self, scale_words: int) -> int:
        return pad(scale_words * self.config.scale_word_bytes, self.config.bus.data_bytes)

    def _step(self, wide_words: int) -> int:
        """Return the bytes of so many wide words, raised to a power of two."""
        size = pad(wide_words * self.config.wide_word_bytes, self.config.bus.data_bytes)
        return power_of_two(size) if size else 0


def count_rows(
    program: Program, layout: DecoderLayout, target: int, place: int, ahead: int = 0
) -> None:
    """Count, in a register, the rows of sums in front of those of a learned position.

    Parameters
    ----------
    target, place : int
        Registers; the second has the bytes to the position's entry of the list.
    ahead : int
        How many positions behind that one.
    """
    stride = layout.list.stride
    program.calc(
        target, place, immediate=ahead * stride, right=log2(stride),
        left=log2(layout.position_bytes) - log2(layout.row_bytes),
    )  # fmt: skip
