"""The instruction set as plain data: one definition for hardware, machine, assembler and docs.

Every instruction is 32 bytes, sixteen 16-bit slots, little endian. Slots 0 to 3 are the header:
opcode, semaphores, kind and patches. Slots 4 to 15 hold the fields that the tables below name.
A patch adds a runtime register to one slot while the instruction is issued, so one program
serves every sequence length; an even slot takes the register as a 32-bit number across itself
and the next slot, an odd slot takes its low 16 bits.
"""

import enum
from dataclasses import dataclass

from .config import INSTRUCTION_BYTES

__all__ = [
    "CREDIT",
    "DRAIN",
    "INSTRUCTIONS",
    "ISA_VERSION",
    "LOAD",
    "MATMUL",
    "NORM",
    "PRODUCT_SHIFT",
    "READ",
    "SAMPLE",
    "SOFTMAX",
    "STORE",
    "CalcOperation",
    "DrainFunction",
    "DrainKind",
    "ErrorCode",
    "Field",
    "Instruction",
    "LoadKind",
    "Opcode",
    "Register",
    "StoreKind",
    "Unit",
    "decode",
    "encode",
]

ISA_VERSION = 7

WORD_BITS = 64
WORDS = INSTRUCTION_BYTES * 8 // WORD_BITS
SLOT_BITS = 16
SLOTS = INSTRUCTION_BYTES * 8 // SLOT_BITS
REGISTERS = 16
PATCHES = 4

PRODUCT_SHIFT = 7
"""PRODUCT divides its second factor, LSB 2**-16, by two to the power of this."""


class Unit(enum.IntEnum):
    """Who executes an instruction, and who raised an error."""

    SEQUENCER = 0
    ARRAY = 1
    VECTOR = 2
    LOAD = 3
    STORE = 4
    ROW = 5


class Opcode(enum.IntEnum):
    """Bits 7:0 of an instruction. Zero is illegal, so that empty memory stops the core."""

    END = 0x01
    BARRIER = 0x02
    LOOP = 0x03
    CALC = 0x04
    READ = 0x05
    CREDIT = 0x06
    MATMUL = 0x10
    DRAIN = 0x20
    SAMPLE = 0x21
    NORM = 0x28
    SOFTMAX = 0x29
    LOAD = 0x30
    STORE = 0x40


class LoadKind(enum.IntEnum):
    """Where LOAD writes."""

    OPERAND_ROWS = 0
    OPERAND_COLUMNS = 1
    ACTIVATION = 2
    WIDE = 3
    SCALE = 4
    OPERAND_AFFINE = 5
    OPERAND_EXPONENT = 6


class DrainKind(enum.IntEnum):
    """Where DRAIN writes."""

    ACTIVATION = 0
    WIDE = 1
    STREAM = 2
    KEYS = 3
    VALUES = 4
    BEST = 5
    CANDIDATES = 6
    HEADS = 7
    MEASURED = 8


class DrainFunction(enum.IntEnum):
    """What DRAIN applies to every value, behind scale, bias and addition."""

    NONE = 0
    GELU = 1
    SILU = 2
    PRODUCT = 3
    RELU = 4


class CalcOperation(enum.IntEnum):
    """How CALC joins its two registers."""

    ADD = 0
    MINIMUM = 1


class StoreKind(enum.IntEnum):
    """Where STORE reads."""

    STREAM = 0
    WIDE = 1


class Register(enum.IntEnum):
    """Runtime registers with a meaning of their own; the other thirteen are the program's."""

    ZERO = 0
    LENGTH = 1
    POSITION = 2


class ErrorCode(enum.IntEnum):
    """What the error register reports; the driver turns it into words."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    ADDRESS_RANGE = 2
    SEMAPHORE = 3
    BUS_READ = 4
    BUS_WRITE = 5
    WATCHDOG = 6
    ZERO_COUNT = 7
    LOOP = 8
    MISALIGNED = 9


@dataclass(frozen=True)
class Field:
    """One field: ``width`` bits from bit ``offset`` of the 256-bit instruction."""

    name: str
    offset: int
    width: int
    doc: str
    signed: bool = False


@dataclass(frozen=True)
class Instruction:
    """One instruction: its opcode, unit, own fields (slots 4 to 15) and meaning."""

    opcode: Opcode
    unit: Unit
    doc: str
    fields: tuple[Field, ...]
    kinds: type[enum.IntEnum] | None = None

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Header fields, then the instruction's own."""
        return HEADER + self.fields


