"""Generated documents are those that the code would generate."""

from pathlib import Path

import pytest

from systolith_hw import isa_docs, register_docs
from systolith_hw.isa import INSTRUCTIONS, ErrorCode
from systolith_hw.link_protocol import (
    BAUDS,
    CRC_BYTES,
    HEADER,
    IDENTITY_BYTES,
    REGISTER_BYTES,
    REPLY,
    STATUS_SHIFT,
    WAIT_BYTES,
    Operation,
    Status,
)
from systolith_hw.registers import COUNTERS, REGISTERS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name, module", [("isa.md", isa_docs), ("registers.md", register_docs)])
def test_up_to_date(name, module):
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text == module.markdown(), f"run python -m {module.__name__} > docs/{name}"


def test_every_register_and_counter_is_there():
    rows = [line.split(" | ") for line in register_docs.markdown().splitlines()
            if line.startswith("| 0x")]  # fmt: skip
    assert [row[1] for row in rows] == [item.name for item in (*REGISTERS, *COUNTERS)]
    assert len({row[0] for row in rows}) == len(rows)


def test_every_field_and_error_is_there():
    text = isa_docs.markdown()
    for instruction in INSTRUCTIONS.values():
        section = text.split(f"\n## {instruction.opcode.name}\n")[1].split("\n## ")[0]
        for item in instruction.fields:
            assert f"| {item.offset + item.width - 1}:{item.offset} |" in section
            assert f"| {item.name} |" in section
        for kind in instruction.kinds or ():
            assert f"| {kind.value} | {kind.name} |" in section
    for code in ErrorCode:
        assert f"| {code.value} | {code.name} |" in text


def test_the_link_is_as_it_is_told():
    text = (DOCS / "boards.md").read_text(encoding="utf-8")
    for operation in Operation:
        assert f"| {operation.value} {operation.name} |" in text
    for status in Status:
        assert f"{status.value} {status.name}" in text
    assert f"`{REPLY:#x} | status << {STATUS_SHIFT} | operation`" in text
    assert f"up to {BAUDS[0]:,} baud" in text
    assert f"length {IDENTITY_BYTES} |" in text
    assert REGISTER_BYTES == WAIT_BYTES == CRC_BYTES == 4
    assert "| 1 byte | 1 | 4 | 2 |" in text and HEADER.size == 8
