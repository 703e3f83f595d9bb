"""The board of the smaller chip, whole: what checks every unit, and a story over its line."""

import json

import pytest
from typer.testing import CliRunner

from systolith.cli import app

pytestmark = pytest.mark.slow

NAME = "ulx3s-25f"


def run(*words: str) -> dict:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("how", ["", ":link"])
def test_every_unit(how):
    """With the line's own rate and the back door, and with neither."""
    found = run("selftest", "--device", f"sim:{NAME}{how}")
    assert found["passed"] and len(found["checks"]) >= 14


def test_a_story():
    """Its tokens are the functional machine's, and nine tenths of memory's time are used."""
    found = run("run", "stories-260k", "Once upon", "--tokens", "4", "--preset", NAME,
                "--device", f"sim:{NAME}")  # fmt: skip
    assert found["bit_exact"] and len(found["tokens"]) == 4
    assert found["board"]["memory_share"] >= 0.9
