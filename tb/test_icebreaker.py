"""The whole board ``icebreaker`` in Verilator: the driver of real ones, over its serial line."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from language_models import write_llama
from line_faults import require_no_wrong_byte
from systolith.bench import bench_matmul
from systolith.cli.app import app
from systolith.link.exchange import Request
from systolith.link.serial_device import SerialDevice, identify
from systolith_fpga.boards import board_named
from systolith_fpga.boards.simulated import simulated_board
from systolith_fpga.link.compact_bridge import CompactBridge
from systolith_hw.link_protocol import WAIT_BYTES, Operation
from systolith_hw.verilog import component_verilog
from systolith_sim.board.link_board import LinkBoard
from systolith_sim.board.serial_line import SerialSettings

pytestmark = pytest.mark.slow

BOARD = board_named("icebreaker")


def test_selftest():
    """All checks of a core without a row unit, in 2 KiB."""
    run = CliRunner().invoke(app, ["selftest", "--device", "sim:icebreaker:link", "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["passed"] and [check["check"] for check in told["checks"]] == [
        "registers", "memory", "sequencer", "errors",
        "transfer", "product", "columns", "stream", "activations",
    ]  # fmt: skip


def test_says_who_it_is():
    _, terminal = simulated_board(BOARD)
    with terminal:
        who = identify(terminal.name)
    assert (who.board, who.config_hash) == ("icebreaker", BOARD.config().hash)
    assert (who.memory_bytes, who.clock_hz, who.payload_bytes) == (2048, 21_000_000, 64)


@pytest.mark.parametrize("operands, shape", [
    ("onchip", (2, 32, 8)), ("stream", (3, 21, 7)), ("onchip", (1, 64, 16)),
])  # fmt: skip
def test_products(operands, shape):
    """Products are bit exact, and take the cycles that docs/boards.md has."""
    made = bench_matmul(BOARD.config(), *shape, operands=operands, simulator="sim:icebreaker:link")
    print(operands, shape, made)
    assert made.bit_exact


WHERE = {
    "board": ("--device", "sim:icebreaker"),
    "verilator": ("--preset", "icebreaker", "--sim", "verilator"),
    "icarus": ("--preset", "icebreaker", "--sim", "icarus"),
}
STORIES = "shared/models/stories-100k"


@pytest.mark.parametrize("model, where", [
    ("small", "board"), ("small", "verilator"), ("small", "icarus"),
    ("stories-100k", "board"), ("stories-100k", "verilator"),
])  # fmt: skip
def test_a_story(model, where, tmp_path):
    """The core multiplies, the host does the rest: text, logits and products are golden."""
    pytest.importorskip("tokenizers")
    if model == "small":
        path = write_llama(tmp_path, eos_token_id=None)
    else:
        above = (folder / STORIES for folder in Path(__file__).resolve().parents)
        path = next((found for found in above if found.is_dir()), tmp_path)
        if path == tmp_path:
            pytest.skip(f"there is no {STORIES}")

    def told(name: str, *words: str) -> dict:
        run = CliRunner().invoke(app, [
            "run", str(path), "Once upon a time", "--tokens", "4", *words, "--json", "--logits",
            str(tmp_path / name),
        ])  # fmt: skip
        assert run.exit_code == 0, run.output
        return json.loads(run.stdout)

    mine = told("mine.npz", *WHERE[where])
    golden = told("golden.npz", "--preset", "icebreaker", "--backend", "golden")
    assert mine["bit_exact"] and mine["text"] == golden["text"]
    assert (tmp_path / "mine.npz").read_bytes() == (tmp_path / "golden.npz").read_bytes()
    print(mine["cycles"], mine["per_token"], mine["estimated_tokens_per_second"])
    if where == "board":
        assert mine["baud"] == BOARD.baud and 4 < mine["estimated_tokens_per_second"] < 60


def test_no_byte_is_wrong(seed):
    """The bridge alone, where bytes are changed, lost, doubled and swapped both ways."""
    config, size, cycles = BOARD.config(), 1 << 15, 21
    bridge = CompactBridge(
        config, memory_bytes=size, clock_hz=cycles * BOARD.baud, baud=BOARD.baud, board="bench",
        gateware="0.1.0",
    )  # fmt: skip
    line = SerialSettings(bit_cycles=Fraction(cycles), fault=1 / 1_000, seed=seed)
    board = LinkBoard(config, component_verilog(bridge, name="bridge"), size, line)
    require_no_wrong_byte(config, board, 16_001, seed)
    assert board.line.faults > 20


def test_no_frame_is_dropped_without_faults(seed):
    """The line is as fast as the program: nothing that the host sends finds no room."""
    _, terminal = simulated_board(BOARD)
    data = np.random.default_rng(seed).bytes(2048)
    with terminal, SerialDevice(
        BOARD.config(), terminal.name, patience=60
    ) as device:
        for _ in range(4):
            device.write_memory(0, data)
            assert device.read_memory(0, 2048) == data
        reply = device._ask(Request(Operation.WAIT, 0, wanted=WAIT_BYTES))
        assert reply.payload[2:4] == bytes(2)
