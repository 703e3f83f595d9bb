"""One layer apart from its embedding, on the machine, and what is counted of it."""

import numpy as np
import pytest

from systolith import bench_layer
from systolith.compiler.encoder_fit import plan_encoder
from systolith.compiler.encoder_shape import EncoderShape
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset

from .encoder_bench import random_model

CASES = {
    "resident": {},
    "crowded": {"memory.wide_words": 90},
    "blocks of tokens": {"memory.wide_words": 60},
    "spilt context": {"memory.wide_words": 60, "memory.activation_words": 120},
}


def rows(name, changes=()):
    return preset(name).replace({"vector.rows": 64} | dict(changes))


@pytest.mark.parametrize("case", CASES)
def test_layer_apart_from_its_embedding(case):
    """The programs leave what the golden model of the whole gives, and embed only in setup."""
    config = rows("ulx3s", CASES[case])
    model = random_model(config, vocabulary=21, positions=21)
    plan = plan_encoder(config, EncoderShape.of(model), tokens=21)
    assert plan.resident == (case in ("resident", "crowded")) and plan.crowded == (
        case == "crowded"
    )
    assert plan.spill == (case == "spilt context")
    encoder, work = bench_layer.layer_workload(plan, model)
    assert set(work.programs) == {"setup", "main"} | ({"readout"} if plan.resident else set())
    outcome = work.predict()
    (states,) = encoder.results([range(21)], outcome.memory)
    np.testing.assert_array_equal(states, model.encode(config.array, range(21)))
    # The embedding's identity is no part of what is measured.
    assert outcome.counters["ARRAY_BUSY"] < 1.1 * plan.shape.macs(21) / 128 + 200


def test_minilm_layer():
    """Real weights, which cross the port once, and hardly anything besides."""
    pytest.importorskip("safetensors")
    from systolith.models.errors import FetchError
    from systolith.models.minilm import MiniLM

    try:
        model = MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))
    values = bench_layer.bench_layer(model, rows("ulx3s"), 7, backend="machine")
    assert values.bit_exact and values.cosine > 0.999
    assert values.cycles is None and values.roofline_utilization is None
    assert values.macs == 7 * (4 * 384**2 + 2 * 384 * 1536 + 2 * 7 * 384)
    weights = 4 * 384**2 + 2 * 384 * 1536
    assert values.compulsory_bytes == weights + 8 * (7 * 384 + 1536)
    assert values.compulsory_bytes <= values.bytes < 1.01 * values.compulsory_bytes
    assert values.roofline_cycles == values.compulsory_bytes / 2
    with pytest.raises(ConfigError, match="lower the tokens to 152, or raise memory.operand_t"):
        bench_layer.bench_layer(model, rows("small"), 200)
