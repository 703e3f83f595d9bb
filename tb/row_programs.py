"""Random instructions of VECTOR and ROW, legal and free of races, for benches of core and unit."""

from systolith.compiler.encoder_quantizer import factor
from systolith_hw.config import HEAD_CHANNELS, WIDE_BANK_WORDS
from systolith_hw.isa import DrainFunction, DrainKind
from systolith_hw.presets import preset
from systolith_sim.vector.row import Factor

__all__ = ["CONFIGS", "INPUTS", "Fields", "products"]

MEMORY = {
    "memory.operand_tiles": 96, "memory.activation_words": 300, "memory.wide_words": 600,
    "memory.scale_words": 200, "memory.program_instructions": 64, "vector.rows": 16,
    "vector.candidates": 16,
}  # fmt: skip
CONFIGS = {
    "small": preset("small").replace(MEMORY),  # R = C = 8, two beats in a word and a result
    "tall": preset("ulx3s").replace(MEMORY),  # R > C, one beat in a result
    "flat": preset("small").replace(MEMORY | {
        "array.rows": 4, "array.columns": 16, "vector.lanes": 4, "bus.data_bytes": 16,
        "array.mantissa_bits": 10, "array.window": 20,
        "memory.wide_words": WIDE_BANK_WORDS + 50,  # words from there have a cycle on their way
    }),
    "single": preset("small").replace(MEMORY | {
        "memory.operand_single_port": True, "vector.lanes": 2, "array.window": 12,
    }),
}  # fmt: skip
INPUTS = 24
"""Activation words that nothing writes."""
UNWRITTEN = 470
"""Wide words from here on are read only."""


