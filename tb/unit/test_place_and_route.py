"""What is done about a router that would go on for ever."""

import sys

import pytest

from systolith_fpga import tools
from systolith_fpga.place_and_route import ROUNDS, STEPS, _endless, place_and_route
from systolith_sim.verilator import ToolError

LINE = "Info:     iter={} wires=98{} overused={} overuse=9{}"


def nextpnr(monkeypatch, tmp_path, rounds, shared, slow, then):
    """Let the environment name a tool that prints as many rounds, and then does something."""
    tail = f" tmgfail={slow} archfail=NA" if slow is not None else " archfail=NA"
    script = tmp_path / "nextpnr.py"
    lines = [LINE.format(number, number, shared, shared) + tail for number in range(1, rounds + 1)]
    script.write_text(f"import sys, time\nprint({chr(10).join(lines)!r}, flush=True)\n{then}\n")
    monkeypatch.setenv("NEXTPNR_ECP5", f"{sys.executable} {script}")
    monkeypatch.setattr(tools, "SECONDS", 0.05)


@pytest.mark.parametrize("shared, slow, said", [
    (0, 9, "after 400 rounds: 0 wires are still shared and 9 too slow; aim at a lower clock"),
    (1300, None, r"after 400 rounds: 1300 wires are still shared \(see .*nextpnr.log\)"),
])  # fmt: skip
def test_a_router_has_its_rounds(shared, slow, said, monkeypatch, tmp_path):
    nextpnr(monkeypatch, tmp_path, ROUNDS, shared, slow, "time.sleep(600)")
    with pytest.raises(ToolError, match=said):
        place_and_route("nextpnr-ecp5", [], tmp_path)


def test_one_that_is_slow_is_left_alone(monkeypatch, tmp_path):
    nextpnr(monkeypatch, tmp_path, ROUNDS - 1, 5, 5, "time.sleep(0.5)")
    place_and_route("nextpnr-ecp5", [], tmp_path)
    assert f"iter={ROUNDS - 1} " in (tmp_path / "nextpnr.log").read_text()


def test_one_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "SILENT_SECONDS", 0.3)
    place = "print('Info: Strict legalising 9 cells...', flush=True); time.sleep(600)"
    nextpnr(monkeypatch, tmp_path, 1, 0, 0, place)
    with pytest.raises(ToolError, match=r"minutes behind: Strict legalising 9 cells\.\.\.; try"):
        place_and_route("nextpnr-ecp5", [], tmp_path)


def test_one_that_fails_says_why(monkeypatch, tmp_path):
    nextpnr(monkeypatch, tmp_path, 1, 0, 0, "print('ERROR: no such part'); sys.exit(1)")
    with pytest.raises(ToolError, match=r"nextpnr-ecp5 failed: ERROR: no such part \(see"):
        place_and_route("nextpnr-ecp5", [], tmp_path)


STEP = "Info:     {} |    52000      36800 |  701   299 |      5251|      21.92     569.44|"


@pytest.mark.parametrize("steps, ends", [(STEPS - 1000, False), (STEPS, True)])
def test_an_ice40s_router_is_stopped(steps, ends):
    """It tells of steps, and what is left of them."""
    log = "\n".join(STEP.format(number) for number in (1000, steps))
    told = _endless(log)
    assert bool(told) == ends
    assert not ends or f"after {STEPS} steps: 5251 arcs are left; try another seed" in told
