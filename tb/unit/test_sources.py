"""What an image of a model depends on, so that none is used which another version made."""

import subprocess
import sys

import pytest

from systolith.sources import COMPILER, PACKAGES, compiler_version, meaning, sources


def test_everything_that_python_imports_is_found():
    """The imports as written say no less than those that happen."""
    code = f"import sys, {', '.join(COMPILER)}; print(*sys.modules)"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in names if name.partition(".")[0] in PACKAGES}
    assert ours <= set(sources(*COMPILER))
    assert len(ours) > 50


def test_what_images_depend_on():
    assert set(sources(*COMPILER)) >= {
        "systolith.compiler.encoder_streamed", "systolith.compiler.layout",
        "systolith.compiler.rounding", "systolith.compiler.quantize", "systolith.program.compute",
        "systolith.models.quantized", "systolith.model_image", "systolith_hw.isa",
        "systolith_hw.tables", "systolith_sim.dma.pages", "systolith_sim.transformer.encoder",
        "systolith_sim.vector.row",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["systolith.program.control", "systolith.compiler.rounding"])
def test_another_byte_is_another_version(name, monkeypatch):
    version = compiler_version()
    changed = sources(*COMPILER)[name]
    read = type(changed).read_bytes
    monkeypatch.setattr(
        type(changed), "read_bytes",
        lambda path: read(path) + (b"\n" if path == changed else b""),
    )  # fmt: skip
    assert compiler_version.__wrapped__() != version


def test_comments_mean_nothing():
    """Kept roundings outlive them, but no change of what is done."""
    source = b'"""Text."""\n\nLIMIT = 3\n"""Of it."""\n\ndef f(x):\n    """More."""\n    return x\n'
    assert meaning(source) == meaning(b"LIMIT = 3  # so\ndef f(x):\n    return x")
    assert meaning(source) != meaning(source.replace(b"3", b"4"))
    assert meaning(b"x = 'text'") != meaning(b"x = 'other'")


def test_what_they_do_not_depend_on():
    names = sources(*COMPILER)
    assert not any(name.startswith(("systolith.cli", "systolith.report")) for name in names)
    assert "systolith_hw.core" not in names
