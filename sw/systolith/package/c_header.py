"""What C has to know of one core, beside the driver."""

from .description import CoreDescription

__all__ = ["c_header"]


def c_header(core: CoreDescription) -> str:
    """Return ``systolith_core.h``."""
    config, bus = core.config, core.config.bus
    numbers = {
        "CONFIG_HASH": (f"0x{config.hash:08X}u", "what CONFIG_HASH reads; images have the same"),
        "DATA_BYTES": (f"{bus.data_bytes}u", "of the port to memory"),
        "ADDRESS_BITS": (f"{bus.address_bits}u", "of a byte address in memory"),
        "BURST_BYTES": (f"{bus.burst_beats * bus.data_bytes}u", "of the longest burst"),
        "ROWS": (f"{config.array.rows}u", "multipliers that sum"),
        "COLUMNS": (f"{config.array.columns}u", "output channels side by side"),
        "LANES": (f"{config.vector.lanes}u", "values that the vector unit finishes in a cycle"),
    }
    counters = [register for register in core.registers() if register.doc.startswith("counts: ")]
    first = min(register.offset for register in counters)
    numbers["COUNTERS"] = (
        f"0x{sum(1 << (register.offset - first) // 4 for register in counters):06X}u",
        "bit n: systolith_counter() may read number n; others are bus errors",
    )
    lines = [
        f"#define SYSTOLITH_CORE_{name} {value} /* {doc} */"
        for name, (value, doc) in numbers.items()
    ]
    names = [
        f"    SYSTOLITH_CORE_{register.name} = {(register.offset - first) // 4}, "
        f"/* {register.doc.removeprefix('counts: ')} */"
        for register in counters
    ]
    return "\n".join([
        f"/* One Systolith core: {core.made_of}, bus {core.bus}.",
        " * Generated; the driver is systolith.h. */",
        "#ifndef SYSTOLITH_CORE_H",
        "#define SYSTOLITH_CORE_H",
        "",
        *lines,
        f'#define SYSTOLITH_CORE_BUS "{core.bus}"',
        "",
        "/* Counters that this core has, by the numbers that systolith_counter() takes. */",
        "enum systolith_core_counter {",
        *names[:-1],
        names[-1].replace(",", " ", 1),
        "};",
        "",
        "#endif",
        "",
    ])  # fmt: skip
