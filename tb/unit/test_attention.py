"""Attention alone on the machine, bit for bit what the golden model gives, and close to float."""

import numpy as np
import pytest

from systolith.attention import Attention
from systolith.bench_attention import attention_workload, bench_attention
from systolith.compiler.attention import plan_attention
from systolith.compiler.attention_programs import AttentionPrograms
from systolith.product import Result
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset


def rows(name, changes=()):
    """Return a preset with a row unit, and changed."""
    changes = {"vector.rows": 64, "device": "", "memory.program_instructions": 256, **dict(changes)}
    return preset(name).replace(changes)


def run(config, tokens, heads, features, *, causal=False, seed=0):
    """Return the plan, the integers, the context that the machine gives, and its counters."""
    plan = plan_attention(config, tokens, heads=heads, features=features, causal=causal)
    attention = Attention.random(config, (heads, tokens, features), causal=causal, seed=seed)
    programs = AttentionPrograms(plan, attention.base)
    outcome = attention_workload(plan, programs, attention).predict()
    return plan, attention, Result(*programs.unpack(outcome.memory)), outcome.counters


OTHERS = {
    "C > R": ("small", {
        "array.rows": 4, "array.columns": 16, "bus.data_bytes": 32, "array.mantissa_bits": 11,
        "array.window": 20,
    }),
    "wide mantissas": ("small", {
        "array.mantissa_bits": 16, "array.window": 9, "bus.data_bytes": 1, "vector.lanes": 8,
    }),
    "one lane, few rows": ("small", {"vector.lanes": 1, "vector.rows": 8}),
    "a port wider than a tile": ("small", {"bus.data_bytes": 128}),
    "queries in blocks": ("ulx3s", {"memory.activation_words": 160, "bus.data_bytes": 16}),
    "blocks of four rows": ("ulx3s", {"memory.activation_words": 90}),
}  # fmt: skip


@pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
@pytest.mark.parametrize("tokens, heads", [(1, 2), (7, 1), (37, 3)])
@pytest.mark.parametrize("case", ["small", "ulx3s", "wide", *OTHERS])
def test_machine_equals_golden_model(case, tokens, heads, causal):
    name, changes = OTHERS.get(case, (case, {}))
    config = rows(name, changes)
    *_, got, _ = result = run(config, tokens, heads, 16, causal=causal, seed=tokens)
    assert got.equals(result[1].expected())


@pytest.mark.parametrize("causal", [False, True])
def test_close_to_numpy(causal):
    """The context of random heads, by an independent softmax, token by token."""
    _, attention, got, _ = run(rows("ulx3s"), 37, 2, 32, causal=causal)
    real, exact = attention.to_real(got), attention.exact()
    query, key, value = (
        np.ldexp(part, -16) for part in (attention.query, attention.key, attention.value)
    )
    for token in range(37):
        seen = token + 1 if causal else 37
        powers = 2.0 ** np.einsum("hd,hsd->hs", query[:, token], key[:, :seen])
        mixed = np.einsum("hs,hsd->hd", powers, value[:, :seen]) / powers.sum(-1, keepdims=True)
        np.testing.assert_allclose(exact[:, token], mixed, rtol=1e-9, atol=1e-9)
    assert np.linalg.norm(real - exact) < 0.03 * np.linalg.norm(exact)
    assert attention.softmax_error() < 0.01


def test_queries_come_in_blocks_where_they_do_not_fit():
    assert not plan_attention(rows("ulx3s"), 32, heads=12, features=32).spill
    plan = plan_attention(rows("wide"), 128, heads=12, features=64)
    assert plan.spill and plan.row_block == 16


@pytest.mark.parametrize("name, tokens, features", [("ulx3s", 37, 32), ("wide", 32, 64)])
def test_the_array_computes_no_more_than_exact_tiling_needs(name, tokens, features):
    plan, *_, counters = run(rows(name), tokens, 4, features)
    assert counters["ARRAY_BUSY"] == plan.ideal_cycles
    assert plan.macs == 2 * 4 * features * tokens**2


def test_what_nobody_sees_is_left_out():
    """Blocks of rows end with the last token that one of them attends to."""
    whole, *_, counters = run(rows("wide"), 64, 2, 16)
    plan, *_, fewer = run(rows("wide"), 64, 2, 16, causal=True)
    assert plan.macs == 2 * 2 * 16 * 64 * 65 // 2
    assert plan.ideal_cycles < 0.7 * whole.ideal_cycles
    assert plan.ideal_cycles <= fewer["ARRAY_BUSY"] < counters["ARRAY_BUSY"]


@pytest.mark.parametrize(
    "name, changes, shape, sentence",
    [
        ("ulx3s", {}, (1024, 12, 32), "memory.operand_tiles must be at least 6144, 5632 more"),
        ("ulx3s", {"memory.scale_words": 8}, (32, 2, 32), "memory.scale_words .* at least 16, 8"),
        ("ulx3s", {"memory.wide_words": 30}, (32, 2, 32), "memory.wide_words .* at least 32"),
        ("ulx3s", {"memory.activation_words": 20}, (32, 2, 32), "activation_words .* at least 64"),
        ("ulx3s", {"vector.rows": 0}, (32, 2, 32), "needs a vector.rows of at least 2, not 0"),
        ("ulx3s", {"sequencer.queue_depth": 2}, (32, 2, 32), "queue_depth of at least 4, not 2"),
        ("ulx3s", {}, (32, 2, 24), "head-dim that is a multiple of array.rows 16 .* not 24"),
        ("ulx3s", {}, (5000, 2, 32), "an array.max_k of at least 5000"),
        ("ulx3s", {}, (0, 2, 32), "seq must be at least 1, not 0"),
    ],
)
def test_refusals(name, changes, shape, sentence):
    tokens, heads, features = shape
    with pytest.raises(ConfigError, match=sentence):
        bench_attention(rows(name, changes), tokens, heads=heads, features=features)


def test_bench_without_hardware():
    values = bench_attention(rows("ulx3s"), 37, heads=2, features=32, backend="machine")
    assert values.bit_exact and values.cycles is None and values.utilization is None
    assert values.cosine > 0.999 and values.relative_error < 0.03 and values.softmax_error < 0.01
    assert (values.macs, values.ideal_cycles) == (2 * 2 * 32 * 37**2, 2 * 814)
