"""What a configuration takes of a device's memory blocks, before anything is synthesised.

Plain data and arithmetic; nothing here imports Amaranth. The estimate follows what yosys builds:
each memory is cut into blocks of the one shape that needs the fewest.
"""

from dataclasses import dataclass

from .config import (
    FIXED_BITS,
    HEAD_CHANNELS,
    INSTRUCTION_BYTES,
    SCALE_BITS,
    SHIFT_BITS,
    WEIGHT_BITS,
    Config,
    ConfigError,
)
from .dma.page_shape import PageShape
from .isa import SLOT_BITS
from .limits import queues
from .registers import REGISTER_SPACE
from .tables import SEGMENTS, Function

__all__ = ["DEVICES", "LIMIT_PERCENT", "WRITES_LOGIC", "Device", "MemoryUse", "check_budget",
           "device", "ecp5_blocks", "memory_budget", "multiplier_budget",
           "sum_shifters"]  # fmt: skip

LIMIT_PERCENT = 92
"""Most of a device's blocks that a core may take; a full device does not route."""

LOGIC_SHAPE = (16, 4)
"""Words and width of the memory that two LUTs of an ECP5 make, with one more to write it."""

LOGIC_PER_BLOCK = 20
"""Synthesis takes logic where that needs at most so many of these for each block it saves."""

PROGRAM_BITS = 64
"""Width of the program memory; an instruction takes several of its words."""

LATENCY_WORDS = 32
"""Words of a memory that is as deep as a pipeline is long; the exact number changes no count."""

FLIGHT_WORDS = 40
"""Words under way through the vector unit, besides those of a head, all of which are there before
the first leaves."""

WRITES_LOGIC = 64
"""A queue of more of them is made of blocks."""

WRITE_FLAGS, POSTS_BITS = 5, 11
"""What is known of each besides its place, and what is told of it."""

RING_WORDS = 4
"""Beats of the next block that come in while one waits for its exponent."""

RING_LOGIC = 16
"""A ring of more beats is made of blocks."""

BIAS_LOGIC = 16
"""So are more biases."""

WAITING_BEATS = 12
"""Beats that wait for the largest values to be found."""

LINE_BITS = 29
"""Width of the line of a function's segment."""

SHARED_LINE_BITS = 18
"""Width of one of the two ports of a block, at most."""

REFERENCE_BITS = 16
FACTOR_BITS = 22
"""What row memory keeps of each row."""

EBR_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
ICE40_SHAPES = ((2048, 2), (1024, 4), (512, 8), (256, 16))
SPRAM_SHAPE = (16384, 16)
SPRAM_ABOVE = 4096
"""Single-port memories deeper than this, and as wide as an SPRAM, become one."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What one part offers.

    Parameters
    ----------
    family : str
        "ecp5" or "ice40"; also the emission target with the part's own cells.
    blocks : int
        Block memories.
    shapes : tuple of (int, int)
        Words and width that one block can take.
    large_blocks : int
        Single-port memories of 16384 x 16 (SPRAM).
    logic_memory : bool
        Logic cells can be used as small memories.
    multipliers : int
        18 x 18 multipliers (ECP5) or SB_MAC16 (iCE40).
    luts : int
        Four-input look-up tables.
    """

    family: str
    blocks: int
    shapes: tuple[tuple[int, int], ...]
    large_blocks: int = 0
    logic_memory: bool
    multipliers: int
    luts: int


def _ecp5(blocks: int, multipliers: int, luts: int) -> Device:
    return Device(family="ecp5", blocks=blocks, shapes=EBR_SHAPES, logic_memory=True,
                  multipliers=multipliers, luts=luts)  # fmt: skip


DEVICES = {
    "ecp5-85k": _ecp5(208, 156, 83640),
    "ecp5-45k": _ecp5(108, 72, 43848),
    "ecp5-25k": _ecp5(56, 28, 24288),
    "ice40-up5k": Device(family="ice40", blocks=30, shapes=ICE40_SHAPES, large_blocks=4,
                         logic_memory=False, multipliers=8, luts=5280),
}  # fmt: skip
"""Every part that budgets and reports know."""