def _slot(name: str, slot: int, doc: str, *, width: int = SLOT_BITS, signed: bool = False) -> Field:
    return Field(name, slot * SLOT_BITS, width, doc, signed)


HEADER = (
    Field("opcode", 0, 8, "which instruction"),
    Field("wait_outer", 8, 5, "semaphore taken before each group (MATMUL, DRAIN) or once at the "
          "start (SAMPLE, NORM, SOFTMAX, LOAD, STORE): 16 + number, or 0 for none"),
    Field("wait_inner", 13, 5, "semaphore taken before each token of each group (MATMUL, DRAIN), "
          "before each token (NORM, SOFTMAX) or before each row (LOAD, STORE)"),
    Field("post_outer", 18, 5, "semaphore given after each group (MATMUL, DRAIN) or once at the "
          "end, for STORE when memory has acknowledged everything"),
    Field("post_inner", 23, 5, "semaphore given after each token of each group (MATMUL, DRAIN), "
          "after each token (NORM, SOFTMAX), or after each row has been written (LOAD) or read "
          "(STORE) on chip"),
    Field("kind", 28, 4, "destination or source"),
    *(
        Field(f"patch{index}", 32 + 8 * index, 8, "bits 3:0 slot (0 for no patch), bits 7:4 the "
              "register added to it at issue; units see their program address in bits 47:32")
        for index in range(PATCHES)
    ),
)  # fmt: skip
"""Slots 0 to 3, the same in every instruction."""

END = Instruction(
    Opcode.END, Unit.SEQUENCER, "Wait until every unit is idle, raise done, stop.", ()
)

BARRIER = Instruction(
    Opcode.BARRIER, Unit.SEQUENCER, "Wait until every unit is idle, then go on.", ()
)

LOOP = Instruction(
    Opcode.LOOP,
    Unit.SEQUENCER,
    "Run the next `body` instructions `count + r[count_register]` times; zero skips them. "
    "r[counter] starts at r[initial] and grows by `step` with each further trip. Loops nest; "
    "a body, with the loops inside it, must fit the program memory.",
    (
        _slot("counter", 4, "register that counts, or 0", width=4),
        _slot("count_register", 5, "register added to `count`", width=4),
        _slot("count", 6, "trips"),
        _slot("initial", 7, "register that the counter starts from", width=4),
        _slot("step", 8, "added to the counter after each trip", width=32, signed=True),
        _slot("body", 10, "instructions in the body, at least 1"),
    ),
)

CALC = Instruction(
    Opcode.CALC,
    Unit.SEQUENCER,
    "r[target] = (x >> right) << left, in 32 bits; the right shift is logical. x is "
    "r[a] + r[b] + immediate (ADD), or the smaller of r[a] + immediate and r[b], as unsigned "
    "numbers (MINIMUM).",
    (
        _slot("target", 4, "register written; r0 stays zero", width=4),
        _slot("a", 5, "register", width=4),
        _slot("b", 6, "register", width=4),
        _slot("right", 7, "bits shifted right", width=5),
        _slot("immediate", 8, "constant", width=32, signed=True),
        _slot("left", 10, "bits shifted left", width=5),
        _slot("operation", 11, "ADD or MINIMUM", width=1),
    ),
)

READ = Instruction(
    Opcode.READ,
    Unit.SEQUENCER,
    "r[target] = the 32-bit word of external memory at byte r[a] + immediate, a multiple of 4. "
    "What STORE wrote is there after a BARRIER; what is issued later comes after the read. With "
    "`number` it is the number that BEST or SAMPLE wrote last, in place of a word of memory: READ "
    "waits until VECTOR has done all that was issued before, and what is issued later comes after "
    "that. With `fresh`, too, it waits for nothing but a number that is newer than what the last "
    "such READ had, of SAMPLE or of BEST with one group.",
    (
        _slot("target", 4, "register written; r0 stays zero", width=4),
        _slot("a", 5, "register", width=4),
        _slot("immediate", 8, "constant", width=32, signed=True),
        _slot("number", 10, "read a number of VECTOR's; the address is looked at all the same",
              width=1),
        Field("fresh", 10 * SLOT_BITS + 1, 1, "with `number`: one that no such READ has had"),
    ),
)

