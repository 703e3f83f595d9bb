"""``examples/soc/board.py``: the design for the ULX3S, and what it says on its serial line."""

import importlib.util

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer, with_timeout

import firmware
from harness import run_verilog, settings_from_env
from systolith_fpga.soc.cpu import cpu_named
from systolith_hw.verilog import component_verilog

PERIOD = 40
"""Nanoseconds."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pyparsing.PyparsingDeprecationWarning"),
    pytest.mark.skipif(
        importlib.util.find_spec("sentinel_cpu") is None,
        reason="sentinel-cpu is not installed: pip install 'systolith[soc]'",
    ),
    pytest.mark.skipif(bool(firmware.missing()), reason=firmware.missing() or "-"),
]


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def tells_its_story(dut):
    """Without a reset, as on the board: what configuration leaves in registers has to do."""
    settings = settings_from_env()
    bit = settings["divisor"] * PERIOD
    dut.rst.value, dut.rx.value = 0, 1
    Clock(dut.clk, PERIOD, unit="ns").start()
    text = bytearray()
    while not text.endswith(b"\4"):
        await with_timeout(FallingEdge(dut.tx), 20, "ms")
        await Timer(bit * 3 // 2, unit="ns")
        character = 0
        for place in range(8):
            character |= int(dut.tx.value) << place
            await Timer(bit, unit="ns")
        assert dut.tx.value == 1, "no stop bit"
        text.append(character)
    story, _, rest = text.decode().partition("\ntokens = ")
    assert story == settings["story"]
    assert rest.startswith(f"{settings['tokens']}\n") and rest.endswith("done: ok\n\4")


@pytest.fixture(scope="module")
def work():
    pytest.importorskip("amaranth_boards.ulx3s")
    import board
    from systolith.models.errors import FetchError

    try:
        return board.story(board.CORE, board.PROMPT, 24)
    except FetchError as error:
        pytest.skip(str(error))


def test_design_has_the_boards_pins(work):
    """Tools are not run here."""
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    import board

    settings = board.settings_for(work, "sentinel")
    top = board.Ulx3s(board.Board(work.config, settings, work.image(), target="ecp5"))
    files = ULX3S_85F_Platform().build(top, do_build=False).files
    assert {"top.il", "top.ys", "top.lpf"} <= set(files)
    pins = files["top.lpf"] if isinstance(files["top.lpf"], str) else files["top.lpf"].decode()
    for port, site in (("uart_0__tx__io", "L4"), ("uart_0__rx__io", "M1"), ("clk25_0__io", "G2")):
        assert f'LOCATE COMP "{port}" SITE "{site}";' in pins


def test_story_of_the_board(work, seed):
    """The whole board, its memories' first contents included, tells what the machine computes."""
    import board
    from systolith.language import MachineDecoder
    from systolith.language_run import LanguageRun
    from systolith.models.library import load_language_model
    from systolith.progress import Progress

    model = load_language_model("stories-260k")
    prompt = model.prompt(board.PROMPT)
    run = LanguageRun(model, work.config, Progress(), weights="int4", context=len(prompt) + 24,
                      streamed=True)  # fmt: skip
    made = MachineDecoder(run.decoder).run(prompt, 24)
    told = model.tokenizer.decode([*prompt, *made]).removeprefix(board.PROMPT)
    assert len(made) == 24 and len(told) > 40
    settings = board.settings_for(work, "sentinel")
    top = board.Board(work.config, settings, work.image())
    text = component_verilog(top, name="board") + cpu_named("sentinel").verilog()
    run_verilog(
        text, work.config, top="board", test_module="test_board", tag="story", sim="verilator",
        seed=seed,
        settings={"divisor": settings.divisor, "story": told, "tokens": len(made)},
    )  # fmt: skip
