"""A board's bitstream with the real tools: a core of few multipliers, since others take an hour."""

import dataclasses
import json
import shutil

import pytest
from typer.testing import CliRunner

from systolith.cli import app
from systolith_fpga.boards import BOARDS
from systolith_fpga.boards.board import Variant
from systolith_hw.presets import PRESETS

pytestmark = pytest.mark.slow

LITTLE = PRESETS["small"].replace({
    "array.rows": 2, "array.columns": 2, "array.window": 8, "array.max_k": 256,
    "vector.lanes": 1, "vector.rows": 0, "memory.operand_tiles": 64,
    "memory.activation_words": 64, "memory.wide_words": 64, "memory.scale_words": 64,
    "memory.program_instructions": 32, "bus.address_bits": 25, "sequencer.semaphores": 4,
    "control.stall_counters": False,
})  # fmt: skip
BOARD = dataclasses.replace(
    BOARDS["ulx3s-25f"], name="little", variants={"little": Variant(core_hz=66.67e6)}
)


@pytest.fixture
def build(monkeypatch, tmp_path):
    """Return a function that runs the command and returns what it told; nothing is kept yet."""
    monkeypatch.setitem(PRESETS, "little", LITTLE)
    monkeypatch.setitem(BOARDS, "little", BOARD)
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "cache"))

    def command(*words):
        made = CliRunner().invoke(app, ["build", "--board", "little", "--json", *words])
        assert made.exit_code == 0, made.output
        return json.loads(made.stdout)

    return command


def test_a_bitstream(build, tmp_path):
    """Clocks are those of the board, results are kept, and made again they have the same bytes."""
    first = build("--allow-timing-fail", "-o", str(tmp_path / "out"))
    wanted = {name: clock["wanted"] for name, clock in first["clocks_mhz"].items()}
    assert wanted == {"core": 66.67, "memory": 133.33} and first["seed"] == 1
    assert set(first["crossings_ns"]) == {"core to memory", "memory to core"}
    used = {kind: use["used"] for kind, use in first["utilization"].items()}
    assert used["MULT18X18D"] == first["dsp"] == 5 and used["EHXPLLL"] == 1
    assert used["DP16KD"] == first["bram"]
    # All that commands, addresses and data pass on their way to and from memory stands in pads.
    assert used["IOLOGIC"] + used["SIOLOGIC"] >= 16 + 4 + 2 + 13 + 2 + 2
    page = (tmp_path / "out" / "little-little.md").read_text()
    assert first["sha256"] in page
    assert ("**NOT met**" in page) == (not first["timing_met"])
    assert "memory: " in (tmp_path / "out" / "little-little.svg").read_text()
    files = {file.name for file in (tmp_path / "cache" / "boards").glob("little-*/*")}
    assert "nextpnr.log" in files and "placed.json" not in files
    again = build("--allow-timing-fail")
    assert again["sha256"] == first["sha256"] and again["folder"] == first["folder"]
    shutil.rmtree(tmp_path / "cache")
    assert build("--allow-timing-fail")["sha256"] == first["sha256"]