CREDIT = Instruction(
    Opcode.CREDIT,
    Unit.SEQUENCER,
    "Give `count` counts to a semaphore, in order with the instructions issued before and after: "
    "they come before those that later instructions give.",
    (
        _slot("semaphore", 4, "its number", width=4),
        _slot("count", 6, "counts, at least 1"),
    ),
)

MATMUL = Instruction(
    Opcode.MATMUL,
    Unit.ARRAY,
    "for group in groups: for token in tokens: for tile in tiles (tiles_last in the last group): "
    "for step in steps: accumulate activation word x operand tile; one result per tile.",
    (
        _slot("operand", 4, "first operand tile"),
        _slot("ring_base", 5, "tile that follows tile ring_end - 1"),
        _slot("ring_end", 6, "one past the last tile of the ring"),
        _slot("activation", 7, "first activation word of token 0"),
        _slot("activation_stride", 8, "activation words from token to token"),
        _slot("steps", 9, "ceil(K / rows), activation words of one token"),
        _slot("tokens", 10, "M"),
        _slot("groups", 11, "groups of output tiles"),
        _slot("tiles", 12, "output tiles in a group; their operands follow one another"),
        _slot("tiles_last", 13, "output tiles in the last group"),
        _slot("operand_stride", 14, "tiles from one output tile's first operand to the next one's, "
              "in the ring and at most its size; 0: `steps`"),
        _slot("numbered", 15, "activation words for each channel of the number that BEST or "
              "SAMPLE wrote last, added to `activation`: 1 + their logarithm, or 0 for none; a "
              "semaphore that VECTOR gives for the number orders the two (`array.numbered`)",
              width=4),
    ),
)

