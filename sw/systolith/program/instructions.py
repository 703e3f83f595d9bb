"""What all parts of the assembler share: instructions in a row, and checks of their fields."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypedDict

from systolith_hw.config import Config
from systolith_hw.isa import (
    INSTRUCTIONS,
    PATCHES,
    REGISTERS,
    SLOT_BITS,
    Opcode,
    Register,
    Unit,
    encode,
)
from systolith_hw.limits import field_bits, opcodes

__all__ = ["NONE", "Instructions", "Patches", "Semaphores", "require"]

Patches = Mapping[str, int]
"""Runtime register by the name of the field that it is added to when the instruction issues."""

NONE: Patches = MappingProxyType({})


class Semaphores(TypedDict, total=False):
    """The semaphores of an instruction, by number; None or left out for none."""

    wait_outer: int | None
    wait_inner: int | None
    post_outer: int | None
    post_inner: int | None


COUNTS = ("tokens", "groups", "tiles", "tiles_last", "steps", "rows", "elements", "beats")


class Instructions:
    """Instructions one after the other, and the semaphores and registers that they use.

    Parameters
    ----------
    config : Config
        What the program will run on.

    Attributes
    ----------
    longest_loop : int
        Instructions of the longest loop body so far.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.longest_loop = 0
        self.semaphores: list[str] = []
        self.registers: list[str] = []
        self._instructions: list[tuple[Opcode, dict[str, int]]] = []
        self._open_loops = 0

    def __len__(self) -> int:
        """Return the number of instructions so far."""
        return len(self._instructions)

    def semaphore(self, name: str) -> int:
        """Return the number of a semaphore that nobody else has; ``name`` says what it counts."""
        limit = self.config.sequencer.semaphores
        require(
            len(self.semaphores) < limit,
            f"no semaphore is left for {name!r}: sequencer.semaphores is {limit}, and must be at "
            f"least {limit + 1}; taken by {', '.join(self.semaphores)}",
        )
        self.semaphores.append(name)
        return len(self.semaphores) - 1

    def register(self, name: str) -> int:
        """Return the number of a runtime register that nobody else has."""
        first = max(Register) + 1
        require(
            first + len(self.registers) < REGISTERS,
            f"no register is left for {name!r}; taken are {', '.join(self.registers)}",
        )
        self.registers.append(name)
        return first + len(self.registers) - 1

    def assemble(self) -> bytes:
        """Return the program; END must be its last instruction."""
        ends = bool(self._instructions) and self._instructions[-1][0] == Opcode.END
        require(ends, "a program's last instruction must be END")
        return b"".join(encode(opcode, **fields) for opcode, fields in self._instructions)

    # -- checks ------------------------------------------------------------------------------

    def _append(
        self, opcode: Opcode, fields: dict[str, int], patches: Patches = NONE,
        counts: Sequence[str] = COUNTS,
    ) -> None:  # fmt: skip
        """Append an instruction; ``counts`` are at least 1."""
        self._check_opcode(opcode)
        for name in counts:
            require(
                name in patches or fields.get(name, 1) != 0,
                f"{opcode.name}.{name} must be at least 1, not 0",
            )
        fields = {name: int(value) for name, value in fields.items()}
        fields |= encode_patches(opcode, patches)
        encode(opcode, **fields)
        self._check_limits(opcode, fields, patches)
        self._instructions.append((opcode, fields))

    def _check_opcode(self, opcode: Opcode) -> None:
        missing = {Unit.ROW: "vector.rows of 0", Unit.VECTOR: "vector.candidates of 0"}.get(
            INSTRUCTIONS[opcode].unit, "sequencer.queue_depth of 1"
        )
        require(
            opcode in opcodes(self.config), f"there is no {opcode.name} with a {missing}"
        )

    def _check_limits(self, opcode: Opcode, fields: dict[str, int], patches: Patches) -> None:
        """Refuse numbers that a core whose instructions stand has no bits for."""
        issued = INSTRUCTIONS[opcode].unit != Unit.SEQUENCER
        if not (issued and self.config.sequencer.instructions_stand):
            return
        for name, bits in field_bits(self.config, opcode).items():
            require(
                name in patches or fields.get(name, 0) < 1 << bits,
                f"{opcode.name}.{name} must be at most {(1 << bits) - 1} in this configuration, "
                f"not {fields.get(name)}",
            )

    def _semaphore_fields(self, semaphores: Semaphores) -> dict[str, int]:
        limit = self.config.sequencer.semaphores
        given = {
            "wait_outer": semaphores.get("wait_outer"),
            "wait_inner": semaphores.get("wait_inner"),
            "post_outer": semaphores.get("post_outer"),
            "post_inner": semaphores.get("post_inner"),
        }
        for name, number in given.items():
            require(
                number is None or 0 <= number < limit,
                f"{name} must name one of {limit} semaphores, not {number}",
            )
        return {name: 16 + number for name, number in given.items() if number is not None}

    def _check_depth(self, opcode: Opcode, name: str, value: int, depth: int) -> None:
        require(
            0 <= value < depth,
            f"{opcode.name}.{name} must be in 0..{depth - 1}, not {value}",
        )

    def _check_ring(self, opcode: Opcode, base: int, end: int, depth: int) -> None:
        require(
            0 <= base < end <= depth,
            f"{opcode.name}.ring must lie inside the memory of {depth}, not {base}..{end}",
        )


def require(condition: bool, sentence: str) -> None:
    """Raise ValueError otherwise."""
    if not condition:
        raise ValueError(sentence)


def encode_patches(opcode: Opcode, patches: Patches) -> dict[str, int]:
    """Return the patch fields that add registers to named fields."""
    require(
        len(patches) <= PATCHES,
        f"{opcode.name} can have {PATCHES} patches, not {len(patches)}: {', '.join(patches)}",
    )
    fields = {field.name: field for field in INSTRUCTIONS[opcode].fields}
    encoded = {}
    for index, (name, register) in enumerate(patches.items()):
        require(
            name in fields and fields[name].offset % SLOT_BITS == 0,
            f"{opcode.name} has no field {name} that could be patched",
        )
        require(
            0 < register < REGISTERS,
            f"{opcode.name}.{name} must be patched by register 1..{REGISTERS - 1}, not {register}",
        )
        encoded[f"patch{index}"] = fields[name].offset // SLOT_BITS | register << 4
    return encoded
