"""The page and the trace about a run, and what they call a program's parts."""

import html.parser
import json

import numpy as np
import pytest

from systolith.program import Program
from systolith.report.page import RunReport, write_page
from systolith.report.phases import Phase, follow
from systolith.report.states import IDLE, STATES, UNITS, shares, units_in
from systolith.report.trace import write_trace
from systolith_hw.isa import DrainKind, Opcode, Unit
from systolith_hw.presets import preset
from systolith_hw.registers import COUNTERS
from systolith_sim.device.activity import Activity
from systolith_sim.sequencer import expand

from .encoder_bench import Compiled, random_model

CLOCK = 80.0
BIN = 100
PHASES = [Phase("start", "product"), Phase("layer 1", "keys"), Phase("layer 1", "scores")]
VOID = {"meta", "br", "hr", "img", "link", "input"}


def activity(bins=40, seed=5) -> Activity:
    """Return made-up counts."""
    rng = np.random.default_rng(seed)
    names = [counter.name for counter in COUNTERS if counter.name != "CYCLES"]
    counts = {name: rng.integers(0, BIN, bins) for name in names}
    edges = np.array([0, 7, 20])
    return Activity(
        bins * BIN - 30, BIN * np.arange(bins), counts, BIN * edges, np.array([1, 4, 6]),
        {name: np.add.reduceat(count, edges) for name, count in counts.items()},
    )  # fmt: skip


# -- states ----------------------------------------------------------------------------------


def test_every_unit_has_its_counters():
    assert list(UNITS) == ["sequencer", "array", "vector", "row", "load", "store"]
    assert {unit.name.lower() for unit in Unit} == set(UNITS)
    assert UNITS["array"]["busy"] == "ARRAY_BUSY"
    assert UNITS["load"]["busy"] == "LOAD_BEATS"
    assert UNITS["array"]["wait semaphore"] == "ARRAY_WAIT_SEMAPHORE"
    assert STATES[0] == "busy" and IDLE not in STATES


def test_shares_make_up_all_cycles():
    counts = {
        "STORE_BEATS": np.array([3, 9]), "STORE_WAIT_SEMAPHORE": np.array([2, 9]),
        "STORE_WAIT_SOURCE": np.array([0, 1]), "STORE_WAIT_BUS": np.array([1, 0]),
    }  # fmt: skip
    assert units_in(counts) == ["store"]
    cycles = shares("store", counts, np.array([10, 12]))
    assert {state: count.tolist() for state, count in cycles.items()} == {
        "busy": [3, 9], "wait semaphore": [2, 3], "wait source": [0, 0], "wait bus": [1, 0],
        "idle": [4, 0],
    }  # fmt: skip


# -- phases ----------------------------------------------------------------------------------


def test_phases_of_an_encoder():
    """Three layers: each has all its parts, in their order."""
    config = preset("ulx3s").replace({"vector.rows": 64})
    encoder = Compiled(config, random_model(config, layers=3), 20, 1).encoder
    program = encoder.parts[encoder.program]
    sentence = [[1, 2, 3, 4, 5]]
    memory = np.zeros(encoder.size, np.uint8)
    for address, content in {**encoder.parts, **encoder.inputs(sentence)}.items():
        memory[address : address + len(content)] = np.frombuffer(content, np.uint8)

    def read(_, address):
        return int(memory[address : address + 4].view("<u4")[0])

    issued = expand(program, encoder.registers(sentence), config, read)
    addresses = [item.pc for item in issued if item.raw[0] == Opcode.MATMUL]
    phases = follow(program, [0, *addresses, *addresses])
    assert phases[0] == Phase("start", "nothing")
    assert phases[1 : 1 + len(addresses)] == phases[1 + len(addresses) :]
    parts = list(dict.fromkeys(phase.part for phase in phases))
    assert parts == ["start", "round 1", "round 2", "round 3"]
    for part in parts[1:]:
        names = dict.fromkeys(phase.name for phase in phases if phase.part == part)
        order = ["keys", "values", "queries", "scores", "context", "output", "up", "down"]
        assert [name for name in names if name != "meeting"] == order
        blocks = {phase.block for phase in phases if phase.part == part}
        assert blocks == {"attention", "feed-forward", "meeting"}


def test_phases_without_loops():
    config = preset("small")
    program = Program(config)
    for _ in range(2):
        program.matmul(steps=2, tokens=1, activation_stride=2)
    program.drain(DrainKind.WIDE, tokens=2, token_stride=1)
    program.matmul(steps=2, tokens=1, activation_stride=2)
    program.end()
    phases = follow(program.assemble(), [0, 1, 3, 4])
    assert [phase.name for phase in phases] == ["product"] * 3 + ["nothing"]
    assert {phase.part for phase in phases} == {"start"}


# -- trace -----------------------------------------------------------------------------------


def test_trace(tmp_path):
    seen = activity()
    write_trace(tmp_path / "trace.json", seen, PHASES, CLOCK)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert list(names.values()) == ["phase", *UNITS]
    for line in names:
        pieces = [event for event in events if event["tid"] == line and event["ph"] == "X"]
        ends = [piece["ts"] + piece["dur"] for piece in pieces]
        assert all(end <= piece["ts"] + 1e-9 for end, piece in zip(ends, pieces[1:], strict=False))
        assert ends[-1] <= seen.cycles / CLOCK + 1e-9
    phases = [event for event in events if event["tid"] == 0 and event["ph"] == "X"]
    assert [(event["name"], event["args"]["part"], event["args"]["cycle"]) for event in phases] == [
        ("product", "start", 0), ("keys", "layer 1", 700), ("scores", "layer 1", 2000)
    ]  # fmt: skip


# -- page ------------------------------------------------------------------------------------


class Reader(html.parser.HTMLParser):
    """Checks that elements nest, and collects what they are and say."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(tmp_path, **changes) -> Reader:
    similarity = np.array([[1, 0.25, -0.1], [0.25, 1, 0.5], [-0.1, 0.5, 1]])
    report = RunReport(**{
        "title": "A run", "config": preset("small"), "clock_mhz": CLOCK, "activity": activity(),
        "phases": PHASES, "macs": 100_000, "moved_bytes": 8000,
        "texts": ["One <b>", "two & two", "x" * 100], "similarity": similarity, **changes,
    })  # fmt: skip
    write_page(tmp_path / "page.html", report)
    reader = Reader()
    reader.feed((tmp_path / "page.html").read_text())
    reader.close()
    assert reader.open == []
    return reader


def test_page_stands_alone(tmp_path):
    reader = page(tmp_path)
    assert not {"script", "link", "img", "iframe", "b"} & set(reader.seen)
    assert not {"src", "href", "xlink:href", "onload"} & {name for name, _ in reader.attributes}
    text = (tmp_path / "page.html").read_text()
    assert "http" not in text and "url(" not in text and "@import" not in text


def test_page_says_what_it_should(tmp_path):
    reader = page(tmp_path)
    assert reader.seen.count("svg") == 6
    for piece in ("One <b>", "two & two", "0.25", "3,970", "layer 1", "wait semaphore",
                  "SATURATIONS", "64 multipliers"):  # fmt: skip
        assert piece in reader.text, piece


def test_page_without_sentences(tmp_path):
    reader = page(tmp_path, texts=(), similarity=None)
    assert reader.seen.count("svg") == 5
    assert "alike" not in reader.text


@pytest.mark.parametrize("macs", [1000, 250_000])
def test_a_point_under_either_roof(tmp_path, macs):
    assert "of the roof" in page(tmp_path, macs=macs, moved_bytes=30_000).text