def device(name: str) -> Device:
    """Return the device ``name``; raise :class:`ConfigError` with the known names otherwise."""
    if name not in DEVICES:
        raise ConfigError(f"there is no device {name}; known are {', '.join(DEVICES)}")
    return DEVICES[name]


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """One memory of the core: ``copies`` of ``words`` x ``width``.

    Parameters
    ----------
    kind : str
        "block", "large" (SPRAM) or "logic".
    blocks : int
        Blocks of that kind, all copies together; logic takes none.
    parts : tuple of int
        Blocks of one copy: of each of the memories that stand one above the other, if it is made of
        several, lowest words first.
    setting : str
        The setting that shrinks it, or "".
    """

    memory: str
    words: int
    width: int
    copies: int
    kind: str
    blocks: int
    parts: tuple[int, ...] = ()
    setting: str = ""

    @property
    def bits(self) -> int:
        """Bits held, all copies together."""
        return self.words * self.width * self.copies


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """A memory before it is placed: ``granule`` is the width that is written on its own, ``depths``
    are the words of each memory, if several stand one above the other; of neither ``logic`` nor
    ``block`` synthesis chooses."""

    memory: str
    words: int
    width: int
    copies: int = 1
    granule: int = 0
    setting: str = ""
    logic: bool = False
    block: bool = False
    single_port: bool = False
    depths: tuple[int, ...] = ()


def memory_budget(config: Config, name: str | None = None) -> list[MemoryUse]:
    """Return every memory of ``config``, placed on device ``name`` or on the config's own.

    Without a device every memory counts as blocks of the ECP5.
    """
    part = device(name or config.device or "ecp5-85k")
    return [_place(memory, part) for memory in _memories(config)]


def check_budget(config: Config, name: str | None = None) -> None:
    """Raise :class:`ConfigError` if the memories do not fit the device; pass without one."""
    name = name or config.device
    if not name:
        return
    part = device(name)
    uses = memory_budget(config, name)
    for kind, available in (("block", part.blocks), ("large", part.large_blocks)):
        rows = [use for use in uses if use.kind == kind]
        used = sum(use.blocks for use in rows)
        # The large blocks are there for the operand memory alone: it may take them all.
        limit = available if kind == "large" else available * LIMIT_PERCENT // 100
        if used > limit:
            worst = max((use for use in rows if use.setting), key=lambda use: use.blocks)
            raise ConfigError(
                f"the memories take {used} {kind} memories and {name} may give {limit} of its "
                f"{available}; lower {worst.setting} ({worst.memory} memory: {worst.blocks}), or "
                "set device to a larger part, or to nothing for no check"
            )


def multiplier_budget(config: Config, name: str | None = None) -> int:
    """Return the hardware multipliers that array and vector unit take.

    An ECP5 multiplier does one product of the array, or one lane's scaling; with a row unit each
    lane has one for functions, too, one for squares of mantissas wider than 8 bits, and one for
    entries with ``vector.deferred_norms``; and scores of candidates take one. An SB_MAC16
    does two products of the array while mantissas have 8 bits; scaling takes one for each lane, and
    there are :func:`sum_shifters`.
    """
    part = device(name or config.device or "ecp5-85k")
    products = config.array.rows * config.array.columns
    if part.family != "ice40":
        squares, entries = config.array.mantissa_bits > 8, config.vector.deferred_norms
        lanes = config.vector.lanes * (2 + squares + entries if config.vector.rows else 1)
        return products + lanes + bool(config.vector.candidates)
    return _ice40_products(config) + config.vector.lanes + sum_shifters(config)


def _ice40_products(config: Config) -> int:
    """Return the SB_MAC16 that multiply in the array."""
    products = config.array.rows * config.array.columns
    return products // 2 if config.array.mantissa_bits == 8 else products


def sum_shifters(config: Config) -> int:
    """Return the SB_MAC16 that shift sums on iCE40: one for each column, or none.

    Short pipelines have them, if sums and shifts fit the multiplier's widths, and if those of an
    iCE40UP5K are enough.
    """
    array, lanes = config.array, config.vector.lanes
    fits = array.window < 16 and array.psum_bits <= 18 and config.beats_per_result <= 2
    count = _ice40_products(config) + lanes + array.columns
    few = count <= DEVICES["ice40-up5k"].multipliers
    return array.columns if config.short_pipelines and fits and few else 0


