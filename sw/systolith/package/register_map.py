"""The registers as SystemRDL 2.0."""

import json

from systolith_hw.registers import REGISTER_SPACE, BitField

from .description import CoreDescription, PackagedRegister, named_values

__all__ = ["system_rdl"]

ACCESS = {
    "ro": "sw = r; hw = w;",
    "rw": "sw = rw; hw = r;",
    "wo": "sw = w; hw = r; singlepulse;",
    "w1c": "sw = rw; onwrite = woclr; hw = w;",
}


def system_rdl(core: CoreDescription) -> str:
    """Return ``registers.rdl``."""
    body = "\n".join(_register(register) for register in core.registers())
    return f"""\
// Registers of a Systolith core, configuration {core.config.hash:08x}.
addrmap systolith {{
    name = "Systolith";
    desc = "Transformer accelerator; {REGISTER_SPACE} bytes of registers.";
    default regwidth = 32;
    default accesswidth = 32;
    addressing = compact;

{body}}};
"""


def _register(register: PackagedRegister) -> str:
    lines = [f"    reg {{  // {register.access}", f"        desc = {json.dumps(register.doc)};"]
    for field in register.fields:
        lines += _values(register, field)
        # A field that is a strobe must begin at zero, which is what it reads.
        value = "" if register.reset is None else (
            f" = {field.width}'h{register.reset >> field.low & (1 << field.width) - 1:X}"
        )
        high = field.low + field.width - 1
        about = f"desc = {json.dumps(field.doc)}; {ACCESS[register.access]}"
        if field.values:
            about += f" encode = {_enum(register, field)};"
        lines.append(f"        field {{ {about} }} {field.name}[{high}:{field.low}]{value};")
    return "\n".join([*lines, f"    }} {register.name} @ {register.offset:#x};", ""])


def _enum(register: PackagedRegister, field: BitField) -> str:
    return f"{register.name}_{field.name}".lower()


def _values(register: PackagedRegister, field: BitField) -> list[str]:
    """Return the lines that declare the names of a field's values, if it has any."""
    values = [
        f"            {name} = {field.width}'d{number}"
        + (f" {{ desc = {json.dumps(doc)}; }};" if doc else ";")
        for number, name, doc in named_values(field)
    ]
    return [f"        enum {_enum(register, field)} {{", *values, "        };"] if values else []
