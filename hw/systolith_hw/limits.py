"""The largest numbers that a core keeps of an instruction, as plain data.

In a core whose instructions stand (``sequencer.instructions_stand``) each field has just the bits
that its memories and counters have a use for. The sequencer compares every slot with its limit
while it hands it to a unit, and an instruction with a larger number is error ADDRESS_RANGE of its
unit, before that begins with it. Other cores keep all bits, and units refuse what they can't do.
"""

from .config import Config
from .isa import INSTRUCTIONS, SLOT_BITS, SLOTS, Opcode, Unit

__all__ = ["field_bits", "opcodes", "queues", "slot_limits", "steps_limit"]

COUNTS = ("rows", "beats", "elements", "tokens")

LOOPS = ("groups", "tiles", "tiles_last")
"""Counts of what has scale words of its own."""

ROWS = (
    "function", "accumulate", "factor", "maximum", "rotate", "shift", "row", "offset", "scaled",
    "entries",
)  # fmt: skip
"""Fields of DRAIN that a core without ``vector.rows`` has no use for."""


def opcodes(config: Config) -> frozenset[Opcode]:
    """Return the instructions that the core has; others are error ILLEGAL_INSTRUCTION."""
    absent = set() if config.vector.rows else {Opcode.NORM, Opcode.SOFTMAX}
    if not config.vector.candidates:
        absent.add(Opcode.SAMPLE)
    if config.sequencer.instructions_stand:  # nor has such a core MINIMUM
        absent |= {Opcode.READ, Opcode.CREDIT}
    return frozenset(Opcode) - absent


def queues(config: Config) -> dict[Unit, tuple[Opcode, ...]]:
    """Return the units that have queues, and the instructions that wait in each."""
    known = opcodes(config)
    found: dict[Unit, tuple[Opcode, ...]] = {}
    for opcode, item in INSTRUCTIONS.items():
        if item.unit != Unit.SEQUENCER and opcode in known:
            found[item.unit] = (*found.get(item.unit, ()), opcode)
    return dict(sorted(found.items()))


def steps_limit(config: Config) -> int:
    """Return the longest reduction, in steps, that accumulators and activation memory hold."""
    return min(-(-config.array.max_k // config.array.rows), config.memory.activation_words)


def field_bits(config: Config, opcode: Opcode) -> dict[str, int]:
    """Return the bits that are kept of those fields of a unit's instruction that have a limit."""
    memory = config.memory
    written = max(memory.activation_words, memory.wide_words)
    deepest = max(memory.operand_tiles, written, memory.scale_words)
    addresses = {
        Opcode.MATMUL: {
            "operand": _last(memory.operand_tiles),
            "ring_base": _last(memory.operand_tiles),
            "ring_end": memory.operand_tiles,
            "activation": _last(memory.activation_words),
            "activation_stride": memory.activation_words,
            "steps": steps_limit(config),
            "operand_stride": 0 if config.short_feeder else memory.operand_tiles,
            "numbered": 15 if config.array.numbered else 0,
        },
        Opcode.DRAIN: {
            "scale": _last(memory.scale_words),
            "destination": _last(written),
            "token_stride": written,
            "group_stride": written,
            "columns_last": config.array.columns,
            **({} if config.vector.rows else dict.fromkeys(ROWS, 0)),
        },
        Opcode.LOAD: {
            "address": _last(1 << config.bus.address_bits),
            "row_stride": _last(1 << config.bus.address_bits),
            "local": _last(deepest),
            "local_stride": deepest,
            "ring_base": _last(deepest),
            "ring_end": deepest,
            "lane": _last(config.array.columns),
        },
        Opcode.STORE: {
            "address": _last(1 << config.bus.address_bits),
            "row_stride": _last(1 << config.bus.address_bits),
            "local": _last(memory.wide_words),
            "local_stride": memory.wide_words,
        },
    }
    bits = {name: value.bit_length() for name, value in addresses.get(opcode, {}).items()}
    count_width, stands = config.sequencer.count_width, config.sequencer.instructions_stand
    few = min(count_width, memory.scale_words.bit_length()) if stands else count_width
    widths = dict.fromkeys(COUNTS, count_width) | dict.fromkeys(LOOPS, few)
    names = [item.name for item in INSTRUCTIONS[opcode].fields]
    return bits | {name: width for name, width in widths.items() if name in names}


def slot_limits(config: Config, opcode: Opcode) -> list[int]:
    """Return the largest number of each slot: all ones in the bits that are kept."""
    kept, ones = 0, (1 << SLOT_BITS) - 1
    bits = field_bits(config, opcode)
    fields = INSTRUCTIONS[opcode].fields
    for item in fields:
        kept |= (1 << bits.get(item.name, item.width)) - 1 << item.offset
    for slot in range(SLOTS):
        low, high = SLOT_BITS * slot, SLOT_BITS * (slot + 1)
        if not any(low < item.offset + item.width and item.offset < high for item in fields):
            kept |= ones << low
    return [kept >> SLOT_BITS * slot & ones for slot in range(SLOTS)]


def _last(size: int) -> int:
    """Return the largest address."""
    return size - 1
