"""The whole board ``icebreaker`` in Verilator: the driver of real ones, over its serial line."""

import json

import pytest
from typer.testing import CliRunner

from systolith.bench import bench_matmul
from systolith.cli.app import app
from systolith.link.serial_device import identify
from systolith_fpga.boards import board_named
from systolith_fpga.boards.simulated import simulated_board

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
