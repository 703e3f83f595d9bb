"""What is read of a placed design, with scripts in place of the tools."""

import hashlib
import json

import pytest

from systolith_fpga.bitstream import FLOWS, OUTPUTS, make_bitstream
from systolith_sim.verilator import ToolError


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Return a function that sets what nextpnr reports; ecppack copies what that wrote."""

    def script(variable, text):
        file = tmp_path / variable.lower()
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        monkeypatch.setenv(variable, str(file))

    def report(clocks, status=0, paths=()):
        cells = {"TRELLIS_FF": {"used": 1, "available": 2}}
        text = json.dumps({"fmax": clocks, "utilization": cells, "critical_paths": [
            {"from": source, "to": sink, "path": [{"delay": 1.5}, {"delay": delay - 1.5}]}
            for source, sink, delay in paths
        ]})  # fmt: skip
        # What comes behind --textcfg and --report.
        script("NEXTPNR_ECP5", f"echo placed > $2\necho '{text}' > $4\nexit {status}")
        script("ECPPACK", "cp $3 $5")
        script("NEXTPNR_ICE40", f"echo asc > $2\necho '{text}' > $4\nexit {status}")
        script("ICEPACK", "cp $1 $2")

    return report


def test_clocks_and_bytes(tools, tmp_path):
    """Clocks have their own names; one that is too slow is told, and is no error."""
    tools({"$glbnet$clk": {"achieved": 66.678, "constraint": 66.67},
           "memory": {"achieved": 120.0, "constraint": 133.33}},
          paths=[(f"posedge {source}", "posedge memory", delay)
                 for source, delay in (("$glbnet$clk", 4), ("$glbnet$clk", 3), ("memory", 8))]
          + [("<async>", "posedge memory", 9)])  # fmt: skip
    stages: list[str] = []
    made = make_bitstream([*OUTPUTS, "--seed", "3"], tmp_path, stages.append)
    assert made.clocks_mhz == {"clk": {"reached": 66.678, "wanted": 66.67},
                               "memory": {"reached": 120.0, "wanted": 133.33}}  # fmt: skip
    assert made.crossings_ns == {("clk", "memory"): 4}
    assert made.fmax_mhz == 66.68 and not made.timing_met
    assert made.sha256 == hashlib.sha256(b"placed\n").hexdigest()
    assert made.bitstream.read_bytes() == b"placed\n"
    assert [command.split()[0] for command in made.commands] == ["nextpnr-ecp5", "ecppack"]
    assert "--seed 3" in made.commands[0] and stages == ["place and route", "bitstream"]


def test_tools_of_an_ice40(tools, tmp_path):
    """Its own nextpnr and packer, and the same report."""
    tools({"core": {"achieved": 22.0, "constraint": 21.0}})
    flow = FLOWS["ice40"]
    made = make_bitstream([*flow.options, "--seed", "3"], tmp_path, flow=flow)
    assert made.clocks_mhz == {"core": {"reached": 22.0, "wanted": 21.0}} and made.timing_met
    assert made.bitstream.name == "top.bin" and made.bitstream.read_bytes() == b"asc\n"
    assert [command.split()[0] for command in made.commands] == ["nextpnr-ice40", "icepack"]


@pytest.mark.parametrize("reached, met", [(66.66661, False), (66.66671, True)])
def test_hundredths_do_not_decide(tools, tmp_path, reached, met):
    """A clock that is too slow by less than is told is too slow."""
    tools({"clk": {"achieved": reached, "constraint": 66.66667}})
    made = make_bitstream([*OUTPUTS], tmp_path)
    assert made.timing_met == met and made.fmax_mhz == 66.67


def test_a_failure_is_told(tools, tmp_path):
    """With the tool's name and its log."""
    tools({}, status=1)
    with pytest.raises(ToolError, match="nextpnr-ecp5 failed.*nextpnr.log"):
        make_bitstream([*OUTPUTS], tmp_path)
