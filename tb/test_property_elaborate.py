"""Every legal configuration elaborates, whatever it is: random ones, found by Hypothesis."""

import pytest
from amaranth.back import rtlil  # type: ignore[attr-defined]
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from systolith_hw.config import (
    ArrayConfig,
    BusConfig,
    Config,
    ConfigError,
    ControlConfig,
    MemoryConfig,
    SequencerConfig,
    VectorConfig,
)
from systolith_hw.top import Systolith

TARGETS = st.sampled_from(["generic", "ecp5", "ice40"])


def power(low: int, high: int) -> st.SearchStrategy[int]:
    """Return powers of two from 2 ** low to 2 ** high."""
    return st.integers(low, high).map(lambda exponent: 1 << exponent)


@st.composite
def configs(draw: st.DrawFn, largest: int, deepest: int) -> Config:
    """Return legal configs of at most 2 ** ``largest`` rows and columns, ``deepest`` words."""
    rows, columns = draw(power(1, largest)), draw(power(1, largest))
    lanes = draw(power(0, min(rows, columns).bit_length() - 1))
    depth = st.one_of(st.integers(2, 40), st.integers(2, deepest))
    short, row_unit = draw(st.booleans()), draw(st.sampled_from([0, 0, 0, 16]))
    try:
        return Config(
            array=ArrayConfig(
                rows=rows, columns=columns, mantissa_bits=draw(st.integers(8, 16)),
                window=draw(st.integers(1, 24)), max_k=draw(st.integers(rows, 65536)),
                output_depth=draw(st.integers(max(rows + 12, 15), 256)),
                stage_rows=2 if short else draw(st.sampled_from([2, 2, rows])),
                numbered=bool(row_unit) and draw(st.booleans()),
            ),
            vector=VectorConfig(lanes=lanes, rows=row_unit, distributed=draw(st.booleans())),
            memory=MemoryConfig(
                operand_tiles=draw(depth), activation_words=draw(depth), wide_words=draw(depth),
                scale_words=draw(depth), program_instructions=draw(power(2, 8)),
                operand_single_port=draw(st.booleans()),
                activation_distributed=draw(st.booleans()),
                activation_rows=draw(st.sampled_from([1, 1, 2, rows])),
                results_distributed=draw(st.booleans()),
            ),
            bus=BusConfig(
                data_bytes=draw(power(0, 7)), address_bits=draw(st.integers(16, 32)),
                burst_beats=draw(power(0, 8)), outstanding=draw(st.integers(1, 16)),
            ),
            sequencer=SequencerConfig(
                queue_depth=draw(st.integers(1, 16)), semaphores=draw(st.integers(1, 16)),
                semaphore_bits=draw(st.integers(2, 16)), loop_depth=draw(st.integers(1, 8)),
            ),
            control=ControlConfig(
                stall_counters=draw(st.booleans()), counters_distributed=draw(st.booleans())
            ),
            short_pipelines=short,
        )
    except ConfigError:  # accumulators beyond 52 bits, or bursts beyond 4096 bytes
        assume(False)
        raise


def settle(examples: int) -> settings:
    """Return Hypothesis settings that are the same in every run."""
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def elaborates(config: Config, target: str) -> None:
    text = rtlil.convert(Systolith(config, target), name="systolith", emit_src=False)
    assert "module \\systolith" in text


@settle(8)
@given(configs(largest=3, deepest=600), TARGETS)
def test_small_configs(config, target):
    elaborates(config, target)


@pytest.mark.slow
@settle(150)
@given(configs(largest=6, deepest=65535), TARGETS)
def test_any_config(config, target):
    elaborates(config, target)
