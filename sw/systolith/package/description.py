"""What the files of a package say of a core, gathered once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from systolith_hw.config import Config
from systolith_hw.isa import INSTRUCTIONS, ISA_VERSION, ErrorCode, Unit
from systolith_hw.isa_docs import ERRORS
from systolith_hw.presets import preset
from systolith_hw.registers import (
    COUNTERS,
    IDENTITY,
    KEPT,
    REGISTERS,
    BitField,
    bit_fields,
    counter_offsets,
)

if TYPE_CHECKING:  # ports are of the hardware, which commands import when they need it
    from systolith_hw.ports import Port

__all__ = ["CoreDescription", "PackagedRegister", "named_values", "undefined_modules"]

MEANINGS: dict[type, dict[Any, str]] = {
    ErrorCode: ERRORS,
    Unit: {
        unit: "executes "
        + ", ".join(one.opcode.name for one in INSTRUCTIONS.values() if one.unit == unit)
        for unit in Unit
    },
}
"""What the values of fields mean."""


@dataclass(frozen=True, kw_only=True)
class PackagedRegister:
    """A register: byte ``offset``, ``access`` (ro, rw, wo, w1c), fields, and what it reads first.

    ``reset`` is None for one that ``rst`` leaves as it is, anything after power-up (``KEPT``).
    """

    name: str
    offset: int
    access: str
    doc: str
    fields: tuple[BitField, ...]
    reset: int | None


@dataclass(frozen=True, kw_only=True)
class CoreDescription:
    """A core that has been emitted.

    Parameters
    ----------
    config : Config
        What it was made from.
    preset : str
        The name that the configuration began with.
    bus, target : str
        As for :func:`systolith_hw.emit.emit`.
    version : str
        Of the generator.
    ports : tuple of Port
        Of module ``systolith``.
    vendor_cells : tuple of str
        Modules that its Verilog has and does not define: they are in the library of a vendor.
    """

    config: Config
    preset: str
    bus: str
    target: str
    version: str
    ports: tuple[Port, ...]
    vendor_cells: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tells it from cores of other configurations, buses and targets."""
        return f"systolith_{self.config.hash:08x}_{self.bus}_{self.target}"

    @property
    def made_of(self) -> str:
        """The preset, and what has been changed of it."""
        first, now = asdict(preset(self.preset)), asdict(self.config)
        changes = ", ".join(_differences(first, now))
        return f"preset {self.preset}" + (f" with {changes}" if changes else "")

    def port_groups(self) -> Iterator[tuple[str, list[Port]]]:
        """Yield each group of ports, with its name."""
        for name, members in groupby(self.ports, lambda port: port.group):
            yield name, list(members)

    def registers(self) -> list[PackagedRegister]:
        """Return all registers that the core has, counters last."""
        constants = {
            "ID": IDENTITY, "VERSION": ISA_VERSION, "CONFIG_HASH": self.config.hash,
        }  # fmt: skip
        known = [
            PackagedRegister(
                name=register.name, offset=register.offset, access=register.access,
                doc=register.doc, fields=tuple(bit_fields(register)),
                reset=None if register.name in KEPT else constants.get(register.name, 0),
            )
            for register in REGISTERS
        ]  # fmt: skip
        docs = {counter.name: counter.doc for counter in COUNTERS}
        counters = [
            PackagedRegister(
                name=name, offset=offset, access="ro", doc=f"counts: {docs[name]}", reset=0,
                fields=(BitField("VALUE", 0, 32, docs[name]),),
            )
            for name, offset in counter_offsets(self.config).items()
        ]  # fmt: skip
        return known + counters


def named_values(field: BitField) -> list[tuple[int, str, str]]:
    """Return number, name and meaning of each value of a field; none if it is a number."""
    return [(int(value), value.name, MEANINGS[type(value)][value]) for value in field.values or ()]


def undefined_modules(verilog: str) -> tuple[str, ...]:
    """Return the names of modules of which emitted Verilog has instances and no definition."""
    defined = set(re.findall(r"^module (\S+?) ?\(", verilog, re.MULTILINE))
    instances = set(re.findall(r"^  ([^\s)]+) +(?:#|\S+ +)\($", verilog, re.MULTILINE))
    return tuple(sorted(instances - defined))


def _differences(first: dict[str, Any], now: dict[str, Any], part: str = "") -> Iterator[str]:
    """Yield ``part.field=value`` of each setting that is not as it was at first."""
    for name, value in now.items():
        if isinstance(value, dict):
            yield from _differences(first[name], value, f"{part}{name}.")
        elif value != first[name]:
            yield f"{part}{name}={value}"
