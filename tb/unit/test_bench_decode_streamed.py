"""Measurements of single tokens of streamed models, where the machine stands in for hardware."""

import json

import pytest

from systolith import bench_decode_streamed as module
from systolith.bench_decode_streamed import bench_decode_streamed, compulsory_bytes
from systolith.language import CompiledDecoder
from systolith_hw.config import ConfigError

from .language_bench import streamed_model
from .machine_device import CYCLES, MachineDevice
from .test_cli import refused, run
from .test_decoder_streamed import CONFIGS

CONFIG = CONFIGS["ulx3s"]
MODEL = streamed_model(CONFIG, layers=1, context=20)


def test_machine():
    values = bench_decode_streamed(MODEL, CONFIG, 9, backend="machine")
    assert values.bit_exact and values.cycles_per_token is None is values.bandwidth_utilization
    assert values.macs == 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 32 * 40 + 2 * 32 * 10
    weights = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 32 * 40
    entries = 8 * (4 * 32 + 8 * 8 + 2 * 48 + 32 + 40)
    pages = 11 * 2 * 2 * 9  # ten are read, one is written, of two heads' keys and values
    assert values.bytes_per_token == weights + entries + pages + 4 * (32 + 16)
    assert values.bytes_per_token < values.moved_bytes


def test_device(monkeypatch):
    monkeypatch.setattr(
        module, "open_device",
        lambda config, size, *_: MachineDevice(config, -(-size // 4096) * 4096),
    )  # fmt: skip
    values = bench_decode_streamed(MODEL, CONFIG, 1)
    assert values.bit_exact and values.cycles_per_token == CYCLES
    assert values.tokens_per_second_at_100mhz == 100e6 / CYCLES
    needed = compulsory_bytes(CompiledDecoder.compile(CONFIG, MODEL, streamed=True), 1)
    assert values.bandwidth_utilization == needed / (2 * CYCLES)


@pytest.mark.parametrize("weights, bits", [("int4", 4.5), ("int4-exponent", 4.125)])
def test_bytes_of_codes(weights, bits):
    """Of weights, those of their codes and of the groups' parameters are compulsory."""
    config = CONFIG.replace({"bus.codecs": True})
    of_bytes, of_codes = (
        compulsory_bytes(CompiledDecoder.compile(
            config, streamed_model(config, codec, layers=1, context=20, hidden=64), streamed=True
        ), 5)
        for codec in ("int8", weights)
    )  # fmt: skip
    matrices = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 32 * 40
    assert of_bytes - of_codes == matrices * (1 - bits / 8)


def test_wrong_keys_are_seen(monkeypatch):
    class Wrong(MachineDevice):
        def read_memory(self, address, size):
            content = super().read_memory(address, size)
            return bytes([content[0] ^ 1]) + content[1:] if size == 32 else content

    monkeypatch.setattr(
        module, "open_device", lambda config, size, *_: Wrong(config, -(-size // 4096) * 4096)
    )
    assert not bench_decode_streamed(MODEL, CONFIG, 3).bit_exact


@pytest.mark.parametrize("position", [0, 19])
def test_positions_that_are_none(position):
    with pytest.raises(ConfigError, match=f"position must be 1 to 18, .* not {position}"):
        bench_decode_streamed(MODEL, CONFIG, position)


WORDS = (
    "bench", "decode", "--operands", "stream", "--preset", "ulx3s", "--backend", "machine",
    "--arch", "llama", "--dims", "layers=1,dim=24,heads=4,kv_heads=2,hidden=36,vocab=27,context=16",
)  # fmt: skip


def test_command():
    """What is measured of a model that is only a shape; its core reaches far enough."""
    pytest.importorskip("tokenizers")
    more = ("--set", "vector.rows=64", "--position", "5", "--json", "--port-bytes", "128")
    values = json.loads(run(*WORDS, *more).stdout)
    assert values["operands"] == "stream" and values["port_bytes"] == 128
    assert values["bit_exact"] and values["position"] == 5 and values["cycles_per_token"] is None


def test_addresses_that_are_set_stay():
    pytest.importorskip("tokenizers")
    words = (*WORDS, "--position", "3", "--set", "bus.address_bits=16", "--set", "vector.rows=64")
    assert "bus.address_bits" in refused(2, *words, "--dims", "layers=9,dim=48,heads=2,hidden=90,"
                                         "vocab=300,context=16")  # fmt: skip