def _sequencer(config: Config) -> list[_Memory]:
    """List the memories of sequencer and queues."""
    stands = config.sequencer.instructions_stand
    part = min(8 * config.bus.data_bytes, PROGRAM_BITS)
    width = max(part, SLOT_BITS) if stands else PROGRAM_BITS
    words = config.memory.program_instructions * INSTRUCTION_BYTES * 8 // width
    program = _Memory(memory="program", words=words, width=width, granule=part,
                      setting="memory.program_instructions")  # fmt: skip
    if stands:
        return [
            program,
            _Memory(memory="registers", words=256, width=SLOT_BITS, setting="sequencer.loop_depth"),
            _Memory(memory="microprogram", words=256, width=32, setting="sequencer.queue_depth"),
        ]
    loop_bits = (config.sequencer.loop_depth - 1).bit_length()
    queued = (config.sequencer.queue_depth - 1) * INSTRUCTION_BYTES * 8 // PROGRAM_BITS
    return [
        program,
        _Memory(memory="registers", words=2 << max(4, 2 + loop_bits), width=32,
                setting="sequencer.loop_depth"),
        _Memory(memory="queues", words=queued, width=PROGRAM_BITS, copies=len(queues(config)),
                setting="sequencer.queue_depth"),
    ]  # fmt: skip


def _memories(config: Config) -> list[_Memory]:
    """List the memories of the core, as the units build them."""
    array, memory, bus = config.array, config.memory, config.bus
    rows, lanes = array.rows, config.vector.lanes
    distributed, shared = memory.activation_distributed, memory.activation_rows
    # The vector unit writes single channels' entries where it makes operands, LOAD parts of words.
    factor_bits, bias_bits = SCALE_BITS + SHIFT_BITS, FIXED_BITS
    alone = 1 if config.vector.rows else config.scale_write_lanes % lanes
    granules = factor_bits * alone, bias_bits * alone
    return [
        _Memory(memory="operand", words=memory.operand_tiles, width=WEIGHT_BITS * array.columns,
                copies=rows, granule=WEIGHT_BITS, setting="memory.operand_tiles",
                single_port=memory.operand_single_port, depths=memory.operand_parts),
        _Memory(memory="activation", words=memory.activation_words, copies=rows // shared,
                width=array.mantissa_bits * shared, setting="memory.activation_words",
                logic=distributed),
        _Memory(memory="exponent", words=memory.activation_words, width=array.exponent_bits,
                setting="memory.activation_words", logic=distributed or shared > 1),
        _Memory(memory="wide", words=memory.wide_words, width=FIXED_BITS * lanes,
                setting="memory.wide_words"),
        _Memory(memory="scale", words=memory.scale_words, width=factor_bits * lanes,
                granule=granules[0], setting="memory.scale_words"),
        _Memory(memory="bias", words=memory.bias_words or memory.scale_words,
                width=bias_bits * lanes, granule=granules[1],
                setting="memory.bias_words" if memory.bias_words else "memory.scale_words",
                logic=0 < memory.bias_words <= BIAS_LOGIC),
        *_sequencer(config),
        _Memory(memory="results",
                words=array.output_depth * config.beats_per_result + (not config.short_pipelines),
                width=array.accumulator_bits * lanes, setting="array.output_depth",
                logic=memory.results_distributed),
        *_pipelines(config),
        _Memory(memory="store beats", words=PageShape(config).depth + 1, width=8 * bus.data_bytes,
                setting="bus.burst_beats"),
        _Memory(memory="counters", words=REGISTER_SPACE // 2, width=16,
                logic=config.control.counters_distributed),
    ]  # fmt: skip