DRAIN = Instruction(
    Opcode.DRAIN,
    Unit.VECTOR,
    "Take the results of a MATMUL of the same loops, requantise each channel, add what wide memory "
    "holds in their place (`accumulate`), apply a function, and write them: to activation words at "
    "destination + token * token_stride + group * group_stride, to wide memory likewise (in words "
    "of `lanes` channels), as a stream of activation words to STORE, each with an exponent of its "
    "own (STREAM) or all of a token of a group with one, and mantissas of 8 bits (HEADS), or to "
    "operand memory with one block exponent for each token of a group: as columns of `rows` "
    "channels (KEYS: token t in lane (lane + t) mod `columns`, the first tile at destination + "
    "group * group_stride, token_stride further each time the lane wraps, a tile for every `rows` "
    "channels) or rows of `columns` channels (VALUES: token t in row (lane + t) mod `rows`, "
    "likewise one tile further each time the row wraps, and token_stride tiles for every `columns` "
    "channels). Operands have 8 bits, and V an exponent of at most 15; a group of KEYS, VALUES or "
    "HEADS has at most 128 channels, and zeros fill the last tile of KEYS and the last word of "
    "HEADS. BEST writes no values: lane 0 of wide word destination becomes the number of the "
    "channel with the largest value, the first of equals, channel 0 of the instruction being "
    "number `entries`; with `accumulate` the largest so far, which nothing but another BEST "
    "clears, is held against them. CANDIDATES writes nothing, but keeps the `token_stride` largest "
    "values with their channels' numbers, of equals those with the smaller ones; with "
    "`accumulate` they are held against those kept so far, of which as many stay as were kept. The "
    "exponent goes to "
    "lane c mod `lanes` of scale word c div `lanes`, c being entries + group * entries_stride + t, "
    "as an entry of scale 2**15 and shift `offset` less the exponent (KEYS), or shift the exponent "
    "(VALUES), and bias 0; the next DRAIN with `maximum` finds that of a key, others when another "
    "unit has told theirs that it is there, as does SOFTMAX. A shift keeps its low 7 bits, here, "
    "with `factor` and with `scaled`. PRODUCT "
    "multiplies by what wide memory holds at `entries` + (group * tokens + token) * words + n, "
    "`words` being those of `tiles` tiles: a value is "
    f"clipped to 18 bits, the other one divided by 2**{PRODUCT_SHIFT} and clipped, the product "
    "divided by 2**shift, all rounded half to even. `rotate` turns channels 2i and 2i + 1, clipped "
    "to 18 bits, by an angle: y[i] = z[i] * c[i] + z[i ^ 1] * s[i], the sum rounded; c and s "
    "have 18 bits, LSB 2**-16. Word n of a token's c is at (row + token) * 2**shift + 2 * (group * "
    "words + n) mod 2**shift, that of s behind it; all 2**shift words must be inside. An "
    "instruction must not add to what it writes itself, nor multiply by what it writes in another "
    "place, nor write exponents to scale words that it reads. MEASURED, of one token and group, "
    "is WIDE and a deferred NORM at once: its values go to activation words from `entries` on, "
    "too, which post_inner tells of, and 1 / deviation becomes the factor of row `row`, which "
    "post_outer tells of; `inverse` and `epsilon` are those of the last NORM.",
    (
        _slot("scale", 4, "first scale word"),
        _slot("destination", 5, "first word written"),
        _slot("token_stride", 6, "words from token to token; CANDIDATES: how many are kept, 1 to "
              "`vector.candidates`"),
        _slot("group_stride", 7, "words from group to group"),
        _slot("exponent_base", 8, "fixed-point bits below block exponent 0", width=5),
        Field("function", 8 * SLOT_BITS + 5, 3, "NONE, GELU, SILU, RELU, or PRODUCT, that for "
              "ACTIVATION and WIDE only"),
        Field("accumulate", 8 * SLOT_BITS + 8, 1, "WIDE, MEASURED: add what wide memory holds in "
              "the place that is written; BEST, CANDIDATES: go on from what came so far"),
        Field("factor", 8 * SLOT_BITS + 9, 1, "in place of the scale memory's entry, the factor of "
              "row `row` + token, its shift lowered by `offset`, and bias 0"),
        Field("maximum", 8 * SLOT_BITS + 10, 1, "the largest valid value of each token becomes the "
              "reference of row `row` + token; WIDE and one group only"),
        Field("shift", 8 * SLOT_BITS + 11, 5, "see PRODUCT and `rotate`"),
        _slot("row", 9, "first row; of `rotate`, first row of angles, too", width=8),
        Field("offset", 9 * SLOT_BITS + 8, 7, "see `factor` and KEYS"),
        Field("scaled", 9 * SLOT_BITS + 15, 1, "multiply the scale memory's entry by the factor of "
              "row `row` + token and by 2**16"),
        _slot("tokens", 10, "M"),
        _slot("groups", 11, "groups of output tiles"),
        _slot("tiles", 12, "output tiles in a group"),
        _slot("tiles_last", 13, "output tiles in the last group; entries_stride for KEYS and "
              "VALUES; their groups, and those of HEADS, are equal"),
        _slot("columns_last", 14, "valid columns of the very last tile; others become zero, and "
              "with `maximum` are left out; for KEYS and VALUES the first lane or row; "
              "all exist for these and HEADS", width=15),
        Field("rotate", 14 * SLOT_BITS + 15, 1, "turn pairs of channels, without `function`; "
              "ACTIVATION, KEYS and HEADS only"),
        _slot("entries", 15, "KEYS and VALUES: channel of the first exponent in scale memory; with "
              "`maximum`: channels that it takes in for token 0, one more for each further token, "
              "or 0 for no such limit; PRODUCT: first wide word of the second factors; BEST and "
              "CANDIDATES: number of the first channel; MEASURED: first activation word"),
    ),
    DrainKind,
)

