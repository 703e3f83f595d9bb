"""Write programs as Python, with every field checked against the configuration."""

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypedDict, Unpack

from systolith_hw.config import INSTRUCTION_BYTES, Config
from systolith_hw.isa import (
    INSTRUCTIONS,
    PATCHES,
    REGISTERS,
    DrainKind,
    LoadKind,
    Opcode,
    Register,
    StoreKind,
    Unit,
    decode,
    encode,
)
from systolith_hw.limits import field_bits
from systolith_sim.machine.listing import describe
from systolith_sim.machine.transfer import load_bytes, store_bytes

__all__ = ["Patches", "Program", "Semaphores", "disassemble"]

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


class Program:
    """A program under construction; each method appends one instruction.

    Fields are those of :mod:`systolith_hw.isa`. Semaphores are plain numbers, or None for none.
    ``patches`` names fields to which a runtime register is added at issue; their values aren't
    checked further.

    Parameters
    ----------
    config : Config
        What the program will run on.

    Raises
    ------
    ValueError
        From any method, for a value that the configuration does not allow; the sentence names
        the instruction, the field and the value.

    Examples
    --------
    >>> program = Program(config)
    >>> ready = program.semaphore("weights are there")
    >>> program.load(LoadKind.OPERAND_ROWS, address=0x1000, beats=48, elements=48, post_outer=ready)
    >>> program.matmul(steps=6, tokens=4, wait_outer=ready)
    >>> program.drain(DrainKind.WIDE, tokens=4, token_stride=2)
    >>> program.end()
    >>> machine.run(program.assemble())
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.semaphores: list[str] = []
        self.registers: list[str] = []
        self._instructions: list[tuple[Opcode, dict[str, int]]] = []
        self._open_loops = 0

    def __len__(self) -> int:
        """Return the number of instructions so far."""
        return len(self._instructions)

    # -- resources ---------------------------------------------------------------------------

    def semaphore(self, name: str) -> int:
        """Return the number of a semaphore that nobody else has; ``name`` says what it counts."""
        limit = self.config.sequencer.semaphores
        _require(
            len(self.semaphores) < limit,
            f"no semaphore is left for {name!r}: sequencer.semaphores is {limit}, and must be at "
            f"least {limit + 1}; taken by {', '.join(self.semaphores)}",
        )
        self.semaphores.append(name)
        return len(self.semaphores) - 1

    def register(self, name: str) -> int:
        """Return the number of a runtime register that nobody else has."""
        first = max(Register) + 1
        _require(
            first + len(self.registers) < REGISTERS,
            f"no register is left for {name!r}; taken are {', '.join(self.registers)}",
        )
        self.registers.append(name)
        return first + len(self.registers) - 1

    # -- control -----------------------------------------------------------------------------

    def end(self) -> None:
        """Wait until every unit is idle, raise done, stop."""
        self._append(Opcode.END, {})

    def barrier(self) -> None:
        """Wait until every unit is idle."""
        self._append(Opcode.BARRIER, {})

    def calc(
        self, target: int, a: int = 0, b: int = 0, immediate: int = 0, *, right: int = 0,
        left: int = 0,
    ) -> None:  # fmt: skip
        """Append ``r[target] = ((r[a] + r[b] + immediate) >> right) << left``."""
        fields = {"target": target, "a": a, "b": b, "immediate": immediate}
        self._append(Opcode.CALC, {**fields, "right": right, "left": left})

    @contextlib.contextmanager
    def loop(
        self, count: int = 0, *, count_register: int = 0, counter: int = 0, initial: int = 0,
        step: int = 0, patches: Patches = NONE,
    ) -> Iterator[None]:  # fmt: skip
        """Repeat what the ``with`` block appends ``count + r[count_register]`` times.

        ``r[counter]`` starts at ``r[initial]`` and grows by ``step``.
        """
        depth, size = self.config.sequencer.loop_depth, self.config.memory.program_instructions
        _require(
            self._open_loops < depth,
            f"LOOP: sequencer.loop_depth allows {depth} loops inside each other",
        )
        fields = {
            "count": count, "count_register": count_register, "counter": counter,
            "initial": initial, "step": step,
        }  # fmt: skip
        self._append(Opcode.LOOP, fields, patches)
        start = len(self)
        self._open_loops += 1
        yield
        self._open_loops -= 1
        body = len(self) - start
        _require(
            1 <= body <= size,
            f"LOOP.body must be in 1..{size} (memory.program_instructions), not {body}",
        )
        self._instructions[start - 1][1]["body"] = body

    # -- units -------------------------------------------------------------------------------

    def matmul(
        self, *, steps: int, tokens: int = 1, groups: int = 1, tiles: int = 1,
        tiles_last: int | None = None, operand: int = 0, ring: tuple[int, int] | None = None,
        activation: int = 0, activation_stride: int | None = None,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append MATMUL.

        By default the ring is the whole operand memory, the last group is like the others, and
        tokens follow one another.
        """
        memory = self.config.memory
        ring_base, ring_end = ring or (0, memory.operand_tiles)
        fields = {
            "operand": operand, "ring_base": ring_base, "ring_end": ring_end,
            "activation": activation,
            "activation_stride": steps if activation_stride is None else activation_stride,
            "steps": steps, "tokens": tokens, "groups": groups, "tiles": tiles,
            "tiles_last": tiles if tiles_last is None else tiles_last,
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._check_ring(Opcode.MATMUL, ring_base, ring_end, memory.operand_tiles)
        self._check_depth(Opcode.MATMUL, "operand", operand, ring_end)
        self._check_depth(Opcode.MATMUL, "activation", activation, memory.activation_words)
        array = self.config.array
        longest = -(-array.max_k // array.rows)
        _require(
            steps <= longest or "steps" in patches,
            f"MATMUL.steps must be at most {longest}, since array.max_k is {array.max_k}, "
            f"not {steps}",
        )
        self._append(Opcode.MATMUL, fields, patches)

    def drain(
        self, kind: DrainKind, *, tokens: int = 1, groups: int = 1, tiles: int = 1,
        tiles_last: int | None = None, columns_last: int | None = None, scale: int = 0,
        destination: int = 0, token_stride: int = 0, group_stride: int = 0,
        exponent_base: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append DRAIN. By default the last group is like the others, all its columns valid."""
        columns, memory = self.config.array.columns, self.config.memory
        fields = {
            "kind": kind, "scale": scale, "destination": destination,
            "token_stride": token_stride, "group_stride": group_stride,
            "exponent_base": exponent_base, "tokens": tokens, "groups": groups, "tiles": tiles,
            "tiles_last": tiles if tiles_last is None else tiles_last,
            "columns_last": columns if columns_last is None else columns_last,
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        last = fields["columns_last"]
        _require(
            0 < last <= columns or "columns_last" in patches,
            f"DRAIN.columns_last must be in 1..{columns}, not {last}",
        )
        self._check_depth(Opcode.DRAIN, "scale", scale, memory.scale_words)
        depths = {
            DrainKind.ACTIVATION: memory.activation_words, DrainKind.WIDE: memory.wide_words
        }  # fmt: skip
        if kind in depths:
            self._check_depth(Opcode.DRAIN, "destination", destination, depths[kind])
        self._append(Opcode.DRAIN, fields, patches)

    def load(
        self, kind: LoadKind, *, address: int, elements: int, rows: int = 1,
        beats: int | None = None, row_stride: int | None = None, local: int = 0,
        local_stride: int = 0, ring: tuple[int, int] | None = None, lane: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append LOAD.

        By default ``beats`` are just enough for the elements, runs follow one another without a
        gap, and the ring is the whole memory.
        """
        memory = self.config.memory
        depth = {
            LoadKind.OPERAND_ROWS: memory.operand_tiles,
            LoadKind.OPERAND_COLUMNS: memory.operand_tiles,
            LoadKind.ACTIVATION: memory.activation_words,
            LoadKind.WIDE: memory.wide_words,
            LoadKind.SCALE: memory.scale_words,
        }[kind]
        ring_base, ring_end = ring or (0, depth)
        self._check_ring(Opcode.LOAD, ring_base, ring_end, depth)
        self._check_depth(Opcode.LOAD, "local", local, ring_end)
        self._check_depth(Opcode.LOAD, "local_stride", local_stride, ring_end - ring_base + 1)
        if kind == LoadKind.OPERAND_COLUMNS:
            self._check_depth(Opcode.LOAD, "lane", lane, self.config.array.columns)
        fields = {
            "kind": kind, "local": local, "local_stride": local_stride, "ring_base": ring_base,
            "ring_end": ring_end, "lane": lane,
            **self._runs(Opcode.LOAD, address, rows, beats, row_stride, elements,
                         load_bytes(self.config, kind, elements), patches),
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._append(Opcode.LOAD, fields, patches)

    def store(
        self, kind: StoreKind, *, address: int, elements: int, rows: int = 1,
        beats: int | None = None, row_stride: int | None = None, local: int = 0,
        local_stride: int = 0,
        patches: Patches = NONE, **semaphores: Unpack[Semaphores],
    ) -> None:  # fmt: skip
        """Append STORE, with the defaults of :meth:`load`."""
        if kind == StoreKind.WIDE:
            self._check_depth(Opcode.STORE, "local", local, self.config.memory.wide_words)
        fields = {
            "kind": kind, "local": local, "local_stride": local_stride,
            **self._runs(Opcode.STORE, address, rows, beats, row_stride, elements,
                         store_bytes(self.config, kind, elements), patches),
            **self._semaphore_fields(semaphores),
        }  # fmt: skip
        self._append(Opcode.STORE, fields, patches)

    # -- the whole ---------------------------------------------------------------------------

    def assemble(self) -> bytes:
        """Return the program; END must be its last instruction."""
        ends = bool(self._instructions) and self._instructions[-1][0] == Opcode.END
        _require(ends, "a program's last instruction must be END")
        return b"".join(encode(opcode, **fields) for opcode, fields in self._instructions)

    # -- checks ------------------------------------------------------------------------------

    def _append(self, opcode: Opcode, fields: dict[str, int], patches: Patches = NONE) -> None:
        for name in COUNTS:
            _require(
                name in patches or fields.get(name, 1) != 0,
                f"{opcode.name}.{name} must be at least 1, not 0",
            )
        fields = {name: int(value) for name, value in fields.items()}
        fields |= _encode_patches(opcode, patches)
        encode(opcode, **fields)
        self._check_limits(opcode, fields, patches)
        self._instructions.append((opcode, fields))

    def _check_limits(self, opcode: Opcode, fields: dict[str, int], patches: Patches) -> None:
        """Refuse numbers that a core whose instructions stand has no bits for."""
        issued = INSTRUCTIONS[opcode].unit != Unit.SEQUENCER
        if not (issued and self.config.sequencer.instructions_stand):
            return
        for name, bits in field_bits(self.config, opcode).items():
            _require(
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
            _require(
                number is None or 0 <= number < limit,
                f"{name} must name one of {limit} semaphores, not {number}",
            )
        return {name: 16 + number for name, number in given.items() if number is not None}

    def _runs(
        self, opcode: Opcode, address: int, rows: int, beats: int | None, row_stride: int | None,
        elements: int, size: int, patches: Patches,
    ) -> dict[str, int]:  # fmt: skip
        """Return the fields of runs in external memory."""
        port = self.config.bus.data_bytes
        name = opcode.name
        if beats is None:
            beats = -(-size // port)
        if row_stride is None:
            row_stride = beats * port
        for field, value in (("address", address), ("row_stride", row_stride)):
            _require(
                value % port == 0,
                f"{name}.{field} must be a multiple of bus.data_bytes, {port}, not {value:#x}",
            )
        _require(
            beats * port >= size or "beats" in patches or "elements" in patches,
            f"{name}.beats must be at least {-(-size // port)} for {elements} elements of "
            f"together {size} bytes, not {beats}",
        )
        reach = 1 << self.config.bus.address_bits
        _require(
            address < reach,
            f"{name}.address must be below {reach:#x} (bus.address_bits), not {address:#x}",
        )
        return {
            "address": address, "row_stride": row_stride, "rows": rows, "beats": beats,
            "elements": elements,
        }  # fmt: skip

    def _check_depth(self, opcode: Opcode, name: str, value: int, depth: int) -> None:
        _require(
            0 <= value < depth,
            f"{opcode.name}.{name} must be in 0..{depth - 1}, not {value}",
        )

    def _check_ring(self, opcode: Opcode, base: int, end: int, depth: int) -> None:
        _require(
            0 <= base < end <= depth,
            f"{opcode.name}.ring must lie inside the memory of {depth}, not {base}..{end}",
        )


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _encode_patches(opcode: Opcode, patches: Patches) -> dict[str, int]:
    """Return the patch fields that add registers to named fields."""
    _require(
        len(patches) <= PATCHES,
        f"{opcode.name} can have {PATCHES} patches, not {len(patches)}: {', '.join(patches)}",
    )
    slots = {field.name: field.offset // 16 for field in INSTRUCTIONS[opcode].fields}
    encoded = {}
    for index, (name, register) in enumerate(patches.items()):
        _require(name in slots, f"{opcode.name} has no field {name} that could be patched")
        _require(
            0 < register < REGISTERS,
            f"{opcode.name}.{name} must be patched by register 1..{REGISTERS - 1}, not {register}",
        )
        encoded[f"patch{index}"] = slots[name] | register << 4
    return encoded


def disassemble(program: bytes) -> str:
    """Return one line per instruction; loop bodies are indented."""
    lines = []
    ends: list[int] = []
    for index in range(len(program) // INSTRUCTION_BYTES):
        raw = program[index * INSTRUCTION_BYTES : (index + 1) * INSTRUCTION_BYTES]
        ends = [end for end in ends if index < end]
        lines.append(f"{index:5}  {'  ' * len(ends)}{describe(raw)}")
        if raw[0] == Opcode.LOOP:
            ends.append(index + 1 + decode(raw)[1]["body"])
    return "\n".join(lines)
