"""Instructions as text, for error messages and listings."""

from systolith_hw.isa import (
    CalcOperation,
    DrainFunction,
    Field,
    Instruction,
    Opcode,
    Register,
    decode,
)

__all__ = ["describe"]

SEMAPHORES = ("wait_outer", "wait_inner", "post_outer", "post_inner")
RING = ("ring_base", "ring_end")
REGISTERS = {
    Opcode.LOOP: ("counter", "count_register", "initial"),
    Opcode.CALC: ("target", "a", "b"),
    Opcode.READ: ("target", "a"),
}
CHOICES = {"operation": CalcOperation, "function": DrainFunction}


def describe(raw: bytes, *, patches: bool = True) -> str:
    """Return one instruction as a line of text; fields that are zero are left out.

    Parameters
    ----------
    raw : bytes
        The 32 bytes.
    patches : bool
        False for instructions that were issued: their patches have been applied.

    Examples
    --------
    >>> describe(encode(Opcode.LOAD, rows=4, beats=8, elements=8, post_inner=16 + 2))
    'LOAD.OPERAND_ROWS post_inner=s2 rows=4 beats=8 elements=8'
    """
    try:
        instruction, values = decode(raw)
    except ValueError as error:
        return f"({error})"
    words = [_name(instruction, values["kind"])]
    words += [f"{name}=s{values[name] & 15}" for name in SEMAPHORES if values[name]]
    for field in instruction.fields:
        value = values[field.name]
        if field.name == "ring_base":
            if values["ring_end"]:
                words.append(f"ring={value}..{values['ring_end']}")
        elif field.name == "semaphore":
            words.append(f"semaphore=s{value}")
        elif field.name not in RING and value:
            words.append(f"{field.name}={_value(instruction, field, value)}")
    if patches:
        words += [text for index in range(4) if (text := _patch(instruction, values, index))]
    return " ".join(words)


def _name(instruction: Instruction, kind: int) -> str:
    name = instruction.opcode.name
    if instruction.kinds is None:
        return name
    known = kind in list(instruction.kinds)
    return f"{name}.{instruction.kinds(kind).name if known else kind}"


def _value(instruction: Instruction, field: Field, value: int) -> str:
    if field.name.endswith("address"):
        return f"{value:#x}"
    choice = CHOICES.get(field.name)
    if choice and value in list(choice):
        return choice(value).name
    registers = REGISTERS.get(instruction.opcode, ())
    return _register(value) if field.name in registers else str(value)


def _register(number: int) -> str:
    names = {int(register): register.name.lower() for register in Register}
    return names.get(number, f"r{number}")


def _patch(instruction: Instruction, values: dict[str, int], index: int) -> str:
    patch = values[f"patch{index}"]
    slot, register = patch & 15, patch >> 4
    if not slot:
        return ""
    names = [field.name for field in instruction.fields if field.offset == slot * 16]
    return f"{names[0] if names else f'slot{slot}'}+={_register(register)}"
