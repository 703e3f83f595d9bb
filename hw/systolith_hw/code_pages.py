"""How 4-bit weights lie in external memory, as plain data for hardware, machine and compiler.

A *group* is 32 inputs of each of the C channels of a panel, which have parameters of their own. A
*page* is the parameters of one group or more, followed by the codes of all their weights::

    | parameters of group 0 | of group 1 | ... | codes of group 0 | of group 1 | ...

Groups are as many as it takes for the parameters to fill whole elements, an element being what
becomes a row write. Within an element the code of row r, column c is nibble ``r * C + c``, the low
one of a byte first, as the byte of a weight of 8 bits would be byte ``r * C + c``.
"""

from dataclasses import dataclass

from .config import CODE_BITS, CODE_GROUP, Config
from .isa import LoadKind

__all__ = ["PARAMETER_BITS", "CodePage", "code_pages"]

PARAMETER_BITS = {LoadKind.OPERAND_AFFINE: 16, LoadKind.OPERAND_EXPONENT: 4}
"""Bits of the parameters that a channel has in each group: slope and offset, or an exponent."""


@dataclass(frozen=True)
class CodePage:
    """The sizes of a page.

    Parameters
    ----------
    config : Config
    kind : LoadKind
        A key of :data:`PARAMETER_BITS`.
    """

    config: Config
    kind: LoadKind

    @property
    def row_bits(self) -> int:
        """Bits of all codes that each column has in an element."""
        return self.config.write_rows * CODE_BITS

    @property
    def groups(self) -> int:
        """Groups of a page."""
        return max(1, self.row_bits // PARAMETER_BITS[self.kind])

    @property
    def header(self) -> int:
        """Elements that the parameters fill."""
        return max(1, PARAMETER_BITS[self.kind] // self.row_bits)

    @property
    def rows(self) -> int:
        """Inputs, or operand banks, that a page has weights for."""
        return self.groups * CODE_GROUP

    @property
    def elements(self) -> int:
        """Row writes of a page."""
        return self.rows // self.config.write_rows

    @property
    def element_bytes(self) -> int:
        """Bytes of the codes of a row write."""
        return self.config.array.columns * self.row_bits // 8

    def run_bytes(self, elements: int) -> int:
        """Return the bytes of a run of so many row writes, parameters included."""
        pages = -(-elements // self.elements)
        return (elements + pages * self.header) * self.element_bytes


def code_pages(config: Config) -> dict[LoadKind, CodePage]:
    """Return the pages of every kind of codes that LOAD expands."""
    if not config.bus.codecs:
        return {}
    return {kind: CodePage(config, kind) for kind in PARAMETER_BITS}
