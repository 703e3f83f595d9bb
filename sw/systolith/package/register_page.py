"""The registers as one page that needs nothing else.

PeakRDL makes a larger site of ``registers.rdl``, with its fonts and scripts, of 8 MB.
"""

import html

from systolith_hw.registers import BitField

from .description import CoreDescription, PackagedRegister, named_values

__all__ = ["register_page"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 960px; margin: 2em auto;
       padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: 3px 14px 3px 0; text-align: left;
       vertical-align: top; border-bottom: 1px solid #ddd; }
code { font-size: 0.95em; } h2 { font-size: 1.15em; margin-top: 2em; }
"""

ACCESS = {
    "ro": "read only",
    "rw": "read and write",
    "wo": "write only, reads zero",
    "w1c": "read; writing a one clears the bit",
}


def register_page(core: CoreDescription) -> str:
    """Return ``registers.html``."""
    registers = core.registers()
    rows = "\n".join(
        f'<tr><td><code>{register.offset:#04x}</code></td><td><a href="#{register.name}">'
        f"{register.name}</a></td><td>{register.access}</td>"
        f"<td>{html.escape(register.doc)}</td></tr>"
        for register in registers
    )
    details = "\n".join(_details(register) for register in registers)
    return f"""\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Systolith registers</title>
<style>{STYLE}</style></head><body>
<h1>Registers of Systolith, configuration {core.config.hash:08x}</h1>
<p>32 bits each, at byte offsets. Only whole registers are written.</p>
<table><tr><th>Offset</th><th>Name</th><th>Access</th><th>Meaning</th></tr>
{rows}
</table>
{details}
</body></html>
"""


def _details(register: PackagedRegister) -> str:
    rows = "\n".join(
        f"<tr><td>{field.low + field.width - 1}:{field.low}</td><td>{field.name}</td>"
        f"<td>{_first(register, field.low, field.width)}</td><td>{html.escape(field.doc)}</td></tr>"
        for field in register.fields
    )
    return f"""\
<h2 id="{register.name}">{register.name}, <code>{register.offset:#04x}</code></h2>
<p>{html.escape(register.doc)}. {ACCESS[register.access].capitalize()}.</p>
<table><tr><th>Bits</th><th>Field</th><th>After reset</th><th>Meaning</th></tr>
{rows}
</table>{"".join(_values(field) for field in register.fields if field.values)}"""


def _values(field: BitField) -> str:
    rows = "\n".join(
        f"<tr><td>{number}</td><td>{name}</td><td>{html.escape(doc)}</td></tr>"
        for number, name, doc in named_values(field)
    )
    return f"""
<p>Values of {field.name}:</p>
<table><tr><th>Value</th><th>Name</th><th>Meaning</th></tr>
{rows}
</table>"""


def _first(register: PackagedRegister, low: int, width: int) -> str:
    if register.reset is None:
        return "kept"
    return f"<code>{register.reset >> low & (1 << width) - 1:#x}</code>"
