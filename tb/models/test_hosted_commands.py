"""``systolith run MODEL`` on a core without a row unit: what it prints, and what it refuses."""

import json

import pytest

from unit.machine_device import CYCLES, MachineDevice
from unit.test_cli import refused, run

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from language_models import write_llama
from systolith.coprocessor import hosted_run

PROMPT = "Once"
PRESET = ("--preset", "icebreaker")


class Wrong(MachineDevice):
    """The first weights go wrong as soon as there are others."""

    def _run(self):
        super()._run()
        self.machine.chip.operand[0] = 1


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return the path of a small model, for which the machine stands in for hardware."""
    monkeypatch.setattr(
        hosted_run, "open_device", lambda config, size, *_: MachineDevice(config, 2048)
    )
    return str(write_llama(tmp_path, eos_token_id=None))


def test_text_is_the_golden_models(small, tmp_path):
    words = ("run", small, PROMPT, "--tokens", "2", *PRESET, "--json", "--logits")
    mine = run(*words, str(tmp_path / "mine.npz"))
    golden = run(*words, str(tmp_path / "golden.npz"), "--backend", "golden")
    assert mine.exit_code == golden.exit_code == 0, mine.stderr
    found = json.loads(mine.stdout)
    assert found["tokens"] == json.loads(golden.stdout)["tokens"] and found["bit_exact"]
    assert (tmp_path / "mine.npz").read_bytes() == (tmp_path / "golden.npz").read_bytes()
    assert found["host_functions"] and "tokens_per_second_at_clock" not in found
    # 4 blocks in each of 2 layers, and the head in 2 slices, for all tokens but the last.
    runs = 10 * (found["prompt_tokens"] + 1)
    assert (found["per_token"]["runs"], found["cycles"]) == (10, runs * CYCLES)
    assert found["per_token"]["core_cycles"] == 10 * CYCLES and found["baud"] is None
    assert "norms, rotary positions, attention" in mine.stderr


def test_a_wrong_product_ends_with_1(small, monkeypatch):
    monkeypatch.setattr(
        hosted_run, "open_device", lambda config, size, *_: Wrong(config, 2048)
    )
    result = run("run", small, PROMPT, "--tokens", "2", *PRESET)
    assert result.exit_code == 1 and "NOT the golden model's" in result.stderr


@pytest.mark.parametrize("words, sentence", [
    (("--operands", "stream"), "--operands stream takes a row unit, and vector.rows is 0"),
    (("--weights", "int4"), "--weights int4 is not for a core without a row unit"),
    (("--set", "memory.operand_tiles=1000"), "memory.operand_tiles must be at least"),
])  # fmt: skip
def test_what_is_refused(small, words, sentence):
    assert sentence in refused(2, "run", small, PROMPT, *PRESET, *words)
