"""The command line: what it prints where, and how it ends when something is wrong."""

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from systolith.cli import app
from systolith.cli.bars import Bars
from systolith_hw.config import ConfigError
from systolith_hw.presets import PRESETS

TINY = ["--set", "memory.operand_tiles=64", "--set", "memory.activation_words=32",
        "--set", "device="]  # fmt: skip


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def refused(code: int, *words: str) -> str:
    """Run a command that must end with ``code`` and one sentence on stderr; return it."""
    result = run(*words)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("error: "), result.stderr
    assert "Traceback" not in result.stderr
    return lines[-1]


def test_help_names_the_commands():
    result = run("--help")
    assert result.exit_code == 0
    for name in ("presets", "generate", "bench", "report", "run", "eval"):
        assert name in result.stdout


@pytest.mark.parametrize(
    "command",
    ["presets", "generate", "bench matmul", "bench attention", "bench layer", "report", "run ffn",
     "run minilm", "eval minilm"],
)  # fmt: skip
def test_every_command_has_help(command):
    assert run(*command.split(), "--help").exit_code == 0


def test_presets_json():
    rows = json.loads(run("presets", "--json").stdout)
    assert [row["preset"] for row in rows] == list(PRESETS)
    for row in rows:
        percent = 100 * row["blocks"] / row["blocks_available"]
        assert row["blocks_percent"] == pytest.approx(percent, abs=0.1)
        blocks = [item["blocks"] for item in row["memories"] if item["kind"] == "block"]
        assert sum(blocks) == row["blocks"]
        assert row["hash"] == f"{PRESETS[row['preset']].hash:#010x}"


def test_presets_table():
    result = run("presets")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in PRESETS)
    assert all(f"{config.hash:08x}" in result.stdout for config in PRESETS.values())


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--preset", "huge"], "there is no preset huge; known are tiny"),
        (["--set", "array.rows=9"], "array.rows must be a power of two in 2..64, not 9"),
        (["--set", "array.size=9"], "there is no setting array.size"),
        (["--set", "array.rows"], "--set takes PART.FIELD=VALUE, not array.rows"),
        (["--set", "array.rows=many"], "array.rows must be an integer, not many"),
        (["--set", "memory.operand_tiles=9000"], "lower memory.operand_tiles"),
        (["--set", "device=vu9p"], "there is no device vu9p"),
    ],
)
def test_illegal_config_is_one_sentence(words, sentence, tmp_path):
    assert sentence in refused(2, "generate", *words, "-o", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_unknown_target_is_a_usage_error(tmp_path):
    result = run("generate", "--target", "gowin", "-o", str(tmp_path))
    assert result.exit_code == 2
    assert "gowin" in result.stderr


def test_generate_writes_three_files(tmp_path):
    folder = tmp_path / "new" / "folder"
    result = run("generate", "--preset", "tiny", *TINY, "-o", str(folder))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["config"]["memory"]["operand_tiles"] == 64
    text = (folder / "systolith.v").read_text()
    assert "module systolith(" in text
    table = (folder / "ports.md").read_text()
    for port in manifest["ports"]:
        assert port["name"] in text
        assert f"`{port['name']}`" in table


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--m", "0"], "m must be at least 1, not 0"),
        (["--k", "-3"], "k must be at least 1, not -3"),
        (["--k", "5000"], "k 5000 is too large: array.max_k is 1024; lower k to 1024"),
        (["--m", "9000"], "m 9000 is too large: memory.activation_words must be at least 9000 "),
        (["--port-bytes", "3"], "bus.data_bytes must be a power of two in 1..128, not 3"),
    ],
)
def test_illegal_shape_is_one_sentence(words, sentence):
    shape = {"--m": "4", "--k": "4", "--n": "4"} | dict(zip(words[::2], words[1::2], strict=True))
    flat = [word for pair in shape.items() for word in pair]
    assert sentence in refused(2, "bench", "matmul", "--preset", "tiny", *flat)


def test_unknown_device_of_a_bench_is_refused_at_once():
    shape = ("--m", "1", "--k", "1", "--n", "1")
    result = run("bench", "matmul", *shape, "--set", "device=foo")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: there is no device foo; known are "), "nothing before"


def test_bus_of_a_report():
    says = refused(2, "report", "--bus", "wishbone", "--unit", "array", "--json")
    assert "--bus wishbone is of the whole core; a unit alone has no bus" in says
    unknown = run("report", "--bus", "pci")
    assert unknown.exit_code == 2 and "'pci'" in unknown.output


def test_unknown_device_of_a_report():
    assert "there is no device vu9p" in refused(2, "report", "--device", "vu9p", "--json")


@pytest.mark.parametrize("words", [["ffn", " "], ["minilm", "text", ""]])
def test_empty_text_is_refused(words):
    assert "the text is empty" in refused(2, "run", *words)


def test_a_missing_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.delitem(sys.modules, "systolith.models.minilm", raising=False)
    sentence = refused(1, "run", "ffn", "text")
    assert "pip install 'systolith[models]'" in sentence


def test_the_installed_command_ends_with_the_code():
    script = "from systolith.cli import main; main()"
    words = ["generate", "--preset", "huge", "-o", "nowhere"]
    done = subprocess.run([sys.executable, "-c", script, *words],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"error: there is no preset huge; known are {', '.join(PRESETS)}"
    ]


BAR, ESCAPE = "\u2501", "\x1b"


@pytest.fixture
def half_done(monkeypatch):
    """Let ``bench matmul`` get half way, and end."""

    def stop(*_, progress, **__):
        progress("multiplying")
        progress.reached(1, 2)
        raise ConfigError("enough")

    monkeypatch.setattr("systolith.bench.bench_matmul", stop)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("json", [False, True])
def test_bars_are_for_people_at_terminals(terminal, json, half_done):
    words = ["bench", "matmul", "--m", "1", "--k", "1", "--n", "1", *["--json"] * json]
    env = {"FORCE_COLOR": "1" if terminal else "", "TERM": "xterm", "COLUMNS": "100"}
    result = CliRunner().invoke(app, words, env=env)
    assert result.stdout == ""
    assert "multiplying" in result.stderr
    assert (BAR in result.stderr) == (ESCAPE in result.stderr) == (terminal and not json)


def test_a_bar_where_the_end_is_known():
    screen = io.StringIO()
    with Bars(Console(file=screen, force_terminal=True, width=90)) as bars:
        bars("compiling")
        bars("multiplying")
        bars.reached(30, 100)
        bars.reached(31, 100)
    lines = screen.getvalue().splitlines()
    assert any(BAR in line for line in lines if "multiplying" in line)
    assert not any(BAR in line for line in lines if "compiling" in line)
