"""Programs of the self-test: legal on every preset, and not to be answered by chance."""

import pytest

from systolith.selftest.probe import LEAST_SPACE, SPACE, Probe
from systolith.selftest.units import UNIT_PROBES
from systolith_hw.presets import PRESETS, preset

CONFIGS = {
    **PRESETS, "sampling": preset("small").replace({"vector.candidates": 16}),
    "codes": preset("small").replace({"bus.codecs": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_answers(name):
    config = CONFIGS[name]
    probes = [unit for unit in UNIT_PROBES if unit.exists(config)]
    few = {"tiny": 5, "icebreaker": 5, "sampling": 11, "codes": 11}
    assert len(probes) == few.get(name, 10 + config.bus.codecs)
    for unit in probes:
        answers = []
        for seed in (1, 2):
            probe = Probe(config, seed, LEAST_SPACE if name == "icebreaker" else SPACE)
            unit.build(probe)
            answers.append(probe.answer())
        one, other = answers
        assert one.outputs.keys() == other.outputs.keys() and one.outputs
        assert one.outputs != other.outputs, f"{unit.name}: what comes does not depend on data"
        for raw in one.outputs.values():
            least = 4 if unit.name in ("best", "sample") else 16
            assert len(set(raw)) >= min(least, len(raw)) // 2, f"{unit.name}: {raw.hex()}"
        assert one.counts["STORE_BEATS"] > 0
        assert not one.counts["SATURATIONS"]