class Fields:
    """Random fields of instructions on a config, each unit in its own part of all memories."""

    def __init__(self, config, rng):
        self.config = config
        self.rng = rng
        self.compared = False  # the largest value so far is known

    def draw(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def loops(self, *, kind, one_group=False):
        """Return the counts of a product whose results have whole places in memory."""
        loops = {"tokens": self.draw(1, 4), "groups": 1 if one_group else self.draw(1, 2)}
        loops["tiles"] = self.draw(1, 4)
        if kind in (DrainKind.ACTIVATION, DrainKind.WIDE):
            loops["tiles_last"] = self.draw(1, loops["tiles"])
        loops["steps"] = self.draw(1, 3)
        return loops

    def product(self, program, kind, **options):
        """Append a MATMUL and a DRAIN of its results."""
        config = self.config
        array, beats = config.array, config.beats_per_result
        one_group = options.get("maximum", False)
        loops = self.loops(kind=kind, one_group=one_group)
        steps = loops.pop("steps")
        program.matmul(
            operand=self.draw(0, 20), ring=(0, 40), activation=self.draw(0, INPUTS - 16),
            activation_stride=1, steps=steps, **loops,
        )  # fmt: skip
        tokens, tiles = loops["tokens"], loops["tiles"]
        words = {
            DrainKind.WIDE: tiles * beats,
            DrainKind.ACTIVATION: -(-tiles * array.columns // array.rows),
        }[kind]
        free = {DrainKind.WIDE: 300, DrainKind.ACTIVATION: 160}[kind]
        token_stride = words + self.draw(0, 1)
        group_stride = tokens * token_stride
        first = 0 if kind == DrainKind.WIDE else INPUTS
        assert loops["groups"] * group_stride <= free
        destination = first + self.draw(0, free - loops["groups"] * group_stride)
        if one_group:
            options["row"] = self.draw(0, 7 - tokens)
            options["entries"] = self.draw(0, 1) * self.draw(1, tiles * array.columns)
        if options.get("function") == DrainFunction.PRODUCT:
            size = loops["groups"] * tokens * tiles * beats
            options["entries"] = self.draw(UNWRITTEN, config.memory.wide_words - size)
            options["shift"] = self.draw(4, 20)
            if kind == DrainKind.WIDE and token_stride == words and self.draw(0, 1):
                options["entries"] = destination  # each in the place of its second factor
        if options.get("rotate"):
            options |= self.angles(tokens)
        program.drain(
            kind, destination=destination, token_stride=token_stride, group_stride=group_stride,
            scale=self.draw(0, 40), columns_last=self.draw(1, array.columns),
            exponent_base=self.draw(0, 8), **loops, **options,
        )  # fmt: skip

    def angles(self, tokens):
        """Return where angles are: what VECTOR wrote before, or what nobody writes."""
        shift = self.draw(2, 4)
        first, end = ((0, 300), (UNWRITTEN, self.config.memory.wide_words))[self.draw(0, 1)]
        row = self.draw(-(-first >> shift), min((end >> shift) - tokens, 255))  # what DRAIN holds
        return {"rotate": True, "shift": shift, "row": row}

    def best(self, program, **semaphores):
        """Append a MATMUL, and a DRAIN that looks for the largest of its results."""
        loops = {"groups": self.draw(1, 3), "tiles": self.draw(1, 4)}
        loops["tiles_last"] = self.draw(1, loops["tiles"])
        program.matmul(
            operand=self.draw(0, 20), ring=(0, 40), activation=self.draw(0, INPUTS - 16),
            activation_stride=1, steps=self.draw(1, 3), **loops,
        )  # fmt: skip
        program.drain(
            DrainKind.BEST, destination=self.draw(0, 299), entries=self.draw(0, 0xFFFF),
            accumulate=self.compared and bool(self.draw(0, 1)), scale=self.draw(0, 40),
            columns_last=self.draw(1, self.config.array.columns), **loops, **semaphores,
        )  # fmt: skip
        self.compared = True

    def candidates(self, program, **semaphores):
        """Append some instructions that keep the largest of their results, and one that chooses."""
        most = self.config.vector.candidates
        kept = (1, most, self.draw(1, most))[self.draw(0, 2)]
        for number in range(self.draw(1, 3)):
            loops = {"groups": self.draw(1, 3), "tiles": self.draw(1, 4)}
            loops["tiles_last"] = self.draw(1, loops["tiles"])
            program.matmul(
                operand=self.draw(0, 20), ring=(0, 40), activation=self.draw(0, INPUTS - 16),
                activation_stride=1, steps=self.draw(1, 3), **loops,
            )  # fmt: skip
            program.drain(
                DrainKind.CANDIDATES, entries=self.draw(0, 0xFFFF), accumulate=number > 0,
                token_stride=kept, scale=self.draw(0, 40),
                columns_last=self.draw(1, self.config.array.columns), **loops, **semaphores,
            )  # fmt: skip
        for _ in range(self.draw(1, 2)):
            program.sample(
                destination=self.draw(0, 299), seed=self.draw(0, (1 << 32) - 1),
                position=self.draw(0, (1 << 32) - 1),
                sharpness=Factor(self.draw(1 << 15, 0xFFFF), self.draw(0, 40)), **semaphores,
            )  # fmt: skip

    def operands(self, program, kind, **semaphores):
        """Append a MATMUL, and a DRAIN of its results to operand memory."""
        config = self.config
        array, lanes = config.array, config.vector.lanes
        # Twelve tiles of keys, twice for each of two groups, are what there is room for.
        most = min(4, HEAD_CHANNELS // array.columns, 12 * array.rows // array.columns)
        loops = {
            "tokens": self.draw(1, 4), "groups": self.draw(1, 2), "tiles": self.draw(1, most),
        }  # fmt: skip
        program.matmul(
            operand=self.draw(0, 20), ring=(0, 40), activation=self.draw(0, INPUTS - 16),
            activation_stride=1, steps=self.draw(1, 3), **loops,
        )  # fmt: skip
        channels = loops["tiles"] * array.columns
        turn = {}
        if kind == DrainKind.KEYS and self.draw(0, 1):
            turn = self.angles(loops["tokens"])
        if kind == DrainKind.KEYS:
            stride, wraps = -(-channels // array.rows), array.columns
            size = 2 * stride
        else:
            stride, wraps = 2, array.rows
            size = stride * loops["tiles"]
        program.drain_operands(
            kind, destination=44 + self.draw(0, 3), token_stride=stride, group_stride=size,
            lane=self.draw(0, wraps - 1), entries=100 * lanes + self.draw(0, 9),
            entries_stride=self.draw(4, 9), scale=self.draw(0, 40), offset=self.draw(0, 60),
            exponent_base=self.draw(0, 8), **loops, **turn, **semaphores,
        )  # fmt: skip

    def heads(self, program, **semaphores):
        """Append a DRAIN of results to the stream, whose words share exponents."""
        config = self.config
        loops = {
            "tokens": self.draw(1, 4), "groups": self.draw(1, 2),
            "tiles": self.draw(1, min(20, HEAD_CHANNELS // config.array.columns)),
        }  # fmt: skip
        turn = self.angles(loops["tokens"]) if self.draw(0, 1) else {}
        program.drain(
            DrainKind.HEADS, scale=self.draw(0, 10), exponent_base=self.draw(0, 8), **loops, **turn,
            **semaphores,
        )  # fmt: skip

    def norm(self, program, **semaphores):
        """Append NORM, in the upper part of wide memory."""
        lanes = self.config.vector.lanes
        elements, tokens = self.draw(1, 60), self.draw(1, 4)
        words = -(-elements // lanes)
        stride = words + self.draw(0, 1)
        program.norm(
            elements=elements, inverse=factor(1 / elements), epsilon=self.draw(1, 1 << 14),
            source=310 + self.draw(0, 30), source_stride=stride, destination=190, tokens=tokens,
            token_stride=-(-elements // self.config.array.rows), scale=self.draw(120, 130),
            exponent_base=self.draw(0, 8), centre=bool(self.draw(0, 1)),
            back=bool(self.draw(0, 1)), **semaphores,
        )  # fmt: skip

    def attention(self, program):
        """Append scores of some tokens, their softmax, and a product that is divided."""
        array, beats = self.config.array, self.config.beats_per_result
        tokens, tiles = self.draw(1, 5), self.draw(1, 4)
        last, row = self.draw(1, array.columns), self.draw(0, 8)
        scores = (tiles - 1) * array.columns + last
        causal = self.draw(0, 1) * self.draw(1, scores)
        program.matmul(
            operand=self.draw(0, 20), ring=(0, 40), activation=self.draw(0, INPUTS - 16),
            activation_stride=1, steps=self.draw(1, 3), tokens=tokens, tiles=tiles,
        )  # fmt: skip
        program.drain(
            DrainKind.WIDE, tokens=tokens, tiles=tiles, columns_last=last, destination=310,
            token_stride=tiles * beats, scale=self.draw(0, 40), maximum=True, row=row,
            entries=causal,
        )  # fmt: skip
        program.barrier()
        words = -(-scores // array.rows)
        program.softmax(
            elements=scores, source=310, source_stride=tiles * beats, destination=190,
            tokens=tokens, token_stride=words, scale=self.draw(120, 130),
            scale_stride=self.draw(0, 4), exponent_base=self.draw(0, 8), row=row, causal=causal,
        )  # fmt: skip
        program.barrier()
        kind = (DrainKind.WIDE, DrainKind.ACTIVATION)[self.draw(0, 1)]
        program.matmul(
            operand=self.draw(0, 20), ring=(0, 40), activation=190, activation_stride=words,
            steps=words, tokens=tokens, tiles=2,
        )  # fmt: skip
        program.drain(
            kind, tokens=tokens, tiles=2, factor=True, row=row, offset=self.draw(0, 9),
            exponent_base=self.draw(0, 8), destination=INPUTS,
            token_stride=max(2 * beats, 2 * array.columns // array.rows),
        )  # fmt: skip


OPTIONS = [
    {}, {"function": DrainFunction.GELU}, {"function": DrainFunction.SILU}, {"accumulate": True},
    {"accumulate": True, "function": DrainFunction.GELU}, {"maximum": True},
    {"function": DrainFunction.PRODUCT}, {"rotate": True}, {"function": DrainFunction.RELU},
    {"accumulate": True, "function": DrainFunction.RELU},
]  # fmt: skip


def products(fields, program, kinds=(DrainKind.WIDE, DrainKind.ACTIVATION), **semaphores):
    """Append a product with any of the options."""
    kind = kinds[fields.draw(0, len(kinds) - 1)]
    options = dict(OPTIONS[fields.draw(0, len(OPTIONS) - 1)])
    if kind == DrainKind.WIDE:
        options.pop("rotate", None)
    else:
        options.pop("accumulate", None)
        options.pop("maximum", None)
    fields.product(program, kind, **options, **semaphores)
