"""A package, judged by the tools that it is for."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from systolith.package import package_files, write_package
from systolith.package.c_header import c_header
from systolith.package.description import CoreDescription
from systolith.package.fusesoc import fusesoc_core
from systolith.package.ip_xact import ip_xact
from systolith.package.readme import readme
from systolith_hw.bus.kinds import BUSES
from systolith_hw.isa import ISA_VERSION, ErrorCode, Unit
from systolith_hw.ports import ports
from systolith_hw.presets import preset
from systolith_hw.registers import (
    IDENTITY,
    KEPT,
    OFFSETS,
    REGISTERS,
    bit_fields,
    counter_offsets,
)
from systolith_sim import verilator

CONFIG = preset("tiny")
NEEDS = "is not installed: pip install 'systolith[ip]'"


VALUES = {
    ("ERROR", "CODE"): {code.name: code.value for code in ErrorCode},
    ("ERROR", "UNIT"): {unit.name: unit.value for unit in Unit},
}
"""Fields whose values have names."""

GATED = "wishbone"
"""The bus whose package is looked at before every change."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name != GATED)) for name in BUSES],
)
def bus(request):
    return request.param


@pytest.fixture(scope="module")
def folder(bus, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("packages") / bus
    write_package(package_files(CONFIG, preset="tiny", bus=bus, target="generic"), place)
    return place


def run(*command, **how):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# -- Verilog --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipelined", [0, 1])
def test_wrapper_is_read_without_a_word(folder, bus, pipelined, tmp_path):
    """By Verilator with all warnings on, Icarus as Verilog-2005, and yosys with its checks."""
    if not pipelined and bus != "wishbone":
        pytest.skip("only Wishbone has it")
    wrapper = (folder / "systolith_wrapper.v").read_text()
    wrapper = wrapper.replace("PIPELINED = 1", f"PIPELINED = {pipelined}")
    source = tmp_path / "both.v"
    source.write_text((folder / "systolith.v").read_text() + wrapper)
    said = verilator.lint(source, "systolith_wrapper")
    assert said == "" or (not pipelined and set(re.findall("'(.*)'", said)) == {"m_wb_stall"}), said
    if shutil.which("iverilog"):
        said = run("iverilog", "-g2005", "-Wall", "-t", "null", "-s", "systolith_wrapper", source)
        assert "error" not in said
    tools = pytest.importorskip("systolith_fpga.tools")
    tools.run_tool("yosys", ["-q", "-p", (
        f"read_verilog {source.name}; hierarchy -check -top systolith_wrapper; proc; opt_clean; "
        "check -assert; select -assert-none t:$dlatch t:$_DLATCH_* t:$sr"
    )], folder=tmp_path, log="yosys.log")  # fmt: skip


def test_wrapper_connects_every_port(folder, bus):
    wrapper = (folder / "systolith_wrapper.v").read_text()
    assert re.findall(r"^    \.(\w+)\(", wrapper, re.MULTILINE) == [
        port.name for port in ports(CONFIG, bus)
    ]


def test_readme_has_what_the_wrapper_adds(folder):
    """Ports and parameters that the core has not, and none that the wrapper has not."""
    wrapper = (folder / "systolith_wrapper.v").read_text()
    head = wrapper[wrapper.index("module ") : wrapper.index("\n);")]
    kinds = r"^ +(?:input|output|parameter) (?:\[\d+:0\] )?(\w+)"
    table = (folder / "ports.md").read_text()
    added = set(re.findall(kinds, head, re.MULTILINE)) - set(re.findall(r"`(\w+)` \|", table))
    text = (folder / "README.md").read_text().split("## Ports")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == added
    assert "resetn" in added


def test_every_port_has_a_line(folder, bus):
    """What the Verilog declares is in the table, in the manifest and in IP-XACT."""
    text = (folder / "systolith.v").read_text()
    top = text[text.index("module systolith(") :]
    declared = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$",
                          top[: top.index("endmodule")], re.MULTILINE)  # fmt: skip
    found = {name: (direction, int(high or 0) + 1) for direction, high, name in declared}
    table = (folder / "ports.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\d+) \| (.+) \|$", table, re.MULTILINE)
    assert {name: (way, int(width)) for name, way, width, _ in rows} == found
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {6}  # four cells
    assert all(meaning.strip() for *_, meaning in rows)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {port["name"] for port in manifest["ports"]} == set(found)
    assert manifest["bus"] == bus