def _pipelines(config: Config) -> list[_Memory]:
    """List the memories of the vector unit that are as deep as its pipelines are long."""
    array, memory, lanes = config.array, config.memory, config.vector.lanes
    if config.short_pipelines:  # one beat at a time: nothing is under way
        words = max(2, array.rows // lanes)
        return [_Memory(memory="beats", words=words, width=FIXED_BITS * lanes)]
    word_bits = array.rows * array.mantissa_bits + array.exponent_bits
    if config.vector.rows:
        return [*_row_pipelines(config, word_bits), *_writes(config), *_sampler(config)]
    address_bits = (max(memory.wide_words, memory.activation_words) - 1).bit_length()
    return [
        _Memory(memory="beats", words=LATENCY_WORDS, width=FIXED_BITS * lanes),
        _Memory(memory="drained words", words=LATENCY_WORDS, width=word_bits),
        _Memory(memory="drain writes", words=LATENCY_WORDS, width=address_bits + 11),
    ]


def _writes(config: Config) -> list[_Memory]:
    """List the memories of where words under way go, and of whom to tell of them."""
    array, memory = config.array, config.memory
    waiting = FLIGHT_WORDS + HEAD_CHANNELS // min(array.rows, array.columns)
    words = 1 << (waiting - 1).bit_length()
    places = (
        max(memory.activation_words, memory.operand_tiles), max(array.rows, array.columns),
        memory.scale_words * config.vector.lanes,
    )  # fmt: skip
    width = sum((count - 1).bit_length() for count in places) + SHIFT_BITS + WRITE_FLAGS
    logic = words <= WRITES_LOGIC
    return [
        _Memory(memory="drain writes", words=words, width=width, logic=logic, block=not logic),
        _Memory(memory="drain posts", words=words, width=POSTS_BITS, logic=logic, block=not logic),
    ]


def _row_pipelines(config: Config, word_bits: int) -> list[_Memory]:
    """List the same where there is a row unit, with its functions; row memory is logic."""
    lanes, rows = config.vector.lanes, config.vector.rows
    ring = HEAD_CHANNELS // lanes + RING_WORDS
    in_logic = config.vector.distributed or ring <= RING_LOGIC
    return [
        _Memory(memory="beats", words=1 << (ring - 1).bit_length(), width=FIXED_BITS * lanes + 1,
                logic=in_logic, block=not in_logic),
        _Memory(memory="drained words", words=LATENCY_WORDS, width=word_bits),
        _functions(config),
        _Memory(memory="references", words=rows, width=REFERENCE_BITS, logic=True),
        _Memory(memory="row factors", words=rows, width=FACTOR_BITS, logic=True),
    ]  # fmt: skip


def _functions(config: Config) -> _Memory:
    """Return the tables of functions; the rest of those that two lanes share is of logic."""
    readers = config.vector.lanes_per_table
    return _Memory(memory="functions", words=len(Function) * SEGMENTS, block=True,
                   width=SHARED_LINE_BITS if readers > 1 else LINE_BITS,
                   copies=config.vector.lanes // readers)  # fmt: skip


def _sampler(config: Config) -> list[_Memory]:
    """List the memories of what chooses by chance, of which only tables are a block."""
    lanes, candidates = config.vector.lanes, config.vector.candidates
    if not candidates:
        return []
    return [
        _Memory(memory="beats that wait", words=WAITING_BEATS, width=(FIXED_BITS + 1) * lanes + 1,
                logic=True),
        _Memory(memory="candidates", words=candidates // 2, width=FIXED_BITS + SLOT_BITS + 1,
                copies=2, logic=True),
        _Memory(memory="logarithms", words=2 * SEGMENTS, width=LINE_BITS, block=True),
    ]  # fmt: skip


def _place(memory: _Memory, part: Device) -> MemoryUse:
    """Decide what a memory is made of and count the blocks."""
    parts = tuple(
        min(_tiles(memory, shape, words) for shape in part.shapes)
        for words in memory.depths or (memory.words,)
    )
    blocks = sum(parts)
    few = _tiles(memory, LOGIC_SHAPE, memory.words) <= LOGIC_PER_BLOCK * blocks
    logic = memory.logic or (few and not memory.block)
    if part.logic_memory and logic:
        kind, each = "logic", 0
    elif part.large_blocks and memory.single_port and _is_spram(memory):
        kind, each = "large", 1
    else:
        kind, each = "block", blocks
    return MemoryUse(memory=memory.memory, words=memory.words, width=memory.width,
                     copies=memory.copies, kind=kind, blocks=each * memory.copies,
                     parts=parts if each else (), setting=memory.setting)  # fmt: skip


def ecp5_blocks(words: int, width: int) -> int:
    """Return the block RAMs that a memory of whole words takes on ECP5."""
    return min(-(-words // depth) * -(-width // bits) for depth, bits in EBR_SHAPES)


def _is_spram(memory: _Memory) -> bool:
    depth, width = SPRAM_SHAPE
    return memory.width == width and SPRAM_ABOVE < memory.words <= depth


def _tiles(memory: _Memory, shape: tuple[int, int], words: int) -> int:
    """Count the blocks of ``shape`` that make ``words`` words of one copy of ``memory``."""
    depth, width = shape
    if not memory.granule:
        across = -(-memory.width // width)
    else:
        # A block writes its bytes one by one, of nine bits where it has them.
        byte = min(width, memory.granule, 8 + (width % 9 == 0))
        count = memory.width // memory.granule * -(-memory.granule // byte)
        across = -(-count // (width // byte))
    return across * -(-words // depth)
