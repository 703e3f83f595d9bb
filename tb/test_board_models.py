"""Models on a whole simulated board: core, SDRAM and link at their clocks, with the host's driver.

Times are what the board would take, in cycles of its core's clock, without the host's.
"""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from systolith.board_time import BoardTime
from systolith.cli import app
from systolith.device_encoder import DeviceEncoder
from systolith.device_language import DeviceDecoder
from systolith.encoder import MachineEncoder
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.link.simulated import SimulatedBoard
from systolith.progress import Progress
from systolith_fpga.boards import board_named
from unit.language_bench import streamed_model

pytestmark = pytest.mark.slow

NAME = "ulx3s-85f"
PROMPT = "Once upon a time"
SENTENCES = (
    ("A man is playing a large flute on the stage of the old town hall while a woman in a red "
     "dress sings about the sea and the rain."),
    ("The old cat sat on the warm stone wall in front of the little house and looked at all the "
     "small birds that were flying over the green trees."),
)  # fmt: skip
MODEL_BYTES, RUN_BYTES = 10_000_000, 1_000
"""Fewer than a model has, and more than the host writes for two sentences."""


def run(*words: str) -> dict:
    result = CliRunner().invoke(app, ["run", *words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) | {"stderr": result.stderr}


def test_sentences(monkeypatch):
    """Sentences of 32 tokens take at most 45 ms, and weights are written once."""
    pytest.importorskip("tokenizers")
    from systolith.models.errors import FetchError
    from systolith.models.minilm import MiniLM
    from systolith.sentences import compile_minilm

    try:
        model = MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))
    config = board_named(NAME).config("ulx3s")
    encoder = compile_minilm(model, config, longest=32)
    sentences = [model.tokenize(text) for text in SENTENCES]
    assert [len(sentence) for sentence in sentences] == [32, 32]
    machine = MachineEncoder(encoder)
    with SimulatedBoard(config, f"sim:{NAME}", Progress()) as board:
        runner = DeviceEncoder(encoder, board)
        written: list[bytes] = []
        write = board._write

        def note(address: int, data: bytes) -> None:
            written.append(data)
            write(address, data)

        monkeypatch.setattr(board, "_write", note)
        for sentence in sentences:
            result = runner.run([sentence])
            for one, other in zip(result.states, machine.run([sentence]).states, strict=True):
                np.testing.assert_array_equal(one, other)
            assert result.counts["CYCLES"] / board.clock_hz <= 0.045
            time = BoardTime.of(board, result.counts)
            assert time is not None and 0.95 <= time.memory_share <= 1
    assert sum(map(len, encoder.parts.values())) > MODEL_BYTES
    assert 0 < sum(map(len, written)) < RUN_BYTES


def test_a_streamed_language_model():
    """Of each token behind the first, nine tenths of what memory can move are used."""
    config = board_named(NAME).config("ulx3s")
    model = streamed_model(
        config, seed=1, context=16, dim=256, heads=8, kv_heads=2, hidden=512, vocab=512, layers=2
    )  # fmt: skip
    decoder = CompiledDecoder.compile(config, model, streamed=True)
    machine, counters = MachineDecoder(decoder), []
    with SimulatedBoard(config, f"sim:{NAME}", Progress()) as board:
        runner = DeviceDecoder(decoder, board)
        for count in (1, 5):
            assert runner.run([1, 2], count) == machine.run([1, 2], count)
            counters.append(runner.counters)
        few, more = counters
        time = BoardTime.of(board, {name: more[name] - few[name] for name in more})
    assert time is not None and 0.9 <= time.memory_share <= 1
    assert (time.core_mhz, round(time.memory_mhz)) == (80, 133)


def test_a_language_model_on_the_chip():
    """A token takes at most 5,000 cycles, which is 16,000 in a second."""
    values = run("stories-260k", PROMPT, "--tokens", "12", "--device", f"sim:{NAME}")
    assert values["bit_exact"] and values["preset"] == "ulx3s-resident"
    assert values["tokens_per_second_at_clock"] >= 16_000
    core_hz, _ = board_named(NAME).clocks("ulx3s-resident")
    assert values["board"]["core_mhz"] == pytest.approx(core_hz / 1e6)


def test_a_model_that_comes_over_the_line(tmp_path):
    """Nothing goes by the back door."""
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    from language_models import write_llama

    values = run(
        str(write_llama(tmp_path)), PROMPT, "--tokens", "4", "--device", f"sim:{NAME}:link"
    )  # fmt: skip
    assert values["bit_exact"] and len(values["tokens"]) == 4
    assert "back door" not in values["stderr"]
