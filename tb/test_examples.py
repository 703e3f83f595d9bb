"""The examples of ``examples/``: what people read first must work."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "examples"


def example(name, *modules):
    """Return the module of an example; those that it imports must be there."""
    for module in modules:
        pytest.importorskip(module)
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_story(capsys):
    made = example("story", "tokenizers").main("machine", tokens=12)
    assert len(made) == 12
    assert capsys.readouterr().out.startswith("Once upon a time, there was a silly boy")


def test_sentences():
    sentences = example("sentences", "onnxruntime", "tokenizers")
    from systolith.models.errors import FetchError

    try:
        cosines = sentences.main("machine")
    except FetchError as error:
        pytest.skip(str(error))
    assert np.all(cosines > 0.997) and len(cosines) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name, least", [("digits", 0.93), ("mail", 0.93)])
def test_trained_here(name, least):
    """As often right on the hardware's integers as in float."""
    right, found = example(name, "torch", "sklearn").main("machine")
    assert right >= least and abs(found - right) <= 0.02
