"""Named configurations. ``PRESETS`` maps each name to its :class:`~systolith_hw.config.Config`."""

from .config import (
    ArrayConfig,
    BusConfig,
    Config,
    ConfigError,
    ControlConfig,
    MemoryConfig,
    SequencerConfig,
    VectorConfig,
)

__all__ = ["PRESETS", "preset"]

TINY = Config(
    array=ArrayConfig(rows=4, columns=2, window=15, max_k=1024, output_depth=16),
    vector=VectorConfig(lanes=1),
    memory=MemoryConfig(
        operand_tiles=16384,
        activation_words=512,
        wide_words=256,
        scale_words=256,
        program_instructions=32,
        operand_single_port=True,
    ),
    bus=BusConfig(data_bytes=2, address_bits=24, burst_beats=16, outstanding=2),
    sequencer=SequencerConfig(
        queue_depth=1, semaphores=8, semaphore_bits=8, loop_depth=2, count_bits=12
    ),
    control=ControlConfig(stall_counters=False),
    short_pipelines=True,
    device="ice40-up5k",
)
"""The fast test shape, for an iCE40UP5K: 8 multipliers in four SB_MAC16, operands in the four
SPRAM."""

PRESETS = {
    "tiny": TINY,
    # ECP5-45F and up: 64 multipliers behind an 8-byte port.
    "small": Config(
        array=ArrayConfig(rows=8, columns=8),
        vector=VectorConfig(lanes=4, rows=64),
        memory=MemoryConfig(
            activation_words=4096, wide_words=2048, scale_words=1536, program_instructions=256
        ),
        device="ecp5-45k",
    ),
    # ULX3S-85F: 128 multipliers fed from its 16-bit SDRAM. The residual stream of 128 tokens of
    # MiniLM lies in wide memory.
    "ulx3s": Config(
        array=ArrayConfig(rows=16, columns=8),
        vector=VectorConfig(lanes=8, rows=64, distributed=True),
        memory=MemoryConfig(
            operand_tiles=512, activation_words=4096, wide_words=6144, scale_words=1024,
            program_instructions=256, results_distributed=True,
        ),
        bus=BusConfig(data_bytes=2, address_bits=25, burst_beats=128, codecs=True),
        device="ecp5-85k",
    ),
    # The same chip with 320 KiB of operand memory: a small language model lives on it whole.
    "ulx3s-resident": Config(
        array=ArrayConfig(rows=16, columns=8),
        vector=VectorConfig(lanes=8, rows=64, distributed=True, deferred_norms=True),
        memory=MemoryConfig(
            operand_tiles=2560,
            activation_words=256,
            activation_rows=4,
            wide_words=512,
            scale_words=1024,
            bias_words=16,
            results_distributed=True,
        ),
        bus=BusConfig(data_bytes=2, address_bits=25, burst_beats=128, codecs=True),
        control=ControlConfig(counters_distributed=True),
        device="ecp5-85k",
    ),
    # ULX3S-25F: 8 multipliers, twice what its SDRAM feeds with one token. Short sums leave room for
    # the second lane, without which there are no rotary positions; in a window of less than 14
    # SOFTMAX's probabilities saturate.
    "ulx3s-25f": Config(
        array=ArrayConfig(rows=4, columns=2, window=15, max_k=1024, output_depth=64),
        vector=VectorConfig(lanes=2, rows=8),
        memory=MemoryConfig(
            operand_tiles=2048, activation_words=2048, wide_words=1024, scale_words=1536
        ),
        bus=BusConfig(data_bytes=4, address_bits=25),
        sequencer=SequencerConfig(queue_depth=2, semaphores=14, semaphore_bits=8),
        control=ControlConfig(stall_counters=False),
        device="ecp5-25k",
    ),
    # `tiny` on the board icebreaker: with less of everything, so that a host link and a memory have
    # room beside it.
    "icebreaker": TINY.replace({
        "memory.activation_words": 256, "memory.activation_rows": 2, "bus.address_bits": 16,
    }),
    # 256 multipliers, more than an LFE5U-85F has: for comparison with published accelerators of
    # that size, in simulation. Its memories are held against that device all the same.
    "wide": Config(
        array=ArrayConfig(rows=16, columns=16),
        vector=VectorConfig(lanes=8, rows=64, distributed=True),
        memory=MemoryConfig(
            operand_tiles=1024, activation_words=2048, results_distributed=True
        ),
        bus=BusConfig(data_bytes=16),
        device="ecp5-85k",
    ),
}


def preset(name: str) -> Config:
    """Return the preset ``name``; raise :class:`ConfigError` with the known names otherwise."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name}; known are {', '.join(PRESETS)}")
    return PRESETS[name]
