"""Encoders and workloads on a device, without hardware: the machine stands in for it."""

import numpy as np
import pytest

from systolith import workload
from systolith.bench_attention import bench_attention
from systolith.device_encoder import simulate
from systolith.encoder import CompiledEncoder
from systolith.progress import Progress
from systolith_hw.presets import preset

from .encoder_bench import random_model
from .machine_device import CYCLES, MachineDevice

CONFIG = preset("ulx3s").replace({"vector.rows": 64})


class Wrong(MachineDevice):
    """Has one wrong bit in what it computed."""

    wrong = 0

    def _run(self):
        super()._run()
        self.machine.memory.array[self.wrong] ^= 1


@pytest.fixture
def device(monkeypatch):
    """Let every simulator be the machine, or a class that is set in its place."""
    chosen = {"kind": MachineDevice}

    def open_device(config, size, simulator, progress, **_):
        return chosen["kind"](config, -(-size // 4096) * 4096)

    monkeypatch.setattr(workload, "open_device", open_device)
    monkeypatch.setattr("systolith.device_encoder.open_device", open_device)
    return chosen


def test_encoder_in_a_simulator(device):
    model = random_model(CONFIG, layers=2)
    encoder = CompiledEncoder.compile(CONFIG, model, tokens=20, segments=2)
    groups = [[[1, 2, 3], [4] * 16], [[5, 6]]]
    results, values = simulate(
        encoder, groups, simulator="verilator", clock_mhz=50.0, progress=Progress()
    )
    for group, result in zip(groups, results, strict=True):
        for sentence, state in zip(group, result.states, strict=True):
            np.testing.assert_array_equal(state, model.encode(CONFIG.array, sentence))
    assert values.bit_exact and values.cycles == 2 * CYCLES
    assert values.milliseconds == pytest.approx(2 * CYCLES / 50e3)
    assert values.macs == 2 * sum(s * (4 * 32**2 + 2 * 32 * 64 + 2 * s * 32) for s in (3, 16, 2))
    assert values.utilization == pytest.approx(values.macs / (2 * CYCLES * 128))


def test_one_wrong_bit_of_an_encoder_is_seen(device):
    encoder = CompiledEncoder.compile(CONFIG, random_model(CONFIG), tokens=4)
    Wrong.wrong = encoder.layout.regions["tokens"].address + 5
    device["kind"] = Wrong
    _, values = simulate(
        encoder, [[[1, 2]]], simulator="verilator", clock_mhz=50.0, progress=Progress()
    )
    assert not values.bit_exact


def test_attention_in_a_simulator(device):
    values = bench_attention(CONFIG, 16, heads=2, features=16)
    assert values.bit_exact and values.cycles == CYCLES
    assert values.utilization == pytest.approx(2 * 2 * 16 * 16**2 / (CYCLES * 128))
    assert values.tiling_utilization == pytest.approx(values.ideal_cycles / CYCLES)
    assert values.roofline_utilization == values.utilization, "nothing has to move"


@pytest.mark.parametrize("words", [4096, 40])
def test_streamed_attention_must_move_queries_and_context(device, words):
    config = CONFIG.replace({"memory.activation_words": words})
    values = bench_attention(config, 16, heads=4, features=16)
    assert values.streamed == (words == 40) and values.bit_exact
    compulsory = 2 * 4 * 16 * 17 if values.streamed else 0
    assert values.compulsory_bytes == compulsory <= values.bytes
