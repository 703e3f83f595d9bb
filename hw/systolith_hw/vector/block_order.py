"""What the loops of DRAIN keep of an instruction where there is a row unit."""

from typing import Any

from amaranth import *
from amaranth.lib import data

from ..config import HEAD_CHANNELS, INSTRUCTION_BYTES, SHIFT_BITS, Config
from ..drain_rules import OPTION_KINDS, SHARED, kinds
from ..interfaces import PC_BITS, descriptor
from ..isa import (
    HEADER,
    SAMPLE,
    SLOT_BITS,
    DrainFunction,
    DrainKind,
    ErrorCode,
    Opcode,
    Unit,
    encode,
)
from ..limits import queues
from ..sequencer.permit import semaphore
from .block_exponent import BASE_BITS
from .operation import PRODUCT_SHIFT_BITS
from .order import first_reason, fold

__all__ = [
    "as_drain", "block_order", "block_order_of", "drain_descriptor", "objection", "place_bits",
]  # fmt: skip

OBJECTIONS = (
    ("illegal", ErrorCode.ILLEGAL_INSTRUCTION),
    ("zero", ErrorCode.ZERO_COUNT),
    ("divided", ErrorCode.ILLEGAL_INSTRUCTION),
    ("zero_last", ErrorCode.ZERO_COUNT),
    ("beyond", ErrorCode.ADDRESS_RANGE),
)
"""What can be wrong with an instruction as a whole, in the order of the functional machine."""


def drain_descriptor(config: Config) -> data.FlexibleLayout:
    """Return the layout of an instruction that is DRAIN, or SAMPLE if the core has that."""
    return descriptor(*queues(config)[Unit.VECTOR])


def as_drain(config: Config, instruction: Any) -> Any:
    """Return an instruction as loops of beats see it: SAMPLE is a BEST of a tile of no channels.

    It has a beat, then, that says where the number goes, and which semaphores are given with it.
    """
    if not config.vector.candidates:
        return instruction
    same = {"wait_outer", "wait_inner", "post_outer", "post_inner", "destination"}
    kept = sum(
        (1 << item.width) - 1 << item.offset
        for item in (*HEADER, *SAMPLE.fields) if item.name in same
    )  # fmt: skip
    pc = drain_descriptor(config)["pc"]
    kept |= (1 << PC_BITS) - 1 << pc.offset
    best = encode(
        Opcode.DRAIN, kind=DrainKind.BEST, tokens=1, groups=1, tiles=1, tiles_last=1
    )
    raw = instruction.as_value()
    given = raw & C(kept, 8 * INSTRUCTION_BYTES) | int.from_bytes(best, "little")
    chosen = Mux(instruction.opcode == Opcode.SAMPLE, given, raw)
    return data.View(drain_descriptor(config), chosen[: len(raw)])


