"""The block memories that belong to lanes of the vector unit, as they stand from left to right."""

import itertools

from systolith_hw.budget import ecp5_blocks, memory_budget
from systolith_hw.config import FIXED_BITS, Config
from systolith_hw.memory.deep_bank import BLOCK_WORDS
from systolith_hw.memory.scale_register import scale_groups
from systolith_hw.memory.wide_store import wide_banks, wide_parts

__all__ = ["lane_blocks", "wide_blocks"]


def lane_blocks(config: Config) -> list[list[str]]:
    """Return the names of the blocks of tables and of scale memory, for each group of lanes.

    What one lane has of each is together, so that the lanes of a group stand side by side.
    """
    memory, groups = config.memory, scale_groups(config)
    path = f"vector.{'pipeline.path' if config.vector.rows else 'datapath'}"
    blocks = {use.memory: use.blocks // len(groups) for use in memory_budget(config, config.device)}
    tables = _tables(config, path)
    each = len(tables) // len(groups)
    return [
        _merge(
            tables[number * each : (number + 1) * each],
            _deep(f"{path}.scales.bias_memory_{number}", memory.bias_words or memory.scale_words,
                  blocks["bias"]),
            _deep(f"{path}.scales.factor_memory_{number}", memory.scale_words, blocks["scale"]),
        )
        for number in range(len(groups))
    ]  # fmt: skip


def wide_blocks(config: Config) -> list[str]:
    """Return the names of wide memory's blocks, part by part, and those of the same bits together,
    which stand one above the other. Parts of different groups of lanes take turns."""
    groups: list[list[str]] = [[] for _ in scale_groups(config)]
    lanes = config.vector.lanes // len(groups)
    for part, (first, last) in enumerate(wide_parts(config)):
        banks = [
            _numbered(f"wide.store.memory_{part}_{bank}", ecp5_blocks(words, last - first))
            for bank, words in enumerate(wide_banks(config))
        ]
        stacked = [name for bits in itertools.zip_longest(*banks) for name in bits if name]
        groups[(first + last) // 2 // (FIXED_BITS * lanes)] += stacked
    return _merge(*groups)


def _merge(*rows: list[str]) -> list[str]:
    """Return the names of all rows, each keeping its order and stretched to the same length."""
    places = [
        ((number + 0.5) / len(row), which, name)
        for which, row in enumerate(rows)
        for number, name in enumerate(row)
    ]
    return [name for *_, name in sorted(places)]


def _tables(config: Config, path: str) -> list[str]:
    """Return the names of the tables of functions, if there are any."""
    vector = config.vector
    firsts = range(0, vector.lanes if vector.rows else 0, vector.lanes_per_table)
    return [f"{path}.functions_{first}.table.0.0" for first in firsts]


def _numbered(memory: str, blocks: int) -> list[str]:
    """Return the names that yosys gives to the blocks of a memory."""
    return [f"{memory}.0.{index}" for index in range(blocks)]


def _deep(name: str, words: int, blocks: int) -> list[str]:
    """Return the names of a :class:`~systolith_hw.memory.deep_bank.DeepBank`'s blocks, those of the
    same bits together."""
    banks = -(-words // BLOCK_WORDS)
    return [
        block
        for bits in zip(*(
            _numbered(f"{name}.bank_{bank}.memory", blocks // banks) for bank in range(banks)
        ), strict=True)
        for block in bits
    ]  # fmt: skip