SAMPLE = Instruction(
    Opcode.SAMPLE,
    Unit.VECTOR,
    "Choose one of the values that CANDIDATES keeps, by chance: that with the largest value * "
    "sharpness * 2**-sharpness_shift, rounded to nearest even, plus noise, and of equals that with "
    "the smallest number. The noise has LSB 2**-16 and depends on `seed`, `position` and the "
    "value's number alone: -log2(-log2(w)) for a w of even distribution, so that the choice has "
    "the probabilities of softmax, to base 2, of the scaled values. Lane 0 of wide word "
    "destination becomes the number, the other lanes zero. CANDIDATES of the same program must "
    "have begun to keep values.",
    (
        _slot("destination", 5, "wide word written"),
        _slot("seed", 6, "of the noise", width=32),
        _slot("position", 8, "of the noise", width=32),
        _slot("sharpness", 10, "scale, as in scale memory: log2(e) / temperature for values in "
              "nats with LSB 2**-16"),
        _slot("sharpness_shift", 11, "its shift", width=7),
    ),
)

NORM = Instruction(
    Opcode.NORM,
    Unit.ROW,
    "For each token: find mean and deviation of `elements` fixed-point values of wide memory from "
    "the mantissas of their activation words, take the mean off (`centre`), divide by the "
    "deviation, scale and add bias by channel, and write activation words, and with `back` also "
    "the values in the place that they were read from. In its scale entries bit 6 of a shift "
    "negates the scale. Behind the last element are zeros, in both. Only what the words that are "
    "written clip counts as saturation. With `defer` the words are those of the values as they "
    "are, no scale entry is read, and 1 / deviation becomes the factor of row `row` + token; "
    "post_inner tells of a token's words, post_outer of all factors.",
    (
        _slot("scale", 4, "first scale word"),
        _slot("destination", 5, "first activation word written"),
        _slot("token_stride", 6, "activation words from token to token"),
        _slot("source", 7, "first wide word"),
        _slot("exponent_base", 8, "fixed-point bits below block exponent 0", width=5),
        Field("centre", 8 * SLOT_BITS + 5, 1, "LayerNorm; 0: RMSNorm"),
        Field("back", 8 * SLOT_BITS + 6, 1, "write wide memory, too"),
        Field("defer", 8 * SLOT_BITS + 7, 1, "leave the division to DRAIN's `scaled`; without "
              "`centre` and `back`"),
        _slot("source_stride", 9, "wide words from token to token"),
        _slot("tokens", 10, "M"),
        _slot("elements", 11, "values of a token, N, at most `max_k`"),
        _slot("inverse", 12, "1 / N = inverse * 2**-inverse_shift, bit 15 set"),
        _slot("inverse_shift", 13, "see `inverse`", width=6),
        _slot("epsilon", 14, "added to the variance, LSB that of squares of the values, at least "
              "1"),
        _slot("row", 15, "first row, for `defer`", width=8),
    ),
)

SOFTMAX = Instruction(
    Opcode.SOFTMAX,
    Unit.ROW,
    "For each token: read `elements` scores from wide memory, write 2**(score - reference + "
    "exponent) as activation words, the exponent being the low 4 bits of the shift of the "
    "element's scale entry, and make the reciprocal of the sum without exponents the factor of row "
    "`row` + token. The row's reference must be that of the largest valid score. Behind the last "
    "element are zeros. Without a post_outer, post_inner tells of a token's words and factor; with "
    "one it tells of the words, and post_outer of all factors.",
    (
        _slot("scale", 4, "scale word of the first element's exponent"),
        _slot("destination", 5, "first activation word written"),
        _slot("token_stride", 6, "activation words from token to token"),
        _slot("source", 7, "first wide word"),
        _slot("exponent_base", 8, "fixed-point bits below block exponent 0", width=5),
        _slot("source_stride", 9, "wide words from token to token"),
        _slot("tokens", 10, "M"),
        _slot("elements", 11, "scores of a token, S, at most `max_k`"),
        _slot("scale_stride", 12, "scale words from token to token"),
        _slot("causal", 13, "elements valid for token 0, one more for each further token; others "
              "have probability 0; 0: all are valid"),
        _slot("row", 15, "first row", width=8),
    ),
)