# -- FuseSoC --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["lint", "compile"])
def test_fusesoc(folder, target, tmp_path, monkeypatch):
    """FuseSoC finds the core and runs a tool on it."""
    pytest.importorskip("fusesoc", reason=f"FuseSoC {NEEDS}")
    if target == "compile" and shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "verilator").symlink_to(verilator.executable())
    for name, value in verilator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tools}:{Path(sys.executable).parent}", prepend=":")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (core,) = re.findall(r"--target lint (\w+)`", (folder / "README.md").read_text())
    said = run(
        sys.executable, "-m", "fusesoc.main", "--cores-root", str(folder), "run", "--target",
        target, "--build-root", str(tmp_path / "build"), core, cwd=tmp_path,
    )  # fmt: skip
    assert "ERROR" not in said and "%Warning" not in said
    made = [path.name for path in (tmp_path / "build").rglob("*")]
    assert any("systolith_wrapper.v" in name for name in made)


@pytest.mark.parametrize("target, name, cells", [
    ("ice40", "tiny", {"SB_MAC16", "SB_SPRAM256KA"}),
    pytest.param("ecp5", "small", {"MULT18X18D"}, marks=pytest.mark.slow),
])  # fmt: skip
def test_vendor_cells_are_told(target, name, cells, tmp_path, monkeypatch):
    """Nobody is sent to a tool that refuses cells that are not in the package."""
    files = package_files(preset(name), preset=name, bus="native", target=target)
    write_package(files, tmp_path / "package")
    readme = " ".join(files["README.md"].split())
    assert "run --target" not in readme and "-Wall" not in readme
    (told,) = re.findall(r"cells that it does not define \(([\w, ]+)\)", readme)
    assert set(told.split(", ")) == cells
    assert f"--target {target}`" in readme
    if shutil.which("iverilog"):  # that it is refused is why
        refused = subprocess.run(
            ["iverilog", "-g2005", "-t", "null", tmp_path / "package" / "systolith.v"],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert set(re.findall(r"Unknown module type: (\w+)", refused.stderr)) == cells
        assert refused.returncode
    assert re.findall(r"^  (\w+):", files["systolith.core"].split("targets:")[1], re.MULTILINE) == [
        "default"
    ]
    pytest.importorskip("fusesoc", reason=f"FuseSoC {NEEDS}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (core,) = re.findall("FuseSoC: core `(\\w+)`", readme)
    shown = run(sys.executable, "-m", "fusesoc.main", "--cores-root", str(tmp_path / "package"),
                "core", "show", core, cwd=tmp_path)  # fmt: skip
    assert "default" in shown and "lint" not in shown, shown


# -- registers ------------------------------------------------------------------------------------


def test_system_rdl(folder, tmp_path):
    """systemrdl-compiler reads the map that the hardware has; PeakRDL makes a site of it."""
    systemrdl = pytest.importorskip("systemrdl", reason=f"systemrdl-compiler {NEEDS}")
    compiler = systemrdl.RDLCompiler()
    compiler.compile_file(str(folder / "registers.rdl"))
    top = compiler.elaborate().top
    found = {node.inst_name: node for node in top.registers()}
    counters = counter_offsets(CONFIG)
    assert {name: node.absolute_address for name, node in found.items()} == {
        **{register.name: register.offset for register in REGISTERS}, **counters,
    }  # fmt: skip
    for register in REGISTERS:
        node = found[register.name]
        assert [(field.inst_name, field.low, field.width) for field in node.fields()] == [
            (field.name, field.low, field.width) for field in bit_fields(register)
        ]
        for field in node.fields():
            named = field.get_property("encode")
            assert VALUES.get((register.name, field.inst_name)) == (
                {value.name: value.value for value in named} if named else None
            )
            assert field.is_sw_readable == (register.access != "wo")
            assert field.is_sw_writable == (register.access != "ro")
    constants = {"ID": IDENTITY, "VERSION": ISA_VERSION, "CONFIG_HASH": CONFIG.hash}
    for name, value in constants.items():
        assert found[name].find_by_path("VALUE").get_property("reset") == value
    for name, node in found.items():  # a reset leaves what is kept, and nothing else
        for field in node.fields():
            assert (field.get_property("reset") is None) == (name in KEPT), name
    assert all(found[name].find_by_path("VALUE").get_property("reset") == 0 for name in counters)
    html = pytest.importorskip("peakrdl_html", reason=f"peakrdl-html {NEEDS}")
    html.HTMLExporter().export(top, str(tmp_path / "site"))
    assert (tmp_path / "site" / "index.html").exists()


def test_register_page(folder):
    """The page is whole HTML, needs nothing from elsewhere, and has all registers."""
    page = (folder / "registers.html").read_text()
    page = page.removeprefix("<!DOCTYPE html>\n")
    tree = ET.fromstring(page.replace('<meta charset="utf-8">', ""))
    headings = [heading.get("id") for heading in tree.iter("h2")]
    assert headings == [*(register.name for register in REGISTERS), *counter_offsets(CONFIG)]
    assert "http" not in page and "src=" not in page
    kept = [part.split(",")[0] for part in page.split('<h2 id="')[1:] if "<td>kept</td>" in part]
    assert {name.split('"')[0] for name in kept} == set(KEPT)
    tables = page.split('<h2 id="ERROR"')[1].split("<h2")[0].split("<p>Values of ")[1:]
    assert {
        ("ERROR", table.split(":")[0]): {
            name: int(value) for value, name in re.findall(r"<td>(\d+)</td><td>(\w+)</td>", table)
        }
        for table in tables
    } == VALUES


# -- IP-XACT --------------------------------------------------------------------------------------


def test_ip_xact(folder, bus, tmp_path):
    """IEEE 1685-2014's own classes find every element where the standard has it."""
    reader = pytest.importorskip("ipyxact.ipxact2014", reason=f"ipyxact {NEEDS}")
    file = folder / "systolith.xml"
    component = reader.parse(str(file), silence=True)
    written = tmp_path / "again.xml"
    with written.open("w") as out:
        component.export(out, 0, name_="component", namespacedef_=(
            'xmlns:ipxact="http://www.accellera.org/XMLSchema/IPXACT/1685-2014"'
        ))  # fmt: skip

    def elements(path):
        return [(one.tag.split("}")[-1], (one.text or "").strip()) for one in
                ET.parse(path).getroot().iter()]  # fmt: skip

    # What the standard does not have there the reader drops; it writes in the standard's order, and
    # adds defaults.
    defaults = [("reserved", "false"), ("bitSteering", "off")]
    assert [one for one in elements(written) if one not in defaults] == elements(file)
    names = [port.name for port in component.get_model().get_ports().get_port()]
    assert names == [port.name for port in ports(CONFIG, bus)]
    mapped = {
        one.get_physicalPort().get_name()
        for interface in component.get_busInterfaces().get_busInterface()
        for kind in interface.get_abstractionTypes().get_abstractionType()
        for one in kind.get_portMaps().get_portMap()
    }
    assert mapped == (set(names) if bus != "native" else {"clk", "rst", "irq"})
    assert references(component) == SIDES[bus]
    buses = {"ASSOCIATED_BUSIF": ":".join(SIDES[bus])} if SIDES[bus] else {}
    assert settings(component) == {
        "clk": {**buses, "ASSOCIATED_RESET": "rst"},
        "rst": {"POLARITY": "ACTIVE_HIGH"},
        "irq": {"SENSITIVITY": "LEVEL_HIGH"},
    }
    spaces = component.get_addressSpaces()
    assert (spaces is None) == (bus == "native")
    assert spaces is None or [one.get_name() for one in spaces.get_addressSpace()] == ["memory"]
    maps = component.get_memoryMaps().get_memoryMap()
    assert {
        (register.get_name(), field.get_name()): {
            one.get_name(): int(one.get_value().get_valueOf_())
            for one in field.get_enumeratedValues().get_enumeratedValue()
        }
        for register in maps[0].get_addressBlock()[0].get_register()
        for field in register.get_field()
        if field.get_enumeratedValues() is not None
    } == VALUES
    assert [one.get_name() for one in maps] == ["registers"]


SIDES = {
    "axi4": {"m_axi": "memory", "s_axil": "registers"},
    "wishbone": {"m_wb": "memory", "s_wb": "registers"},
    "native": {},
}
"""What each interface to memory or registers refers to."""


def references(component) -> dict[str, str]:
    """Return the memory map or address space that each interface names, as ipyxact reads it."""
    found = {}
    for interface in component.get_busInterfaces().get_busInterface():
        master, slave = interface.get_master(), interface.get_slave()
        if master is not None and master.get_addressSpaceRef() is not None:
            found[interface.get_name()] = master.get_addressSpaceRef().get_addressSpaceRef()
        if slave is not None and slave.get_memoryMapRef() is not None:
            found[interface.get_name()] = slave.get_memoryMapRef().get_memoryMapRef()
    return found


def settings(component) -> dict[str, dict[str, str]]:
    """Return the parameters of each interface that has some, as ipyxact reads them."""
    return {
        interface.get_name(): {
            one.get_name(): one.get_value().get_valueOf_()
            for one in interface.get_parameters().get_parameter()
        }
        for interface in component.get_busInterfaces().get_busInterface()
        if interface.get_parameters() is not None
    }


# -- C --------------------------------------------------------------------------------------------


def test_driver_compiles_from_the_folder(folder, tmp_path):
    """C99 and nothing else, with every warning an error; and the numbers are the core's."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    main = tmp_path / "main.c"
    main.write_text("""
#include <stdio.h>
#include "systolith.h"
#include "systolith_core.h"
int main(void) {
    printf("%08x %u %u %x %s\\n", SYSTOLITH_CORE_CONFIG_HASH, SYSTOLITH_CORE_DATA_BYTES,
           (unsigned)SYSTOLITH_CORE_FETCH_BEATS, SYSTOLITH_CORE_COUNTERS, SYSTOLITH_CORE_BUS);
    return systolith_name(SYSTOLITH_OK) == 0;
}
""")
    program = tmp_path / "main"
    run(compiler, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{folder / 'c'}",
        main, folder / "c" / "systolith.c", "-o", program)  # fmt: skip
    hash_, port, counter, counters, bus = run(program).split()
    assert int(hash_, 16) == CONFIG.hash
    assert int(port) == CONFIG.bus.data_bytes
    assert 0x80 + 4 * int(counter) == counter_offsets(CONFIG)["FETCH_BEATS"]
    had = [0x80 + 4 * place for place in range(32) if int(counters, 16) >> place & 1]
    assert had == list(counter_offsets(CONFIG).values())
    assert bus == json.loads((folder / "manifest.json").read_text())["bus"]


def test_driver_links_bare_metal(folder, tmp_path):
    """By the README's command, for a CPU that does not multiply; and not without `-lgcc`."""
    text = (folder / "README.md").read_text()
    command = text.split("```sh\n")[1].split("```")[0].replace("\\\n", " ").split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    shutil.copytree(folder / "c", tmp_path / "c")
    (tmp_path / "firmware.c").write_text("""
#include "systolith.h"
void _start(void) {
    struct systolith core;
    if (systolith_open(&core, (volatile uint32_t *)0x10000000, (uint8_t *)0x20000000, 0x10000) ||
        systolith_load(&core, (const uint8_t *)0x30000000, 0x1000) ||
        systolith_start(&core, 1, 0, 0))
        for (;;) ;
}
""")
    run(*command, "-Wall", "-Wextra", "-Werror", cwd=tmp_path)
    assert (tmp_path / "firmware.elf").exists()
    command.remove("-lgcc")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode and "__mulsi3" in done.stderr, done.stderr


def test_names_tell_cores_apart():
    """Of other settings, buses or targets; and every file says what was changed."""
    names = set()
    for config, bus, target in [
        (CONFIG, "wishbone", "generic"), (CONFIG, "native", "generic"),
        (CONFIG, "native", "ice40"), (CONFIG.replace({"bus.burst_beats": 4}), "native", "generic"),
    ]:  # fmt: skip
        core = CoreDescription(
            config=config, preset="tiny", bus=bus, target=target, version="1",
            ports=tuple(ports(config, bus)),
        )  # fmt: skip
        name = re.search("^name: (.*)$", fusesoc_core(core), re.MULTILINE)
        assert name is not None
        names.add(name[1])
        assert f"<ipxact:name>{name[1].split(':')[2]}</ipxact:name>" in ip_xact(core)
        for text in (fusesoc_core(core), ip_xact(core), c_header(core), readme(core, {}, 256)):
            assert "preset tiny" in text
            assert ("bus.burst_beats=4" in text) == (config != CONFIG)
    assert len(names) == 4


def test_nothing_points_outside(folder):
    """Nobody who has the folder is sent to documents that are not in it."""
    assert (folder / "LICENSE").read_text() == (Path(__file__).parents[1] / "LICENSE").read_text()
    for path in folder.rglob("*"):
        assert not path.is_file() or "docs/" not in path.read_text(), path


def test_readme_names_every_file(folder):
    text = (folder / "README.md").read_text()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    listed = text.split("## Files")[1].split("##")[0]
    assert set(re.findall(r"^\| `(.*)` \|", listed, re.MULTILINE)) == files - {"README.md"}
    steps = text.split("Without the driver:")[1].split("##")[0]
    for name in KEPT:  # anything after power-up, so it has to be written
        place = f"{name} (0x{OFFSETS[name]:02X})"
        assert place in " ".join(steps.split("CONTROL")[0].split()), name
        assert name in text.split("## Clock and reset")[1].split("##")[0]
    for (_, field), values in VALUES.items():
        table = text.split(f" | {field} | meaning |")[1].split("\n\n")[0]
        rows = re.findall(r"^\| (\d+) \| (\w+) \| .+ \|$", table, re.MULTILINE)
        assert {name: int(value) for value, name in rows} == values
    assert f"{CONFIG.hash:08x}" in text and "{" not in text.split("```")[0]
