"""One frozen description of a core, read by hardware, golden models, compiler and documents.

Nothing here imports Amaranth. Every derived width is a property, computed in this file only.
"""

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field

__all__ = [
    "ArrayConfig",
    "BusConfig",
    "Config",
    "ConfigError",
    "ControlConfig",
    "MemoryConfig",
    "SequencerConfig",
    "VectorConfig",
]

WEIGHT_BITS = 8
"""Width of one signed operand (weight, K or V element) in the operand memory."""

FIXED_BITS = 32
"""Width of one signed fixed-point value in the vector unit and in wide memory."""

SCALE_BITS = 16
"""Width of the unsigned multiplier of one output channel."""

SHIFT_BITS = 7
"""Width of the right shift of one output channel."""

NEGATIVE_SHIFT = 1 << SHIFT_BITS - 1
"""Bit of a shift that negates the scale, in the entries of NORM only."""

SCALE_ENTRY_BYTES = 8
"""Bytes of one channel's scale, shift and bias in external memory."""

NORMAL_BITS = 18
"""Width of the signed significand that requantisation multiplies by a scale."""

VALUE_WINDOW = 15
"""Largest block exponent of V, which the exponential folds into the probabilities."""

HEAD_CHANNELS = 128
"""Most channels that share one block exponent in operand memory."""

CODE_BITS = 4
"""Width of the code of one weight, where LOAD expands codes."""

CODE_GROUP = 32
"""Inputs of an output channel whose codes share parameters."""

LONG_STAGE, SHORT_STAGE = 2, 4
"""Rows of a stage of the array unless ``array.stage_rows`` says otherwise, and of one that is
there to be small."""

MOST_CANDIDATES = 64
"""Most tokens among which one is chosen by chance."""

WIDE_BANK_WORDS = 2048
"""Words of wide memory's blocks: nine bits each, on ECP5. More words are several blocks, that
stand one above the other."""

FETCH_OUTSTANDING = 2
"""Bursts of program fetch that may be under way, besides those of LOAD."""

INSTRUCTION_BYTES = 32
"""Size of every instruction."""

BURST_BYTES = 4096
"""A burst stays within a page of so many."""


class ConfigError(ValueError):
    """A configuration, shape or setting that cannot be built; the message says what would do."""


STACKED_TILES = 2048
"""Words of a block RAM that holds a byte of each."""

LATER = (("memory", "activation_rows"), ("control", "counters_distributed"))
"""Settings that there were not always: at their defaults they leave the hash as it was, so that
programs made before are still good."""


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ConfigError(sentence)


def _require_power_of_two(name: str, value: int, low: int, high: int) -> None:
    legal = low <= value <= high and value & (value - 1) == 0
    _require(legal, f"{name} must be a power of two in {low}..{high}, not {value}")


