"""Measurements of single tokens, without hardware: the machine stands in for it."""

import json
from dataclasses import fields

import pytest

from systolith import bench_decode as module
from systolith.bench_decode import DecodeMeasurement, bench_decode
from systolith.bench_decode_streamed import StreamedMeasurement
from systolith.bench_prefill import PrefillMeasurement
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset

from .language_bench import random_model
from .machine_device import CYCLES, MachineDevice
from .test_cli import refused, run

CONFIG = preset("ulx3s").replace({"vector.rows": 64})
MODEL = random_model(CONFIG, layers=1, context=20)


def test_machine():
    values = bench_decode(MODEL, CONFIG, 9, backend="machine")
    assert values.bit_exact and values.cycles_per_token is None and values.utilization is None
    assert values.macs == 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 32 * 40 + 2 * 32 * 10
    # In whole tiles: matrices, and 4 heads' scores and context.
    assert values.counters["ARRAY_BUSY"] == 68 + 10 + 4 * (2 + 1)
    assert values.counters["STORE_BEATS"] == 16
    assert values.bytes_per_token == 4 * (32 + 2 * 8)


def test_device(monkeypatch):
    devices = []

    def open_device(config, size, simulator, progress, **_):
        devices.append(MachineDevice(config, -(-size // 4096) * 4096))
        return devices[-1]

    monkeypatch.setattr(module, "open_device", open_device)
    values = bench_decode(MODEL, CONFIG, 1)
    assert values.bit_exact and values.first_cycles == CYCLES
    # Two tokens take as long as one, on that device.
    assert values.cycles_per_token == 0 and values.array_cycles is None


def test_wrong_tokens_are_seen(monkeypatch):
    class Wrong(MachineDevice):
        def _run(self):
            super()._run()
            self.machine.chip.operand[:] *= -1

    monkeypatch.setattr(
        module, "open_device", lambda config, size, *_, **__: Wrong(config, -(-size // 4096) * 4096)
    )
    assert not bench_decode(MODEL, CONFIG, 3).bit_exact


def test_a_wrong_bit_behind_right_tokens_is_seen(monkeypatch):
    class Wrong(MachineDevice):
        def _run(self):
            super()._run()
            self.machine.chip.mantissas[0, 0] ^= 1

    monkeypatch.setattr(
        module, "open_device", lambda config, size, *_, **__: Wrong(config, -(-size // 4096) * 4096)
    )
    assert not bench_decode(MODEL, CONFIG, 3).bit_exact


@pytest.mark.parametrize("position", [0, 19])
def test_positions_that_are_none(position):
    with pytest.raises(ConfigError, match=f"position must be 1 to 18, .* not {position}"):
        bench_decode(MODEL, CONFIG, position)


DIMENSIONS = "layers=1,dim=24,heads=4,kv_heads=2,hidden=36,vocab=27,context=16"


def test_command():
    """What is measured of a model that is only a shape."""
    pytest.importorskip("tokenizers")
    words = ("bench", "decode", "--position", "5", "--arch", "llama", "--dims", DIMENSIONS)
    result = run(*words, "--backend", "machine", "--json")
    values = json.loads(result.stdout)
    assert values["model"] == f"llama {DIMENSIONS}" and values["operands"] == "onchip"
    assert values["bit_exact"] and values["position"] == 5 and values["cycles_per_token"] is None


def test_keys_of_every_decode_and_prefill():
    for kind in (DecodeMeasurement, StreamedMeasurement, PrefillMeasurement):
        assert {one.name for one in fields(kind)} >= {
            "cycles_per_token", "utilization", "bandwidth_utilization", "bytes_per_token",
            "tokens_per_second_at_100mhz", "bit_exact",
        }  # fmt: skip


@pytest.mark.parametrize("operands, preset", [("onchip", "ulx3s-resident"), ("stream", "ulx3s")])
def test_the_preset_is_that_of_the_operands(operands, preset):
    pytest.importorskip("tokenizers")
    words = ("bench", "decode", "--position", "1", "--arch", "llama", "--dims", DIMENSIONS,
             "--context", "8", "--operands", operands)  # fmt: skip
    result = run(*words, "--backend", "machine", "--json")
    assert f"preset {preset}, --port-bytes 2" in result.stderr
    assert json.loads(result.stdout)["preset"] == preset


@pytest.mark.parametrize("words, sentence", [
    (["--arch", "llama"], "--arch and --dims go together"),
    (["--arch", "llama", "--dims", DIMENSIONS, "--model", "x"],
     "--model does nothing beside --arch; leave one out"),
    (["--backend", "machine", "--sim", "icarus"], "--sim takes --backend rtl, and does nothing"),
    (["--arch", "llama", "--dims", DIMENSIONS, "--context", "3"],
     "the position must be 1 to 1, since there is room for 3 tokens, not 3"),
    (["--operands", "stream", "--set", "array.columns=32", "--arch", "llama",
      "--dims", "layers=1,dim=24,heads=4,hidden=96,vocab=27"],
     "array.columns must be at most array.rows, 16"),
    (["--operands", "stream", "--arch", "microgpt",
      "--dims", "layers=1,dim=24,heads=4,hidden=96,vocab=27"],
     "that is streamed must have hidden values gated (SwiGLU), not behind ReLU and positions"),
])  # fmt: skip
def test_commands_that_are_refused(words, sentence):
    pytest.importorskip("tokenizers")
    assert sentence in refused(2, "bench", "decode", "--position", "3", *words)