def place_bits(config: Config) -> dict[str, int]:
    """Return the widths of what is counted from token to token.

    These are destinations, scale words, rows of row memory or of angles, and channels of scale
    memory, those of a token that limit a maximum, PRODUCT's wide words, or MEASURED's words.
    """
    memory, lanes = config.memory, config.vector.lanes
    depths = {
        "destination": max(memory.activation_words, memory.wide_words, memory.operand_tiles),
        "scale": memory.scale_words,
        "entry": max(memory.scale_words, memory.wide_words, memory.activation_words) * lanes,
        "row": max(config.vector.rows, memory.wide_words // 2, 2),
    }
    return {name: (depth - 1).bit_length() for name, depth in depths.items()}


def block_order(config: Config) -> data.StructLayout:
    """Return the shape of an instruction, its strides folded (:func:`~.order.fold`).

    ``most_*`` is a count less one, and what KEYS and VALUES have in place of counts and columns is
    told apart: ``columns_last`` is the first lane or row. ``shared``: all channels of a token of a
    group share an exponent, and the last group has as many tiles as the others. ``scale_stride``
    and ``entry_stride`` lead from group to group, and the latter for ``product`` from token to
    token. ``add``: wide memory is read. ``limited``: ``entries`` limits the maximum. ``rows``: how
    many there are, of row memory or of angles. ``angles``: the address bits in which the words of a
    row of angles differ, without ``rotate`` all. ``to_best``: values are compared, with ``gather``
    kept for SAMPLE; with ``sample`` there are none. ``rectify``: RELU, behind which ``function`` is
    NONE.
    """
    array, bits = config.array, place_bits(config)
    waits_and_posts = ("wait_outer", "wait_inner", "post_outer", "post_inner")
    flags = (
        "to_words", "to_wide", "to_stream", "to_keys", "to_values", "to_best", "shared", "add",
        "accumulate", "factor", "scaled", "maximum", "measure", "limited", "product", "rotate",
        "gather", "sample", "rectify",
        *(name for name, _ in OBJECTIONS),
    )  # fmt: skip
    return data.StructLayout({
        **dict.fromkeys(waits_and_posts, semaphore()),
        **dict.fromkeys(flags, 1),
        "function": 2,
        "base": BASE_BITS,
        "offset": SHIFT_BITS,
        "shift": PRODUCT_SHIFT_BITS,
        "angles": (config.memory.wide_words - 1).bit_length(),
        "rows": bits["row"] + 1,
        "scale": bits["scale"],
        "entries": SLOT_BITS,
        "pc": PC_BITS,
        **dict.fromkeys(("most_tokens", "most_tiles", "most_tiles_last"), SLOT_BITS),
        "columns_last": (max(array.rows, array.columns) - 1).bit_length() + 1,
        **dict.fromkeys(("token_stride", "group_stride"), bits["destination"] + 1),
        "scale_stride": bits["scale"] + 1,
        "entry_stride": bits["entry"] + 1,
    })


def block_order_of(config: Config, instruction: Any) -> dict[str, Value]:
    """Return the members of :func:`block_order` for an instruction."""
    fields = as_drain(config, instruction)
    own_kinds = {
        "to_words": DrainKind.ACTIVATION, "to_wide": DrainKind.WIDE, "to_stream": DrainKind.STREAM,
        "to_keys": DrainKind.KEYS, "to_values": DrainKind.VALUES,
    }  # fmt: skip
    to = {name: fields.kind == kind for name, kind in own_kinds.items()}
    measure = fields.kind == DrainKind.MEASURED
    to |= {name: to[name] | measure for name in ("to_words", "to_wide")}
    gather = sample = C(0, 1)
    if config.vector.candidates:
        gather = fields.kind == DrainKind.CANDIDATES
        sample = instruction.opcode == Opcode.SAMPLE
    to["to_best"] = (fields.kind == DrainKind.BEST) | gather
    to["to_stream"] |= fields.kind == DrainKind.HEADS
    shared = Cat(fields.kind == kind for kind in SHARED).any()
    product = fields.function == DrainFunction.PRODUCT
    tile_beats = fields.tiles.shift_left((config.beats_per_result - 1).bit_length())
    tiles_last = Mux(shared, fields.tiles, fields.tiles_last)
    shape = block_order(config)
    sources = {
        "columns_last": fields.columns_last,
        "token_stride": fields.token_stride,
        "group_stride": Mux(to["to_best"], 0, fields.group_stride),
        "scale_stride": tile_beats,
        "entry_stride": Mux(product, tile_beats, fields.tiles_last),
    }
    own = {
        **to,
        **_objections(config, fields, to, shared),
        "shared": shared,
        "measure": measure,
        "gather": gather,
        "sample": sample,
        "add": (fields.accumulate & ~to["to_best"]) | product | fields.rotate,
        "limited": fields.maximum & fields.entries.any(),
        "product": product,
        "function": fields.function[:2],
        "rectify": fields.function == DrainFunction.RELU,
        "angles": Mux(fields.rotate, (1 << fields.shift) - 1, ~0),
        "rows": _rows(config, fields),
        "base": fields.exponent_base,
        "most_tokens": fields.tokens - 1,
        "most_tiles": fields.tiles - 1,
        "most_tiles_last": tiles_last - 1,
        **{name: fold(value, shape[name].width - 1) for name, value in sources.items()},
    }
    return {
        name: own[name] if name in own else Value.cast(fields[name]) for name in shape.members
    }  # fmt: skip


def _rows(config: Config, fields: Any) -> Value:
    """Return how many rows there are: of row memory, of angles, or of both."""
    rows, turns = config.vector.rows, C(config.memory.wide_words) >> fields.shift
    both = fields.scaled & (turns > rows)
    return Mux(fields.rotate & ~both, turns, rows)


def _objections(
    config: Config, fields: Any, to: dict[str, Value], shared: Value
) -> dict[str, Value]:
    """Return the members of an order that say what is wrong with it."""
    array = config.array
    column_bits, row_bits = ((size - 1).bit_length() for size in (array.columns, array.rows))
    no_lane = Mux(
        to["to_keys"], fields.columns_last[column_bits:].any(),
        to["to_values"] & fields.columns_last[row_bits:].any(),
    )  # fmt: skip
    candidates = config.vector.candidates
    gather = fields.kind == DrainKind.CANDIDATES
    return {
        "illegal": ~Cat(fields.kind == kind for kind in kinds(config)).any()
        | _mismatch(config, fields),
        "zero": Cat(~fields[name].any() for name in ("tokens", "groups", "tiles")).any(),
        "divided": fields.maximum & (fields.groups != 1),
        "zero_last": (~shared & ~fields.tiles_last.any()) | (gather & ~fields.token_stride.any()),
        "beyond": (shared & (no_lane | (fields.tiles > HEAD_CHANNELS // array.columns)))
        | (gather & (fields.token_stride > candidates)),
    }


def _mismatch(config: Config, fields: Any) -> Value:
    """Return whether options do not go together, or not with the kind."""
    product = fields.function == DrainFunction.PRODUCT
    not_turned = fields.function.any() | fields.factor | ~fields.shift.any()
    if config.vector.lanes == 1:
        not_turned = C(1)  # no lane has another beside it
    wrong = [
        (product if name == "PRODUCT" else fields[name])
        & ~Cat(fields.kind == kind for kind in those).any()
        for name, those in OPTION_KINDS.items()
    ]
    compares = (fields.kind == DrainKind.BEST) | (fields.kind == DrainKind.CANDIDATES)
    wrong += [
        fields.function > max(DrainFunction),
        fields.rotate & not_turned,
        fields.scaled & (fields.factor if config.vector.deferred_norms else C(1)),
        product & (fields.accumulate | fields.maximum),
        (compares | (fields.kind == DrainKind.MEASURED)) & (fields.tokens > 1),
        (fields.kind == DrainKind.MEASURED) & (fields.groups > 1),
    ]
    return Cat(wrong).any()


def objection(order: Any) -> Value:
    """Return the code of what is wrong with an instruction as a whole, or 0."""
    return first_reason((order[name], reason) for name, reason in OBJECTIONS)