LOAD = Instruction(
    Opcode.LOAD,
    Unit.LOAD,
    "Read `rows` runs of `beats` beats from external memory, `row_stride` bytes apart, and "
    "write the first `elements` elements of each on chip, one run `local_stride` after another, "
    "wrapping from ring_end to ring_base. An element is a row write (OPERAND_ROWS), an activation "
    "word without exponent, written to column `lane`, then the next lane for the next run "
    "(OPERAND_COLUMNS: `local_stride` applies each time the lane wraps), an activation word in "
    "pages (ACTIVATION), `lanes` 32-bit values (WIDE) or `lanes` scale entries (SCALE). The row "
    "writes of OPERAND_AFFINE and OPERAND_EXPONENT are expanded from 4-bit codes, in pages of "
    "their own.",
    (
        _slot("address", 4, "byte address, a multiple of the port", width=32),
        _slot("row_stride", 6, "bytes from run to run, a multiple of the port", width=32),
        _slot("rows", 8, "runs"),
        _slot("beats", 9, "port beats in each run"),
        _slot("local", 10, "first tile or word written"),
        _slot("local_stride", 11, "tiles or words from run to run"),
        _slot("ring_base", 12, "address that follows ring_end - 1"),
        _slot("ring_end", 13, "one past the last address of the ring"),
        _slot("lane", 14, "column of the first run, OPERAND_COLUMNS only", width=6),
        _slot("elements", 15, "elements of each run that are written"),
    ),
    LoadKind,
)

STORE = Instruction(
    Opcode.STORE,
    Unit.STORE,
    "Write `rows` runs of `beats` beats to external memory, `row_stride` bytes apart: each "
    "`elements` activation words of DRAIN's stream, in pages (STREAM), or `elements` words of wide "
    "memory from local + row * local_stride (WIDE).",
    (
        _slot("address", 4, "byte address, a multiple of the port", width=32),
        _slot("row_stride", 6, "bytes from run to run, a multiple of the port", width=32),
        _slot("rows", 8, "runs"),
        _slot("beats", 9, "port beats in each run"),
        _slot("local", 10, "first wide word read"),
        _slot("local_stride", 11, "wide words from run to run"),
        _slot("elements", 15, "words in each run"),
    ),
    StoreKind,
)

INSTRUCTIONS = {
    item.opcode: item
    for item in (
        END, BARRIER, LOOP, CALC, READ, CREDIT, MATMUL, DRAIN, SAMPLE, NORM, SOFTMAX, LOAD, STORE
    )  # fmt: skip
}
"""Every instruction by its opcode."""


def encode(opcode: Opcode, **values: int) -> bytes:
    """Return the 32 bytes of one instruction; fields not given are zero.

    Raises
    ------
    ValueError
        For a field that the instruction lacks, or a value that does not fit.
    """
    instruction = INSTRUCTIONS[opcode]
    fields = {item.name: item for item in instruction.all_fields}
    bits = 0
    for name, value in {"opcode": int(opcode), **values}.items():
        if name not in fields:
            raise ValueError(f"{opcode.name} has no field {name}; it has {', '.join(fields)}")
        item = fields[name]
        low, high = (-(1 << item.width - 1), 1 << item.width - 1) if item.signed else (
            0, 1 << item.width)  # fmt: skip
        if not low <= value < high:
            raise ValueError(
                f"{opcode.name}.{name} must be in {low}..{high - 1}, not {value}"
            )
        bits |= (int(value) & (1 << item.width) - 1) << item.offset
    return bits.to_bytes(INSTRUCTION_BYTES, "little")


def decode(raw: bytes) -> tuple[Instruction, dict[str, int]]:
    """Return an instruction's definition and field values.

    Raises
    ------
    ValueError
        If the opcode is illegal.
    """
    bits = int.from_bytes(raw, "little")
    code = bits & 0xFF
    if code not in INSTRUCTIONS:
        raise ValueError(f"opcode {code:#04x} is illegal")
    instruction = INSTRUCTIONS[Opcode(code)]
    values = {}
    for item in instruction.all_fields:
        value = bits >> item.offset & (1 << item.width) - 1
        if item.signed and value >> item.width - 1:
            value -= 1 << item.width
        values[item.name] = value
    return instruction, values