def _require_range(name: str, value: int, low: int, high: int) -> None:
    _require(low <= value <= high, f"{name} must be in {low}..{high}, not {value}")


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Shape and numbers of the multiplier array.

    Parameters
    ----------
    rows : int
        R, elements of the reduction multiplied per cycle; also the mantissas of an
        activation word. Power of two, 2 to 64.
    columns : int
        C, output channels computed side by side. Power of two, 2 to 64.
    mantissa_bits : int
        Width of one signed activation mantissa, 8 to 16.
    window : int
        Largest block exponent of an activation word, 1 to 24.
    max_k : int
        Longest reduction, in elements. Sizes the accumulators.
    stage_rows : int
        Rows that see an access in the same cycle, a power of two from 2 to ``rows``; with
        ``short_pipelines`` they are 4, and this must be left at 2. With more of them sums pass more
        adders in one cycle, and results come sooner.
    numbered : bool
        With ``vector.rows``: MATMUL may add a multiple of the number that BEST or SAMPLE wrote last
        to the address of its activation words, without waiting for the sequencer.
    output_depth : int
        Results (of ``columns`` sums) that the output FIFO holds. At least ``rows + 12`` and 15,
        which hides the way through the array for reductions of a single step.
    """

    rows: int = 8
    columns: int = 8
    mantissa_bits: int = 8
    window: int = 24
    max_k: int = 4096
    stage_rows: int = LONG_STAGE
    numbered: bool = False
    output_depth: int = 32

    def __post_init__(self) -> None:
        _require_power_of_two("array.rows", self.rows, 2, 64)
        _require_power_of_two("array.columns", self.columns, 2, 64)
        _require_range("array.mantissa_bits", self.mantissa_bits, 8, 16)
        _require_range("array.window", self.window, 1, 24)
        _require_range("array.max_k", self.max_k, self.rows, 65536)
        _require_power_of_two("array.stage_rows", self.stage_rows, 2, self.rows)
        least = max(self.rows + 12, 15)
        _require_range("array.output_depth", self.output_depth, least, 256)
        _require(
            self.accumulator_bits <= 52,
            f"array.window {self.window} with array.max_k {self.max_k} and array.mantissa_bits "
            f"{self.mantissa_bits} needs {self.accumulator_bits}-bit accumulators; at most 52 "
            "keep float64 exact, so lower one of the three",
        )

    @property
    def product_bits(self) -> int:
        """Width of one mantissa times one weight."""
        return self.mantissa_bits + WEIGHT_BITS

    @property
    def psum_bits(self) -> int:
        """Width of a sum of ``rows`` products."""
        return self.product_bits + (self.rows - 1).bit_length()

    @property
    def accumulator_bits(self) -> int:
        """Width that any dot product of ``max_k`` elements fits, whatever its exponents."""
        return self.product_bits + (self.max_k - 1).bit_length() + self.window

    @property
    def exponent_bits(self) -> int:
        """Width of one block exponent."""
        return self.window.bit_length()

    @property
    def mantissa_bytes(self) -> int:
        """Bytes of one mantissa in external memory."""
        return -(-self.mantissa_bits // 8)

    @property
    def word_bytes(self) -> int:
        """Bytes of the mantissas of one activation word in external memory."""
        return self.rows * self.mantissa_bytes


@dataclass(frozen=True, kw_only=True)
class VectorConfig:
    """Shape of the vector unit.

    Parameters
    ----------
    lanes : int
        L, output channels finished per cycle. Power of two, at most ``rows`` and ``columns``.
    rows : int
        Tokens whose softmax is known at once: their references and factors. Power of two, 1 to
        256, or 0 for a core without NORM and SOFTMAX, whose DRAIN neither adds, applies functions
        nor writes operands.
    distributed : bool
        With ``rows``, where block RAM is dear: two lanes share one for the tables of functions, and
        blocks under way lie in logic cells.
    deferred_norms : bool
        With ``rows``: NORM may leave 1 / deviation as a row's factor (``defer``), as DRAIN of
        MEASURED does, and DRAIN multiply its scale entries by that (``scaled``). Takes a multiplier
        for each lane.
    factor_steps : int
        With ``rows``: digits of a root or a quotient that are found in one cycle when the factor of
        a row is made, 1, 2, 4 or 8. Each is an addition behind the one before.
    candidates : int
        Largest values that are kept at most, so that SAMPLE can choose one of them by chance. Power
        of two, 4 to 64, or 0 for a core without SAMPLE and DRAIN's CANDIDATES.
    """

    lanes: int = 4
    rows: int = 0
    distributed: bool = False
    deferred_norms: bool = False
    factor_steps: int = 1
    candidates: int = 0

    def __post_init__(self) -> None:
        _require_power_of_two("vector.lanes", self.lanes, 1, 64)
        if self.rows:
            _require_power_of_two("vector.rows", self.rows, 1, 256)
        _require_power_of_two("vector.factor_steps", self.factor_steps, 1, 8)
        _require(
            self.rows > 0 or self.factor_steps == 1,
            f"vector.factor_steps must be 1 with a vector.rows of 0, not {self.factor_steps}",
        )
        if self.candidates:
            _require_power_of_two("vector.candidates", self.candidates, 4, MOST_CANDIDATES)
            _require(
                self.rows > 0,
                f"vector.candidates must be 0 with a vector.rows of 0, not {self.candidates}",
            )

    @property
    def multiplier_bits(self) -> int:
        """Bits of a factor that are multiplied in one cycle, beside ``factor_steps``."""
        return {1: 3, 2: 6, 4: 9, 8: 18}[self.factor_steps]

    @property
    def lanes_per_table(self) -> int:
        """Lanes that share a table of functions."""
        return min(2 if self.distributed else 1, self.lanes)


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """Depths of the on-chip memories. They need not be powers of two.

    Parameters
    ----------
    operand_tiles : int
        Tiles of ``rows x columns`` weights.
    activation_words : int
        Words of ``rows`` mantissas and one exponent.
    wide_words : int
        Words of ``lanes`` 32-bit fixed-point values.
    scale_words : int
        Words of ``lanes`` channels' scale, shift and bias.
    bias_words : int
        Depth of the memory of biases, a power of two below ``scale_words``: scale words from the
        last of these on have bias 0. 0: each scale word has its bias.
    program_instructions : int
        Instructions kept on chip: the longest loop body. Power of two.
    operand_single_port : bool
        The operand memory has one port (iCE40 SPRAM): a write delays a read by one cycle.
    activation_distributed : bool
        Build the activation memory from logic cells in place of block RAM.
    activation_rows : int
        Rows of the array whose mantissas stand in one bank, a power of two. Where words are few,
        several take fewer blocks: of 512 words one for 4 rows of 8-bit mantissas. Exponents are
        of logic cells then.
    results_distributed : bool
        The same for the array's output FIFO.
    """

    operand_tiles: int = 512
    activation_words: int = 2048
    wide_words: int = 512
    scale_words: int = 512
    bias_words: int = 0
    program_instructions: int = 128
    operand_single_port: bool = False
    activation_distributed: bool = False
    activation_rows: int = 1
    results_distributed: bool = False

    def __post_init__(self) -> None:
        for name in ("operand_tiles", "activation_words", "wide_words", "scale_words"):
            _require_range(f"memory.{name}", getattr(self, name), 2, 65535)
        if self.bias_words:
            _require_power_of_two("memory.bias_words", self.bias_words, 2, self.scale_words - 1)
        _require_power_of_two("memory.activation_rows", self.activation_rows, 1, 64)
        _require_power_of_two("memory.program_instructions", self.program_instructions, 4, 4096)

    @property
    def operand_parts(self) -> tuple[int, ...]:
        """Tiles of each of the memories, one above the other, that make a bank of operands."""
        whole, rest = divmod(self.operand_tiles, STACKED_TILES)
        if self.operand_single_port or not whole or not rest:
            return (self.operand_tiles,)
        return (STACKED_TILES,) * whole + (rest,)

    @property
    def biased_words(self) -> int:
        """Scale words that have a bias; those behind have bias 0."""
        return self.bias_words - 1 if self.bias_words else self.scale_words


@dataclass(frozen=True, kw_only=True)
class BusConfig:
    """The port to external memory.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat. Power of two, 1 to 128.
    address_bits : int
        Width of a byte address, 16 to 32.
    burst_beats : int
        Longest burst. Power of two, 1 to 256.
    outstanding : int
        Bursts that may be under way at once, for reads and for writes each, 1 to 16.
    codecs : bool
        LOAD expands 4-bit weights on their way into operand memory, whose row writes are then wide
        enough for twice the port. Not with ``short_pipelines``, nor with a
        ``sequencer.queue_depth`` of 1.
    """

    data_bytes: int = 8
    address_bits: int = 32
    burst_beats: int = 32
    outstanding: int = 4
    codecs: bool = False

    def __post_init__(self) -> None:
        _require_power_of_two("bus.data_bytes", self.data_bytes, 1, 128)
        _require_range("bus.address_bits", self.address_bits, 16, 32)
        _require_power_of_two("bus.burst_beats", self.burst_beats, 1, 256)
        _require_range("bus.outstanding", self.outstanding, 1, 16)
        _require(
            self.burst_beats * self.data_bytes <= BURST_BYTES,
            f"bus.burst_beats {self.burst_beats} times bus.data_bytes {self.data_bytes} is "
            f"{self.burst_beats * self.data_bytes} bytes, but an AXI burst must stay inside "
            f"{BURST_BYTES}",
        )


@dataclass(frozen=True, kw_only=True)
class SequencerConfig:
    """Resources of the sequencer.

    Parameters
    ----------
    queue_depth : int
        Instructions that wait in front of each unit, 1 to 16. The one that runs is not counted,
        but for a depth of 1: then it stays where it waited, and none waits behind it. Sequencer
        and semaphores are the small and slow ones then: 130 cycles for an instruction, up to 50
        for a semaphore.
    semaphores : int
        Counting semaphores, 1 to 16.
    semaphore_bits : int
        Width of each count, 2 to 16.
    loop_depth : int
        Loops inside each other, 1 to 8.
    count_bits : int
        Width of the counts in units' instructions (tokens, groups, tiles, rows, beats, elements),
        8 to 16, in a core with a ``queue_depth`` of 1; others have 16.
    """

    queue_depth: int = 4
    semaphores: int = 16
    semaphore_bits: int = 10
    loop_depth: int = 4
    count_bits: int = 16

    @property
    def instructions_stand(self) -> bool:
        """Whether an instruction stays where it waited for as long as its unit works on it."""
        return self.queue_depth == 1

    def __post_init__(self) -> None:
        _require_range("sequencer.queue_depth", self.queue_depth, 1, 16)
        _require_range("sequencer.semaphores", self.semaphores, 1, 16)
        _require_range("sequencer.semaphore_bits", self.semaphore_bits, 2, 16)
        _require_range("sequencer.loop_depth", self.loop_depth, 1, 8)
        _require_range("sequencer.count_bits", self.count_bits, 8, 16)

    @property
    def count_width(self) -> int:
        """Width of the counts in units' instructions."""
        return self.count_bits if self.instructions_stand else 16

    @property
    def largest_count(self) -> int:
        """The largest of these counts."""
        return (1 << self.count_width) - 1


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """Resources of the control registers.

    Parameters
    ----------
    stall_counters : bool
        Count, besides cycles, beats, saturations and flushes, when each unit was busy and what
        it waited for. A few hundred logic cells.
    counters_distributed : bool
        Build their memory from logic cells in place of block RAM.
    """

    stall_counters: bool = True
    counters_distributed: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that one generated core is made from.

    Parameters
    ----------
    array, vector, memory, bus, sequencer, control
        The parts; see their classes.
    short_pipelines : bool
        Fewer register stages in the arithmetic, for devices whose clock is slow anyway and whose
        flip-flops are dear (iCE40). Numbers are the same, latencies are not: the vector unit takes
        12 to 25 cycles for each value, so that the array waits for it in reductions of less than
        25 * rows * columns elements.
    device : str
        The part that the memory budget is held against: a key of
        :data:`systolith_hw.budget.DEVICES`, or "" for none.

    Raises
    ------
    ConfigError
        A sentence that names the field and the value.
    """

    array: ArrayConfig = field(default_factory=ArrayConfig)
    vector: VectorConfig = field(default_factory=VectorConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    bus: BusConfig = field(default_factory=BusConfig)
    sequencer: SequencerConfig = field(default_factory=SequencerConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    short_pipelines: bool = False
    device: str = ""

    def __post_init__(self) -> None:
        _require(
            self.memory.activation_rows <= self.array.rows,
            f"memory.activation_rows must be at most array.rows, {self.array.rows}, not "
            f"{self.memory.activation_rows}",
        )
        narrow = min(self.array.rows, self.array.columns)
        _require(
            self.vector.lanes <= narrow,
            f"vector.lanes must be at most the smaller of array.rows and array.columns, {narrow}, "
            f"not {self.vector.lanes}",
        )
        _require(
            not (self.vector.rows and (self.short_pipelines or self.sequencer.instructions_stand)),
            f"vector.rows must be 0 with short_pipelines or a sequencer.queue_depth of 1, not "
            f"{self.vector.rows}",
        )
        _require(
            not (self.bus.codecs and (self.short_pipelines or self.sequencer.instructions_stand)),
            "bus.codecs must be false with short_pipelines or a sequencer.queue_depth of 1, not "
            "true",
        )
        _require(
            self.vector.rows > 0 or not self.array.numbered,
            "array.numbered must be false with a vector.rows of 0, not true",
        )
        _require(
            self.array.stage_rows == LONG_STAGE or not self.short_pipelines,
            f"array.stage_rows must be {LONG_STAGE} with short_pipelines, whose stages have "
            f"{SHORT_STAGE} rows, not {self.array.stage_rows}",
        )
        depth, columns = self.array.output_depth, self.array.columns
        _require(
            not self.vector.rows or depth * columns >= HEAD_CHANNELS,
            f"array.output_depth must be at least {-(-HEAD_CHANNELS // columns)} with vector.rows, "
            f"so that {HEAD_CHANNELS} sums that share an exponent are there at once, not {depth}",
        )

    # -- shapes that join two parts --------------------------------------------------------

    @property
    def rows_per_stage(self) -> int:
        """Rows of the array that see an access in the same cycle.

        Every stage costs registers for all that moves down; sums pass its rows in one cycle.
        """
        most = SHORT_STAGE if self.short_pipelines else self.array.stage_rows
        return min(most, self.array.rows)

    @property
    def write_rows(self) -> int:
        """W, operand banks that one row write fills: as many as a beat has weights for."""
        if not self.bus.codecs:
            return min(max(1, self.bus.data_bytes // self.array.columns), self.array.rows)
        weights = self.bus.data_bytes * WEIGHT_BITS // CODE_BITS
        return min(max(1, weights // self.array.columns), self.array.rows, CODE_GROUP)

    @property
    def row_write_bytes(self) -> int:
        """Bytes of one row write: ``write_rows`` rows of ``columns`` weights."""
        return self.write_rows * self.array.columns

    @property
    def beats_per_result(self) -> int:
        """Cycles that the vector unit spends on one result of ``columns`` sums."""
        return self.array.columns // self.vector.lanes

    @property
    def short_feeder(self) -> bool:
        """Whether MATMUL has the small feeder, which knows no ``operand_stride``."""
        return self.short_pipelines and self.sequencer.instructions_stand

    @property
    def wide_latency(self) -> int:
        """Cycles from asking wide memory for a word to having it."""
        return 2 if self.short_pipelines else 3 + self.wide_is_far

    @property
    def wide_is_far(self) -> bool:
        """Whether wide memory takes so many blocks that its words need a cycle on their way."""
        return not self.short_pipelines and self.memory.wide_words > WIDE_BANK_WORDS

    @property
    def tiles_per_group(self) -> int:
        """Output tiles that together fill an activation word: ``max(1, rows / columns)``."""
        return max(1, self.array.rows // self.array.columns)

    @property
    def wide_word_bytes(self) -> int:
        """Bytes of one wide-memory word in external memory."""
        return self.vector.lanes * FIXED_BITS // 8

    @property
    def scale_word_bytes(self) -> int:
        """Bytes of one scale-memory word in external memory."""
        return self.vector.lanes * SCALE_ENTRY_BYTES

    @property
    def scale_write_lanes(self) -> int:
        """Lanes of a scale word that LOAD writes at once: as many as a beat has, at least one."""
        return max(1, min(self.vector.lanes, self.bus.data_bytes // SCALE_ENTRY_BYTES))

    @property
    def store_latency(self) -> int:
        """The same for STORE, which lets the vector unit read first where that reads, too."""
        return self.wide_latency + bool(self.vector.rows)

    # -- identity and settings --------------------------------------------------------------

    def to_dict(self) -> dict[str, typing.Any]:
        """Return the tree as plain dictionaries."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, typing.Any]) -> "Config":
        """Rebuild a config from :meth:`to_dict`."""
        hints = typing.get_type_hints(cls)
        parts = {
            name: hints[name](**value) if isinstance(value, dict) else value
            for name, value in tree.items()
        }
        return cls(**parts)

    @property
    def hash(self) -> int:
        """32-bit identity of everything a program depends on; the device is left out."""
        from .isa import ISA_VERSION

        tree = self.to_dict()
        del tree["device"]
        for part, name in LATER:
            if tree[part][name] == getattr(type(getattr(self, part))(), name):
                del tree[part][name]
        text = json.dumps([ISA_VERSION, tree], sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def replace(self, settings: dict[str, typing.Any]) -> "Config":
        """Return a copy with dotted fields such as ``array.rows`` changed.

        Values may be strings, as the command line gives them.
        """
        config = self
        grouped: dict[str, dict[str, typing.Any]] = {}
        for path, value in settings.items():
            part, _, name = path.partition(".")
            grouped.setdefault(part, {})[name] = value
        known = self.field_names()
        changes: dict[str, typing.Any] = {}
        for part, fields in grouped.items():
            for name in fields:
                path = f"{part}.{name}" if name else part
                if path not in known:
                    raise ConfigError(f"there is no setting {path}; known are {', '.join(known)}")
            if part == "device":
                changes[part] = fields[""]
                continue
            if "" in fields:
                changes[part] = _parse(part, fields[""], type(getattr(config, part)))
                continue
            branch = getattr(config, part)
            typed = {
                name: _parse(f"{part}.{name}", value, type(getattr(branch, name)))
                for name, value in fields.items()
            }
            changes[part] = dataclasses.replace(branch, **typed)
        return dataclasses.replace(config, **changes)

    def with_port(self, data_bytes: int) -> "Config":
        """Return a copy whose port has another width, with bursts as long as it allows, but no
        longer than these."""
        longest = max(1, BURST_BYTES // max(1, data_bytes))
        beats = min(self.bus.burst_beats, longest)
        bus = dataclasses.replace(self.bus, data_bytes=data_bytes, burst_beats=beats)
        return dataclasses.replace(self, bus=bus)

    def field_names(self) -> list[str]:
        """Return the dotted name of every setting."""
        names = []
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if dataclasses.is_dataclass(value):
                names += [f"{part.name}.{leaf.name}" for leaf in dataclasses.fields(value)]
            else:
                names.append(part.name)
        return names


def _parse(path: str, value: typing.Any, kind: type) -> typing.Any:
    """Turn the text of a setting into ``kind``."""
    if isinstance(value, kind) and not isinstance(value, str):
        return value
    text = str(value).strip().lower()
    if kind is bool:
        _require(text in ("0", "1", "false", "true"), f"{path} must be true or false, not {value}")
        return text in ("1", "true")
    try:
        return int(text, 0)
    except ValueError:
        raise ConfigError(f"{path} must be an integer, not {value}") from None
