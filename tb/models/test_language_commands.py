"""``systolith run MODEL`` and ``systolith eval MODEL``: what they print, and what they refuse."""

import json
import sys

import numpy as np
import pytest

from unit.machine_device import CYCLES, MachineDevice
from unit.test_cli import refused, run

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from language_models import write_llama
from systolith import language_run
from systolith.models.library import MODELS

PROMPT = "Once upon a time"
FLOAT = ("--backend", "float")


def test_text_goes_to_stdout_and_the_rest_to_stderr():
    result = run("run", "stories-260k", PROMPT, "--tokens", "12", *FLOAT)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{PROMPT}, there was a curious boy named Bob\n"
    assert "12 tokens, " in result.stderr


def test_json():
    words = ("run", "stories-260k", PROMPT, "--tokens", "12", *FLOAT, "--json")
    values = json.loads(run(*words).stdout)
    assert values["text"] == ", there was a curious boy named Bob"
    assert (len(values["tokens"]), values["stopped"], values["backend"]) == (12, "tokens", "float")
    assert (values["prompt_tokens"], values["context"], values["weights"]) == (5, 256, "float32")
    assert 12 / values["host_tokens_per_second"] == pytest.approx(values["host_seconds"], abs=1e-3)
    assert "cycles" not in values and "preset" not in values


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return the path of a small model whose texts never end, for which the machine stands in for
    simulated hardware."""
    monkeypatch.setattr(
        language_run, "open_device",
        lambda config, size, *_: MachineDevice(config, -(-size // 4096) * 4096),
    )  # fmt: skip
    return str(write_llama(tmp_path, eos_token_id=None))


def test_hardware_is_the_default(small):
    """It alone has a clock, at which a rate is told."""
    values = json.loads(run("run", small, PROMPT, "--tokens", "3", "--json").stdout)
    assert (values["backend"], values["simulator"], values["bit_exact"]) == (
        "rtl", "verilator", True
    )  # fmt: skip
    seconds = values["cycles"] / values["clock_mhz"] / 1e6
    assert values["tokens_per_second_at_clock"] == pytest.approx((5 + 3 - 1) / seconds)
    assert values["cycles"] == CYCLES and values["host_seconds"] > 0


def test_hardware_that_says_something_else_ends_with_1(small, monkeypatch):
    class Wrong(MachineDevice):
        def _run(self):
            super()._run()
            self.machine.chip.operand[:] *= -1  # of use to the next program

    monkeypatch.setattr(
        language_run, "open_device",
        lambda config, size, *_: Wrong(config, -(-size // 4096) * 4096),
    )  # fmt: skip
    result = run("run", small, PROMPT, "--tokens", "3")
    assert result.exit_code == 1 and "NOT the machine's" in result.stderr


@pytest.mark.parametrize("operands", ["onchip", "stream"])
def test_all_backends_make_the_same_text_until_the_context_is_full(small, operands):
    words = ("run", small, PROMPT, "--context", "8", "--operands", operands, "--json", "--backend")
    results = [run(*words, backend) for backend in ("rtl", "machine", "golden")]
    for result in results:
        assert result.exit_code == 0, result.stderr
        assert "the context of 8 tokens is full" in result.stderr
    values = [json.loads(result.stdout) for result in results]
    assert [(one["stopped"], one["context"], one["operands"]) for one in values] == [
        ("context", 8, operands)
    ] * 3
    assert values[0]["tokens"] == values[1]["tokens"] == values[2]["tokens"]
    assert len(values[0]["tokens"]) == 3


CHANCE = ("--temperature", "1")
CHIP = ["--set", "memory.operand_tiles=2176"]
"""Has room for 48 tokens."""


def test_the_functional_machine_goes_on_until_the_context_is_full():
    words = ("run", "stories-260k", f"{PROMPT}, there was a", "--backend", "machine", *CHIP)
    result = run(*words, "--tokens", "4")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{PROMPT}, there was a ")
    assert "4 tokens, " in result.stderr and "on machine" in result.stderr
    full = run(*words, "--tokens", "99", "--context", "16", "--json")
    values = json.loads(full.stdout)
    assert values["stopped"] == "context" and "the context of 16 tokens is full" in full.stderr
    assert len(values["tokens"]) == 16 - values["prompt_tokens"]


@pytest.mark.parametrize("words, preset", [
    (["--operands", "stream"], "ulx3s"), (["--preset", "small"], "small"),
])  # fmt: skip
def test_a_model_that_is_streamed(words, preset):
    """The text is that of the model on the chip; a preset that is too small for it streams it."""
    text = ("run", "stories-260k", PROMPT, "--tokens", "2", "--backend", "machine", "--json")
    streamed = run(*text, *words)
    assert f"are streamed; preset {preset}, --port-bytes 128" in streamed.stderr
    assert json.loads(streamed.stdout)["text"] == json.loads(run(*text, *CHIP).stdout)["text"]


def test_a_seed_repeats_a_story():
    words = ["run", "stories-260k", PROMPT, "--temperature", "0.9", *FLOAT, "--json", "--seed"]
    one, same, other = (json.loads(run(*words, seed).stdout)["text"] for seed in ("5", "5", "6"))
    assert one == same != other


def test_a_core_that_chooses_by_chance_is_found():
    words = ("run", "stories-260k", PROMPT, "--tokens", "3", "--temperature", "0.9", "--json")
    result = run(*words, "--backend", "golden")
    assert "vector.candidates is 64, since tokens are chosen by chance" in result.stderr
    same = run(*words, "--backend", "golden", "--set", "vector.candidates=64")
    assert json.loads(result.stdout)["tokens"] == json.loads(same.stdout)["tokens"]


@pytest.mark.parametrize("operands", ["onchip", "stream"])
def test_a_seed_means_the_same_text_in_integers_as_on_the_machine(tmp_path, operands):
    words = ["run", str(write_llama(tmp_path)), PROMPT, "--tokens", "6", "--temperature", "0.9",
             "--seed", "4", "--top-k", "16", "--set", "vector.candidates=16", "--json",
             "--operands", operands]  # fmt: skip
    texts, logits = [], []
    for backend in ("golden", "machine"):
        file = tmp_path / f"{backend}.npz"
        result = run(*words, "--backend", backend, "--logits", str(file))
        texts.append(json.loads(result.stdout)["tokens"])
        with np.load(file) as kept:
            assert kept["tokens"].tolist()[5:] == texts[-1]
            logits.append(kept["logits"])
    assert texts[0] == texts[1] and len(texts[0]) == 6
    assert logits[0].shape == (10, 512) and np.array_equal(*logits)


def test_a_full_context_says_so_and_keeps_the_text(tmp_path):
    words = ("run", str(write_llama(tmp_path, eos_token_id=None)), PROMPT, "--tokens", "99",
             *FLOAT)  # fmt: skip
    result = run(*words)
    assert result.exit_code == 0
    assert "the context of 32 tokens is full" in result.stderr
    values = json.loads(run(*words, "--json").stdout)
    assert (values["stopped"], len(values["tokens"])) == ("context", 27)
    assert result.stdout == f"{PROMPT}{values['text']}\n"


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["gpt5", "x"], "there is no model gpt5; known are stories-260k, smollm2, glassllm-en"),
        (["stories-260k", "\n" * 300], "the prompt has 301 tokens, and at most 255 are possible"),
        (["stories-260k", "ñ"], "the character 'ñ' of the text is not in the model's vocabulary"),
        (["stories-260k", "x", "--temperature", "nan"], "temperature must be in 0.01..100, or 0"),
        (["stories-260k", "x", "--temperature", "-1"], "takes the likeliest token always, not -1"),
        (["stories-260k", "x", "--top-k", "5"], "--top-k does nothing beside --temperature 0"),
        (["stories-260k", "x", "--seed", "5"], "--seed does nothing beside --temperature 0"),
        (["stories-260k", "x", *CHANCE, "--top-k", "0"], "top_k must be in 1..64, not 0"),
        (["stories-260k", "x", "--logits", "nowhere/x.npz"], "there is no folder nowhere"),
        (["stories-260k", "x", *CHANCE, "--top-k", "65"], "top_k must be in 1..64, not 65"),
        (["stories-260k", "x", *CHANCE, "--seed", "-1"], "seed must be in 0..2**32 - 1, not -1"),
        (["stories-260k", "x", "--backend", "machine", "--temperature", "1", "--set",
          "vector.candidates=0"],
         "temperature must be 0 on this core, not 1.0: its vector.candidates is 0"),
        (["stories-260k", "x", "--backend", "rtl", "--temperature", "1", "--set",
          "vector.candidates=16"], "top_k must be at most vector.candidates, 16, not 64"),
        (["stories-260k", "x", "--backend", "machine", "--preset", "small", "--operands", "onchip"],
         "does not fit the chip: memory.operand_tiles must be at least"),
        (["stories-260k", "a " * 60, "--backend", "machine", *CHIP],
         "47 are possible, since keys and values of 48 fit the chip; shorten it, or raise memory."),
        (["stories-260k", PROMPT, *FLOAT, "--context", "5"],
         "at most 4 are possible, since --context is 5; shorten it, or raise --context"),
        (["stories-260k", PROMPT, *FLOAT, "--context", "257"],
         "the context must be at most 256 tokens, the model's own, not 257"),
        (["stories-260k", PROMPT, "--backend", "golden", "--context", "193"],
         "lower the context to 192, or raise memory.operand_tiles"),
        (["stories-260k", "x", *FLOAT, "--sim", "icarus"],
         "--sim takes --backend rtl, and does nothing with float; leave it out"),
        (["stories-260k", "x", "--backend", "machine", "--clock-mhz", "9"],
         "--clock-mhz takes --backend rtl, and does nothing with machine"),
        (["stories-260k", "x", "--backend", "golden", "--port-bytes", "8"],
         "--port-bytes takes --backend rtl or machine, and does nothing with golden"),
        (["stories-260k", "x", *FLOAT, "--operands", "stream"],
         "--operands takes --backend rtl, machine or golden, and does nothing with float"),
        (["stories-260k", "x", *FLOAT, "--weights", "int8"], "--weights takes --backend rtl, mac"),
        (["minilm", "x", *FLOAT, "--image", "x"], "--image takes --backend rtl or machine, and"),
    ],
)
def test_run_refuses(words, sentence):
    assert sentence in refused(2, "run", *words)


def test_a_checkpoint_that_cannot_be_run(tmp_path):
    folder = write_llama(tmp_path, hidden_act="gelu")
    assert refused(2, "run", str(folder), "x") == (
        'error: config.json: hidden_act is "gelu"; only "silu" can be run'
    )


def test_a_missing_package_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    (tmp_path / "small.gguf").write_bytes(b"")
    sentence = refused(1, "run", str(tmp_path / "small.gguf"), "x")
    assert "needs the package gguf; install it with: pip install 'systolith[models]'" in sentence


def test_options_are_no_models():
    result = run("run", "--tokens", "3", "stories-260k")
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_help_names_the_models():
    text = run("run", "MODEL", "--help").stdout
    assert all(name in text for name in MODELS)


@pytest.mark.parametrize("group", ["run", "eval"])
def test_help(group):
    listed = run(group, "--help").stdout
    assert "MODEL" in listed and "minilm" in listed
    own = run(group, "stories-260k", "--help").stdout
    assert f"{group} stories-260k [OPTIONS]" in own
    assert "--backend" in own


def test_eval_float_loses_nothing():
    words = ("eval", "stories-260k", "--tokens", "900", "--backend", "float", "--json")
    values = json.loads(run(*words).stdout)
    assert values["tokens"] >= 900 and values["documents"] > 4
    assert values["delta_nats"] == 0 == values["standard_error"]
    assert values["perplexity"] == values["perplexity_fp32"] < 2
    assert values["top1_agreement"] == 1


@pytest.mark.parametrize("weights, most", [("int8", 0.01), ("int4", 0.10)])
def test_eval_golden_loses_little(weights, most):
    words = ("eval", "stories-260k", "--tokens", "700", "--weights", weights, "--json")
    values = json.loads(run(*words).stdout)
    assert (values["backend"], values["weights"]) == ("golden", weights)
    assert 0 < abs(values["delta_nats"]) < most
    assert 0.8 < values["top1_agreement"] < 1
    assert values["standard_error"] > 0


def test_eval_on_the_machine_has_every_number_of_the_golden_model():
    """Of the same tokens: as many as the chip has room for."""
    words = ("eval", "stories-260k", "--limit", "2", "--cut", "6", *CHIP, "--json", "--backend")
    machine, golden = (run(*words, backend) for backend in ("machine", "golden"))
    assert "passages were cut to 6 tokens: " in machine.stderr
    assert "stories-260k: all is on the chip; preset ulx3s-resident" in machine.stderr
    values = json.loads(machine.stdout)
    assert (values["tokens"], values["documents"], values["backend"]) == (10, 2, "machine")
    differ = {"backend", "seconds"}
    wanted = json.loads(golden.stdout)
    assert all(values[name] == wanted[name] for name in wanted if name not in differ)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["gpt5"], "there is no model gpt5; known are"),
        (["stories-260k", "--tokens", "70000"], "heldout has 68900 tokens to predict, not 70000"),
        (["stories-260k", "--preset", "huge"], "there is no preset huge"),
        (["stories-260k", "--backend", "float", "-p", "small"],
         "--preset takes --backend golden or machine, and does nothing with float"),
        (["minilm", "--jobs", "2"], "--jobs takes --backend golden, and does nothing with machine"),
    ],
)
def test_eval_refuses(words, sentence):
    assert sentence in refused(2, "eval", *words)
